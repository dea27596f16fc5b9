"""From a captured manifest to the object to create: target namespace, served version, Velero's labels."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_SERVICE, VM_OPERATOR_GROUP, Manifest, compact_time

if TYPE_CHECKING:
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
    """Say whether this run created a live object: it carries the restore's label and is no older than the run.

    An earlier restore of the same name left the same label.
    """
    created = compact_time(live.metadata.get("creationTimestamp"))
    return live.labels.get(RESTORE_LABEL) == label_value(run.name) and (not created or created >= run.started)
