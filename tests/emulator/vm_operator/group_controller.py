"""VM Operator's VirtualMachineGroup controller.

Source: controllers/virtualmachinegroup/virtualmachinegroup_controller.go. One call reconciles one group once. What
it does to members is the reason for the product's rules: it makes the group their owner, so that deleting the
group deletes them, and it sends a member without a unique id to placement, even one that exists on vCenter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.emulator.kubernetes.cluster import edit
from tests.emulator.vm_operator import conditions
from tests.emulator.vm_operator.records import ZONE_LABEL
from tests.emulator.vm_operator.vm_controller import APPLY_POWER_TIME, group_linked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.emulator.kubernetes.cluster import Cluster, Object

FINALIZER: Final = "vmoperator.vmware.com/virtualmachinegroup"
LAST_POWER_TIME: Final = "vmoperator.vmware.com.protected/last-updated-power-state-time"
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ReconcileError(Exception):
    """Why a group did not get further; only a reason, never a failure of the player."""


@dataclass(slots=True, kw_only=True)
class GroupController:
    """Reconciles groups; `placed` tells which members were sent to placement, `delay_scale` shortens delays."""

    cluster: Cluster
    delay_scale: float = 1.0
    placed: list[str] = field(default_factory=list)

    def reconcile(self, group: Object, *, now: datetime) -> None:
        """Bring one VirtualMachineGroup a step further."""
        new = edit(group)
        metadata = new["metadata"]
        finalizers = metadata.get("finalizers", [])
        if metadata.get("deletionTimestamp"):
            metadata["finalizers"] = [other for other in finalizers if other != FINALIZER]
        elif FINALIZER not in finalizers:
            metadata["finalizers"] = [*finalizers, FINALIZER]
        else:
            problem = self._normal(new, now)
            _mark_ready(new["status"], problem, now)
        self.cluster.update(group, new)

    def _normal(self, new: Object, now: datetime) -> str:
        try:
            self._link_to_parent(new, now)
            self._reconcile_members(new, now)
            if not new["spec"].get("groupName"):
                self._place(new, now)
        except ReconcileError as error:
            return str(error)
        return ""

    def _link_to_parent(self, new: Object, now: datetime) -> None:
        name = new["spec"].get("groupName", "")
        parent = self.cluster.get("VirtualMachineGroup", name, new["metadata"]["namespace"]) if name else None
        linked = group_linked(new, {name: parent} if parent else {})
        if linked is None:
            conditions.drop(new["status"], "GroupLinked")
            return
        conditions.mark(new["status"], "GroupLinked", now, holds=linked[0], reason=linked[1])
        if not linked[0]:
            raise ReconcileError("failed to reconcile group name: group is not linked to its parent group")

    def _reconcile_members(self, new: Object, now: datetime) -> None:
        annotations, spec, status = new["metadata"]["annotations"], new["spec"], new["status"]
        apply_power, when = _power_due(new)
        if spec.get("powerState") == "PoweredOn" and apply_power and annotations.get(APPLY_POWER_TIME):
            when = conditions.parse(annotations[APPLY_POWER_TIME])
        known = {(entry["kind"], entry["name"]): entry for entry in status.get("members") or ()}
        entries, problems = [], []
        for step in spec.get("bootOrder") or ():
            if spec.get("powerState") == "PoweredOn":
                when += duration(step.get("powerOnDelay", "")) * self.delay_scale
            for kind, name in _members(step):
                entry = edit_entry(known.get((kind, name), {"kind": kind, "name": name}))
                entries.append(entry)
                try:
                    self._reconcile_member(new, entry, when if apply_power else None, now)
                except ReconcileError as error:
                    problems.append(str(error))
        status["members"] = entries
        if problems:
            raise ReconcileError(f"failed to reconcile group members: {', '.join(problems)}")
        if apply_power:
            status["lastUpdatedPowerStateTime"] = conditions.timestamp(now)

    def _reconcile_member(self, group: Object, entry: dict[str, Any], power_at: datetime | None, now: datetime) -> None:
        kind, name, mine = entry["kind"], entry["name"], group["metadata"]["name"]
        member = self.cluster.get(kind, name, group["metadata"]["namespace"])
        if member is None:
            conditions.mark(entry, "GroupLinked", now, holds=False, reason="NotFound")
            raise ReconcileError(f'member "{kind}/{name}" not found')
        theirs = (member.get("spec") or {}).get("groupName", "")
        if theirs != mine:
            reason = f'has different group name: "{theirs}"' if theirs else "has no group name"
            message = f'member "{kind}/{name}" {reason}'
            conditions.mark(entry, "GroupLinked", now, holds=False, reason="NotMember", message=message)
            raise ReconcileError(message)
        changed = edit(member)
        own(group, changed)
        wanted = group["spec"].get("powerState", "")
        if kind == "VirtualMachine":
            _mark_synced(entry, changed, wanted, now, updating=power_at is not None)
        synced = kind == "VirtualMachine" and changed["status"].get("powerState") == wanted
        if power_at is not None and not synced:
            _hand_down_power(group["spec"], changed, power_at)
        newest = self.cluster.update(member, changed)
        conditions.mark(entry, "GroupLinked", now, holds=True)
        if kind == "VirtualMachineGroup":
            ready = conditions.find(newest.get("status") or {}, "Ready")
            others = [other for other in entry["conditions"] if other["type"] != "Ready"]
            entry["conditions"] = [ready, *others] if ready else others

    def _place(self, group: Object, now: datetime) -> None:
        """Mark members that exist as placed, and send the others to placement, down the whole tree."""
        namespace = group["metadata"]["namespace"]
        for entry in group["status"]["members"]:
            if not conditions.is_true(entry, "GroupLinked"):
                raise ReconcileError(f'{entry["kind"]} "{entry["name"]}" is not linked for group')
            if entry["kind"] == "VirtualMachineGroup":
                child = self.cluster.get("VirtualMachineGroup", entry["name"], namespace)
                if child is None or "members" not in (child.get("status") or {}):
                    raise ReconcileError(f'members of group "{entry["name"]}" are not known yet')
                changed = edit(child)
                self._place(changed, now)
                self.cluster.update(child, changed)
                continue
            machine = self.cluster.get("VirtualMachine", entry["name"], namespace)
            if machine is not None:
                self._place_vm(entry, machine, now)

    def _place_vm(self, entry: dict[str, Any], machine: Object, now: datetime) -> None:
        uid, status = machine["metadata"]["uid"], machine.get("status") or {}
        if entry.get("uid") == uid and conditions.is_true(entry, "PlacementReady"):
            return
        entry["uid"] = uid
        if status.get("uniqueID"):
            zone = status.get("zone", "")
            conditions.mark(entry, "PlacementReady", now, holds=True, reason="AlreadyPlaced", message=zone)
        elif not (machine["metadata"].get("labels") or {}).get(ZONE_LABEL):
            self.placed.append(f"{machine['metadata']['namespace']}/{machine['metadata']['name']}")
            conditions.mark(entry, "PlacementReady", now, holds=True)


def own(group: Object, member: Object) -> None:
    """Add the group to a member's owners; a reference to a namesake is replaced, whatever its UID was."""
    metadata = group["metadata"]
    reference = {
        "apiVersion": group["apiVersion"],
        "kind": group["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    owners = member["metadata"].get("ownerReferences") or []
    same = [
        index
        for index, other in enumerate(owners)
        if (other["kind"], other["name"]) == (group["kind"], metadata["name"])
    ]
    if same:
        owners = [reference if index == same[0] else other for index, other in enumerate(owners)]
    else:
        owners = [*owners, reference]
    member["metadata"]["ownerReferences"] = owners


def duration(text: str) -> timedelta:
    """Read a Go duration such as `1m30s`."""
    parts = re.findall(r"([0-9.]+)(ms|s|m|h)", text)
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def edit_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """Copy one entry of `status.members` so that its conditions may be replaced."""
    return {**entry, "conditions": list(entry.get("conditions") or ())}


def _members(step: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for member in step.get("members") or ():
        yield member.get("kind", "VirtualMachine"), member["name"]


def _power_due(group: Object) -> tuple[bool, datetime]:
    """Say whether the group's powerState is still to be applied, and the time it counts from."""
    if not group["spec"].get("powerState"):
        return False, _LONG_AGO
    requested_at = group["metadata"]["annotations"].get(LAST_POWER_TIME)
    since = conditions.parse(requested_at) if requested_at else _LONG_AGO
    done = group["status"].get("lastUpdatedPowerStateTime")
    return not (done and conditions.parse(done) > since), since


def _hand_down_power(spec: dict[str, Any], member: Object, when: datetime) -> None:
    for name in ("powerState", "powerOffMode", "suspendMode"):
        if spec.get(name):
            member["spec"][name] = spec[name]
    if spec["powerState"] == "PoweredOn":
        member["metadata"]["annotations"][APPLY_POWER_TIME] = conditions.nanostamp(when)


def _mark_synced(entry: dict[str, Any], machine: Object, wanted: str, now: datetime, *, updating: bool) -> None:
    has = machine["status"].get("powerState", "")
    if has:
        entry["powerState"] = has
    else:
        entry.pop("powerState", None)
    if not wanted:
        conditions.drop(entry, "PowerStateSynced")
    elif has == wanted:
        conditions.mark(entry, "PowerStateSynced", now, holds=True)
    else:
        pending = updating or machine["spec"].get("powerState") == wanted
        conditions.mark(entry, "PowerStateSynced", now, holds=False, reason="Pending" if pending else "NotSynced")


def _mark_ready(status: dict[str, Any], problem: str, now: datetime) -> None:
    members: Sequence[dict[str, Any]] = status.get("members") or ()
    faults = [fault for fault in map(_fault, members) if fault]
    if faults:
        message = f"{len(faults)} of {len(members)} members not ready: {'; '.join(faults)}"
        conditions.mark(status, "Ready", now, holds=False, reason="MembersNotReady", message=message)
    elif problem:
        conditions.mark(status, "Ready", now, holds=False, reason="Error", message=problem)
    else:
        conditions.mark(status, "Ready", now, holds=True)


def _fault(entry: dict[str, Any]) -> str:
    subject = f"{entry['kind']}/{entry['name']}"
    second = "PlacementReady" if entry["kind"] == "VirtualMachine" else "Ready"
    for kind in ("GroupLinked", second):
        if conditions.find(entry, kind) is None:
            return f"{subject} missing condition {kind}"
    for condition in entry["conditions"]:
        if condition["status"] != "True":
            return f"{subject} condition {condition['type']} is {condition['status']}"
    return ""
