"""probe=tcp: each port of a load balancer that has VMs behind it answers, before its service is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import service, vm, with_policy
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_SERVICE, ObjectRef

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

WEB = {"app": "web"}
VIP = "192.0.2.10"
RUNS = {"labels": WEB, "power": "PoweredOn", "ip": "198.51.100.1"}
PROBE = with_policy(probe="tcp")


def ports(*numbers: int, protocol: str = "TCP") -> list[dict[str, Any]]:
    return [{"name": f"p{n}", "protocol": protocol, "port": n, "targetPort": n} for n in numbers]


def lost(world: World, given: dict[str, Any], *, runs: bool = True) -> str:
    machine = vm("web-1", **(RUNS if runs else {"labels": WEB}))
    items = world.back_up(machine, given)
    world.lose(given)
    return world.replay_all(items)[0]


def assign(world: World, *addresses: str) -> None:
    """Do what the load balancer does once VM Operator has made its Service."""
    live = world.live("VirtualMachineService", "front").editable()
    status = {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}
    world.cluster.seed({**live, "status": status})


def rounds(world: World, operation: str, count: int = 3) -> Progress:
    for _ in range(count):
        progress = world.polled(operation, **PROBE)
    return progress


def probed(world: World) -> dict[str, str]:
    result = world.document("restores/again/20260301T120000Z/virtualmachineservices/shop/front.json")
    return {port["name"]: port["probe"] for port in result["ports"]}


def test_an_address_is_waited_for_and_each_port_tried(world: World) -> None:
    operation = lost(world, service("front", WEB, ports=ports(80, 443)))
    assert rounds(world, operation).description.startswith("powering: the load balancer has no address yet")
    assert world.probe.requests == []
    assign(world, VIP)
    assert world.finish([operation], **PROBE)[operation].error == ""
    assert world.probe.requests == [(VIP, 80), (VIP, 443)]
    assert probed(world) == {"p80": f"{VIP}: answers", "p443": f"{VIP}: answers"}


def test_a_port_that_is_silent_is_tried_again_and_the_others_are_not(world: World) -> None:
    operation = lost(world, service("front", WEB, ports=ports(80, 443)))
    world.round([operation], **PROBE)
    assign(world, VIP)
    world.probe.silent[VIP, 443] = "refuses the connection (Connection refused)"
    progress = rounds(world, operation)
    assert progress.description.startswith(f"powering: {VIP}:443 refuses the connection (Connection refused)")
    world.probe.silent.clear()
    world.finish([operation], **PROBE)
    assert world.probe.requests.count((VIP, 80)) == 1


def test_a_port_that_stays_silent_is_a_failure_in_its_time_and_reported(world: World) -> None:
    operation = lost(world, service("front", WEB, ports=ports(80)))
    world.round([operation], **PROBE)
    assign(world, VIP)
    world.probe.silent[VIP, 80] = "does not answer within 1 s"
    rounds(world, operation)
    world.clock.advance(31 * 60)
    progress = rounds(world, operation)
    assert "the policy's powered-within=30m is over: 192.0.2.10:80 does not answer within 1 s" in progress.error
    assert probed(world) == {"p80": f"{VIP}: does not answer within 1 s"}


def test_many_silent_ports_are_tried_a_few_at_a_time(world: World) -> None:
    numbers = range(8000, 8010)
    operation = lost(world, service("front", WEB, ports=ports(*numbers)))
    world.round([operation], **PROBE)
    assign(world, VIP)
    for number in numbers:
        world.probe.silent[VIP, number] = "is silent"
    for _ in range(3):
        before = len(world.probe.requests)
        progress = rounds(world, operation, 1)
        assert len(world.probe.requests) - before <= 3
    assert "is still to be probed" in progress.description
    world.probe.silent.clear()
    world.finish([operation], **PROBE)
    assert {port for _, port in world.probe.requests} == set(numbers)


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        (service("front", WEB, type="ClusterIP"), True),
        (service("front", WEB), False),
        (service("front"), True),
        (service("front", WEB, ports=ports(53, protocol="UDP")), True),
    ],
    ids=["no load balancer", "no VM runs behind it", "no selector", "no TCP port"],
)
def test_no_port_is_tried_where_nothing_can_answer(world: World, given: dict[str, Any], *, runs: bool) -> None:
    operation = lost(world, given, runs=runs)
    world.round([operation], **PROBE)
    if given["spec"]["type"] == "LoadBalancer":
        assign(world, VIP)
    assert world.finish([operation], **PROBE)[operation].error == ""
    assert world.probe.requests == []


def test_no_port_is_probed_unasked(world: World) -> None:
    operation = lost(world, service("front", WEB))
    world.finish([operation])
    assert world.probe.requests == []


def test_an_object_that_vanishes_is_not_probed(world: World) -> None:
    operation = lost(world, service("front", WEB))
    world.round([operation], **PROBE)
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE_SERVICE, "shop", "front"))
    rounds(world, operation, 1)
    assert world.probe.requests == []
