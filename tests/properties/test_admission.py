"""The plan's admission rules against those of the webhook that the tests play, written apart from each other."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from hypothesis import event, given
from hypothesis import strategies as st

from tests.emulator.vm_operator.admission import Rules
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.vmoperator.admission.group import POWER_STAMP, problems

if TYPE_CHECKING:
    from collections.abc import Iterable

# What is right comes up often enough that one wrong field is met alone.
NAMES = st.just("front") | st.sampled_from(["front", "web-1", "a" * 63, "a" * 64, "1st", "Front", "web-", "a.b"])
ADDRESSES = st.just("") | st.sampled_from(["", "None", "10.96.0.7", "fd00::7", "10.96", "none"])
NUMBERS = st.integers(1, 65535) | st.sampled_from([-1, 0, 1, 80, 443, 65535, 65536])
PORTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["", "http", "tls"]),
            "protocol": st.sampled_from(["TCP", "UDP", "SCTP"]),
            "port": NUMBERS,
            "targetPort": NUMBERS,
        }
    ),
    max_size=3,
) | st.just([{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}])
SERVICE = st.fixed_dictionaries(
    {"type": st.just("LoadBalancer") | st.sampled_from(["LoadBalancer", "ClusterIP", "ExternalName", "NodePort", ""])},
    optional={
        "clusterIp": ADDRESSES,
        "externalName": st.sampled_from(["", "db.example.com"]),
        "ports": PORTS,
        "loadBalancerSourceRanges": st.lists(st.just("10.0.0.0/8"), max_size=2),
        "selector": st.dictionaries(st.sampled_from(["app", "example.com/tier"]), st.sampled_from(["", "web"])),
    },
)
MEMBER = st.fixed_dictionaries(
    {"name": st.sampled_from(["front", "web-1", "inner"])},
    optional={"kind": st.sampled_from(["VirtualMachine", "VirtualMachineGroup"])},
)
GROUP = st.fixed_dictionaries(
    {},
    optional={
        "bootOrder": st.lists(st.fixed_dictionaries({"members": st.lists(MEMBER, max_size=3)}), max_size=3),
        "groupName": st.sampled_from(["", "front", "web-1", "top"]),
        "powerState": st.sampled_from(["PoweredOn", "PoweredOff"]),
        "nextForcePowerStateSyncTime": st.sampled_from(["now", "NOW", "2026-03-01T12:00:00Z"]),
    },
)
STAMP = st.sampled_from([{}, {POWER_STAMP: "2026-03-01T12:00:00.5Z"}])
OBJECTS = st.tuples(st.just("VirtualMachineService"), NAMES, SERVICE, st.just({})) | st.tuples(
    st.just("VirtualMachineGroup"), NAMES, GROUP, STAMP
)


@given(OBJECTS)
def test_plan_and_webhook_refuse_the_same_objects_for_the_same_fields(
    given: tuple[str, str, dict[str, Any], dict[str, str]],
) -> None:
    kind, name, spec, annotations = given
    content = {
        "apiVersion": "vmoperator.vmware.com/v1alpha5",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": spec,
    }
    refused = Rules().apply(kind, copy.deepcopy(content), None)
    event(f"{kind} {'refused' if refused else 'accepted'}")
    assert _fields(problems(Manifest(content))) == _fields(refused)


def _fields(sentences: Iterable[str]) -> set[str]:
    """Return the fields that the sentences begin with, without what is below them."""
    return {".".join(re.split(r"[.:\[ ]", sentence)[:2]) for sentence in sentences}
