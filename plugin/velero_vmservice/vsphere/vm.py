"""A VM in vCenter, from one look at a vSphere Namespace's folder.

vCenter has a restored VM before there is a VirtualMachine. Only vCenter has its ExtraConfig, the state of the VADP
restore, and the outcome of RegisterVM's task.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.facts import difference
from velero_vmservice.text import one_line
from velero_vmservice.vmoperator.releases import Generation
from velero_vmservice.vsphere.extra_config import ExtraConfig
from velero_vmservice.vsphere.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from velero_vmservice.archive.facts import ExpectedVm

RELOCATE: Final = "RelocateVM_Task"
"""Disabled while VADP software works on a VM; WCP waits until it is enabled again (guide 7.3.3)."""


class TaskState(StrEnum):
    """A vCenter task's state."""

    WAITING = "queued"
    RUNNING = "running"
    SUCCEEDED = "success"
    FAILED = "error"
    UNKNOWN = "unknown"
    """vCenter does not know the task, or no longer, or its answer is not a state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTask:
    """One RegisterVM task."""

    id: str
    state: TaskState
    percent: int | None = None
    message: str = ""
    """vCenter's text about a failed task, with the code; the text is not cleaned."""
    queued_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in (TaskState.SUCCEEDED, TaskState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEvent:
    """WCP's event at the end of a registration; vCenter keeps it for days, a task for minutes."""

    succeeded: bool
    message: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long this process has seen a VM in each state; a new process starts from zero."""

    in_folder: float = 0.0
    """Seconds without a running restore."""
    restoring: float = 0.0
    """Seconds with a running restore."""
    task: float = 0.0
    """Seconds with that RegisterVM task under way."""
    since: datetime | None = None
    """The time of its first sight in the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VsphereVm:
    """One VM in a look."""

    moid: str
    name: str
    folder: str = ""
    """Name of its folder."""
    in_folder: bool = True
    """Whether that is the namespace's folder, or one below it."""
    instance_uuid: str = ""
    bios_uuid: str = ""
    extra: ExtraConfig = field(default_factory=ExtraConfig)
    record: Record = field(default_factory=Record)
    other_vcenter: bool | None = None
    """Whether the record is from another vCenter (guide 6.4); None if that is unknown."""
    restoring: bool = False
    """Whether the VADP restore still runs."""
    twins: tuple[str, ...] = ()
    """Other VMs of the namespace's folder with its BIOS UUID."""
    task: RegisterTask | None = None
    """The newest."""
    event: RegisterEvent | None = None
    """The newest."""
    durations: Durations = field(default_factory=Durations)

    @property
    def has_failed(self) -> bool:
        """Whether the last RegisterVM for it failed, by its task or, if that is forgotten, by WCP's event."""
        if self.task is not None:
            return self.task.state is TaskState.FAILED
        return self.event is not None and not self.event.succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The VM of a VirtualMachine on the Supervisor."""

    unique_id: str = ""
    """Its managed object id, once VM Operator has found it."""
    backup_version: str = ""
    reverting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorView:
    """The view of the Supervisor for the reading of vCenter's answers; unknown values are left out."""

    generation: Generation = Generation.UNKNOWN
    folders: tuple[str, ...] = ()
    """Managed object ids of the namespace's folder; if empty, it is found by its name."""
    machines: Mapping[str, Registered] | None = None
    """The VirtualMachines of the namespace by name; None if they could not be read."""


def is_same_task(task_id: str, other_id: str) -> bool:
    """Say whether two ids name one task: the REST API adds the vCenter's own id, as in `task-12:…`."""
    return task_id.partition(":")[0] == other_id.partition(":")[0]


def another(wanted: ExpectedVm, vm: VsphereVm) -> str:
    """Say which UUID of a VM differs from the wanted one, by the rules of the gate that waits for it.

    The gate accepts a VM with other UUIDs only with the mark of a failover (`readiness`). RegisterVM sets the mark on a
    VM with a record from another vCenter, and a mark in the record stays.
    """
    expected = wanted.expected
    if expected is None or expected.failed_over or vm.other_vcenter:
        return ""
    return difference(expected, instance_uuid=vm.instance_uuid, bios_uuid=vm.bios_uuid)


def taken(wanted: ExpectedVm, namesake: VsphereVm) -> str:
    """Say that another VM is in the place of the wanted one."""
    return (
        f"{namesake.moid} has the record or name of {wanted.name} and is another VM"
        f" ({one_line(another(wanted, namesake))}): if it was restored for this one, restore it with the UUIDs of the"
        " backup; if not, leave it alone, and the VADP restore has not brought this one back yet"
    )


class Vms:
    """The VMs of one look, indexed by every identity that a wanted VM may have."""

    def __init__(self, vms: Iterable[VsphereVm]) -> None:
        self._by_instance: defaultdict[str, list[VsphereVm]] = defaultdict(list)
        self._by_bios: defaultdict[str, list[VsphereVm]] = defaultdict(list)
        self._by_record: defaultdict[str, list[VsphereVm]] = defaultdict(list)
        self._by_name: defaultdict[str, list[VsphereVm]] = defaultdict(list)
        for vm in sorted(vms, key=lambda vm: (not vm.in_folder, vm.moid)):
            self._by_instance[vm.instance_uuid.lower()].append(vm)
            self._by_bios[vm.bios_uuid.lower()].append(vm)
            if vm.in_folder:
                self._by_record[vm.extra.name].append(vm)
                self._by_name[vm.name].append(vm)

    def match(self, wanted: ExpectedVm) -> tuple[VsphereVm, ...]:
        """Return the VMs that match the wanted one by the best evidence, those in the folder first.

        An instance UUID names one VM in a vCenter, a BIOS UUID survives a restore to new, the record names the
        VirtualMachine, and the VM's name is the weakest sign. Record and name count only if no UUID differs. Two VMs of
        equal rank are both returned.
        """
        expected = wanted.expected
        instance = (expected.instance_uuid if expected else "") or wanted.instance_uuid
        bios = (expected.bios_uuid if expected else "") or wanted.bios_uuid
        for index, key in ((self._by_instance, instance.lower()), (self._by_bios, bios.lower())):
            if key and key in index:
                return tuple(index[key])
        for index in (self._by_record, self._by_name):
            if matches := tuple(vm for vm in index.get(wanted.name, ()) if not another(wanted, vm)):
                return matches
        return ()

    def namesake(self, wanted: ExpectedVm) -> VsphereVm | None:
        """Return another VM with the record or name of a missing one; or None."""
        of_its_name = (*self._by_record.get(wanted.name, ()), *self._by_name.get(wanted.name, ()))
        return next((vm for vm in of_its_name if another(wanted, vm)), None)
