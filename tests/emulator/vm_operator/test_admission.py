"""The webhooks that the tests play: each rule refuses what it should, and says for which field."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.emulator.machines import group, service
from tests.emulator.vm_operator.admission import Rules

if TYPE_CHECKING:
    from tests.emulator.kubernetes.cluster import Object

NAMESPACE: Final = "shop"
PORT: Final[dict[str, Any]] = {"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080}
DELAYED: Final = group("g", namespace=NAMESPACE, order=[[("VirtualMachine", "v")]])
DELAYED["spec"]["bootOrder"][0]["powerOffDelay"] = "10s"


@pytest.mark.parametrize(
    ("manifest", "excerpt"),
    [
        (service("1st", namespace=NAMESPACE, selector={}), "DNS-1035"),
        (service("s", namespace=NAMESPACE, selector={}, kind="NodePort"), "Unsupported value"),
        (service("s", namespace=NAMESPACE, selector={}, clusterIp="None"), "may not be None"),
        (service("s", namespace=NAMESPACE, selector={"app": "no value"}), "spec.selector"),
        (service("s", namespace=NAMESPACE, selector={}, loadBalancerSourceRanges=["10.0.0.0"]), "SourceRanges"),
        (service("s", namespace=NAMESPACE, selector={}, kind="ExternalName", externalName="a_b"), "spec.externalName"),
        (service("s", namespace=NAMESPACE, selector={}, ports=[PORT | {"name": "Web"}]), "DNS-1123"),
        (service("s", namespace=NAMESPACE, selector={}, ports=[PORT | {"protocol": "ICMP"}]), "spec.ports.protocol"),
        (service("s", namespace=NAMESPACE, selector={}, ipFamilies=["IPv6"]), "spec.ipFamilies"),
        (group("g", namespace=NAMESPACE, order=[[("VirtualMachineGroup", "g")]]), "lists itself"),
        (DELAYED, "powerOffDelay"),
        (group("g", namespace=NAMESPACE, order=[[("VirtualMachine", "v")]] * 2), "Duplicate value"),
        (group("g", namespace=NAMESPACE, order=[], parent="g"), "names itself"),
    ],
)
def test_webhooks_refuse(manifest: Object, excerpt: str):
    assert any(excerpt in problem for problem in Rules().apply(manifest["kind"], manifest, None))


def test_webhooks_take_what_the_capabilities_allow():
    able = Rules(telco=True, ipv6=True)
    assert able.apply("VirtualMachineGroup", copy.deepcopy(DELAYED), None) == []
    dual = service("s", namespace=NAMESPACE, selector={}, ipFamilies=["IPv4", "IPv6"])
    assert able.apply("VirtualMachineService", dual, None) == []
