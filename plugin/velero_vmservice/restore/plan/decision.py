"""What comes next for one object of a restore, decided afresh from every observation.

Nothing is ever deleted, and nothing here knows that it was decided before. Velero's polls and the command line ask
the same question: what the plan of a dry run says is what a restore does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from velero_vmservice.errors import InReason, Remedy
from velero_vmservice.kube import terminating
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VMS_ALONE, Manifest, ObjectRef
from velero_vmservice.restore import order
from velero_vmservice.restore.model import Action, Step
from velero_vmservice.restore.plan import desired
from velero_vmservice.restore.verify.vm import consequences
from velero_vmservice.supervisor import readiness
from velero_vmservice.supervisor.lost_owner import dead_owner
from velero_vmservice.text import enumerate_some
from velero_vmservice.vmoperator.references import missing_references

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.restore.model import Difference, Subject, View
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.supervisor.readiness import Gate

_OTHER_VM: Final = (
    "Restore the right VM; the one that has its name is in the way, and its owner decides about it. Then repeat"
    " the restore."
)
_BIOS_UUID: Final = (
    "Decide which of the two VMs with one BIOS UUID is wanted: RegisterVM cannot register the restored one while the"
    " other is in the namespace."
)
_MISMATCH: Final = (
    "Correct the named fields of the VMs, or choose the policy label-mismatch=warn; then repeat the restore."
)
_DIFFERS: Final = (
    "Look at the fields that differ, then repeat the restore with the policy conflict=update to take what was captured,"
    " or conflict=retain to leave what is there."
)
_FIXED: Final = "Remove the object yourself if the captured one is wanted, then repeat the restore."

_NO_NAMESPACE: Final = "Create {} as a vSphere Namespace in vCenter; then repeat the restore."


def is_replayed(subject: Subject, view: View) -> bool:
    """Say whether this restore created or updated the live object."""
    live = view.observed.live(subject.ref)
    return live is not None and (view.written or desired.made_by(view.run, live))


def decide(subject: Subject, view: View) -> Step:
    """Decide what comes next for one object."""
    closed = {name: view.gates[name] for name in subject.topology.needs if not view.gates[name].ready}
    total = len(subject.topology.needs)
    ready = total - len(closed)
    if view.observed.live(subject.ref) is None and (problems := tuple(_problems(subject, view))):
        return Step(action=Action.BLOCKED, reason=enumerate_some(list(problems)), final=True, ready=ready, total=total)
    if nowhere := _nowhere(subject, view.observed):
        return Step(
            action=Action.BLOCKED,
            reason=nowhere,
            remedy=Remedy(_remedy(closed.values()).sentence or _NO_NAMESPACE.format(view.observed.namespace)),
            ready=ready,
            total=total,
        )
    if closed:
        holders = _holders(closed, subject.topology.machines, view.observed)
        blocked = bool(holders) or any(gate.blocked for gate in closed.values())
        return Step(
            action=Action.BLOCKED if blocked else Action.WAIT,
            reason=_waiting(closed, view.observed, holders),
            remedy=_remedy(closed.values(), another=_OTHER_VM, held=_BIOS_UUID if holders else ""),
            held_by=tuple(ObjectRef(VIRTUAL_MACHINE, subject.ref.namespace, name) for name in closed),
            settling=all(gate.settling for gate in closed.values()),
            ready=ready,
            total=total,
        )
    mismatches = tuple(_mismatches(subject, view.observed))
    if mismatches and view.policy.label_mismatch == "wait":
        return Step(action=Action.WAIT, reason=enumerate_some(list(mismatches)), ready=ready, total=total)
    if mismatches and view.policy.label_mismatch == "fail":
        return Step(
            action=Action.BLOCKED,
            reason=enumerate_some(list(mismatches)),
            remedy=Remedy(_MISMATCH),
            final=True,
            ready=ready,
            total=total,
        )
    step = _with_all_vms(subject, view)
    warnings = (*mismatches, *_started_anyway(subject, view), *_warnings(subject, view.observed))
    vms = subject.topology.machines
    missing = missing_references(vms, view.observed.present, namespace=view.observed.namespace)
    return replace(step, warnings=warnings, missing=missing, ready=ready, total=total)


def _problems(subject: Subject, view: View) -> Iterator[str]:
    yield from subject.problems
    if subject.is_group and (chain := view.cycles.get(subject.ref.name)):
        yield f"the group contains itself ({chain}), which VM Operator never settles: take one of them out"


def _remedy(gates: Iterable[Gate], *, another: str = "", held: str = "") -> Remedy:
    """Return what to do about shut gates, each remedy once.

    `another` is what to do where another VM has the name, `held` where another VM has the identity.
    """
    remedies = {gate.remedy or (another if gate.blocked else ""): gate.remedy_said for gate in gates} | {
        held: InReason.NOTHING
    }
    remedies.pop("", None)
    return Remedy(" ".join(remedies), next(iter(remedies.values())) if len(remedies) == 1 else InReason.NOTHING)


def _waiting(closed: Mapping[str, Gate], observed: NamespaceState, holders: Mapping[str, str]) -> str:
    return enumerate_some(
        [f"{name}: {'; '.join(_reasons(name, gate, observed, holders.get(name, '')))}" for name, gate in closed.items()]
    )


def _nowhere(subject: Subject, observed: NamespaceState) -> str:
    """Return why nothing can come back in the target namespace, whatever the state of its VMs; '' where it can."""
    if not observed.exists:
        return f"the namespace {observed.namespace} does not exist, so nothing can be registered into it"
    absent = any(name not in observed.machines for name in subject.topology.needs)
    if absent and not observed.vsphere_namespace:
        return f"the namespace {observed.namespace} is not a vSphere Namespace, so nothing can be registered into it"
    return ""


def _reasons(name: str, gate: Gate, observed: NamespaceState, holder: str) -> Iterator[str]:
    yield gate.reason
    yield from _lost_owner(name, observed)
    if holder:
        yield _has_bios_uuid(holder)


def _with_all_vms(subject: Subject, view: View) -> Step:
    """Decide for an object whose VMs are all there."""
    if subject.ref.kind == VMS_ALONE:
        reason = "every VM is registered" if subject.topology.needs else "there is no VM to wait for"
        return Step(action=Action.SKIP, reason=reason, gate_open=True)
    step = _against_live(subject, view)
    if step.final:  # whatever comes before it: remedies at once, and before a strict restore creates anything
        return step
    if blocker := order.first(subject, view.pending, stuck=view.stuck):
        return Step(
            action=Action.WAIT,
            reason=f"waits for {blocker.ref}",
            held_by=(blocker.ref,),
            gate_open=step.gate_open,
        )
    if step.action is Action.CREATE and (unplaced := sorted(order.unplaced(subject, view.observed))):
        reason = f"VM Operator would place {', '.join(unplaced)} anew: in a nested group, and not registered yet"
        return Step(action=Action.WAIT, reason=reason)
    return step


def _against_live(subject: Subject, view: View) -> Step:
    live = view.observed.live(subject.ref)
    if live is None:
        return _if_name_is_free(subject, view.observed)
    if live.deleting:
        return Step(action=Action.WAIT, reason=f"is there and {_being_deleted(subject.ref, live)}")
    different = desired.differences(subject.wanted, live)
    paths = enumerate_some([difference.path for difference in different])
    if is_replayed(subject, view):
        changed = f"changed since: {paths}" if different else ""
        return Step(action=Action.SKIP, reason=changed, differences=different, gate_open=True)
    if not different:
        return Step(action=Action.SKIP, reason="was there already, as captured", gate_open=True)
    match view.policy.conflict:
        case "update":
            return _update(subject, different, paths)
        case "fail":
            reason = f"exists and differs from the capture in {paths}, and the policy is conflict=fail"
            return Step(
                action=Action.CONFLICT, reason=reason, remedy=Remedy(_DIFFERS), differences=different, final=True
            )
        case _:
            return Step(
                action=Action.RETAIN,
                reason=f"exists and differs from the capture in {paths}; left as it is, as existingResourcePolicy or"
                " the policy's conflict says",
                differences=different,
                gate_open=True,
            )


def _being_deleted(ref: ObjectRef, live: Manifest) -> str:
    since, held_by = str(live.metadata.get("deletionTimestamp", "")), terminating.finalizers(live)
    return terminating.explanation(ref.kind.name, ref.namespace, ref.name, since=since, held_by=held_by)


def _update(subject: Subject, different: tuple[Difference, ...], paths: str) -> Step:
    if fixed := desired.immutable(subject.wanted.kind_name, different):
        reason = f"exists and cannot be updated: {', '.join(fixed)} cannot be changed"
        return Step(action=Action.CONFLICT, reason=reason, remedy=Remedy(_FIXED), differences=different, final=True)
    return Step(action=Action.UPDATE, reason=f"differs in {paths}", differences=different, gate_open=True)


def _if_name_is_free(subject: Subject, observed: NamespaceState) -> Step:
    """Create, unless VM Operator would take over and overwrite a user's own Service of that name.

    Source: virtualmachineservice_controller.go, CreateOrPatch.
    """
    holder = None if subject.is_group else observed.generated.get(subject.ref.name)
    kind = subject.ref.kind
    owners = (
        [owner.name for owner in holder.owners if (owner.group, owner.kind) == (kind.group, kind.name)]
        if holder
        else []
    )
    if holder is None or subject.ref.name in owners:
        return Step(action=Action.CREATE, gate_open=True)
    obstacle = f"a Service {subject.ref.name} is there that is not VM Operator's, which would overwrite it"
    if owners:
        obstacle = f"a Service {subject.ref.name} is there that VM Operator made of VirtualMachineService {owners[0]}"
    remedy = f"Rename or remove the Service {subject.ref.name}, then repeat the restore."
    return Step(action=Action.CONFLICT, reason=obstacle, remedy=Remedy(remedy), final=True)


def _mismatches(subject: Subject, observed: NamespaceState) -> Iterator[str]:
    """Say which VMs came back without what connects them to the object."""
    for name in subject.topology.needs:
        vm = observed.machines.get(name)
        if vm is None:
            continue
        if subject.is_group and vm.group_name != subject.ref.name:
            group_name = vm.group_name or "empty"
            yield f"{name} is not a member: its spec.groupName is {group_name}, not {subject.ref.name}"
        for key, value in subject.topology.expected_labels().items():
            if vm.labels.get(key) != value:
                yield f"{name} is not selected: its label {key} is {vm.labels.get(key) or 'missing'}, not {value}"


def _started_anyway(subject: Subject, view: View) -> Iterator[str]:
    """Say which VMs run after a restore with power=captured that did not at backup."""
    names = [name for name in subject.started_anyway if name in view.observed.machines]
    if view.policy.power != "captured" or not names:
        return
    what = "was off at backup and is" if len(names) == 1 else "were off at backup and are"
    yield (
        f"{enumerate_some(names, most=len(names))} {what} powered on all the same: power=captured sets the power state"
        f" of the group {subject.ref.name}, and VM Operator powers on every VM in it; with power=leave nothing is"
    )


def _warnings(subject: Subject, observed: NamespaceState) -> Iterator[str]:
    """Yield warnings about the VMs; none of them holds the object back."""
    expected = {facts.name: facts for facts in subject.topology.machines}
    for name in subject.topology.needs:
        vm = observed.machines.get(name)
        if vm is None:
            continue
        yield from (f"{name} {warning}" for warning in _lost_owner(name, observed))
        if name in expected:
            yield from (f"{name} {remark}" for remark in readiness.remarks(vm, expected[name]))
            if vm.failed_over:  # guide 8.1.6: a person has to choose an image
                yield from consequences(vm, expected[name])


def _lost_owner(name: str, observed: NamespaceState) -> tuple[str, ...]:
    vm = observed.machines.get(name)
    reason = vm and dead_owner(vm, observed.group_uids())
    return (reason,) if reason else ()


def _holders(names: Iterable[str], vms: Iterable[VmFacts], observed: NamespaceState) -> dict[str, str]:
    """Return, for each VM that is waited for, the other VM of the namespace that has its BIOS UUID (guide 7.1.1)."""
    expected = {vm.name: vm.bios_uuid.lower() for vm in vms if vm.bios_uuid}
    absent = (name for name in names if name in expected and name not in observed.machines)
    return {name: holder for name in absent if (holder := observed.bios_uuids.get(expected[name]))}


def _has_bios_uuid(holder: str) -> str:
    """Return why waiting for such a VM is in vain."""
    return f"{holder} has its BIOS UUID, and RegisterVM refuses a second VM with it in a namespace (guide 7.1.1)"
