"""A VM as vCenter has it: what one look at a vSphere Namespace's folder says of it.

vCenter knows a restored VM before any VirtualMachine does, and alone knows its ExtraConfig, whether the VADP
software still works on it, and what became of RegisterVM's task.
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
"""Disabled while VADP software works on a VM; WCP waits for its return (guide 7.3.3)."""


class TaskState(StrEnum):
    """A vCenter task's state."""

    WAITING = "queued"
    RUNNING = "running"
    SUCCEEDED = "success"
    FAILED = "error"
    UNKNOWN = "unknown"
    """vCenter does not know the task (any more), or says something that is not a state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTask:
    """One RegisterVM task."""

    id: str
    state: TaskState
    percent: int | None = None
    message: str = ""
    """Of a failed task: what vCenter says, the code included; not made fit to be shown."""
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
    """How long this process has seen a VM so; a new process begins anew."""

    in_folder: float = 0.0
    """Seconds, with no restore running."""
    restoring: float = 0.0
    """Seconds, with a restore running."""
    task: float = 0.0
    """Seconds, with that RegisterVM task at work."""
    since: datetime | None = None
    """When it was first seen in the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VsphereVm:
    """What a look says of one VM."""

    moid: str
    name: str
    folder: str = ""
    """Name of the folder it lies in."""
    in_folder: bool = True
    """Whether that is the namespace's, or one below it."""
    instance_uuid: str = ""
    bios_uuid: str = ""
    extra: ExtraConfig = field(default_factory=ExtraConfig)
    record: Record = field(default_factory=Record)
    other_vcenter: bool | None = None
    """Whether it was recorded in another vCenter than the one that has it (guide 6.4); None if nothing tells."""
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
        """Whether RegisterVM failed for it the last time, by its task or, where that is forgotten, by WCP's event."""
        if self.task is not None:
            return self.task.state is TaskState.FAILED
        return self.event is not None and not self.event.succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What a VirtualMachine of the Supervisor says of the VM behind it."""

    unique_id: str = ""
    """Managed object id, once VM Operator has found the VM."""
    backup_version: str = ""
    reverting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorView:
    """What vCenter's answers are read against; whatever is not known is left out."""

    generation: Generation = Generation.UNKNOWN
    folders: tuple[str, ...] = ()
    """Managed object ids of the namespace's folder; empty: found by its name."""
    machines: Mapping[str, Registered] | None = None
    """The VirtualMachines of the namespace by name; None if they could not be read."""


def is_same_task(task_id: str, other_id: str) -> bool:
    """Say whether two ids name one task: the REST API adds the vCenter's own id, as in `task-12:…`."""
    return task_id.partition(":")[0] == other_id.partition(":")[0]


def another(wanted: ExpectedVm, vm: VsphereVm) -> str:
    """Return in which UUID a VM is another one than is wanted, as the gate that waits for it will find.

    The gate takes a VM with other UUIDs only if it is marked as failed over (`readiness`). RegisterVM does so for
    one that was recorded in another vCenter, and a mark that was recorded stays.
    """
    expected = wanted.expected
    if expected is None or expected.failed_over or vm.other_vcenter:
        return ""
    return difference(expected, instance_uuid=vm.instance_uuid, bios_uuid=vm.bios_uuid)


def taken(wanted: ExpectedVm, namesake: VsphereVm) -> str:
    """Say that another VM lies where the wanted one is to be."""
    return (
        f"{namesake.moid} has the record or name of {wanted.name} and is another VM"
        f" ({one_line(another(wanted, namesake))}): if it was restored for this one, restore it with the UUIDs of the"
        " backup; if not, leave it alone, and the VADP restore has not brought this one back yet"
    )


class Vms:
    """The VMs of one look, by all that they can be wanted by: each is looked up, however many there are."""

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
        """Return the VMs that are the wanted one by the best evidence there is, those in the folder first.

        An instance UUID names one VM in a vCenter, a BIOS UUID survives a restore to new, the record says whose
        VM it was, and the name is what a person would go by: these two count only where no UUID says that it is
        another one. Two of one rank are both returned.
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
        """Return the VM that has the record or name of one that is not there, though it is another; or None."""
        of_its_name = (*self._by_record.get(wanted.name, ()), *self._by_name.get(wanted.name, ()))
        return next((vm for vm in of_its_name if another(wanted, vm)), None)
