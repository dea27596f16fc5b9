"""The guide's tables of the restored VM (6.1 to 6.4, 8.1 to 8.3) as data: one row for each attribute.

Two things limit when some rows can be compared. VM Operator gives a VM its zone label, and perhaps other infrastructure
labels, as soon as it reconciles it; and a person may power it on, or set its image, at any moment. Such a row says
until when it holds. RegisterVM's marks stay after a power-on (vm-service 4.5), and so do their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.supervisor.readiness import RESTORED_CLAIM, RestoreType
from velero_vmservice.vmoperator import marks
from velero_vmservice.vmoperator.virtual_machine import is_users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm


POWER_STATE: Final = "power state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is expected of one value, given the captured one; None stands for a value that is not there."""

    text: str
    holds: Callable[[str, str | None], bool]


SAME: Final = Expectation(text="{captured}", holds=lambda captured, restored: restored == captured)
SAME_ONCE_KNOWN: Final = Expectation(text="{captured}", holds=lambda captured, restored: restored in (captured, None))
THERE: Final = Expectation(text="there", holds=lambda _, restored: restored is not None)
GONE: Final = Expectation(text="removed", holds=lambda _, restored: restored is None)
RENEWED: Final = Expectation(text="another than {captured}", holds=lambda captured, restored: restored != captured)
POWERED_OFF: Final = Expectation(text="PoweredOff", holds=lambda _, restored: restored in ("PoweredOff", None))
NEW_CLAIM: Final = Expectation(
    text="restored-<6 hexadecimal digits>",
    holds=lambda _, restored: restored is None or bool(RESTORED_CLAIM.fullmatch(restored)),
)
"""A volume that is not there at all has a row of its own."""
SAME_OR_NEW_CLAIM: Final = Expectation(
    text="{captured} or restored-<6 hexadecimal digits>",
    holds=lambda captured, restored: restored in (captured, None) or bool(RESTORED_CLAIM.fullmatch(restored or "")),
)


class Until(StrEnum):
    """How long after the registration a row holds."""

    EVER = "ever"
    RECONCILED = "reconciled"
    """Until VM Operator has reconciled the VM, and set labels of its own."""
    TOUCHED = "touched"
    """Until a person powers the VM on or edits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attribute: where it stands on both sides, and what each restore type does to it.

    Both readers return values by key, with '' as the key of an attribute that is one value. The row is asked for each
    key on the captured side; a restore type that it does not name leaves the attribute open.
    """

    attribute: str
    source: str
    captured: Callable[[VmFacts], Mapping[str, str]]
    restored: Callable[[ObservedVm], Mapping[str, str]]
    expectation: Mapping[RestoreType, Expectation]
    note: str
    """What a deviation means, or what to do about it."""
    until: Until = Until.EVER
    recorded: bool = False
    """Whether the value comes out of the restore point, so that an older one explains another value."""


def _single(value: str) -> Mapping[str, str]:
    return {"": value} if value else {}


def _chosen(values: Mapping[str, str], keys: Iterable[str]) -> Mapping[str, str]:
    return {key: values[key] for key in keys if key in values}


def _user_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    return {key: value for key, value in labels.items() if is_users(key)}


def _infrastructure_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    return {key: value for key, value in labels.items() if not is_users(key) and key != marks.ZONE_LABEL}


_NEW, _EXISTING = RestoreType.NEW, RestoreType.EXISTING
_DISK_ONLY, _FAILOVER = RestoreType.DISK_ONLY, RestoreType.FAILOVER
_REGISTERED: Final = (_NEW, _EXISTING, _FAILOVER)
"""Restores that write the VM from its record."""
_SAME_VCENTER: Final = (_NEW, _EXISTING, _DISK_ONLY, RestoreType.NEVER_LOST)

TABLE: Final = (
    Row(
        attribute="BIOS UUID",
        source="guide 8.2",
        captured=lambda facts: _single(facts.bios_uuid),
        restored=lambda vm: _single(vm.bios_uuid),
        expectation=dict.fromkeys(_SAME_VCENTER, SAME_ONCE_KNOWN),
        note="part of the identity changed: compare it with the VADP restore point before it is powered on",
    ),
    Row(
        attribute="instance UUID",
        source="guide 8.2",
        captured=lambda facts: _single(facts.instance_uuid),
        restored=lambda vm: _single(vm.instance_uuid),
        expectation=dict.fromkeys(_SAME_VCENTER, SAME_ONCE_KNOWN),
        note="part of the identity changed: compare it with the VADP restore point before it is powered on",
    ),
    Row(
        attribute=f"annotation {marks.RESTORED_ANNOTATION}",
        source="guide 8.1.3",
        captured=lambda _: {"": ""},
        restored=lambda vm: {"": ""} if vm.restored else {},
        expectation={_NEW: THERE, _EXISTING: THERE},
        note="nothing shows that RegisterVM wrote the VM: look at its task in vCenter",
    ),
    Row(
        attribute=f"annotation {marks.FAILED_OVER_ANNOTATION}",
        source="guide 8.1.3",
        captured=lambda _: {"": ""},
        restored=lambda vm: {"": ""} if vm.failed_over else {},
        expectation={_FAILOVER: THERE},
        note="VM Operator validates a VM without it as strictly as any other",
    ),
    Row(
        attribute="volume",
        source="guide 8.1.1",
        captured=lambda facts: facts.volumes,
        restored=lambda vm: vm.volumes,
        expectation=dict.fromkeys((*_REGISTERED, _DISK_ONLY), THERE),
        note="a disk is missing: look for it in the VADP restore point and in the RegisterVM task",
        recorded=True,
    ),
    Row(
        attribute="claim of volume",
        source="guide 8.1.1, 6.3, 6.4",
        captured=lambda facts: facts.volumes,
        restored=lambda vm: vm.volumes,
        expectation={
            _NEW: NEW_CLAIM,
            _EXISTING: NEW_CLAIM,
            _DISK_ONLY: SAME_OR_NEW_CLAIM,
            _FAILOVER: SAME_OR_NEW_CLAIM,
        },
        note="its disk was not registered by this restore: look at the CnsRegisterVolumes (guide 11.3)",
    ),
    Row(
        attribute="label",
        source="guide 8.1.2",
        captured=lambda facts: _user_labels(facts.labels),
        restored=lambda vm: vm.labels,
        expectation=dict.fromkeys(_REGISTERED, SAME),
        note="a label of the user's is not restored: services may not select the VM; set it again",
        recorded=True,
    ),
    Row(
        attribute="zone label",
        source="guide 8.1.2",
        captured=lambda facts: _single(facts.labels.get(marks.ZONE_LABEL, "")),
        restored=lambda vm: _single(vm.labels.get(marks.ZONE_LABEL, "")),
        expectation={_EXISTING: SAME},
        note="a restore in place leaves the VM in its zone",
    ),
    Row(
        attribute="zone label",
        source="guide 8.1.2",
        captured=lambda facts: _single(facts.labels.get(marks.ZONE_LABEL, "")),
        restored=lambda vm: _single(vm.labels.get(marks.ZONE_LABEL, "")),
        expectation={_NEW: GONE},
        note="a new VM is held in the old zone, where it may not fit",
        until=Until.RECONCILED,
    ),
    Row(
        attribute="infrastructure label",
        source="guide 8.1.2",
        captured=lambda facts: _infrastructure_labels(facts.labels),
        restored=lambda vm: vm.labels,
        expectation={_EXISTING: THERE},
        note="a restore in place keeps the platform's labels",
    ),
    Row(
        attribute="infrastructure label",
        source="guide 8.1.2",
        captured=lambda facts: _infrastructure_labels(facts.labels),
        restored=lambda vm: vm.labels,
        expectation={_NEW: GONE},
        note="a new VM carries a label that the platform gave to the old one",
        until=Until.RECONCILED,
    ),
    Row(
        attribute="annotation",
        source="guide 8.1.3",
        captured=lambda facts: _chosen(facts.lifecycle_annotations, marks.CREATED_AT_ANNOTATIONS),
        restored=lambda vm: vm.lifecycle_annotations,
        expectation={_EXISTING: SAME},
        note="a restore in place keeps what the VM was created at; VM Operator decides upgrades by it",
    ),
    Row(
        # An upgrade of the Supervisor after the backup changes the value: only its presence can be judged.
        attribute="annotation",
        source="guide 8.1.3",
        captured=lambda facts: _chosen(facts.lifecycle_annotations, marks.UPGRADED_TO_ANNOTATIONS),
        restored=lambda vm: vm.lifecycle_annotations,
        expectation={_EXISTING: THERE},
        note="a restore in place keeps what the VM was upgraded to; VM Operator decides upgrades by it",
    ),
    Row(
        attribute="annotation",
        source="guide 8.1.3, 8.2",
        captured=lambda facts: dict.fromkeys(
            filter(is_users, facts.user_annotations), ""
        ),  # an older plugin captured more
        restored=lambda vm: dict.fromkeys(vm.user_annotations, ""),
        expectation=dict.fromkeys(_REGISTERED, THERE),
        note="an annotation of the user's is not restored, and the backup has only its name: set it again",
        recorded=True,
    ),
    Row(
        attribute="cloud-init instance id",
        source="guide 8.1.5",
        captured=lambda facts: _single(facts.instance_id),
        restored=lambda vm: _single(vm.instance_id),
        expectation={_NEW: RENEWED},
        note="cloud-init will not run again, so the network settings of the lost VM stay",
    ),
    Row(
        attribute="cloud-init instance id",
        source="guide 8.2",
        captured=lambda facts: _single(facts.instance_id),
        restored=lambda vm: _single(vm.instance_id),
        expectation={_EXISTING: SAME},
        note="cloud-init will run again at the next power-on",
        recorded=True,
    ),
    Row(
        attribute=POWER_STATE,
        source="guide 8.1.4",
        captured=lambda facts: {"": facts.power_state},
        restored=lambda vm: {} if vm.paused else _single(vm.power_state),  # the status stands still then
        expectation=dict.fromkeys(_REGISTERED, POWERED_OFF),
        note="it runs before it was validated",
        until=Until.TOUCHED,
    ),
    Row(
        attribute="image",
        source="guide 8.1.6",
        captured=lambda facts: _single(facts.image),
        restored=lambda vm: _single(vm.image),
        expectation={_FAILOVER: GONE},
        note="the image may not exist at this site",
        until=Until.TOUCHED,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """What a restore of that type means for the VM, though everything is as expected."""

    type: RestoreType
    source: str
    applies: Callable[[ObservedVm], bool]
    text: str


CONSEQUENCES: Final = (
    Consequence(
        type=_NEW,
        source="guide 8.1.5",
        applies=lambda vm: bool(vm.instance_id) and vm.power_state != "PoweredOn",
        text="cloud-init runs again at the first power-on and configures the network anew",
    ),
    Consequence(
        type=_FAILOVER,
        source="guide 8.1.6",
        applies=lambda vm: not vm.image,
        text="its image was cleared: day-2 operations that need one may fail until an image of this site is set",
    ),
)
