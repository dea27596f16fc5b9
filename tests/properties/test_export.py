"""Exported YAML read back is what was captured, whatever text an object holds."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tests.properties.applications import Application, applications
from tests.unit.builders import facts, m, service
from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.archive.schema import Capture, Provenance, captured_kind, observed
from velero_vmservice.archive.topology import topology
from velero_vmservice.captures.inspection.export import exported, files, stream
from velero_vmservice.kube.manifest import ObjectRef

TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "y",
        "no",
        "On",
        "NULL",
        "~",
        "1e3",
        "0x1f",
        "1:30",
        "2026-01-01",
        "- a",
        "a: b",
        "#",
        "",
        " a",
        "a\n",
        "\x85",
        "{}",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXT, values, max_size=3),
    max_leaves=8,
)


def captured(*objects: dict[str, Any]) -> dict[ObjectRef, Capture]:
    """Return the captures of objects, as a backup stores them."""
    known = facts(*objects)
    made = {}
    for content in objects:
        manifest = m(content)
        if manifest.kind_name == "VirtualMachine":
            continue
        kind = captured_kind(manifest)
        made[ObjectRef(kind, manifest.namespace, manifest.name)] = Capture(
            kind=kind.name,
            namespace=manifest.namespace,
            name=manifest.name,
            manifest=sanitize(manifest).manifest.editable(),
            observed=observed(manifest),
            topology=topology(manifest, known),
            provenance=Provenance(backup="b", backup_started="20260301T120000Z", captured_at="", plugin="1"),
        )
    return made


def imported(captures: dict[ObjectRef, Capture]) -> list[Any]:
    return list(yaml.safe_load_all(stream(exported(captures, mapping={}), title="title")))


@given(labels=st.dictionaries(TEXT, TEXT, max_size=3), more=st.dictionaries(TEXT, VALUES, max_size=3))
@example(labels={"a": "1e3"}, more={"=": "="})
def test_what_is_read_back_is_what_was_captured(labels: dict[str, str], more: dict[str, Any]) -> None:
    captures = captured(service("front", {"app": "web"}, meta={"labels": labels}, extension=more))
    assert imported(captures) == [capture.manifest for capture in captures.values()]


@given(applications())
def test_an_application_is_exported_whole_with_parents_first(application: Application) -> None:
    captures = captured(*application.machines(), *application.objects())
    read = imported(captures)
    by_name = {each["metadata"]["name"]: each for each in read}
    assert by_name == {ref.name: capture.manifest for ref, capture in captures.items()}
    names = [each["metadata"]["name"] for each in read]
    for name, parent in application.parents.items():
        assert not parent or names.index(parent) < names.index(name)
    assert all(
        names.index(group) < names.index(chosen) for group in application.parents for chosen in application.selected
    )


@given(applications())
def test_the_files_are_the_stream_in_parts(application: Application) -> None:
    manifests = exported(captured(*application.machines(), *application.objects()), mapping={})
    *parts, kustomization = files(manifests, title="title")
    assert [yaml.safe_load(part.text) for part in parts] == [dict(manifest.content) for manifest in manifests]
    assert yaml.safe_load(kustomization.text)["resources"] == [part.name for part in parts]
