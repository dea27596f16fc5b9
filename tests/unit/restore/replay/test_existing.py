"""Objects that exist: the restore's existingResourcePolicy is the user's word, and nothing is ever deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, group, obj, service, vm, vsphere_namespace
from velero_vmservice.errors import DryRunUnsupported
from velero_vmservice.kube import manifest as kinds
from velero_vmservice.kube.manifest import ObjectRef

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
UPDATE = {"existingResourcePolicy": "update"}
VM = vm("web-1", labels=WEB, group="tier")


@dataclass(frozen=True)
class Case:
    why: str
    captured: dict[str, Any]
    live: dict[str, Any]
    policy: dict[str, str]
    stage: str
    writes: tuple[str, ...] = ()
    error: str = ""
    excerpt: str = ""


FRONT = service("front", WEB)
TIER = group("tier", ["web-1"])
CASES = [
    Case(why="identical", captured=FRONT, live=FRONT, policy={}, stage="verified", excerpt="was there already"),
    Case(why="identical, update", captured=FRONT, live=FRONT, policy=UPDATE, stage="verified"),
    Case(
        why="different",
        captured=FRONT,
        live=service("front", {"app": "new"}),
        policy={},
        stage="retained",
        excerpt="spec.selector; left as it is",
    ),
    Case(
        why="different, none",
        captured=FRONT,
        live=service("front", {"app": "new"}),
        policy={"existingResourcePolicy": "none"},
        stage="retained",
    ),
    Case(
        why="different, update",
        captured=FRONT,
        live=service("front", {"app": "new", "tier": "x"}),
        policy=UPDATE,
        stage="verified",
        writes=("dry-run patch", "patch"),
    ),
    Case(
        why="immutable, update",
        captured=FRONT,
        live=service("front", WEB, type="ClusterIP"),
        policy=UPDATE,
        stage="failed",
        error="spec.type cannot be changed",
    ),
    Case(
        why="immutable, none",
        captured=FRONT,
        live=service("front", WEB, type="ClusterIP"),
        policy={},
        stage="retained",
    ),
    Case(
        why="a group with another member, update",
        captured=TIER,
        live=group("tier", ["web-2"], powerState="PoweredOff"),
        policy=UPDATE,
        stage="verified",
        writes=("dry-run patch", "patch"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_existing(world: World, case: Case) -> None:
    items = world.back_up(VM, case.captured)
    world.cluster.seed(case.live)
    before = world.live(case.live["kind"], case.live["metadata"]["name"])
    world.cluster.calls.made.clear()
    (last,) = world.finish(world.replay_all(items, **case.policy), **case.policy).values()
    assert last.description.startswith(case.stage)
    assert case.excerpt in last.description
    assert bool(last.error) is bool(case.error)
    assert case.error in last.error
    assert tuple(name for name, _ in world.cluster.calls.made if "create" in name or "patch" in name) == case.writes
    after = world.live(before.kind_name, before.name)
    assert after.uid == before.uid
    if case.writes:
        assert {key: after.spec.get(key) for key in case.captured["spec"]} == case.captured["spec"]
        assert after.labels["velero.io/restore-name"] == "again"
    else:
        assert after.spec == before.spec


def test_an_update_keeps_what_the_backup_does_not_speak_of(world: World) -> None:
    items = world.back_up(VM, TIER)
    live = group("tier", ["web-2"], powerState="PoweredOff", meta={"labels": {"new": "1"}, "annotations": {"a": "b"}})
    world.cluster.seed(live)
    world.finish(world.replay_all(items, **UPDATE), **UPDATE)
    after = world.live("VirtualMachineGroup", "tier")
    assert after.spec["powerState"] == "PoweredOff"
    assert after.labels["new"] == "1"
    assert after.annotations == {"a": "b"}


def test_an_object_that_is_being_deleted_is_waited_for_and_made_anew(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.cluster.seed(service("front", WEB, meta={"deletionTimestamp": "2026-03-01T12:00:00Z"}))
    operations = world.replay_all(items, **UPDATE)
    for _ in range(3):
        assert "is there and being deleted" in world.round(operations, **UPDATE)[operations[0]].description
    assert world.created() == []
    world.cluster.remove(ObjectRef(kinds.VIRTUAL_MACHINE_SERVICE, "shop", "front"))
    world.finish(operations, **UPDATE)
    assert world.created() == ["VirtualMachineService shop/front"]


def test_an_object_that_appears_in_between_is_decided_on_anew(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(FRONT)
    operations = world.replay_all(items)
    world.cluster.calls.before("create", lambda _: world.cluster.seed(service("front", {"app": "another"})))
    assert "observed again" in world.round(operations)[operations[0]].description
    (last,) = world.finish(operations).values()
    assert last.description.startswith("retained")
    assert world.live("VirtualMachineService", "front").spec["selector"] == {"app": "another"}


def test_an_object_that_vanishes_before_its_update_is_created(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.cluster.seed(service("front", {"app": "new"}))
    operations = world.replay_all(items, **UPDATE)
    world.cluster.calls.before("patch", lambda _: world.lose(FRONT))
    world.round(operations, **UPDATE)
    world.cluster.calls.heal()
    world.finish(operations, **UPDATE)
    assert world.created() == ["VirtualMachineService shop/front"]


def test_even_an_existing_object_is_looked_at_when_its_vms_are_there(world: World) -> None:
    items = world.back_up(VM, FRONT)
    world.lose(VM)
    world.cluster.seed(service("front", {"app": "new"}))
    operations = world.replay_all(items, **UPDATE)
    assert "web-1: not registered yet" in world.round(operations, **UPDATE)[operations[0]].description


def test_an_earlier_restore_of_the_same_name_is_no_excuse(world: World) -> None:
    """Its label is still on the object; what was edited since is compared all the same."""
    items = world.back_up(VM, service("front", {"app": "web"}))
    world.lose(service("front"))
    world.finish(world.replay_all(items))
    ref = ObjectRef(kinds.VIRTUAL_MACHINE_SERVICE, NAMESPACE, "front")
    ports = [{"name": "other", "protocol": "TCP", "port": 9999, "targetPort": 9999}]
    world.cluster.patch(ref, {"spec": {"ports": ports}}, version="v1alpha5")
    world.clock.advance(3600)
    world.restart()
    later = {"started": "2026-03-01T13:00:00Z", "uid": "another-run"}
    ended = world.finish(world.replay_all(items, **later), **later)
    assert [progress.description.partition(":")[0] for progress in ended.values()] == ["retained"]


def test_a_service_that_is_not_vm_operators_is_not_taken_over(world: World) -> None:
    items = world.back_up(VM, service("front", {"app": "web"}))
    world.lose(service("front"))
    world.cluster.seed(obj("Service", "front", api="v1", spec={"ports": [{"port": 80}]}))
    (progress,) = world.finish(world.replay_all(items)).values()
    assert "not VM Operator's, which would overwrite it" in progress.error
    assert world.created() == []


def test_two_objects_of_one_name_mapped_into_one_namespace_are_reported(world: World) -> None:
    both = {"namespaceMapping": {NAMESPACE: "both", "other": "both"}}
    world.cluster.seed(vsphere_namespace("other"), vsphere_namespace("both"))
    mine, theirs = service("front", {"app": "x"}), {**service("front", {"app": "y"})}
    theirs = {**theirs, "metadata": {**theirs["metadata"], "namespace": "other"}}
    items = world.back_up(mine, theirs)
    ended = world.finish(world.replay_all(items, **both), **both)
    assert sorted(progress.description.partition(":")[0] for progress in ended.values()) == ["failed", "verified"]
    assert any("both are mapped into both" in progress.error for progress in ended.values())


def test_a_webhook_that_cannot_be_dry_run_does_not_hold_the_replay(world: World) -> None:
    items = world.back_up(VM, service("front", {"app": "web"}))
    world.lose(service("front"))
    refusal = DryRunUnsupported('admission webhook "x.example.com" does not support dry run')
    world.cluster.calls.fail("dry-run create", refusal)
    (progress,) = world.finish(world.replay_all(items)).values()
    assert progress.description.startswith("verified")
