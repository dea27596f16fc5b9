"""Is what was replayed what is there? Expected against found, with the power state taken into account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.core import archive, topology
from velero_vmservice.core.endpoints import has_address, machines_behind, outdated
from velero_vmservice.core.group_tree import linked_members
from velero_vmservice.core.manifest import sequence
from velero_vmservice.core.operation import enumerate_some
from velero_vmservice.core.power_commands import is_late, late, power_on

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from velero_vmservice.core.archive import Observed
    from velero_vmservice.core.machine import Machine
    from velero_vmservice.core.manifest import Manifest
    from velero_vmservice.core.observation import Observation
    from velero_vmservice.core.plan import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found; verified when nothing is missing and nothing waited for."""

    missing: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    """Machines that run without an address yet: nothing is wrong, and whether they are served is not known."""
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    """What powers on the machines that are off."""
    endpoints: tuple[str, ...] = ()
    """For a service: the machines behind it."""
    replay_pending: bool = False
    """Whether something is missing only because this restore has still to replay it."""

    @property
    def done(self) -> bool:
        return not (self.missing or self.waiting)


def verify(
    subject: Subject,
    observed: Observation,
    before: Observed,
    *,
    coming: Collection[str] = (),
    powered_later: bool = False,
) -> Verification:
    """Compare a replayed object with what VM Operator has made of it.

    Args:
        subject: the object as it was to be replayed.
        observed: the target namespace as it is.
        before: the object as it was at backup.
        coming: groups that the same restore is still to replay: a parent is not whole without them.
        powered_later: the restore powers machines on itself, so that nobody has to be told how.
    """
    live = observed.live(subject.ref)
    if live is None:
        return Verification(missing=("is not there any more",))
    if subject.is_group:
        return _verify_group(subject, live, observed, coming, powered_later=powered_later)
    return _verify_service(subject, live, observed, before, powered_later=powered_later)


def verify_vms(subject: Subject, observed: Observation, *, powered_later: bool) -> Verification:
    """Return how VMs without an application are powered on; that they are registered is decided before."""
    machines = [observed.machines[name] for name in subject.topology.needs if name in observed.machines]
    off = [] if powered_later else _powered_off(machines)
    commands = tuple(power_on(off, observed.groups, subject.ref.namespace))
    notes = (f"{len(off)} of {len(machines)} machines are not powered on",) if off else ()
    return Verification(missing=(), notes=notes, commands=commands)


def _verify_group(
    subject: Subject, live: Manifest, observed: Observation, coming: Collection[str], *, powered_later: bool
) -> Verification:
    linked = linked_members(observed, live)
    missing, notes, pending = [], [], False
    for member in subject.topology.members:
        if (member.kind, member.name) in linked:
            continue
        if member.kind != "VirtualMachine" and member.name in coming:
            missing.append(f"{member.kind} {member.name} is still to be replayed")
            pending = True
            continue
        present = observed.machines if member.kind == "VirtualMachine" else observed.groups
        if member.found and member.name in present and _agrees(subject, member.name, observed, kind=member.kind):
            missing.append(f"{member.kind} {member.name} is not linked yet (GroupLinked)")
        else:
            notes.append(f"{member.kind} {member.name} is no member now")
    parent = subject.topology.parent
    if parent and parent not in observed.groups:
        notes.append(f"its parent group {parent} is not there: restore it too, or empty spec.groupName")
    names = dict.fromkeys((*subject.topology.needs, *subject.topology.nested))
    machines = [observed.machines[name] for name in names if name in observed.machines]
    off = _powered_off(machines)
    if not off or missing or powered_later:
        return Verification(missing=tuple(missing), notes=tuple(notes), replay_pending=pending)
    commands = tuple(power_on(off, observed.groups, subject.ref.namespace))
    go_on = enumerate_some(list(commands), most=2)
    notes += _late(off, observed)
    notes.append(f"{len(off)} of {len(machines)} machines are not powered on; to go on: {go_on}")
    return Verification(missing=(), notes=tuple(notes), commands=commands)


def _agrees(subject: Subject, name: str, observed: Observation, *, kind: str) -> bool:
    if kind == "VirtualMachine":
        return observed.machines[name].group_name == subject.ref.name
    return observed.groups[name].spec.get("groupName") == subject.ref.name


def _verify_service(
    subject: Subject, live: Manifest, observed: Observation, before: Observed, *, powered_later: bool
) -> Verification:
    if subject.ref.name not in observed.generated:
        return Verification(missing=("VM Operator has not made its Service yet",))
    notes = list(_addresses(live, before))
    selector = subject.topology.expected_labels()
    if not selector or live.spec.get("type") == "ExternalName":
        return Verification(missing=(), notes=tuple(notes))
    chosen = [one for one in observed.machines.values() if topology.matches(selector, one.labels) and not one.deleting]
    families = sequence(observed.generated[subject.ref.name].spec.get("ipFamilies"))
    waiting = tuple(f"{one.name} runs and has no address yet" for one in chosen if _runs_without_address(one))
    expected = {one.name for one in chosen if one.serving and has_address(one, families)}
    live_endpoints = observed.endpoints.get(subject.ref.name)
    found = set(machines_behind(live_endpoints, chosen))
    different = [] if expected == found else [f"endpoints should be {_names(expected)} and are {_names(found)}"]
    different += outdated(live_endpoints, chosen)
    if different or waiting:
        return Verification(
            missing=tuple(different), waiting=waiting, notes=tuple(notes), endpoints=tuple(sorted(found))
        )
    off, commands = _powered_off(chosen), tuple[str, ...]()
    if off and not powered_later:
        right = ", and that is right" if not found else ""
        commands = tuple(power_on(off, observed.groups, subject.ref.namespace))
        notes += _late(off, observed)
        notes.append(
            f"endpoints: {_names(found)}{right}: {len(off)} of {len(chosen)} machines are not powered on;"
            f" to go on: {enumerate_some(list(commands), most=2)}"
        )
    else:
        notes.append(f"endpoints: {_names(found)}")
    return Verification(missing=(), notes=tuple(notes), commands=commands, endpoints=tuple(sorted(found)))


def _runs_without_address(machine: Machine) -> bool:
    return machine.power_state == "PoweredOn" and not machine.addresses


def _addresses(live: Manifest, before: Observed) -> Iterator[str]:
    if live.spec.get("type") != "LoadBalancer":
        return
    old = ", ".join(before.load_balancer) or "none"
    new = ", ".join(archive.observed(live).load_balancer) or "not assigned yet"
    yield f"load balancer address: {old} → {new}"


def _late(machines: Iterable[Machine], observed: Observation) -> Iterator[str]:
    return (late(one, observed.groups, observed.namespace) for one in machines if is_late(one, observed.groups))


def _powered_off(machines: Iterable[Machine]) -> list[Machine]:
    return [one for one in machines if one.power_state != "PoweredOn"]


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
