"""The VirtualMachine that RegisterVM writes: pure functions from a backup record, and what is there, to a manifest.

Source: the guide, chapter 8. What it leaves open is a parameter: whether stale owner references survive.
"""

from __future__ import annotations

import copy
import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tests.emulator.vm_operator.records import ZONE_LABEL
from tests.emulator.vm_operator.vm_controller import PAUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.emulator.kubernetes.cluster import Object

RESTORED: Final = "vmoperator.vmware.com/restored-vm"
FAILED_OVER: Final = "vmoperator.vmware.com/failed-over-vm"
INSTANCE_IDS: Final = ("vmoperator.vmware.com/cloud-init-instance-id", "vmoperator.vmware.com/instance-id")
KEPT_IN_PLACE: Final = (
    "vmoperator.vmware.com/created-at-build-version",
    "vmoperator.vmware.com/created-at-schema-version",
    "vmoperator.vmware.com/upgraded-to-build-version",
    "vmoperator.vmware.com/upgraded-to-schema-version",
    "vmoperator.vmware.com/upgraded-to-feature-version",
)
_SERVER_OWNED: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


class RestoreKind(StrEnum):
    """How a VM comes back; the guide, 4.3 and 6."""

    NEW = "new"
    EXISTING = "existing"
    DISK_ONLY = "disk-only"
    FAILOVER = "failover"


def created(
    record: Object, *, namespace: str, kind: RestoreKind, claims: Mapping[str, str], keep_owners: bool
) -> Object:
    """Write the manifest of a VM that is not there, paused; `claims` maps volume names to new claims."""
    new = copy.deepcopy(record)
    metadata, spec = new["metadata"], new["spec"]
    for field in _SERVER_OWNED:
        metadata.pop(field, None)
    if not keep_owners:
        metadata.pop("ownerReferences", None)
    metadata["namespace"] = namespace
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != ZONE_LABEL}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in INSTANCE_IDS}
    metadata["annotations"] = annotations | {_marker(kind): "", PAUSED: "true"}
    cloud_init = (spec.get("bootstrap") or {}).get("cloudInit")
    if cloud_init is not None:
        cloud_init["instanceID"] = str(uuid.uuid4())
    _power_off(spec, kind, claims)
    new.pop("status", None)
    return new


def restored_in_place(record: Object, live: Object, *, kind: RestoreKind, claims: Mapping[str, str]) -> Object:
    """Write a VM that is there back to its record; identity, zone and five annotations stay, paused."""
    new = copy.deepcopy(live)
    labels, annotations = live["metadata"].get("labels") or {}, live["metadata"].get("annotations") or {}
    zone = {ZONE_LABEL: labels[ZONE_LABEL]} if ZONE_LABEL in labels else {}
    new["metadata"]["labels"] = (record["metadata"].get("labels") or {}) | zone
    kept = {key: annotations[key] for key in KEPT_IN_PLACE if key in annotations}
    recorded = record["metadata"].get("annotations") or {}
    new["metadata"]["annotations"] = annotations | recorded | kept | {_marker(kind): "", PAUSED: "true"}
    new["spec"] = copy.deepcopy(record["spec"])
    _power_off(new["spec"], kind, claims)
    return new


def with_new_disks(live: Object, *, claims: Mapping[str, str]) -> Object:
    """Point some volumes of a VM to new claims; nothing else of it changes."""
    new = copy.deepcopy(live)
    _point(new["spec"], claims)
    return new


def _power_off(spec: dict[str, Any], kind: RestoreKind, claims: Mapping[str, str]) -> None:
    spec["powerState"] = "PoweredOff"
    if kind is RestoreKind.FAILOVER:
        spec.pop("image", None)
        spec.pop("imageName", None)
    _point(spec, claims)


def _point(spec: dict[str, Any], claims: Mapping[str, str]) -> None:
    for volume in spec.get("volumes") or ():
        if volume["name"] in claims:
            volume["persistentVolumeClaim"]["claimName"] = claims[volume["name"]]


def _marker(kind: RestoreKind) -> str:
    return FAILED_OVER if kind is RestoreKind.FAILOVER else RESTORED
