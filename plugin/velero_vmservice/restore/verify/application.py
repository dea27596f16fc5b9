"""Compare what was replayed with what is there, with the power state taken into account."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.archive import schema, topology
from velero_vmservice.kube.manifest import (
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VMS_ALONE,
    ObjectRef,
    mapping,
    sequence,
)
from velero_vmservice.report.power_commands import is_late, late
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.supervisor.namespace_state import linked_members

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.schema import SavedStatus
    from velero_vmservice.archive.topology import MemberTopology
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

_BROKEN: Final = {
    Stage.FAILED: "failed",
    Stage.CANCELLED: "was cancelled",
    Stage.INCOMPLETE: "is incomplete",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a comparison found; verified when nothing is missing, lacking or waited for."""

    missing: tuple[str, ...] = ()
    """What may still come."""
    lacking: tuple[str, ...] = ()
    """Parts of the object at backup that this restore does not bring any more: it ends incomplete."""
    below: tuple[str, ...] = ()
    """Member groups that are there, and that this restore has not ended with."""
    waiting: tuple[str, ...] = ()
    """VMs that run without an address yet: nothing is wrong, and whether they are served is not known."""
    notes: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    """For a service: the VMs behind it."""
    replay_pending: bool = False
    """Whether something is missing only because this restore has still to replay it."""


def verify(
    subject: Subject,
    observed: NamespaceState,
    before: SavedStatus,
    *,
    groups: Mapping[str, Stage] | None = None,
    powered_later: bool = False,
) -> Verification:
    """Compare a replayed object with what VM Operator has made of it; of VMs without an application, say which are off.

    Args:
        subject: the object as it was to be replayed.
        observed: the target namespace as it is.
        before: the object as it was at backup.
        groups: how far this restore has come with each group of the namespace: a group is as whole as its members.
        powered_later: the restore powers VMs on itself, so that nothing is said of those that are off.
    """
    if subject.ref.kind == VMS_ALONE:
        return _verify_vms(subject, observed, powered_later=powered_later)
    live = observed.live(subject.ref)
    if live is None:
        return Verification(missing=("is not there any more",))
    if subject.is_group:
        return _verify_group(subject, live, observed, groups or {}, powered_later=powered_later)
    return _verify_service(subject, live, observed, before, powered_later=powered_later)


def _verify_group(
    subject: Subject, live: Manifest, observed: NamespaceState, groups: Mapping[str, Stage], *, powered_later: bool
) -> Verification:
    linked = linked_members(observed, live)
    by_standing: dict[_Standing, list[str]] = {standing: [] for standing in _Standing}
    for member in subject.topology.members:
        stage = groups.get(member.name) if member.kind == VIRTUAL_MACHINE_GROUP.name else None
        standing = _standing(subject, member, observed, stage, is_linked=(member.kind, member.name) in linked)
        by_standing[standing].append(
            f"{member.kind} {member.name} {_BROKEN.get(stage, standing.value) if stage else standing.value}"
        )
    notes = by_standing[_Standing.NEVER]
    parent = subject.topology.parent
    if parent and parent not in observed.groups:
        notes.append(f"its parent group {parent} is not there: restore it too, or empty spec.groupName")
    missing = [*by_standing[_Standing.TO_COME], *by_standing[_Standing.UNLINKED]]
    if not (missing or powered_later):
        names = dict.fromkeys((*subject.topology.needs, *subject.topology.nested))
        notes += _power_notes([observed.machines[name] for name in names if name in observed.machines], observed)
    return Verification(
        missing=tuple(missing),
        lacking=tuple(by_standing[_Standing.LACKING]),
        below=tuple(by_standing[_Standing.UNDER_WAY]),
        notes=tuple(notes),
        replay_pending=bool(by_standing[_Standing.TO_COME]),
    )


def _verify_vms(subject: Subject, observed: NamespaceState, *, powered_later: bool) -> Verification:
    """Say which VMs without an application are off; that they are there is known."""
    if powered_later:
        return Verification()
    vms = [observed.machines[name] for name in subject.topology.needs if name in observed.machines]
    return Verification(notes=tuple(_power_notes(vms, observed)))


def would_lack(
    subjects: Iterable[Subject], stages: Mapping[ObjectRef, Stage]
) -> Mapping[ObjectRef, tuple[ObjectRef, ...]]:
    """Return, for each group that would end incomplete, the member groups that are the reason.

    `stages` says how each object of the restore would end, as far as that is known.
    """
    lacking: dict[ObjectRef, tuple[ObjectRef, ...]] = {}
    groups = order.in_order(subject for subject in subjects if subject.is_group)
    for subject in reversed(groups):  # members before their groups
        members = (
            ObjectRef(VIRTUAL_MACHINE_GROUP, subject.ref.namespace, member.name)
            for member in subject.topology.members
            if member.kind == VIRTUAL_MACHINE_GROUP.name
        )
        if broken := tuple(ref for ref in members if ref in lacking or stages.get(ref, Stage.WAITING).broken):
            lacking[subject.ref] = broken
    return lacking


class _Standing(Enum):
    """Where a member of a group stands, in words that go on from its name."""

    WHOLE = "is linked"
    TO_COME = "is still to be replayed"
    UNLINKED = "is not linked yet (GroupLinked)"
    UNDER_WAY = "is not verified yet"
    LACKING = "is not a member now"
    NEVER = "is not a member now, and was not at backup"


def _standing(
    subject: Subject, member: MemberTopology, observed: NamespaceState, stage: Stage | None, *, is_linked: bool
) -> _Standing:
    """Judge a member; `stage` is that of a group of this restore, None for everything else."""
    if stage is Stage.WAITING:
        return _Standing.TO_COME
    if stage is not None and stage.broken:
        return _Standing.LACKING
    if stage is not None and not stage.final:  # it may have been written after the look
        return _Standing.UNDER_WAY if is_linked else _Standing.UNLINKED
    if is_linked:
        return _Standing.WHOLE
    known = member.found or stage is not None
    if known and _agrees(subject, member, observed):
        return _Standing.UNLINKED
    was_member = stage is not None or (member.found and member.group_name == subject.ref.name)
    return _Standing.LACKING if was_member else _Standing.NEVER


def _agrees(subject: Subject, member: MemberTopology, observed: NamespaceState) -> bool:
    """Say whether a member is there, and names the group."""
    if member.kind == VIRTUAL_MACHINE_GROUP.name:
        live = observed.groups.get(member.name)
        return live is not None and live.spec.get("groupName") == subject.ref.name
    vm = observed.machines.get(member.name)
    return vm is not None and vm.group_name == subject.ref.name


def _verify_service(
    subject: Subject, live: Manifest, observed: NamespaceState, before: SavedStatus, *, powered_later: bool
) -> Verification:
    if subject.ref.name not in observed.generated:
        return Verification(missing=("VM Operator has not made its Service yet",))
    notes = list(_addresses(live, before))
    selector = subject.topology.expected_labels()
    if not selector or live.spec.get("type") == "ExternalName":
        return Verification(missing=(), notes=tuple(notes))
    chosen = [vm for vm in observed.machines.values() if topology.matches(selector, vm.labels) and not vm.deleting]
    families = sequence(observed.generated[subject.ref.name].spec.get("ipFamilies"))
    waiting = tuple(f"{vm.name} runs and has no address yet" for vm in chosen if _runs_without_address(vm))
    expected = {vm.name for vm in chosen if vm.serving and has_address(vm, families)}
    live_endpoints = observed.endpoints.get(subject.ref.name)
    behind = set(vms_behind(live_endpoints, chosen))
    different = [] if expected == behind else [f"endpoints should be {_names(expected)} and are {_names(behind)}"]
    different += outdated(live_endpoints, chosen)
    if different or waiting:
        return Verification(
            missing=tuple(different), waiting=waiting, notes=tuple(notes), endpoints=tuple(sorted(behind))
        )
    off = [] if powered_later else _powered_off(chosen)
    right = ", as expected" if off and not behind else ""
    notes.append(f"endpoints: {_names(behind)}{right}")
    return Verification(
        lacking=tuple(_not_selected(subject, observed, selector)),
        notes=(*notes, *(_power_notes(chosen, observed) if off else ())),
        endpoints=tuple(sorted(behind)),
    )


def _not_selected(subject: Subject, observed: NamespaceState, selector: Mapping[str, str]) -> Iterator[str]:
    """Yield the VMs that the service selected at backup and that lack its labels now."""
    for name in subject.topology.needs:
        vm = observed.machines.get(name)
        if vm is not None and not topology.matches(selector, vm.labels):
            yield f"VirtualMachine {name} is not selected now"


def _runs_without_address(vm: ObservedVm) -> bool:
    return vm.power_state == "PoweredOn" and not vm.addresses


def _addresses(live: Manifest, before: SavedStatus) -> Iterator[str]:
    if live.spec.get("type") != "LoadBalancer":
        return
    old = ", ".join(before.load_balancer) or "none"
    new = ", ".join(schema.observed(live).load_balancer) or "not assigned yet"
    yield f"load balancer address: {old} → {new}"


def _power_notes(vms: Collection[ObservedVm], observed: NamespaceState) -> Iterator[str]:
    """Say how many VMs are off, and which of them their groups do not start any more."""
    off = _powered_off(vms)
    yield from (late(vm, observed.groups) for vm in off if is_late(vm, observed.groups))
    if off:
        yield f"{len(off)} of {len(vms)} VMs are not powered on"


def _powered_off(vms: Iterable[ObservedVm]) -> list[ObservedVm]:
    return [vm for vm in vms if vm.power_state != "PoweredOn"]


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def has_address(vm: ObservedVm, families: Sequence[str]) -> bool:
    """Say whether a VM has an address of the Service's families; an older cluster names none."""
    return any(not families or ("IPv6" if ":" in address else "IPv4") in families for address in vm.addresses)


def vms_behind(endpoints: Manifest | None, chosen: Iterable[ObservedVm]) -> Iterator[str]:
    """Yield the VM behind each ready address; by address where the entry has no target.

    VM Operator writes one address for each selected VM that has one, with the VM's name and UID as its target
    (virtualmachineservice_controller.go). A name alone proves nothing after a restore in place: the entry may be the
    lost VM's.
    """
    by_address = {_plain(address): vm.name for vm in chosen for address in vm.addresses}
    for entry in _ready(endpoints):
        address = str(entry.get("ip"))
        yield str(mapping(entry.get("targetRef")).get("name") or by_address.get(_plain(address), address))


def outdated(endpoints: Manifest | None, chosen: Iterable[ObservedVm]) -> Iterator[str]:
    """Say which ready addresses name a VM and are not its own now: those of the VM that was lost."""
    vms = {vm.name: vm for vm in chosen}
    for entry in _ready(endpoints):
        address, target = str(entry.get("ip")), mapping(entry.get("targetRef"))
        vm = vms.get(str(target.get("name")))
        if vm is None or target.get("kind", VIRTUAL_MACHINE.name) != VIRTUAL_MACHINE.name:
            continue  # no VM of that name is selected: the names differ, which is reported
        if _plain(address) not in map(_plain, vm.addresses):
            now = ", ".join(vm.addresses) or "none"
            yield f"endpoint {address} is not an address of {vm.name} now (it has {now})"
        elif target.get("uid") and vm.uid and target["uid"] != vm.uid:
            yield f"endpoint {address} is that of an earlier {vm.name} (UID {target['uid']}, now {vm.uid})"


def _ready(endpoints: Manifest | None) -> Iterator[Mapping[str, Any]]:
    for subset in sequence(endpoints.content.get("subsets")) if endpoints else ():
        yield from map(mapping, sequence(mapping(subset).get("addresses")))


def _plain(address: str) -> str:
    """Return an address in its shortest spelling, any other text unchanged."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address
