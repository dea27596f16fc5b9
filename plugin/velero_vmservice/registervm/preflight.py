"""Every reason against a call of RegisterVM, which can be neither repeated nor cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.registervm.attempt import COMMAND
from velero_vmservice.registration.from_vcenter import elsewhere, event_of_this_restore, is_older, situation
from velero_vmservice.registration.model import Role, Source, State, by_source
from velero_vmservice.text import one_line
from velero_vmservice.vmoperator.releases import Feature, SupervisorRelease
from velero_vmservice.vsphere import network_override
from velero_vmservice.vsphere.network_override import ChosenOverride
from velero_vmservice.vsphere.registervm_errors import DUPLICATE_BIOS_UUID, NOT_IN_FOLDER, VM_NOT_FOUND, explain
from velero_vmservice.vsphere.vm import RELOCATE, TaskState, taken
from velero_vmservice.vsphere.wcp import Course, decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.registration.model import Answer, Registration
    from velero_vmservice.vsphere.vm import Registered, RegisterEvent, SupervisorView, Vms, VsphereVm

NO_OVERRIDE: Final = ChosenOverride()
_THERE: Final = frozenset({State.READY, State.REGISTERED})
_TAKEN: Final = frozenset({*_THERE, State.FAILED, State.NOT_RESTORABLE})
"""Kubernetes' states of an existing VM, of another VM with its name, and of a node."""
_AT_IT: Final = frozenset({*_THERE, State.REGISTERING})
_GIVEN_UP: Final = frozenset({State.FAILED, State.NOT_RESTORABLE})
"""An engine's states of a VM for which it does nothing more by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why RegisterVM is not called."""

    reason: str
    code: str = ""
    """RegisterVM's code in this case, if the guide names it."""
    can_wait: bool = False
    """Whether it may pass by itself; the next round then checks again."""
    done: bool = False
    """Whether another call has registered the VM already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """Whether RegisterVM may be called for a wanted VM, and the VM in vCenter."""

    vm: VsphereVm | None = None
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    """Remarks on the call that are no reason against it."""

    @property
    def passed(self) -> bool:
        """Whether RegisterVM may be called."""
        return self.vm is not None and not self.refusals

    @property
    def can_wait(self) -> bool:
        """Whether all reasons against it may pass by themselves."""
        return all(refusal.can_wait for refusal in self.refusals)

    @property
    def done(self) -> bool:
        """Whether the VM is registered already."""
        return any(refusal.done for refusal in self.refusals)

    @property
    def reason(self) -> str:
        """All reasons in one line."""
        return "; ".join(refusal.reason for refusal in self.refusals)


def check(
    namespace: str,
    wanted: ExpectedVm,
    vms: Vms,
    supervisor: SupervisorView,
    *,
    override: ChosenOverride = NO_OVERRIDE,
    vpc: bool | None = None,
    by_command: bool = False,
) -> Preflight:
    """Check one VM.

    Args:
        namespace: the namespace for the registration.
        wanted: the VM.
        vms: the VMs in vCenter, with tasks.
        supervisor: the view of the Supervisor.
        override: mappings of subnets.
        vpc: whether the namespace has NSX-VPC networking, None if that is unknown.
        by_command: whether a user wants another call although one has failed, or belonged to an earlier restore.
    """
    matches = vms.match(wanted)
    if not matches and (namesake := vms.namesake(wanted)):
        return Preflight(refusals=(Refusal(reason=taken(wanted, namesake), can_wait=True),))
    if not matches:
        reason = f"vCenter has no VM with the UUIDs, record or name of {wanted.name} yet"
        return Preflight(refusals=(Refusal(reason=reason, code=VM_NOT_FOUND, can_wait=True),))
    vm = matches[0]
    networks = network_override.refusals(override, generation=supervisor.generation, vpc=vpc)
    refusals = [
        *_where(namespace, matches),
        *_what(vm),
        *_task(vm, (supervisor.machines or {}).get(wanted.name), by_command=by_command),
        *_onto(wanted, vm, supervisor),
        *(Refusal(reason=network) for network in networks),
    ]
    notes = tuple(network_override.unfit(vm.record.interfaces, override))
    return Preflight(vm=vm, refusals=tuple(refusals), notes=notes)


def left_alone(name: str, answers: Iterable[Answer]) -> Registration | None:
    """Return the answer that prevents RegisterVM even for a user's command, or None.

    vCenter's answer is left to `check`, which looks again: a failed task is the usual reason for the command.
    """
    certain = {
        source: registration for source, registration in by_source(name, answers).items() if registration.certain
    }
    engines = [registration for registration in engines_say(name, answers) if registration.certain]
    vcenter = certain.get(Source.VCENTER)
    kubernetes = certain.get(Source.KUBERNETES)
    under_it = vcenter is not None and vcenter.state is State.RESTORED  # Kubernetes has not seen it yet
    if kubernetes is not None and kubernetes.state in _TAKEN and not (under_it and kubernetes.state is State.READY):
        return kubernetes
    return next((engine for engine in engines if engine.state in _AT_IT), None)


def doubts(name: str, answers: Iterable[Answer]) -> dict[str, str]:
    """Return reasons for doubt before a call for a VM that is not `left_alone`, with details.

    Either a source without an answer might object to the call, except vCenter, which `check` requires. Or an engine
    knows the VM and has not begun: the VM may be in its queue.
    """
    away = {
        f"{answer.source} cannot be asked": answer.problem
        for answer in answers
        if answer.registrations is None and answer.source != Source.VCENTER
    }
    queued = {
        f"{registration.told_by} may be about to register {name}": f"it says {registration}"
        for registration in engines_say(name, answers)
        if registration.state not in _GIVEN_UP and not not_its_own(registration)
    }
    return away | queued


def engines_say(name: str, answers: Iterable[Answer]) -> list[Registration]:
    """Return the answers about a VM from sources that may register it themselves."""
    return [registration for source, registration in by_source(name, answers).items() if source.role is Role.ENGINE]


def not_its_own(registration: Registration) -> bool:
    """Say whether an engine certainly has nothing to do with a VM; a contradictory answer is not certain."""
    return registration.state is State.UNKNOWN and registration.certain


def _where(namespace: str, matches: Sequence[VsphereVm]) -> Iterator[Refusal]:
    vm = matches[0]
    if not vm.in_folder:
        reason = f"no such VM is in the folder of namespace {namespace}; {elsewhere(vm)}"
        yield Refusal(reason=reason, code=NOT_IN_FOLDER, can_wait=True)
    in_folder = [match.moid for match in matches if match.in_folder]
    if vm.twins or len(in_folder) > 1:
        others = ", ".join(f'"{one_line(twin)}"' for twin in vm.twins[:3]) or ", ".join(in_folder[1:4])
        reason = f"VM {vm.moid} is not the only one of its identity in the namespace (also {others})"
        yield Refusal(reason=f"{reason}; {explain(DUPLICATE_BIOS_UUID)}", code=DUPLICATE_BIOS_UUID)


def _what(vm: VsphereVm) -> Iterator[Refusal]:
    if vm.restoring:
        reason = f"the VADP restore of {vm.moid} still runs ({RELOCATE} is disabled): it has to end first"
        yield Refusal(reason=reason, can_wait=True)
    if vm.record.problem:
        yield Refusal(reason=f"VM {vm.moid}: {vm.record.problem}", code=vm.record.code)


def _task(vm: VsphereVm, registered: Registered | None, *, by_command: bool) -> Iterator[Refusal]:
    """Yield reasons from an earlier call, by any caller, against another one.

    If the VirtualMachine is newer than the VM, an ended task may belong to an earlier restore or to this one: only a
    user can tell which. While the VADP restore runs, it belongs to an earlier one.
    """
    task = vm.task
    if task is None:
        if not by_command and (event := event_of_this_restore(vm, registered)) is not None:
            yield _ended(vm, event)
        return
    named = f"RegisterVM task {one_line(task.id)} of {vm.moid}"
    if not task.over:  # of any restore: two calls at once must never happen
        yield Refusal(reason=f"{named} is at work already", can_wait=True)
        return
    in_place = registered is not None and is_older(vm, registered)
    if vm.restoring or (by_command and (in_place or task.state is not TaskState.SUCCEEDED)):
        return
    earlier = f"; if that was of an earlier restore, `{COMMAND}` calls it for this one" if in_place else ""
    if task.state is TaskState.SUCCEEDED:
        follows = ", and its VirtualMachine is to follow" if in_place else ""
        yield Refusal(reason=f"{named} has succeeded already{follows}{earlier}", can_wait=True, done=not in_place)
    else:
        entry = explain(task.message)
        reason = f"{named} has failed already: {entry}{earlier}"
        yield Refusal(reason=reason, code=entry.code, can_wait=entry.can_wait)


def _ended(vm: VsphereVm, event: RegisterEvent) -> Refusal:
    """Say what WCP's event says, which is kept for days when the task is forgotten."""
    again = f"; to call it all the same, use `{COMMAND}`"
    if event.succeeded:
        reason = f"RegisterVM of {vm.moid} has succeeded already, by WCP's event{again}"
        return Refusal(reason=reason, can_wait=True, done=True)
    entry = explain(event.message)
    reason = f"RegisterVM of {vm.moid} has failed already, by WCP's event: {entry}{again}"
    return Refusal(reason=reason, code=entry.code, can_wait=entry.can_wait)


def _onto(wanted: ExpectedVm, vm: VsphereVm, supervisor: SupervisorView) -> Iterator[Refusal]:
    """Yield reasons against it on the Supervisor."""
    if supervisor.machines is None:
        reason = "the VirtualMachines of the namespace cannot be listed, so what RegisterVM would do there is unknown"
        yield Refusal(reason=reason, can_wait=True)
        return
    registered = supervisor.machines.get(wanted.name)
    decision = decide(situation(vm, supervisor, registered))
    if registered is not None and registered.reverting:
        reason = f"VirtualMachine {wanted.name} is being reverted to a snapshot: that has to end first (guide 7.2.1)"
        yield Refusal(reason=reason, can_wait=True)
    release = SupervisorRelease(generation=supervisor.generation, evidence="")
    if decision.by_hand is Course.REFUSED:
        yield Refusal(reason=decision.reason, code=decision.code)
    elif registered is not None and release.supports(Feature.IN_PLACE_RESTORE) is not True:
        reason = (
            f"VirtualMachine {wanted.name} exists, and it is unknown whether this Supervisor registers over one, as VCF"
            " 9.0 and later do (guide 7.2.2): its API versions cannot be read just now, or are older than those of"
            " vSphere 8.0 U3"
        )
        yield Refusal(reason=reason, can_wait=True)
