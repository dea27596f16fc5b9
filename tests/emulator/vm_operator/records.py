"""The backup record VM Operator keeps in a VM's ExtraConfig, and its encoding.

Key names and contents are the code's (pkg/backup/api, pkg/providers/vsphere/virtualmachine/backup.go), not the
guide's: gzip and base64 around YAML or JSON.
"""

from __future__ import annotations

import base64
import copy
import gzip
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.emulator.kubernetes.cluster import Object
    from tests.emulator.wcp.vcenter import Disk

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
BACKUP_VERSION: Final = "vmoperator.vmware.com/backup-version"
FORCE_RECORD: Final = "vmoperator.vmware.com/force-enable-backup"
CLUSTER_ROLES: Final = ("capw.vmware.com/cluster.role", "capv.vmware.com/cluster.role")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_TRUE_WORDS: Final = frozenset({"1", "on", "t", "true", "y", "yes"})


class Key(StrEnum):
    """ExtraConfig keys."""

    VM = "vmservice.virtualmachine.resource.yaml"
    OTHERS = "vmservice.virtualmachine.additional.resources.yaml"
    CLAIMS = "vmservice.virtualmachine.pvc.disk.data"
    CLASSIC = "vmservice.virtualmachine.classicDiskData"
    VERSION = "vmservice.virtualmachine.backupVersion"
    ENABLE = "vmservice.virtualmachine.enableAutomaticRegistration"
    DISABLE = "vmservice.virtualmachine.disableAutomaticRegistration"
    NAME = "vmservice.namespacedName"


def encode(text: str) -> str:
    """Compress and encode as VM Operator does."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def decode(text: str) -> str:
    """Undo `encode`; raises ValueError or OSError on a damaged record."""
    return gzip.decompress(base64.b64decode(text, validate=True)).decode()


def is_on(extra_config: Mapping[str, str], key: Key) -> bool:
    """Read a switch."""
    return extra_config.get(key, "").lower() in _TRUE_WORDS


def trimmed(item: Object) -> Object:
    """Return what is kept of an object: everything but status, managedFields, last-applied and the zone label.

    Owner references, UID and finalizers do stay: a member's record names the group it was in by its old UID.
    """
    kept = copy.deepcopy(item)
    kept.pop("status", None)
    metadata = kept["metadata"]
    metadata.pop("managedFields", None)
    for name, key in (("annotations", _LAST_APPLIED), ("labels", ZONE_LABEL)):
        metadata[name] = {k: v for k, v in (metadata.get(name) or {}).items() if k != key}
    return kept


def in_step(machine: Object, extra_config: Mapping[str, str]) -> bool:
    """Say whether the record still matches: generation, labels and annotations, and nothing else, are compared."""
    if not extra_config.get(Key.VM):
        return False
    now, then = trimmed(machine)["metadata"], recorded_vm(extra_config)["metadata"]
    return all(now.get(field) == then.get(field) for field in ("generation", "labels", "annotations"))


def recorded(machine: Object, *, others: Sequence[Object], disks: Sequence[Disk], version: str) -> dict[str, str]:
    """Write the ExtraConfig entries of one VM."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in machine["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    modes = ["ReadWriteOnce"]
    data = [
        {"FileName": disk.file, "PVCName": claims[disk.name], "AccessModes": modes, "UUID": disk.uuid}
        for disk in disks
        if disk.name in claims
    ]
    entries = {
        Key.VM: encode(_yaml(trimmed(machine))),
        Key.VERSION: version,
        Key.NAME: f"{machine['metadata']['namespace']}/{machine['metadata']['name']}",
    }
    if others:
        entries[Key.OTHERS] = encode("\n---\n".join(_yaml(trimmed(other)) for other in others))
    if data:
        entries[Key.CLAIMS] = encode(json.dumps(data))
    return {str(key): value for key, value in entries.items()}


def recorded_vm(extra_config: Mapping[str, str]) -> Object:
    """Read the VirtualMachine back; raises ValueError, OSError or yaml.YAMLError on a damaged record."""
    read: Object = yaml.safe_load(decode(extra_config[Key.VM]))
    return read


def recorded_others(extra_config: Mapping[str, str]) -> Sequence[Object]:
    """Read the bootstrap Secrets and ConfigMaps back."""
    text = extra_config.get(Key.OTHERS, "")
    return tuple(yaml.safe_load_all(decode(text))) if text else ()


def recorded_disks(extra_config: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """Read the disks behind claims back."""
    text = extra_config.get(Key.CLAIMS, "")
    return tuple(json.loads(decode(text))) if text else ()


def _yaml(item: Object) -> str:
    return yaml.safe_dump(item, sort_keys=True)
