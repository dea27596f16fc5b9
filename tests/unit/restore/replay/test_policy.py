"""Every policy of a restore, as an administrator asks for it: in the settings, or by annotation on the Restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, group, obj, service, vm, with_policy
from tests.unit.world import World
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.restore.policy import RestorePolicy

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
VM = vm("web-1", labels=WEB, group="tier")
FRONT = service("front", WEB)
TIER = group("tier", ["web-1"])


def lost(world: World, *objects: dict[str, Any], **spec: Any) -> list[str]:
    items = world.back_up(*objects)
    world.lose(*objects)
    world.cluster.calls.made.clear()
    return world.replay_all(items, **spec)


def last(world: World, operation: str, **spec: Any) -> Progress:
    return world.finish([operation], **spec)[operation]


# What is not valid.


def test_execute_refuses_a_policy_that_does_not_exist_before_anything_is_deferred(world: World) -> None:
    items = world.back_up(VM, FRONT)
    with pytest.raises(InvalidSettings, match="/powr: unknown policy; did you mean power") as caught:
        world.replay(items[0], **with_policy(powr="on"))
    assert "power" in caught.value.hint.split(", ")
    with pytest.raises(InvalidSettings, match="power has to be 'leave', 'captured' or 'on'") as caught:
        world.replay(items[0], **with_policy(power="maybe"))
    assert caught.value.hint == "correct or remove it"


@pytest.mark.parametrize(
    "wrong", [with_policy(powr="on"), with_policy(power="maybe"), with_policy(registered_within="soon")]
)
def test_a_policy_that_becomes_wrong_while_waiting_is_reported_and_nothing_done_until_it_is_corrected(
    world: World, wrong: dict[str, Any]
) -> None:
    (operation,) = lost(world, VM, FRONT)
    world.round([operation])
    world.cluster.seed(vm("web-1", labels=WEB, group="tier", uid="new"))
    for _ in range(3):
        progress = world.polled(operation, **wrong)
        assert (progress.completed, progress.error) == (False, "")
        assert "annotation velero-plugin-for-vmservice/" in progress.description
        assert "unknown policy; did you mean power?" in progress.description or " has to be " in progress.description
    assert world.created() == []
    assert last(world, operation).description.startswith("verified")


def test_a_policy_that_changes_while_waiting_is_followed(world: World) -> None:
    (operation,) = lost(world, VM, service("front", WEB, type="ClusterIP", clusterIp="10.0.0.7"))
    world.round([operation])
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    last(world, operation, **with_policy(cluster_ip="keep"))
    assert world.live("VirtualMachineService", "front").spec["clusterIp"] == "10.0.0.7"


def test_the_effective_policy_is_logged_and_reported(world: World, log: LogCapture) -> None:
    policy = with_policy(power="captured", registered_within="12h")
    (operation,) = lost(world, vm("web-1", labels=WEB), FRONT, **policy)
    (entry,) = [line for line in log.entries if line["event"] == "restore begins"]
    assert (entry["policy"]["power"], entry["policy"]["conflict"]) == ("captured", "retain")
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))
    last(world, operation, **policy)
    reported = world.document("restores/again/20260301T120000Z/report.json")["policy"]
    assert reported == entry["policy"]
    assert reported["registered-within"] == "12h"


def test_the_settings_hold_where_the_restore_says_nothing() -> None:
    world = World(restore=RestorePolicy(conflict="fail"))
    items = world.back_up(VM, FRONT)
    world.cluster.seed(service("front", {"app": "other"}))
    (operation,) = world.replay_all(items, existingResourcePolicy="update")
    assert "conflict=fail" in last(world, operation, existingResourcePolicy="update").error
    other = {"name": "second", "existingResourcePolicy": "update", **with_policy(conflict="existing-resource-policy")}
    (again,) = world.replay_all(items, **other)
    assert last(world, again, **other).error == ""
    assert world.patched() == ["VirtualMachineService shop/front"]


# conflict


@dataclass(frozen=True)
class Case:
    why: str
    live: tuple[dict[str, Any], ...]
    stage: dict[str, str]
    excerpt: str = ""


OTHER = service("front", {"app": "other"})
FIXED = service("front", WEB, type="ClusterIP")
HOLDER = obj("Service", "front", api="v1", spec={"ports": [{"port": 80}]})
BACK = {"apiVersion": "vmoperator.vmware.com/v1alpha5", "kind": "VirtualMachineService", "name": "back", "uid": "1"}
OF_ANOTHER = obj("Service", "front", api="v1", meta={"ownerReferences": [BACK]})
DIFFERS = "differs from the capture in spec."
ALL_ALIKE = dict.fromkeys(("existing-resource-policy", "fail", "retain", "update"))
CONFLICTS = [
    Case(why="absent", live=(), stage=dict.fromkeys(ALL_ALIKE, "created")),
    Case(why="identical", live=(FRONT,), stage=dict.fromkeys(ALL_ALIKE, "untouched")),
    Case(
        why="different",
        live=(OTHER,),
        stage={
            "existing-resource-policy": "retained",
            "fail": "failed",
            "retain": "retained",
            "update": "updated",
        },
        excerpt="spec.selector",
    ),
    Case(
        why="different where nothing may change",
        live=(FIXED,),
        stage={
            "existing-resource-policy": "retained",
            "fail": "failed",
            "retain": "retained",
            "update": "failed",
        },
        excerpt="spec.type",
    ),
    Case(
        why="a user's own Service has the name",
        live=(HOLDER,),
        stage=dict.fromkeys(ALL_ALIKE, "failed"),
        excerpt="not VM Operator's",
    ),
    Case(
        why="the Service of another VirtualMachineService has the name",
        live=(OF_ANOTHER,),
        stage=dict.fromkeys(ALL_ALIKE, "failed"),
        excerpt="of VirtualMachineService back",
    ),
]


@pytest.mark.parametrize("case", CONFLICTS, ids=lambda c: c.why)
@pytest.mark.parametrize("conflict", ALL_ALIKE)
def test_an_object_that_is_there(world: World, case: Case, conflict: str) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(FRONT)
    world.cluster.seed(*case.live)
    world.cluster.calls.made.clear()
    (operation,) = world.replay_all(items)
    progress = last(world, operation, **with_policy(conflict=conflict))
    want = case.stage[conflict]
    starts = {"created": "verified", "untouched": "verified", "updated": "verified"}
    assert progress.description.startswith(starts.get(want, want))
    assert bool(progress.error) is (want == "failed")
    assert case.excerpt in progress.description or want == "updated"
    name = "VirtualMachineService shop/front"
    assert world.writes() == {"created": [("create", name)], "updated": [("patch", name)]}.get(want, [])


# label-mismatch


@pytest.mark.parametrize(
    ("given", "excerpt"),
    [
        (FRONT, "web-1 is not selected: its label app is db, not web"),
        (TIER, "web-1 is not a member: its spec.groupName is other, not tier"),
    ],
    ids=["label", "group name"],
)
def test_a_vm_that_lost_its_label_or_group_is_treated_by_policy(given: dict[str, Any], excerpt: str) -> None:
    worlds = {}
    for policy in ("warn", "wait", "fail"):
        world = worlds[policy] = World()
        (operation,) = lost(world, VM, given)
        world.cluster.seed(vm("web-1", labels={"app": "db"}, group="other", uid="new"))
        polled: dict[str, Progress] = {}
        for _ in range(6):
            if not polled or not polled[operation].completed:
                polled |= world.round([operation], **with_policy(label_mismatch=policy))
        assert excerpt in polled[operation].description
        assert polled[operation].completed is (policy != "wait")
        assert bool(polled[operation].error) is (policy == "fail")
        assert len(world.created()) == (policy == "warn")
        if policy == "wait":
            world.cluster.seed(vm("web-1", labels=WEB, group="tier", uid="new"))
            assert excerpt not in last(world, operation, **with_policy(label_mismatch=policy)).description
            assert len(world.created()) == 1


# capture


def forget(world: World) -> None:
    for key in list(world.store.list("captures/")):
        world.store.delete(key)


@pytest.mark.parametrize("when", ["before Execute", "while it waits"])
def test_a_capture_that_is_gone_is_optional_if_the_policy_says_so(world: World, when: str) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(FRONT)
    if when == "before Execute":
        forget(world)
    (operation,) = world.replay_all(items)
    forget(world)
    world.restart()
    progress = last(world, operation, **with_policy(capture="prefer"))
    assert "is gone: the backup's own item is taken instead" in progress.description
    assert progress.error == ""
    assert world.live("VirtualMachineService", "front").spec["selector"] == WEB


@pytest.mark.parametrize("when", ["before Execute", "while it waits"])
@pytest.mark.parametrize("policy", [{}, with_policy(capture="require")], ids=["required meanwhile", "required"])
def test_a_capture_that_is_gone_fails_the_object_if_it_is_required(
    world: World, when: str, policy: dict[str, Any]
) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(FRONT)
    if when == "before Execute":
        forget(world)
    (operation,) = world.replay_all(items, **policy)
    forget(world)
    assert "virtualmachineservices/shop/front.json" in last(world, operation, **with_policy(capture="require")).error
    assert world.created() == []


def test_a_capture_that_was_required_and_is_gone_says_how_to_go_on_without(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(FRONT)
    (operation,) = world.replay_all(items, **with_policy(capture="require"))
    forget(world)
    assert "make a new Velero restore, which replays the item in Velero's own archive" in last(world, operation).error


def test_a_backup_without_captures_is_replayed_from_its_items_unless_they_are_required(world: World) -> None:
    world.cluster.seed(VM)
    (operation,) = world.replay_all([FRONT])
    progress = last(world, operation, **with_policy(capture="require"))
    assert "has no capture, and the policy is capture=require" in progress.error
    assert "capture=prefer" in progress.error
    (again,) = world.replay_all([FRONT], name="second")
    assert "has no link to a capture" in last(world, again, name="second", **with_policy(capture="prefer")).description


# cluster-ip, vip


@pytest.mark.parametrize(
    ("policy", "want"),
    [({}, {}), (with_policy(cluster_ip="drop"), {}), (with_policy(cluster_ip="keep"), {"clusterIp": "10.0.0.7"})],
)
def test_the_cluster_ip_belongs_to_the_old_cluster_unless_it_is_kept(
    world: World, policy: dict[str, Any], want: dict[str, str]
) -> None:
    (operation,) = lost(world, service("back", {"app": "none"}, type="ClusterIP", clusterIp="10.0.0.7"))
    last(world, operation, **policy)
    live = world.live("VirtualMachineService", "back").spec
    assert {key: live[key] for key in live if key == "clusterIp"} == want


@pytest.mark.parametrize(
    ("policy", "want"),
    [({}, {}), (with_policy(vip="drop"), {}), (with_policy(vip="request"), {"loadBalancerIP": "192.0.2.10"})],
)
def test_the_address_of_the_load_balancer_is_new_unless_it_is_requested(
    world: World, policy: dict[str, Any], want: dict[str, str]
) -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}
    (operation,) = lost(world, service("front", {"app": "none"}, more={"status": status}))
    progress = last(world, operation, **policy)
    live = world.live("VirtualMachineService", "front").spec
    assert {key: live[key] for key in live if key == "loadBalancerIP"} == want
    assert "load balancer address: 192.0.2.10 → not assigned yet" in progress.description


@pytest.mark.parametrize("policy", [with_policy(cluster_ip="keep"), with_policy(vip="request")])
def test_a_requested_address_is_no_difference_after_a_restart(world: World, policy: dict[str, Any]) -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}
    kind = "LoadBalancer" if "vip" in str(policy) else "ClusterIP"
    ip = {} if kind == "LoadBalancer" else {"clusterIp": "10.0.0.7"}
    (operation,) = lost(world, service("front", {"app": "none"}, type=kind, more={"status": status}, **ip))
    world.round([operation], **policy)
    world.restart()
    progress = last(world, operation, **policy)
    assert "changed since" not in progress.description
    assert world.writes() == [("create", f"VirtualMachineService {NAMESPACE}/front")]
