"""The object as it is wanted, from what was captured, and where a live one is not like it.

The comparison is one-sided: defaults and additions of others do not count.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_SERVICE, VM_OPERATOR_GROUP, Manifest, compact_time, mapping
from velero_vmservice.restore.model import Difference
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from velero_vmservice.archive.schema import SavedStatus
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.velero.runs import RestoreRun

BACKUP_LABEL: Final = "velero.io/backup-name"
RESTORE_LABEL: Final = "velero.io/restore-name"

_LABEL_LENGTH: Final = 63
_HASH_LENGTH: Final = 6


def label_value(name: str) -> str:
    """Return a name as Velero writes it into a label: over 63 characters, cut and closed with a hash (label.go)."""
    if len(name) <= _LABEL_LENGTH:
        return name
    return name[: _LABEL_LENGTH - _HASH_LENGTH] + hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]


def wanted(
    manifest: Manifest, *, namespace: str, run: RestoreRun, version: str, policy: RestorePolicy, before: SavedStatus
) -> Manifest:
    """Return the object to create; of what sanitising took off, only what the policy asks for comes back.

    It is sanitised here whatever was done to it before, as every write of a restore is made of what this returns: a
    stored document, or an item in an operation id, may have been changed by anyone with write access to the bucket.
    """
    content = sanitize(manifest).manifest.editable()
    metadata = content["metadata"]
    metadata["namespace"] = namespace
    metadata["labels"] = {
        **metadata.get("labels", {}),
        BACKUP_LABEL: label_value(run.backup),
        RESTORE_LABEL: label_value(run.name),
    }
    content["apiVersion"] = f"{VM_OPERATOR_GROUP}/{version}"
    if manifest.kind_name == VIRTUAL_MACHINE_SERVICE.name:
        spec = content.setdefault("spec", {})
        if policy.cluster_ip == "keep" and before.cluster_ip:
            spec["clusterIp"] = before.cluster_ip
        if policy.vip == "request" and spec.get("type") == "LoadBalancer" and before.load_balancer:
            spec["loadBalancerIP"] = before.load_balancer[0]
    return Manifest(content)


def made_by(run: RestoreRun, live: Manifest) -> bool:
    """Say whether this run created a live object: it carries the restore's label and is not older than the run.

    An earlier restore of the same name left the same label.
    """
    created = compact_time(live.metadata.get("creationTimestamp"))
    return live.labels.get(RESTORE_LABEL) == label_value(run.name) and (not created or created >= run.started)


_IMMUTABLE: Final = {VIRTUAL_MACHINE_SERVICE.name: frozenset({"spec.type", "spec.clusterIp"})}
"""Refused on update (virtualmachineservice_validator.go, validateAllowedChanges)."""


_WHOLE_ABSENT: Final[dict[str, dict[str, Any]]] = {VIRTUAL_MACHINE_SERVICE.name: {"selector": {}}}
"""Fields that mean something by being absent."""

_WHOLE: Final = frozenset({"spec.selector"})
"""Maps that an addition changes the meaning of: one label more selects fewer VMs."""


def differences(wanted: Manifest, live: Manifest) -> tuple[Difference, ...]:
    """Return where in spec, labels and annotations a live object differs from the wanted one."""
    labels = {key: value for key, value in wanted.labels.items() if not key.startswith(marks.VELERO_LABEL_PREFIX)}
    return (
        *_unequal(labels, dict(live.labels), "metadata.labels"),
        *_unequal(dict(wanted.annotations), dict(live.annotations), "metadata.annotations"),
        *_unequal({**_WHOLE_ABSENT.get(wanted.kind_name, {}), **wanted.spec}, dict(live.spec), "spec"),
    )


def immutable(kind: str, different: Iterable[Difference]) -> tuple[str, ...]:
    """Return the paths among the differences that cannot be changed on a live object."""
    return tuple(difference.path for difference in different if difference.path in _IMMUTABLE.get(kind, ()))


def change(wanted: Manifest, live: Manifest) -> dict[str, Any]:
    """Return the merge patch that makes a live object say what is wanted, and takes nothing else from it."""
    metadata: dict[str, Any] = {"labels": dict(wanted.labels)}
    if wanted.annotations:
        metadata["annotations"] = dict(wanted.annotations)
    spec = dict(wanted.spec)
    if wanted.kind_name == VIRTUAL_MACHINE_SERVICE.name:
        surplus = mapping(live.spec.get("selector")).keys() - mapping(spec.get("selector")).keys()
        if surplus:
            spec["selector"] = {**mapping(spec.get("selector")), **dict.fromkeys(sorted(surplus))}
    return {"metadata": metadata, "spec": spec}


def _unequal(wanted: Any, live: Any, path: str) -> Iterator[Difference]:
    if live is None and wanted in ({}, [], ""):
        return  # left out when empty
    if path in _WHOLE:
        if (wanted or {}) != (live or {}):
            yield Difference(path=path, wanted=wanted, live=live)
    elif isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            yield from _unequal(value, live.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, (wanted_item, live_item) in enumerate(zip(wanted, live, strict=True)):
            yield from _unequal(wanted_item, live_item, f"{path}[{index}]")
    elif wanted != live:
        yield Difference(path=path, wanted=wanted, live=live)
