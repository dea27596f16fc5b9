"""While waiting, progress says of each VM what it is missing, in words for the person on call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import claim, condition, group, obj, registration, service, vm

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
VMOP = "vmoperator.vmware.com"
CREATED = condition("VirtualMachineCreated")


def again(**rest: Any) -> dict[str, Any]:
    """Return web-1 as RegisterVM brings it."""
    return vm("web-1", **{"uid": "new", "labels": WEB, **rest})


def annotated(name: str) -> dict[str, Any]:
    return {"annotations": {f"{VMOP}/{name}": ""}}


@dataclass(frozen=True)
class Case:
    why: str
    given: tuple[dict[str, Any], ...] = ()
    want: str = ""
    gone: bool = field(default=False)


CASES = [
    Case(why="not there", want="web-1: not registered yet"),
    Case(
        why="paused", given=(again(meta=annotated("paused")),), want="web-1: paused by RegisterVM or an administrator"
    ),
    Case(why="paused, old spelling", given=(again(meta=annotated("pause-reconcile")),), want="web-1: paused"),
    Case(
        why="paused by label", given=(again(labels={**WEB, f"{VMOP}/paused": "admin"}),), want="web-1: paused by admin"
    ),
    Case(
        why="no VM found",
        given=(again(status={"uniqueID": ""}),),
        want="web-1: registered, but VM Operator has not found",
    ),
    Case(
        why="not reconciled",
        given=(again(created=False),),
        want="web-1: registered, but VM Operator has not reconciled",
    ),
    Case(
        why="restore detected",
        given=(
            again(
                status={
                    "conditions": [
                        CREATED,
                        condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused"),
                    ]
                }
            ),
        ),
        want="web-1: restored in vCenter, but not registered again yet",
    ),
    Case(
        why="reverting", given=(again(meta=annotated("snapshot-revert-in-progress")),), want="web-1: is being reverted"
    ),
    Case(
        why="on its way out",
        given=(again(meta={"deletionTimestamp": "2026-03-01T12:00:00Z"}),),
        want="web-1: is being deleted",
    ),
    Case(
        why="another VM",
        given=(again(spec={"instanceUUID": "x"}, status={"biosUUID": "y"}),),
        want="web-1: is another VM of that name (instance UUID x, the backup has instance-of-web-1)",
    ),
    Case(why="no claim", given=(again(claims=["restored-a1b2c3"]),), want="web-1: waits for PVC restored-a1b2c3"),
    Case(
        why="claim pending",
        given=(again(claims=["restored-a1b2c3"]), claim("restored-a1b2c3", "Pending")),
        want="web-1: waits for PVC restored-a1b2c3 (Pending)",
    ),
    Case(
        why="disk not registered",
        given=(
            again(claims=["restored-a1"]),
            claim("restored-a1"),
            registration("restored-a1", error="datastore is away"),
        ),
        want="its disk cannot be registered: datastore is away, CnsRegisterVolume register-restored-a1",
    ),
    Case(
        why="no vSphere Namespace",
        given=(obj("Namespace", "shop", api="v1", namespace="", meta={"annotations": {}}),),
        want="the namespace shop is not a vSphere Namespace, so nothing can be registered into it",
    ),
    Case(
        why="an owner that is lost",
        given=(
            again(
                created=False,
                meta={
                    "ownerReferences": [
                        {"apiVersion": f"{VMOP}/v1alpha5", "kind": "VirtualMachineGroup", "name": "tier", "uid": "dead"}
                    ]
                },
            ),
        ),
        want="ownerReference to a lost VirtualMachineGroup tier: Kubernetes will delete it",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_waiting_says_why(world: World, case: Case) -> None:
    items = world.back_up(vm("web-1", labels=WEB), service("front", WEB))
    world.lose(vm("web-1"), service("front"))
    (operation,) = world.replay_all(items)
    world.cluster.seed(*case.given)
    for _ in range(3):
        progress = world.polled(operation)
        assert not progress.completed
        assert case.want in progress.description
        assert progress.description.startswith("waiting: ")
        assert (progress.done, progress.total, progress.units) == (0, 1, "VMs")
    assert world.created() == []
    world.cluster.seed(again())
    world.cluster.seed(
        obj("Namespace", "shop", api="v1", namespace="", meta={"annotations": {"vmware-system-vm-folder": "f"}})
    )
    world.finish([operation])


def test_a_vm_that_was_registered_and_collected_is_explained(world: World) -> None:
    items = world.back_up(vm("web-1", labels=WEB), service("front", WEB))
    world.lose(vm("web-1"), service("front"))
    (operation,) = world.replay_all(items)
    world.cluster.seed(again(created=False))
    world.round([operation])
    world.lose(vm("web-1"))
    description = world.polled(operation).description
    assert "web-1: was registered and has vanished" in description
    assert "owner" in description


def test_many_vms_are_counted_and_the_first_are_named(world: World) -> None:
    machines = [vm(f"web-{n:02}", labels=WEB) for n in range(20)]
    items = world.back_up(*machines, service("front", WEB))
    world.lose(*machines, service("front"))
    (operation,) = world.replay_all(items)
    world.cluster.seed(*[vm(f"web-{n:02}", labels=WEB, uid=f"new-{n}") for n in range(5)])
    world.round([operation])
    progress = world.polled(operation)
    assert (progress.done, progress.total) == (5, 20)
    assert "web-05: not registered yet" in progress.description
    assert "and 7 more" in progress.description


def test_a_wait_after_creation_is_described_too(world: World) -> None:
    items = world.back_up(vm("web-1", group="tier"), group("tier", ["web-1"]))
    world.lose(group("tier"))
    (operation,) = world.replay_all(items)
    assert world.poll(operation).description.startswith("replayed: created")
    world.clock.advance(10)
    assert "web-1 is not linked yet (GroupLinked)" in world.poll(operation).description


def test_moments_are_described(world: World) -> None:
    items = world.back_up(vm("web-1", labels=WEB), service("front", WEB))
    world.lose(vm("web-1"), service("front"))
    (operation,) = world.replay_all(items)
    began = world.clock.now()
    progress = world.polled(operation)
    assert progress.started == began
    assert progress.updated == world.clock.now()
