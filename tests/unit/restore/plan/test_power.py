"""Every decision about power: nothing unasked, the root of a tree first, no wish twice, no VM powered off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.builders import condition, group, linked, look, run, service, subject, vm
from velero_vmservice.restore.plan.power import Powering, PowerStep, decide
from velero_vmservice.restore.policy import RestorePolicy

WEB = {"app": "web"}
SET_AT = "vmoperator.vmware.com.protected/last-updated-power-state-time"
CHECK = "poweron.check.vmoperator.vmware.com/billing"
BEFORE, SINCE = "2026-03-01T11:00:00Z", "2026-03-01T12:05:00Z"
"""Before and after the start of the restore."""


def off(name: str, of: str = "", **rest: Any) -> dict[str, Any]:
    return vm(name, labels=WEB, group=of, **rest)


def on(name: str, of: str = "", **rest: Any) -> dict[str, Any]:
    return vm(name, labels=WEB, group=of, power="PoweredOn", **{"ip": "192.0.2.1", **rest})


def tier(*boots: list[str], name: str = "tier", without: tuple[str, ...] = (), **rest: Any) -> dict[str, Any]:
    """Build a live group whose members are linked, but for those `without`."""
    members = [member for boot in boots for member in boot if member not in without]
    return group(name, *boots, more={"status": linked(*members)}, **rest)


def decided(
    given: dict[str, Any],
    *live: dict[str, Any],
    power: str = "on",
    captured: dict[str, str] | None = None,
    coming: tuple[str, ...] = (),
    known: tuple[dict[str, Any], ...] = (),
    **rest: Any,
) -> PowerStep:
    name = given["metadata"]["name"]
    mine = {name: ""} if given["kind"] == "VirtualMachineGroup" else {}
    return decide(
        subject(given, *known),
        Powering(
            run=run(),
            policy=RestorePolicy.model_validate({"power": power}),
            observed=look(*live),
            captured=mine if captured is None else captured,
            coming=coming,
            **rest,
        ),
    )


def wished(step: PowerStep) -> dict[str, dict[str, Any]]:
    return {str(wish.ref): dict(wish.change["spec"]) for wish in step.wishes}


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any]
    live: tuple[dict[str, Any], ...]
    power: str = "on"
    captured: dict[str, str] | None = None
    coming: tuple[str, ...] = ()
    known: tuple[dict[str, Any], ...] = ()
    wishes: dict[str, dict[str, str]] = field(default_factory=dict)
    waiting: tuple[str, ...] = ()
    notes: str = ""
    under_way: tuple[str, ...] = ()
    absent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    to_come: bool = False


ON = {"powerState": "PoweredOn"}
NOW = {"nextForcePowerStateSyncTime": "now"}
TIER, TOP = group("tier", ["web-1"]), group("top", ["/tier"])
FRONT = service("front", WEB)
GROUP, VM = "VirtualMachineGroup shop/tier", "VirtualMachine shop/web-1"

THROUGH_GROUPS = [
    Case(
        why="on: the group is asked, not its VMs",
        given=TIER,
        live=(tier(["web-1"]), off("web-1", "tier")),
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="on, whatever the group said at backup",
        given=TIER,
        live=(tier(["web-1"]), off("web-1", "tier")),
        captured={"tier": "PoweredOff"},
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="asked before: not asked again",
        given=TIER,
        live=(
            tier(["web-1"], powerState="PoweredOn", meta={"annotations": {SET_AT: SINCE}}),
            off("web-1", "tier"),
        ),
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="it said PoweredOn before the restore, over a VM that was restored in place: asked to apply it again",
        given=TIER,
        live=(
            tier(["web-1"], powerState="PoweredOn", meta={"annotations": {SET_AT: BEFORE}}),
            off("web-1", "tier"),
        ),
        wishes={GROUP: NOW},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="the same, without the time when it was set",
        given=TIER,
        live=(tier(["web-1"], powerState="PoweredOn"), off("web-1", "tier")),
        wishes={GROUP: NOW},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="asked to apply it again: exactly once",
        given=TIER,
        live=(
            tier(
                ["web-1"],
                powerState="PoweredOn",
                nextForcePowerStateSyncTime=SINCE,
                meta={"annotations": {SET_AT: BEFORE}},
            ),
            off("web-1", "tier"),
        ),
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="asked to apply it again, and the webhook has not turned it into a time",
        given=TIER,
        live=(
            tier(
                ["web-1"],
                powerState="PoweredOn",
                nextForcePowerStateSyncTime="now",
                meta={"annotations": {SET_AT: BEFORE}},
            ),
            off("web-1", "tier"),
        ),
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="it says PoweredOn over VMs that run: nothing to ask",
        given=TIER,
        live=(
            tier(["web-1"], powerState="PoweredOn", meta={"annotations": {SET_AT: BEFORE}}),
            on("web-1", "tier"),
        ),
    ),
    Case(
        why="it says PoweredOff: an earlier word than ours",
        given=TIER,
        live=(tier(["web-1"], powerState="PoweredOff"), off("web-1", "tier")),
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a member that is not linked: nothing is asked",
        given=group("tier", ["web-1", "web-2"]),
        live=(
            tier(["web-1", "web-2"], without=("web-2",)),
            off("web-1", "tier"),
            off("web-2", "tier"),
        ),
        known=(off("web-1", "tier"), off("web-2", "tier")),
        waiting=("not powered on before VirtualMachine web-2 is linked to tier",),
    ),
    Case(
        why="a member that was not there at backup either is not waited for",
        given=group("tier", ["web-1", "web-2"]),
        live=(tier(["web-1", "web-2"], without=("web-2",)), off("web-1", "tier")),
        known=(off("web-1", "tier"),),
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a child group that is still to come",
        given=TOP,
        live=(tier(["/tier"], name="top", without=("/tier",)),),
        known=(group("tier", parent="top"),),
        coming=("tier",),
        waiting=("not powered on before VirtualMachineGroup tier is replayed",),
        to_come=True,
    ),
    Case(
        why="the root, once the whole tree is linked",
        given=TOP,
        live=(
            tier(["/tier"], name="top"),
            tier(["web-1"], ["/deep"], parent="top"),
            tier(["db-1"], name="deep", parent="tier"),
            off("web-1", "tier"),
            off("db-1", "deep"),
        ),
        captured={"top": "", "tier": "", "deep": ""},
        wishes={"VirtualMachineGroup shop/top": ON},
        waiting=("db-1 is PoweredOff", "web-1 is PoweredOff"),
    ),
    Case(
        why="a VM at the bottom of the tree that is not linked holds the root",
        given=TOP,
        live=(
            tier(["/tier"], name="top"),
            tier(["web-1"], ["/deep"], parent="top"),
            tier(["db-1"], name="deep", parent="tier", without=("db-1",)),
            off("web-1", "tier"),
            off("db-1", "deep"),
        ),
        captured={"top": "", "tier": "", "deep": ""},
        waiting=("not powered on before VirtualMachine db-1 is linked to deep",),
    ),
    Case(
        why="a child follows its root and is not asked",
        given=group("tier", ["web-1"], parent="top"),
        live=(tier(["/tier"], name="top"), tier(["web-1"], parent="top"), off("web-1", "tier")),
        captured={"top": "", "tier": ""},
        waiting=("web-1 is PoweredOff",),
        notes="powered through its group top",
    ),
    Case(
        why="a child follows its root's root",
        given=group("deep", ["db-1"], parent="tier"),
        live=(
            tier(["/tier"], name="top"),
            tier(["/deep"], parent="top"),
            tier(["db-1"], name="deep", parent="tier"),
            on("db-1", "deep"),
        ),
        captured={"top": "", "tier": "", "deep": ""},
        notes="powered through its group top",
    ),
    Case(
        why="a child of a group that this restore does not replay is its own root",
        given=group("tier", ["web-1"], parent="top"),
        live=(tier(["/tier"], name="top"), tier(["web-1"], parent="top"), off("web-1", "tier")),
        captured={"tier": ""},
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="nor does it follow one that says PoweredOn: VM Operator hands nothing down to late members",
        given=group("tier", ["web-1"], parent="top"),
        live=(
            tier(["/tier"], name="top", powerState="PoweredOn"),
            tier(["web-1"], parent="top"),
            off("web-1", "tier"),
        ),
        captured={"tier": ""},
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a child that says PoweredOn already is asked to apply it once its root has been asked",
        given=TOP,
        live=(
            tier(["/tier"], name="top", powerState="PoweredOn", meta={"annotations": {SET_AT: SINCE}}),
            tier(["web-1"], parent="top", powerState="PoweredOn", meta={"annotations": {SET_AT: BEFORE}}),
            off("web-1", "tier"),
        ),
        captured={"top": "", "tier": ""},
        wishes={GROUP: NOW},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="one child after another, in boot order",
        given=group("top", ["/late"], ["/tier"]),
        live=(
            tier(["/late"], ["/tier"], name="top", powerState="PoweredOn", meta={"annotations": {SET_AT: SINCE}}),
            tier(["db-1"], name="late", parent="top", powerState="PoweredOn", meta={"annotations": {SET_AT: SINCE}}),
            tier(["web-1"], parent="top", powerState="PoweredOn", meta={"annotations": {SET_AT: BEFORE}}),
            off("web-1", "tier"),
            off("db-1", "late"),
        ),
        captured={"top": "", "late": "", "tier": ""},
        waiting=("db-1 is PoweredOff", "web-1 is PoweredOff"),
    ),
    Case(
        why="a group that said PoweredOn, over a child that is new",
        given=TOP,
        live=(
            tier(["/tier"], name="top", powerState="PoweredOn", meta={"annotations": {SET_AT: BEFORE}}),
            tier(["web-1"], parent="top"),
            off("web-1", "tier"),
        ),
        captured={"top": "", "tier": ""},
        wishes={"VirtualMachineGroup shop/top": NOW},
        waiting=("web-1 is PoweredOff",),
    ),
]

THROUGH_GROUPS += [
    Case(
        why="a child group deep in the tree that is still to come",
        given=TOP,
        live=(tier(["/tier"], name="top"), tier(["/deep"], parent="top", without=("/deep",))),
        captured={"top": "", "tier": "", "deep": ""},
        coming=("deep",),
        waiting=("not powered on before VirtualMachineGroup deep is replayed",),
        to_come=True,
    ),
    Case(
        why="a member deep in the tree that was not there at backup either is not waited for",
        given=TOP,
        live=(
            tier(["/tier"], name="top"),
            tier(["web-1", "web-2"], parent="top", without=("web-2",)),
            off("web-1", "tier"),
        ),
        captured={"top": "", "tier": ""},
        absent={"tier": ("web-2",)},
        wishes={"VirtualMachineGroup shop/top": ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a child is not late while its root is still to ask",
        given=group("tier", ["web-1"], parent="top"),
        live=(tier(["/tier"], name="top"), tier(["web-1"], parent="top"), off("web-1", "tier")),
        captured={"top": "", "tier": ""},
        under_way=("top", "tier"),
        waiting=("web-1 is PoweredOff",),
        notes="powered through its group top",
        to_come=True,
    ),
    Case(
        why="a child counts from when its root has asked",
        given=group("tier", ["web-1"], parent="top"),
        live=(
            tier(["/tier"], name="top", powerState="PoweredOn"),
            tier(["web-1"], parent="top"),
            off("web-1", "tier"),
        ),
        captured={"top": "", "tier": ""},
        under_way=("top", "tier"),
        waiting=("web-1 is PoweredOff",),
        notes="powered through its group top",
    ),
    Case(
        why="a service is not late while the root of its VMs is still to ask",
        given=FRONT,
        live=(FRONT, tier(["web-1"]), off("web-1", "tier")),
        known=(off("web-1", "tier"),),
        captured={"tier": ""},
        under_way=("tier",),
        waiting=("web-1 is PoweredOff",),
        to_come=True,
    ),
]

AS_CAPTURED = [
    Case(
        why="captured: a group that said PoweredOn",
        given=TIER,
        live=(tier(["web-1"]), off("web-1", "tier")),
        power="captured",
        captured={"tier": "PoweredOn"},
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="captured: a group that said PoweredOff stays off, whatever its VMs did",
        given=TIER,
        live=(tier(["web-1"]), off("web-1", "tier")),
        power="captured",
        captured={"tier": "PoweredOff"},
        known=(off("web-1", "tier"),),
    ),
    Case(
        why="captured: a group that said nothing: the VMs that ran, by their own",
        given=group("tier", ["web-1", "web-2"]),
        live=(tier(["web-1", "web-2"]), off("web-1", "tier"), off("web-2", "tier")),
        power="captured",
        captured={"tier": ""},
        known=(on("web-1", "tier"), off("web-2", "tier")),
        wishes={VM: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="captured: a root that said nothing does not speak for a child that did",
        given=group("tier", ["web-1"], parent="top"),
        live=(tier(["/tier"], name="top"), tier(["web-1"], parent="top"), off("web-1", "tier")),
        power="captured",
        captured={"top": "", "tier": "PoweredOn"},
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="captured: a root that said PoweredOn speaks for a child that said nothing",
        given=group("tier", ["web-1"], parent="top"),
        live=(tier(["/tier"], name="top"), tier(["web-1"], parent="top"), off("web-1", "tier")),
        power="captured",
        captured={"top": "PoweredOn", "tier": ""},
        waiting=("web-1 is PoweredOff",),
        notes="powered through its group top",
    ),
]

BY_THEIR_OWN = [
    Case(
        why="on: a VM without a group, by its own",
        given=FRONT,
        live=(FRONT, off("web-1")),
        known=(off("web-1"),),
        wishes={VM: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a VM that was asked before is not asked again",
        given=FRONT,
        live=(FRONT, off("web-1", spec=ON)),
        known=(off("web-1"),),
        waiting=("web-1 is PoweredOff",),
    ),
    Case(why="it runs: nothing to ask", given=FRONT, live=(FRONT, on("web-1")), known=(on("web-1"),)),
    Case(
        why="captured: only what ran",
        given=FRONT,
        live=(FRONT, off("web-1"), off("web-2")),
        power="captured",
        known=(on("web-1"), off("web-2")),
        wishes={VM: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="captured: of whom nothing is known is left off",
        given=FRONT,
        live=(FRONT, off("web-1")),
        power="captured",
    ),
    Case(
        why="a VM that this restore has nothing to do with is left alone, whatever its labels",
        given=FRONT,
        live=(FRONT, off("web-1"), off("stranger")),
        known=(off("web-1"),),
        wishes={VM: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a service follows the groups of its VMs",
        given=FRONT,
        live=(FRONT, tier(["web-1"]), off("web-1", "tier")),
        known=(off("web-1", "tier"),),
        captured={"tier": ""},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a group that this restore does not replay is left alone, and said",
        given=FRONT,
        live=(FRONT, tier(["web-1"]), off("web-1", "tier")),
        known=(off("web-1", "tier"),),
        notes="web-1 is left to its group tier, which this restore does not replay",
    ),
    Case(
        why="a group that names no member any more holds none",
        given=FRONT,
        live=(FRONT, off("web-1", "gone")),
        known=(off("web-1", "gone"),),
        wishes={VM: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a VM of a group that is still to be replayed waits for it",
        given=FRONT,
        live=(FRONT, group("tier", []), off("web-1", "tier")),
        known=(off("web-1", "tier"),),
        captured={"tier": ""},
        coming=("tier",),
        waiting=("web-1: not powered on before VirtualMachineGroup tier is replayed",),
        to_come=True,
    ),
    Case(
        why="a VM that its group does not list is powered by its own",
        given=FRONT,
        live=(FRONT, group("tier", []), off("web-1", "tier")),
        known=(off("web-1", "tier"),),
        captured={"tier": ""},
        wishes={VM: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="a group that its parent does not list is its own root",
        given=group("tier", ["web-1"], parent="top"),
        live=(group("top", []), tier(["web-1"], parent="top"), off("web-1", "tier")),
        captured={"top": "", "tier": ""},
        wishes={GROUP: ON},
        waiting=("web-1 is PoweredOff",),
    ),
    Case(why="a service without selector has no VMs", given=service("front"), live=(off("web-1"),)),
]

HELD_BACK = [
    Case(
        why="a VM that is held back is neither asked nor waited for, and said",
        given=FRONT,
        live=(FRONT, off("web-1", meta={"annotations": {CHECK: "x"}})),
        known=(off("web-1"),),
        notes=f"web-1 is held back by {CHECK}: power it on when that is gone",
    ),
    Case(
        why="a group is asked all the same, for the others",
        given=group("tier", ["web-1", "web-2"]),
        live=(
            tier(["web-1", "web-2"]),
            off("web-1", "tier", meta={"annotations": {CHECK: "x"}}),
            off("web-2", "tier"),
        ),
        known=(off("web-1", "tier"), off("web-2", "tier")),
        wishes={GROUP: ON},
        waiting=("web-2 is PoweredOff",),
        notes=f"web-1 is held back by {CHECK}",
    ),
    Case(
        why="a group over a VM that alone is held back is not asked to apply its state again",
        given=TIER,
        live=(
            tier(["web-1"], powerState="PoweredOn", meta={"annotations": {SET_AT: BEFORE}}),
            off("web-1", "tier", meta={"annotations": {CHECK: "x"}}),
        ),
        notes=f"web-1 is held back by {CHECK}",
    ),
    Case(
        why="one that runs is not held back",
        given=FRONT,
        live=(FRONT, on("web-1", meta={"annotations": {CHECK: "x"}})),
        known=(off("web-1"),),
    ),
]

PROBE = {"readinessProbe": {"tcpSocket": {"port": 80}}}
RUNNING = [
    Case(
        why="on its way",
        given=FRONT,
        live=(FRONT, off("web-1", spec=ON)),
        known=(off("web-1"),),
        waiting=("web-1 is PoweredOff",),
    ),
    Case(
        why="no state is known",
        given=FRONT,
        live=(FRONT, vm("web-1", labels=WEB, power="", spec=ON)),
        known=(off("web-1"),),
        waiting=("web-1 is in no known power state",),
    ),
    Case(
        why="suspended is asked",
        given=FRONT,
        live=(FRONT, vm("web-1", labels=WEB, power="Suspended")),
        known=(off("web-1"),),
        wishes={VM: ON},
        waiting=("web-1 is Suspended",),
    ),
    Case(
        why="VM Operator says that the state is not taken yet",
        given=FRONT,
        live=(FRONT, on("web-1", status={"conditions": [condition("VirtualMachinePowerStateSynced", "False")]})),
        known=(off("web-1"),),
        waiting=("web-1 has not taken the power state yet (VirtualMachinePowerStateSynced)",),
    ),
    Case(
        why="VM Operator says that the state is taken",
        given=FRONT,
        live=(
            FRONT,
            on(
                "web-1",
                status={
                    "conditions": [condition("VirtualMachinePowerStateSynced")],
                    "network": {"primaryIP6": "2001:db8::1"},
                },
            ),
        ),
        known=(off("web-1"),),
    ),
    Case(
        why="no address yet",
        given=FRONT,
        live=(FRONT, on("web-1", ip="")),
        known=(off("web-1"),),
        waiting=("web-1 runs and has no address yet",),
    ),
    Case(
        why="the readiness probe has not passed",
        given=FRONT,
        live=(FRONT, on("web-1", spec=PROBE)),
        known=(off("web-1"),),
        waiting=("web-1 does not pass its readiness probe yet",),
    ),
    Case(
        why="the readiness probe has passed",
        given=FRONT,
        live=(
            FRONT,
            on(
                "web-1",
                spec=PROBE,
                status={"conditions": [condition("Ready")], "network": {"primaryIP4": "192.0.2.1"}},
            ),
        ),
        known=(off("web-1"),),
    ),
]
CASES = [*THROUGH_GROUPS, *AS_CAPTURED, *BY_THEIR_OWN, *HELD_BACK, *RUNNING]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_the_power_that_is_asked_for(case: Case) -> None:
    step = decided(
        case.given,
        *case.live,
        power=case.power,
        captured=case.captured,
        coming=case.coming,
        known=case.known,
        under_way=case.under_way,
        absent=case.absent,
    )
    assert wished(step) == case.wishes
    assert step.waiting == case.waiting
    assert case.notes in "; ".join(step.notes)
    assert bool(step.notes) is bool(case.notes)
    assert step.to_come is case.to_come


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_leave_does_nothing_at_all(case: Case) -> None:
    step = decided(case.given, *case.live, power="leave", captured=case.captured, coming=case.coming, known=case.known)
    assert step == PowerStep()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
@pytest.mark.parametrize("power", ["captured", "on"])
def test_no_vm_is_ever_powered_off_and_no_power_state_emptied(case: Case, power: str) -> None:
    step = decided(case.given, *case.live, power=power, captured=case.captured, coming=case.coming, known=case.known)
    assert all(dict(wish.change) in ({"spec": ON}, {"spec": NOW}) for wish in step.wishes)
    assert {wish.ref.namespace for wish in step.wishes} <= {"shop"}


def test_groups_that_contain_themselves_come_to_an_end() -> None:
    a, b = tier(["/b"], name="a", parent="b"), tier(["/a"], name="b", parent="a")
    step = decided(group("a", ["/b"], parent="b"), a, b, captured={"a": "", "b": ""})
    assert len(step.wishes) <= 1


def test_a_late_member_of_a_group_that_runs_is_explained_with_the_command() -> None:
    status = {**linked("web-1"), "lastUpdatedPowerStateTime": SINCE}
    users_group = group(
        "other", ["web-1"], powerState="PoweredOn", meta={"annotations": {SET_AT: BEFORE}}, more={"status": status}
    )
    step = decided(FRONT, FRONT, off("web-1", "other"), users_group, captured={}, known=(off("web-1", "other"),))
    notes = "; ".join(step.notes)
    assert "its group other has applied PoweredOn" in notes
    assert "kubectl -n shop patch virtualmachine web-1 --type merge" in notes
    assert step.wishes == ()
