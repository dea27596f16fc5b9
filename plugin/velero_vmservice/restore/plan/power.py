"""Power on what a restore brought back, where the policy asks for it, in the order that VM Operator keeps.

Groups are powered through their own `spec.powerState`, so that boot order and delays are VM Operator's, and only once
every member is linked: with one missing it would apply the state again and again
(virtualmachinegroup_controller.go). VMs without such a group, those of no application among them, are powered by their
own. Asked afresh at every look; a wish that is already there is not written again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.archive import topology
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, VMS_ALONE, ObjectRef, compact_time
from velero_vmservice.report.power_commands import LAST_SET, is_late, late, start
from velero_vmservice.restore.plan.desired import made_by
from velero_vmservice.supervisor.namespace_state import children, groups_below, linked_members, vms_of
from velero_vmservice.vmoperator.groups import boot_order_members

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

ON: Final = "PoweredOn"
_NOW: Final = "now"
"""The webhook turns it into the time (virtualmachinegroup_mutator.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One merge patch that asks for power."""

    ref: ObjectRef
    change: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerStep:
    """The power to ask for now, and what was asked for and is still to come."""

    wishes: tuple[Wish, ...] = ()
    waiting: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    to_come: bool = False
    """Whether it waits for what this restore is still to do, so that no VM is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Powering:
    """What a power decision rests on."""

    run: RestoreRun
    policy: RestorePolicy
    observed: NamespaceState
    captured: Mapping[str, str]
    """`spec.powerState` at backup of each group that this restore replays, by name."""
    coming: Collection[str] = ()
    """Groups of the namespace that are still to be replayed."""
    under_way: Collection[str] = ()
    """Groups of the namespace that this restore has not ended with."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Groups of the namespace that this restore does not make whole, and why, in words that go on from the name."""
    power_requested: Collection[ObjectRef] = ()
    """What this process had asked to run before the look: if it is off again, a person wants it so."""
    absent: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Members that were not there at backup either, by group."""

    def asks_for(self, group: str) -> bool:
        """Say whether this restore powers on a group by its own powerState."""
        if group not in self.captured:
            return False
        return self.policy.power == "on" or self.captured[group] == ON

    def says_on(self, group: str) -> bool:
        """Say whether a live group says that it is to run."""
        live = self.observed.groups.get(group)
        return live is not None and live.spec.get("powerState") == ON

    def left_off(self, group: str) -> str:
        """Say why a group that this restore powers is not asked any more, or ''."""
        if not self.asks_for(group) or self.says_on(group):
            return ""
        if reason := self.lost.get(group):
            return reason
        was_asked = ObjectRef(VIRTUAL_MACHINE_GROUP, self.observed.namespace, group) in self.power_requested
        return "which was powered on and has been switched off since" if was_asked else ""

    def through(self, group: str) -> str:
        """Return the outermost group through which this restore powers a group; '' if none."""
        outermost, seen, lists = "", set[str](), True
        while group and lists and group not in seen:
            seen.add(group)
            live = self.observed.groups.get(group)
            ours = live is not None and made_by(self.run, live)  # an earlier process may have ended with it
            if self.asks_for(group) or (ours and self.says_on(group)):
                outermost = group
            above = str(live.spec.get("groupName", "")) if live else ""
            lists, group = self.lists(above, VIRTUAL_MACHINE_GROUP, group), above
        return outermost

    def through_vm(self, vm: ObservedVm) -> str:
        """Return the group through which a VM is powered; '' if none."""
        name = vm.group_name
        return self.through(name) if self.lists(name, VIRTUAL_MACHINE, vm.name) else ""

    def lists(self, group: str, kind: Kind, name: str) -> bool:
        """Say whether a group hands its power state down to a member: not if it is there and does not list it."""
        live = self.observed.groups.get(group)
        return live is None or any(
            (member.kind, member.name) == (kind.name, name) for member in boot_order_members(live)
        )

    def will_ask(self, group: str) -> bool:
        """Say whether a group is still to be asked; one that is still to be replayed may be asked again then."""
        return group in self.under_way and (group in self.coming or not self.says_on(group))


def decide(subject: Subject, powering: Powering) -> PowerStep:
    """Decide what to ask for, for one verified object; nothing at all unless the policy says so."""
    if powering.policy.power == "leave":
        return PowerStep()
    if subject.ref.kind == VMS_ALONE:
        known = (powering.observed.machines.get(name) for name in subject.topology.needs)
        return _one_by_one(subject, [vm for vm in known if vm is not None], powering)
    return _group(subject, powering) if subject.is_group else _service(subject, powering)


def _group(subject: Subject, powering: Powering) -> PowerStep:
    name = subject.ref.name
    through = powering.through(name)
    vms = list(vms_of(powering.observed, {name}))
    if not through:
        return _by_their_own(subject, vms, powering)
    if reason := powering.left_off(through):
        return PowerStep(notes=(f"its VMs are left off with the group {through}, {reason}",))
    if through != name:
        followed = _follow(vms, powering, notes=(f"powered through its group {through}",))
        return replace(followed, to_come=powering.will_ask(through))
    tree = groups_below(powering.observed, name)
    to_come = sorted(set(powering.coming) & {child for group in tree for child in children(powering.observed, group)})
    if unlinked := [*_unlinked(subject, tree, powering), *(_before(child) for child in to_come)]:
        return PowerStep(waiting=tuple(unlinked), to_come=bool(to_come))
    followed = _follow(vms_of(powering.observed, tree), powering)
    wishes = tuple(wish for wish in _tree_wish(subject, tree, powering) if wish.ref not in powering.power_requested)
    return PowerStep(wishes=wishes, waiting=followed.waiting, notes=followed.notes)


def _service(subject: Subject, powering: Powering) -> PowerStep:
    selector = subject.topology.expected_labels()
    known = (powering.observed.machines.get(name) for name in subject.topology.needs)
    chosen = [vm for vm in known if vm is not None and topology.matches(selector, vm.labels)]
    powered = _one_by_one(subject, chosen, powering)
    running = [vm for vm in chosen if vm.power_state == ON and vm.addresses and not vm.power_checks]
    unready = (f"{vm.name} does not pass its readiness probe yet" for vm in running if not vm.serving)
    return replace(powered, waiting=(*powered.waiting, *unready))


def _one_by_one(subject: Subject, chosen: list[ObservedVm], powering: Powering) -> PowerStep:
    """Power each VM by its own power state, but for those that a group powers."""
    through = {vm.name: powering.through_vm(vm) for vm in chosen}
    left = {vm.name: reason for vm in chosen if (reason := powering.left_off(through[vm.name]))}
    grouped = [vm for vm in chosen if through[vm.name] and vm.name not in left]
    alone = [vm for vm in chosen if not through[vm.name]]
    own, followed = _by_their_own(subject, alone, powering), _follow(grouped, powering)
    notes = (f"{name} is left off with its group {through[name]}, {reason}" for name, reason in left.items())
    return PowerStep(
        wishes=own.wishes,
        waiting=(*own.waiting, *followed.waiting),
        notes=(*notes, *own.notes, *followed.notes),
        to_come=own.to_come or any(powering.will_ask(through[vm.name]) for vm in grouped),
    )


def _by_their_own(subject: Subject, vms: list[ObservedVm], powering: Powering) -> PowerStep:
    """Power VMs that no group powers; a VM in a group outside this restore is left to that group."""
    wanted, notes, held = [], [], []
    for vm in vms:
        facts = subject.topology.vm(vm.name)
        if powering.policy.power == "captured" and (facts is None or facts.power_state != ON):
            continue
        if vm.group_name in powering.coming:
            held.append(f"{vm.name}: {_before(vm.group_name)}")
        elif vm.group_name in powering.observed.groups and vm.group_name not in powering.captured:
            notes.append(f"{vm.name} is left to its group {vm.group_name}, which this restore does not replay")
            if is_late(vm, powering.observed.groups):
                notes.append(_late(vm, powering.observed))
        elif _ref(vm, subject) in powering.power_requested and vm.asked_power != ON:
            notes.append(f"{vm.name} is left off: it was powered on and has been switched off since")
        else:
            wanted.append(vm)
    wishes = tuple(
        Wish(ref=_ref(vm, subject), change={"spec": {"powerState": ON}})
        for vm in wanted
        if ON not in (vm.power_state, vm.asked_power) and not vm.power_checks
    )
    followed = _follow(wanted, powering)
    waiting = (*held, *followed.waiting)
    return PowerStep(wishes=wishes, waiting=waiting, notes=(*notes, *followed.notes), to_come=bool(held))


def _follow(vms: list[ObservedVm], powering: Powering, *, notes: tuple[str, ...] = ()) -> PowerStep:
    """Return which VMs do not run yet; a VM that is held back is noted and not waited for."""
    held = [vm for vm in vms if vm.power_checks and vm.power_state != ON]
    waiting = [state for vm in vms if vm not in held for state in _not_running(vm, powering.observed)]
    return PowerStep(
        waiting=tuple(waiting),
        notes=(
            *notes,
            *(f"{vm.name} is held back by {', '.join(vm.power_checks)}: power it on when that is gone" for vm in held),
        ),
    )


def _not_running(vm: ObservedVm, observed: NamespaceState) -> Iterator[str]:
    if is_late(vm, observed.groups):
        yield _late(vm, observed)
    elif vm.power_state != ON:
        yield f"{vm.name} is {vm.power_state or 'in no known power state'}"
    elif vm.power_synced is False:
        yield f"{vm.name} has not taken the power state yet (VirtualMachinePowerStateSynced)"
    elif not vm.addresses:
        yield f"{vm.name} runs and has no address yet"


def _late(vm: ObservedVm, observed: NamespaceState) -> str:
    return f"{late(vm, observed.groups)}; to start it: {start(vm, observed.namespace)}"


def _tree_wish(subject: Subject, tree: Collection[str], powering: Powering) -> Iterator[Wish]:
    """Yield the next change, if one is due, that makes VM Operator apply the power state to a whole tree.

    A group hands its state down when it is set, and a member group that says PoweredOn already does nothing with it
    (shouldUpdatePowerState): over VMs that were restored in place, each such group is asked to apply it again,
    once, and in boot order, as the root's delays do not reach it.
    """
    groups, name = powering.observed.groups, subject.ref.name
    if groups[name].spec.get("powerState") != ON:
        yield Wish(ref=subject.ref, change={"spec": {"powerState": ON}})
        return
    for group in tree:
        off = [vm for vm in vms_of(powering.observed, {group}) if vm.power_state != ON and not vm.power_checks]
        unset = [child for child in children(powering.observed, group) if child in tree and not powering.says_on(child)]
        if not powering.says_on(group) or not (off or unset):
            continue
        if _set_since(groups[group]) < powering.run.started:
            ref = ObjectRef(VIRTUAL_MACHINE_GROUP, subject.ref.namespace, group)
            yield Wish(ref=ref, change={"spec": {"nextForcePowerStateSyncTime": _NOW}})
        return


def _set_since(group: Manifest) -> str:
    """Return when a group was last asked to apply its power state, as noted by virtualmachinegroup_mutator.go.

    `now` that the webhook has not turned into a time yet is later than any.
    """
    forced = group.spec.get("nextForcePowerStateSyncTime")
    noted = group.annotations.get(LAST_SET)
    return _NOW if forced == _NOW else max(compact_time(forced), compact_time(noted))


def _unlinked(subject: Subject, tree: Collection[str], powering: Powering) -> Iterator[str]:
    mine = {member.name for member in subject.topology.members if not member.found}
    for name in sorted(tree):
        absent = mine if name == subject.ref.name else powering.absent.get(name, ())
        live = powering.observed.groups[name]
        linked = linked_members(powering.observed, live)
        for member in boot_order_members(live):
            to_come = member.kind == VIRTUAL_MACHINE_GROUP.name and member.name in powering.coming
            if (member.kind, member.name) not in linked and member.name not in absent and not to_come:
                yield f"not powered on before {member.kind} {member.name} is linked to {name}"


def _before(group: str) -> str:
    return f"not powered on before {VIRTUAL_MACHINE_GROUP.name} {group} is replayed"


def _ref(vm: ObservedVm, subject: Subject) -> ObjectRef:
    return ObjectRef(VIRTUAL_MACHINE, subject.ref.namespace, vm.name)
