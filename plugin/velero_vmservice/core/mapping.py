"""From a captured manifest to the object to create: target namespace, served version, Velero's labels."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from velero_vmservice.core import api_versions
from velero_vmservice.core.manifest import VM_OPERATOR_GROUP, Manifest, compact_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.core.operation import RestoreRun

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
    manifest: Manifest, *, namespace: str, run: RestoreRun, served: Sequence[str]
) -> tuple[Manifest, tuple[str, ...]]:
    """Return the object to create and the fields that the target's version does not know."""
    content = manifest.editable()
    metadata = content["metadata"]
    metadata["namespace"] = namespace
    metadata["labels"] = {
        **metadata.get("labels", {}),
        BACKUP_LABEL: label_value(run.backup),
        RESTORE_LABEL: label_value(run.name),
    }
    version = api_versions.replay_version(manifest.version, served) or manifest.version
    content["apiVersion"] = f"{VM_OPERATOR_GROUP}/{version}"
    unknown = api_versions.unknown_fields(manifest.kind_name, version)
    trimmed = api_versions.trim(content.get("spec"), unknown, "spec")
    return Manifest(content), tuple(trimmed)


def made_by(run: RestoreRun, live: Manifest) -> bool:
    """Say whether this run created a live object: it carries the restore's label and is no older than the run.

    An earlier restore of the same name left the same label.
    """
    created = compact_time(live.metadata.get("creationTimestamp"))
    return live.labels.get(RESTORE_LABEL) == label_value(run.name) and (not created or created >= run.started)
