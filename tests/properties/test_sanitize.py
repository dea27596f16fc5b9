from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice import documents
from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.archive.schema import Capture, Provenance
from velero_vmservice.kube.manifest import Manifest

KEYS = st.sampled_from(
    [
        "app",
        "velero.io/restore-name",
        "service.kubernetes.io/service-proxy-name",
        "kubectl.kubernetes.io/last-applied-configuration",
        "vmoperator.vmware.com/conversion",
        "vmoperator.vmware.com.protected/apply-power-state-time",
        "ncp/healthCheckNodePort",
        "velero-plugin-for-vmservice/capture",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.dictionaries(KEYS | st.text(max_size=8), st.text(max_size=8), max_size=5)
METADATA = st.fixed_dictionaries(
    {"name": st.just("x"), "namespace": st.just("shop")},
    optional={
        "labels": TEXTS | st.none(),
        "annotations": TEXTS | st.none(),
        "uid": st.text(max_size=4),
        "ownerReferences": JSON,
        "finalizers": JSON,
        "somethingNew": JSON,
    },
)
SPEC = st.dictionaries(
    st.sampled_from(["clusterIp", "powerState", "nextForcePowerStateSyncTime", "selector", "bootOrder", "type"]), JSON
)
MANIFESTS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("vmoperator.vmware.com/v1alpha5"),
        "kind": st.sampled_from(["VirtualMachineGroup", "VirtualMachineService"]),
        "metadata": METADATA,
    },
    optional={"spec": SPEC | JSON, "status": JSON, "extra": JSON},
)


@given(MANIFESTS)
def test_idempotent_and_the_given_one_is_left_alone(content: dict[str, Any]) -> None:
    before = copy.deepcopy(content)
    once = sanitize(Manifest(content))
    assert content == before
    twice = sanitize(once.manifest)
    assert twice.dropped == ()
    assert twice.manifest.content == once.manifest.content


@given(MANIFESTS)
def test_nothing_is_added_and_nothing_goes_without_a_reason(content: dict[str, Any]) -> None:
    result = sanitize(Manifest(content))
    assert _leaves(dict(result.manifest.content)) <= _leaves(content)
    assert all(field.reason for field in result.dropped)
    assert len({field.path for field in result.dropped}) == len(result.dropped)
    assert not {"uid", "ownerReferences", "finalizers"} & set(result.manifest.metadata)


@given(MANIFESTS)
def test_equal_content_has_equal_bytes_and_is_read_back(content: dict[str, Any]) -> None:
    def capture(manifest: dict[str, Any]) -> Capture:
        origin = Provenance(backup="b", backup_started="s", captured_at="t", plugin="1")
        return Capture(kind="K", namespace="n", name="x", manifest=manifest, provenance=origin)

    body = documents.canonical(capture(content))
    assert documents.canonical(capture(_reversed(content))) == body
    assert documents.parse(Capture, body, key="k") == capture(content)


def _leaves(tree: Any, path: str = "") -> set[str]:
    if isinstance(tree, dict):
        return {leaf for key, value in tree.items() for leaf in _leaves(value, f"{path}.{key!r}")}
    return {f"{path}={tree!r}"}


def _reversed(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _reversed(tree[key]) for key in reversed(list(tree))}
    return [_reversed(branch) for branch in tree] if isinstance(tree, list) else tree
