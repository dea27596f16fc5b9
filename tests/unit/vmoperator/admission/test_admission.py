from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.builders import Json, group, m, obj, service, vm
from velero_vmservice.vmoperator.admission.group import POWER_STAMP, problems

HTTP = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}
TLS = {"name": "tls", "protocol": "TCP", "port": 443, "targetPort": 8443}


def external(**spec: Any) -> Json:
    return service("front", **{"type": "ExternalName", "ports": [], **spec})


@pytest.mark.parametrize(
    "given",
    [
        service("front", {"app": "web", "example.com/tier": ""}),
        service("front", ports=[HTTP, TLS]),
        service("front", ports=[HTTP, {**TLS, "port": 80, "protocol": "UDP"}]),
        service("front", ports=[{**HTTP, "name": ""}]),
        service("front", type="ClusterIP", clusterIp="None", ports=[]),
        service("front", type="ClusterIP", clusterIp="fd00::1"),
        service("front", clusterIp=""),
        service("front", loadBalancerSourceRanges=["10.1.2.3/8", " fd00::/8 "], loadBalancerIP="192.0.2.1"),
        service("front", ipFamilies=["IPv6", "IPv4"], ipFamilyPolicy="RequireDualStack"),
        external(externalName="db.example.com."),
        external(externalName="db", ports=[HTTP]),
        group("tier", ["web-1"], ["/inner", "web-2"], parent="top", powerState="PoweredOn"),
        group("tier", nextForcePowerStateSyncTime="Now"),
        group("tier", ["tier"]),
        obj("VirtualMachineGroup", "empty"),
        group("tier", powerState="PoweredOn", meta={"annotations": {POWER_STAMP: "2026-03-01T12:00:00Z"}}),
        vm("Not-Ours"),
        {**service("1"), "apiVersion": "example.com/v1"},
    ],
)
def test_what_the_webhooks_accept_is_no_problem(given: Json) -> None:
    assert problems(m(given)) == ()


@dataclass(frozen=True, kw_only=True)
class Case:
    why: str
    given: Json
    want: tuple[str, ...] = field(default=())
    """How each sentence begins."""


def member(**given: Any) -> Json:
    return group("tier", bootOrder=[{"members": [given]}])


CASES = (
    Case(why="a digit first", given=service("1front"), want=("metadata.name is '1front'",)),
    Case(why="a name too long", given=service("a" * 64), want=("metadata.name is 'aaa",)),
    Case(why="a dot in the name", given=service("front.shop"), want=("metadata.name is 'front.shop'",)),
    Case(why="no type", given=service("front", type=None), want=("spec.type is missing",)),
    Case(why="an unknown type", given=service("front", type="NodePort"), want=("spec.type is 'NodePort'",)),
    Case(why="a headless load balancer", given=service("front", clusterIp="None"), want=("spec.clusterIp is 'None'",)),
    Case(why="no address", given=service("front", clusterIp="10.0.0"), want=("spec.clusterIp is '10.0.0'",)),
    Case(
        why="an address with a zone", given=service("front", clusterIp="fe80::1%a"), want=("spec.clusterIp is 'fe80",)
    ),
    Case(
        why="an address on an external name",
        given=external(externalName="db.example.com", clusterIp="10.0.0.1"),
        want=("spec.clusterIp is '10.0.0.1': a service of type ExternalName",),
    ),
    Case(why="no external name", given=external(), want=("spec.externalName is missing",)),
    Case(why="only a dot", given=external(externalName="."), want=("spec.externalName is missing",)),
    Case(why="a bad external name", given=external(externalName="a_b"), want=("spec.externalName is 'a_b'",)),
    Case(why="no ports", given=service("front", ports=[]), want=("spec.ports is empty",)),
    Case(
        why="a second port without a name",
        given=service("front", ports=[HTTP, {**TLS, "name": ""}]),
        want=("spec.ports[1].name is missing",),
    ),
    Case(
        why="a port without the field that the schema wants",
        given=service("front", ports=[{key: value for key, value in HTTP.items() if key != "name"}]),
        want=("spec.ports[0].name is missing",),
    ),
    Case(
        why="a port name in upper case",
        given=service("front", ports=[{**HTTP, "name": "HTTP"}]),
        want=("spec.ports[0].name is 'HTTP'",),
    ),
    Case(
        why="two ports of one name",
        given=service("front", ports=[HTTP, {**TLS, "name": "http"}]),
        want=("spec.ports[0].name is 'http', which another", "spec.ports[1].name is 'http', which another"),
    ),
    Case(
        why="one port twice",
        given=service("front", ports=[HTTP, TLS, {**HTTP, "name": "again"}]),
        want=("spec.ports[2] is TCP 80, as spec.ports[0] is",),
    ),
    Case(
        why="ports out of range",
        given=service("front", ports=[{**HTTP, "port": 65536, "targetPort": 0}]),
        want=("spec.ports[0].port is 65536", "spec.ports[0].targetPort is 0"),
    ),
    Case(
        why="ports that are no numbers",
        given=service("front", ports=[{**HTTP, "port": "http", "targetPort": None}]),
        want=("spec.ports[0].port is 'http'", "spec.ports[0].targetPort is missing"),
    ),
    Case(
        why="a protocol nobody knows",
        given=service("front", ports=[{**HTTP, "protocol": "tcp"}]),
        want=("spec.ports[0].protocol is 'tcp'",),
    ),
    Case(
        why="no protocol",
        given=service("front", ports=[{**HTTP, "protocol": ""}]),
        want=("spec.ports[0].protocol is missing",),
    ),
    Case(why="a selector key", given=service("front", {"a b": "x"}), want=("spec.selector has the key 'a b'",)),
    Case(why="a selector value", given=service("front", {"app": "a b"}), want=("spec.selector[app] is 'a b'",)),
    Case(
        why="no selector",
        given=obj("VirtualMachineService", "front", spec={"type": "ExternalName", "externalName": "x", "selector": []}),
        want=("spec.selector is []",),
    ),
    Case(
        why="source ranges without a load balancer",
        given=service("front", type="ClusterIP", loadBalancerSourceRanges=["10.0.0.0/8"]),
        want=("spec.loadBalancerSourceRanges is set on a service of type ClusterIP",),
    ),
    Case(
        why="source ranges that are none",
        given=service("front", loadBalancerSourceRanges=["10.0.0.1", "10.0.0.0/255.0.0.0", "10.0.0.0/33", 7]),
        want=tuple(f"spec.loadBalancerSourceRanges[{index}] is " for index in range(4)),
    ),
    Case(
        why="families on an external name",
        given=external(externalName="db", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"),
        want=("spec.ipFamilies is set", "spec.ipFamilyPolicy is set"),
    ),
    Case(
        why="families three times",
        given=service("front", ipFamilies=["IPv4", "IPv4", "IPv5"], ipFamilyPolicy="Any"),
        want=(
            "spec.ipFamilies names IPv4 twice",
            "spec.ipFamilies[2] is 'IPv5'",
            "spec.ipFamilies has 3 entries",
            "spec.ipFamilyPolicy is 'Any'",
        ),
    ),
    Case(
        why="a member in two places",
        given=group("tier", ["web-1"], ["web-2", "web-1"]),
        want=("spec.bootOrder[1].members[1] lists VirtualMachine web-1, which spec.bootOrder[0].members[0]",),
    ),
    Case(
        why="the default kind spelled out is the same member",
        given=group("tier", bootOrder=[{"members": [{"name": "a"}, {"name": "a", "kind": "VirtualMachine"}]}]),
        want=("spec.bootOrder[0].members[1] lists VirtualMachine a",),
    ),
    Case(
        why="its own member", given=group("tier", ["/tier"]), want=("spec.bootOrder[0].members[0] is the group tier",)
    ),
    Case(why="its own parent", given=group("tier", parent="tier"), want=("spec.groupName is 'tier'",)),
    Case(
        why="a member of another kind",
        given=member(kind="Pod", name="a"),
        want=("spec.bootOrder[0].members[0].kind is",),
    ),
    Case(why="a nameless member", given=member(kind="VirtualMachine"), want=("spec.bootOrder[0].members[0].name is",)),
    Case(why="a power state", given=group("tier", powerState="poweredOn"), want=("spec.powerState is 'poweredOn'",)),
    Case(
        why="the webhook's own stamp",
        given=group("tier", nextForcePowerStateSyncTime="2026-03-01T12:00:00Z"),
        want=("spec.nextForcePowerStateSyncTime is '2026-03-01T12:00:00Z'",),
    ),
    Case(
        why="a stamp without a power state",
        given=group("tier", meta={"annotations": {POWER_STAMP: "2026-03-01T12:00:00Z"}}),
        want=(f"metadata.annotations[{POWER_STAMP}] is ",),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_what_the_webhooks_refuse_is_named_with_its_remedy(case: Case) -> None:
    found = problems(m(case.given))
    assert [sentence[: len(start)] for sentence, start in zip(found, case.want, strict=True)] == list(case.want)
    assert all(";" in sentence for sentence in found), "a remedy follows the rule"
