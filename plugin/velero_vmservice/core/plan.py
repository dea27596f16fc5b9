"""What comes next for one object of a restore, decided afresh from every observation.

Groups come before the services in front of them, and parent groups before their children: either order converges
in VM Operator, but parents first avoids its error back-off (virtualmachinegroup_controller.go). Nothing is ever
deleted, and nothing here knows that it was decided before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from velero_vmservice.core import compare, mapping, readiness
from velero_vmservice.core.facts import boot_order_members
from velero_vmservice.core.manifest import VIRTUAL_MACHINE_GROUP, Manifest, ObjectRef
from velero_vmservice.core.operation import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice.core.observation import Observation
    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.readiness import Gate
    from velero_vmservice.core.topology import Topology


class Stage(StrEnum):
    """How far one object has come."""

    WAITING = "waiting"
    REPLAYED = "replayed"
    VERIFIED = "verified"
    RETAINED = "retained"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will be done for the object."""
        return self not in (Stage.WAITING, Stage.REPLAYED)


class Action(StrEnum):
    """What to do now."""

    WAIT = "wait"
    CREATE = "create"
    UPDATE = "update"
    VERIFY = "verify"
    RETAIN = "retain"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One object to replay: what is wanted, and what it is connected to."""

    ref: ObjectRef
    wanted: Manifest
    topology: Topology

    @property
    def is_group(self) -> bool:
        return self.ref.kind == VIRTUAL_MACHINE_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The decision for one object."""

    action: Action
    reason: str = ""
    warnings: tuple[str, ...] = ()
    ready: int = 0
    """Machines whose gate is open."""
    total: int = 0


def decide(
    subject: Subject,
    *,
    run: RestoreRun,
    observed: Observation,
    gates: Mapping[str, Gate],
    pending: Iterable[Subject],
    written: bool = False,
) -> Step:
    """Decide what comes next.

    Args:
        subject: the object.
        run: the restore; its existingResourcePolicy is the user's word on objects that exist.
        observed: the target namespace as it is.
        gates: for each needed machine, whether it is ready.
        pending: the other objects of this restore that are not replayed yet.
        written: whether this process has created or updated the object for this restore.
    """
    needs = subject.topology.needs
    missing = [
        f"{name}: {'; '.join((gates[name].reason, *_lost_owner(name, observed)))}"
        for name in needs
        if not gates[name].ready
    ]
    ready, total = len(needs) - len(missing), len(needs)
    if missing:
        absent = any(name not in observed.machines for name in needs)
        return Step(action=Action.WAIT, reason=_waiting(missing, observed, absent=absent), ready=ready, total=total)
    if blocker := _first(subject, pending):
        return Step(action=Action.WAIT, reason=f"waits for {blocker.ref}", ready=ready, total=total)
    step = _against_live(subject, run, observed, written=written)
    if step.action is Action.CREATE and (unplaced := sorted(_unplaced(subject, observed))):
        words = f"VM Operator would place {', '.join(unplaced)} anew: in a nested group, and not registered yet"
        return Step(action=Action.WAIT, reason=words, ready=ready, total=total)
    return Step(action=step.action, reason=step.reason, warnings=_warnings(subject, observed), ready=ready, total=total)


def _waiting(missing: list[str], observed: Observation, *, absent: bool) -> str:
    words = enumerate_some(missing)
    if absent and not observed.vsphere_namespace:
        return (
            f"the namespace {observed.namespace} is no vSphere Namespace, so nothing can be registered into it; {words}"
        )
    return words


def _first(subject: Subject, pending: Iterable[Subject]) -> Subject | None:
    """Return an object that has to come before this one and is still to be replayed."""
    groups = [
        one for one in pending if one.is_group and one.ref != subject.ref and one.ref.namespace == subject.ref.namespace
    ]
    if not subject.is_group:
        needs = set(subject.topology.needs)
        return next((one for one in groups if not needs.isdisjoint(one.topology.needs)), None)
    parents = {one.ref.name: one for one in groups}
    return None if _is_own_ancestor(subject, parents) else parents.get(subject.topology.parent)


def _is_own_ancestor(subject: Subject, parents: Mapping[str, Subject]) -> bool:
    """Say whether following the parents leads back: groups that wait for each other would wait for ever."""
    name, seen = subject.topology.parent, set[str]()
    while name in parents and name not in seen:
        seen.add(name)
        name = parents[name].topology.parent
    return name == subject.ref.name


def _lost_owner(name: str, observed: Observation) -> tuple[str, ...]:
    machine = observed.machines.get(name)
    words = machine and readiness.dead_owner(machine, observed.group_uids())
    return (words,) if words else ()


def _unplaced(subject: Subject, observed: Observation) -> set[str]:
    """Return machines of nested groups that are there which a new root group would send to placement.

    Placement is the root's, for the whole tree, and asks for every member without a unique id
    (virtualmachinegroup_controller.go, reconcilePlacement).
    """
    found: set[str] = set()
    nested = [member.name for member in subject.topology.members if member.kind == VIRTUAL_MACHINE_GROUP.name]
    seen = {subject.ref.name}
    while nested:
        name = nested.pop()
        if name in seen or name not in observed.groups:
            continue
        seen.add(name)
        for member in boot_order_members(observed.groups[name]):
            machine = observed.machines.get(member.name)
            if member.kind == VIRTUAL_MACHINE_GROUP.name:
                nested.append(member.name)
            elif machine is not None and not machine.unique_id:
                found.add(machine.name)
    return found


def _against_live(subject: Subject, run: RestoreRun, observed: Observation, *, written: bool) -> Step:
    live = observed.live(subject.ref)
    if live is None:
        return _if_name_is_free(subject, observed)
    if live.deleting:
        return Step(action=Action.WAIT, reason="is there and being deleted")
    different = compare.differences(subject.wanted, live)
    if written or mapping.made_by(run, live):
        changed = f"changed since: {enumerate_some(list(different))}" if different else ""
        return Step(action=Action.VERIFY, reason=changed)
    if not different:
        return Step(action=Action.VERIFY, reason="was there already, as captured")
    words = enumerate_some(list(different))
    if not run.update_existing:
        return Step(
            action=Action.RETAIN,
            reason=f"exists and differs from the backup in {words}; left as it is, as existingResourcePolicy says",
        )
    if fixed := compare.immutable(subject.wanted.kind_name, different):
        return Step(action=Action.FAIL, reason=f"exists and cannot be updated: {', '.join(fixed)} cannot be changed")
    return Step(action=Action.UPDATE, reason=f"differs in {words}")


def _if_name_is_free(subject: Subject, observed: Observation) -> Step:
    """Create, unless VM Operator would take over and overwrite somebody's own Service of that name.

    Source: virtualmachineservice_controller.go, CreateOrPatch.
    """
    holder = None if subject.is_group else observed.generated.get(subject.ref.name)
    if holder is None or any(owner.kind == subject.ref.kind.name for owner in holder.owners):
        return Step(action=Action.CREATE)
    words = f"a Service {subject.ref.name} is there that is not VM Operator's, which would overwrite it"
    return Step(action=Action.FAIL, reason=f"{words}; rename or remove it, then repeat the restore")


def _warnings(subject: Subject, observed: Observation) -> tuple[str, ...]:
    """Say what VM Operator will hold against the object: labels that no longer match, membership from one side."""
    warnings: list[str] = []
    expected = {one.name: one for one in subject.topology.machines}
    for name in subject.topology.needs:
        machine = observed.machines.get(name)
        if machine is None:
            continue
        warnings += [f"{name} {words}" for words in _lost_owner(name, observed)]
        if name in expected:
            warnings += readiness.remarks(machine, expected[name])
        if subject.is_group and machine.group_name != subject.ref.name:
            found = machine.group_name or "empty"
            warnings.append(f"{name} is no member: its spec.groupName is {found}, not {subject.ref.name}")
        if not subject.is_group:
            selector = subject.topology.expected_labels()
            warnings += [
                f"{name} is not selected: its label {key} is {machine.labels.get(key) or 'missing'}, not {value}"
                for key, value in selector.items()
                if machine.labels.get(key) != value
            ]
    return tuple(warnings)


def in_order(subjects: Iterable[Subject]) -> Sequence[Subject]:
    """Sort: groups before services, parents before children, then by name; cycles keep their names' order."""
    known = {subject.ref: subject for subject in subjects}

    def depth(subject: Subject) -> int:
        level, seen = 0, {subject.ref}
        while subject.topology.parent:
            parent = ObjectRef(subject.ref.kind, subject.ref.namespace, subject.topology.parent)
            if parent in seen or parent not in known:
                break
            seen.add(parent)
            subject, level = known[parent], level + 1
        return level

    return sorted(known.values(), key=lambda one: (not one.is_group, depth(one) if one.is_group else 0, one.ref))
