from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.unit.builders import group, look, obj, run, service, subject, view, vm
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.restore.model import Action, Step, Subject
from velero_vmservice.restore.order import in_order
from velero_vmservice.restore.plan.decision import decide
from velero_vmservice.supervisor.readiness import Gate

WEB = {"app": "web"}
VMS = (vm("web-1", labels=WEB, group="tier"), vm("web-2", labels=WEB, group="tier"))
OPEN = {"web-1": Gate(ready=True), "web-2": Gate(ready=True)}
FRONT = service("front", WEB)
TIER = group("tier", ["web-1", "web-2"])
OURS = {"velero.io/restore-name": "again"}


def step(
    given: dict[str, Any], *live: dict[str, Any], pending: tuple[Subject, ...] = (), update: bool = False, **gates: Gate
) -> Step:
    return decide(
        subject(given, *VMS),
        view(
            look(*VMS, *live),
            {**OPEN, **{name.replace("_", "-"): gate for name, gate in gates.items()}},
            of=run(**({"existingResourcePolicy": "update"} if update else {})),
            pending=pending,
        ),
    )


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any]
    live: tuple[dict[str, Any], ...] = ()
    update: bool = False
    want: Action = Action.CREATE
    excerpt: str = ""


CASES = [
    Case(why="nothing is there", given=FRONT),
    Case(why="a group is not there", given=TIER),
    Case(
        why="made by this restore, before a crash",
        given=FRONT,
        live=(service("front", {"app": "edited"}, meta={"labels": OURS}),),
        want=Action.SKIP,
    ),
    Case(why="there already, the same", given=FRONT, live=(FRONT,), want=Action.SKIP, excerpt="was there already"),
    Case(
        why="there and different: kept by default",
        given=FRONT,
        live=(service("front", {"app": "other"}),),
        want=Action.RETAIN,
        excerpt="spec.selector",
    ),
    Case(
        why="there and different: updated when asked",
        given=FRONT,
        live=(service("front", {"app": "other"}),),
        update=True,
        want=Action.UPDATE,
        excerpt="spec.selector",
    ),
    Case(why="the same is not updated", given=FRONT, live=(FRONT,), update=True, want=Action.SKIP),
    Case(
        why="the type cannot be changed",
        given=FRONT,
        live=(service("front", WEB, type="ClusterIP"),),
        update=True,
        want=Action.CONFLICT,
        excerpt="spec.type cannot be changed",
    ),
    Case(
        why="headless cannot be changed",
        given=service("front", WEB, type="ClusterIP", clusterIp="None"),
        live=(service("front", WEB, type="ClusterIP", clusterIp="10.0.0.1"),),
        update=True,
        want=Action.CONFLICT,
        excerpt="spec.clusterIp",
    ),
    Case(
        why="being deleted by a person",
        given=FRONT,
        live=(service("front", WEB, meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),),
        update=True,
        want=Action.WAIT,
        excerpt="being deleted",
    ),
    Case(
        why="a group that exists is updated, never made anew",
        given=TIER,
        live=(group("tier", ["web-1"], powerState="PoweredOn"),),
        update=True,
        want=Action.UPDATE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_what_comes_next(case: Case) -> None:
    decided = step(case.given, *case.live, update=case.update)
    assert decided.action is case.want
    assert case.excerpt in decided.reason
    assert (decided.ready, decided.total) == (2, 2)


def test_there_is_no_action_that_deletes() -> None:
    assert {action.value for action in Action} == {
        "wait",
        "create",
        "update",
        "skip-identical",
        "retain",
        "conflict",
        "blocked",
    }


def test_nothing_happens_before_every_vm_is_ready() -> None:
    decided = step(FRONT, web_2=Gate(ready=False, reason="not registered yet"))
    assert (decided.action, decided.ready, decided.total) == (Action.WAIT, 1, 2)
    assert decided.reason == "web-2: not registered yet"


def test_a_namespace_that_vcenter_did_not_make_is_reported() -> None:
    plain = obj("Namespace", "shop", api="v1", namespace="")
    gates = dict.fromkeys(OPEN, Gate(ready=False, reason="not registered yet"))
    decided = decide(subject(FRONT, *VMS), view(look(namespace=plain), gates))
    assert decided.action is Action.BLOCKED
    assert not decided.final
    assert decided.reason == "the namespace shop is not a vSphere Namespace, so nothing can be registered into it"
    assert decided.remedy.sentence == "Create shop as a vSphere Namespace in vCenter; then repeat the restore."


def test_a_namespace_that_does_not_exist_blocks_also_what_needs_no_vm() -> None:
    decided = decide(subject(service("alone")), view(replace(look(), exists=False), {}))
    assert (decided.action, decided.final) == (Action.BLOCKED, False)
    assert decided.reason == "the namespace shop does not exist, so nothing can be registered into it"


def test_a_service_waits_for_the_groups_of_its_vms_and_no_other() -> None:
    assert step(FRONT, pending=(subject(TIER, *VMS),)).reason == "waits for VirtualMachineGroup shop/tier"
    assert (
        step(FRONT, pending=(subject(group("other", ["db-1"])), subject(service("back", WEB)))).action is Action.CREATE
    )


def test_a_child_waits_for_its_parent() -> None:
    child = group("tier", ["web-1"], parent="top")
    assert step(child, pending=(subject(group("top", ["/tier"])),)).reason == "waits for VirtualMachineGroup shop/top"
    assert step(child).action is Action.CREATE
    assert step(group("top", ["/tier"]), pending=(subject(child),)).action is Action.CREATE


def test_groups_that_contain_themselves_are_blocked_and_not_waited_for() -> None:
    a, b, child = group("a", ["/b"], parent="b"), group("b", ["/a"], parent="a"), group("c", parent="a")
    subjects = [subject(manifest) for manifest in (a, b, child)]
    cycles = order.cycles(subjects, look())
    assert cycles == {"a": "a → b → a", "b": "a → b → a"}
    decided = decide(subjects[0], view(look(), {}, pending=subjects[1:], cycles=cycles))
    assert (decided.action, decided.final) == (Action.BLOCKED, True)
    assert "a → b → a" in decided.reason
    assert decide(subjects[2], view(look(), {}, cycles=cycles)).action is Action.CREATE


def test_a_cycle_is_found_with_what_is_live() -> None:
    assert order.cycles([subject(group("a", ["/b"]))], look(group("b", parent="a"))) == {}
    assert order.cycles([subject(group("a", ["/b"]))], look(group("b", ["/a"]))) == {"a": "a → b → a", "b": "a → b → a"}


@pytest.mark.parametrize(
    ("around", "excerpt"),
    [
        ((), ""),
        ((group("inner", ["db-1"]), vm("db-1")), ""),
        ((group("inner", ["db-1"]), vm("db-1", status={"uniqueID": ""})), "would place db-1 anew"),
        ((group("inner", ["/deep"]), group("deep", ["db-1"]), vm("db-1", status={"uniqueID": ""})), "would place db-1"),
        ((group("inner", ["/tier"]), vm("db-1", status={"uniqueID": ""})), ""),
        ((vm("db-1", status={"uniqueID": ""}),), ""),
        ((group("inner", ["db-1"]),), ""),
    ],
    ids=["alone", "placed", "not placed", "deeper", "a cycle", "no such group", "no such VM"],
)
def test_a_parent_waits_where_vm_operator_would_place_a_nested_vm_anew(
    around: tuple[dict[str, Any], ...], excerpt: str
) -> None:
    decided = step(group("tier", ["web-1"], ["/inner"]), *around)
    assert decided.action is (Action.WAIT if excerpt else Action.CREATE)
    assert excerpt in decided.reason


def test_labels_that_no_longer_match_are_named_exactly() -> None:
    decided = decide(
        subject(FRONT, *VMS),
        view(look(vm("web-1", labels={"app": "db"}, group="tier"), vm("web-2", group="tier")), OPEN),
    )
    assert decided.action is Action.CREATE
    assert decided.warnings == (
        "web-1 is not selected: its label app is db, not web",
        "web-2 is not selected: its label app is missing, not web",
    )


def test_membership_from_one_side_is_reported() -> None:
    observed = look(vm("web-1", group="other"), vm("web-2"))
    decided = decide(subject(TIER, *VMS), view(observed, OPEN))
    assert decided.warnings == (
        "web-1 is not a member: its spec.groupName is other, not tier",
        "web-2 is not a member: its spec.groupName is empty, not tier",
    )


def test_an_owner_that_is_lost_is_reported_while_waiting_and_after() -> None:
    owner = {
        "apiVersion": "vmoperator.vmware.com/v1alpha5",
        "kind": "VirtualMachineGroup",
        "name": "tier",
        "uid": "dead",
    }
    doomed = look(vm("web-1", labels=WEB, group="tier", meta={"ownerReferences": [owner]}), VMS[1])
    waits = {**OPEN, "web-1": Gate(ready=False, reason="registered; looking once more")}
    for gates in (OPEN, waits):
        decided = decide(subject(FRONT, *VMS), view(doomed, gates))
        assert "lost VirtualMachineGroup tier" in " ".join((decided.reason, *decided.warnings))


def test_groups_come_first_and_parents_before_children() -> None:
    subjects = [
        subject(service("a", WEB)),
        subject(group("a-leaf", parent="m-middle")),
        subject(group("m-middle", parent="z-root")),
        subject(group("z-root")),
        subject(group("b-alone", parent="not-in-the-restore")),
    ]
    assert [subject.ref.name for subject in in_order(subjects)] == ["b-alone", "z-root", "m-middle", "a-leaf", "a"]


@dataclass(frozen=True)
class Final:
    stage: Stage
    final: bool = field(default=True)


@pytest.mark.parametrize(
    "case",
    [
        Final(Stage.WAITING, final=False),
        Final(Stage.REPLAYED, final=False),
        Final(Stage.POWERING, final=False),
        Final(Stage.VERIFIED),
        Final(Stage.RETAINED),
        Final(Stage.FAILED),
        Final(Stage.CANCELLED),
    ],
    ids=lambda c: c.stage,
)
def test_stages_that_end(case: Final) -> None:
    assert case.stage.final is case.final


AT = "2026-01-01T00:00:00Z"
HELD = {"deletionTimestamp": AT, "finalizers": ["vmoperator.vmware.com/virtualmachinegroup", "example.com/audit"]}


def test_what_holds_a_group_that_is_being_deleted_and_what_goes_with_it() -> None:
    reason = step(TIER, group("tier", ["web-1"], meta=HELD)).reason
    assert f"being deleted since {AT}" in reason
    assert "finalizers vmoperator.vmware.com/virtualmachinegroup, example.com/audit" in reason
    assert "kubectl -n shop describe virtualmachinegroup tier" in reason
    assert "its member VMs are deleted with it" in reason
    assert "remove" not in reason


def test_what_holds_a_service_that_is_being_deleted() -> None:
    held = {"deletionTimestamp": AT, "finalizers": ["vmoperator.vmware.com/virtualmachineservice"]}
    reason = step(FRONT, service("front", WEB, meta=held)).reason
    assert "held by the finalizer vmoperator.vmware.com/virtualmachineservice" in reason
    assert "make sure that VM Operator runs" in reason
    unheld = step(FRONT, service("front", WEB, meta={"deletionTimestamp": AT})).reason
    assert "held by none: Kubernetes removes it" in unheld


@pytest.mark.parametrize(("power", "excerpt"), [("captured", "web-1 was off at backup"), ("leave", ""), ("on", "")])
def test_the_plan_names_the_vms_that_are_started_though_they_were_off(power: str, excerpt: str) -> None:
    given = replace(subject(TIER, *VMS), started_anyway=("web-1", "not-there"))
    decided = decide(given, view(look(*VMS), OPEN, policy={"power": power}))
    assert decided.action is Action.CREATE
    assert excerpt in " ".join(decided.warnings)
    assert bool(decided.warnings) is bool(excerpt)
