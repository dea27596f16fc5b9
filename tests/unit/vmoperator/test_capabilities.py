from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import Json, group, m, obj, service
from velero_vmservice.vmoperator import releases
from velero_vmservice.vmoperator.releases import GROUPS, IPV6, TELCO, Capabilities

OFF = Capabilities(groups=False, telco=False, ipv6=False, source="Capabilities supervisor-capabilities")
ON = Capabilities(groups=True, telco=True, ipv6=True, source="Capabilities supervisor-capabilities")


def capabilities_object(**activated: object) -> Json:
    supervisor = {key: {"activated": value} for key, value in activated.items()}
    return obj(
        "Capabilities",
        "supervisor-capabilities",
        api="iaas.vmware.com/v1alpha1",
        namespace="",
        status={"supervisor": supervisor},
    )


def older(**data: str) -> Json:
    return obj("ConfigMap", "wcp-cluster-capabilities", api="v1", namespace="kube-system", data=data)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (capabilities_object(**{GROUPS: True, TELCO: False, IPV6: True}), (True, False, True)),
        (capabilities_object(**{GROUPS: False, "supports_something_else": True}), (False, None, None)),
        (capabilities_object(**{GROUPS: "yes"}), (None, None, None)),
        ({**capabilities_object(), "status": {}}, (None, None, None)),
        ({**capabilities_object(), "status": {"supervisor": []}}, (None, None, None)),
        (older(**{GROUPS: "true", TELCO: "False", IPV6: "1"}), (True, False, True)),
        (older(**{GROUPS: "0", TELCO: "on", "MultipleCL_For_TKG_Supported": "true"}), (False, None, None)),
        ({**older(), "data": None}, (None, None, None)),
    ],
)
def test_both_shapes_are_read_and_a_missing_capability_is_unknown(
    given: Json, want: tuple[bool | None, bool | None, bool | None]
) -> None:
    capabilities = releases.read_capabilities(m(given))
    assert (capabilities.groups, capabilities.telco, capabilities.ipv6) == want
    assert (capabilities.note == "") is (None not in want)


def test_the_note_names_what_is_missing_and_where() -> None:
    capabilities = releases.read_capabilities(m(capabilities_object(**{GROUPS: True})))
    assert capabilities.note == (
        "Capabilities supervisor-capabilities does not list supports_telco_vm_service_api, supports_workload_ipv6;"
        " the served API versions decide what the target can do"
    )
    assert releases.read_capabilities(m(older())).source == "ConfigMap kube-system/wcp-cluster-capabilities"


@pytest.mark.parametrize(
    ("served", "known", "excerpt"),
    [
        (("v1alpha5",), ON, ""),
        (("v1alpha4",), Capabilities(), ""),
        ((), ON, "this Supervisor does not serve virtualmachinegroups.vmoperator.vmware.com"),
        ((), OFF, "this Supervisor does not serve virtualmachinegroups.vmoperator.vmware.com"),
        (
            ("v1alpha5",),
            OFF,
            "supports_VM_service_VM_groups is not activated in Capabilities supervisor-capabilities",
        ),
    ],
)
def test_groups_are_blocked_only_by_what_is_known(served: tuple[str, ...], known: Capabilities, excerpt: str) -> None:
    reason = releases.groups_blocked(served, known)
    assert excerpt in reason
    assert ("services are restored without it" in reason) is bool(excerpt)


def delayed(**meta: Any) -> Json:
    order = [{"members": [{"name": "web-1"}], "powerOnDelay": "1s", "powerOffDelay": "2s"}]
    return {**group("tier", bootOrder=order), **meta}


def dual(**meta: Any) -> Json:
    return {**service("front", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"), **meta}


V6 = {"apiVersion": "vmoperator.vmware.com/v1alpha6"}
DELAY = "spec.bootOrder[0].powerOffDelay"
FAMILIES = ["spec.ipFamilies", "spec.ipFamilyPolicy"]


@pytest.mark.parametrize(
    ("given", "known", "paths", "reason"),
    [
        (delayed(), ON, [DELAY], "v1alpha5 does not know it"),
        (delayed(), OFF, [DELAY], "v1alpha5 does not know it"),
        (delayed(**V6), OFF, [DELAY], "supports_telco_vm_service_api is not activated"),
        (delayed(**V6), ON, [], ""),
        (delayed(**V6), Capabilities(), [], ""),
        (dual(), Capabilities(), FAMILIES, "v1alpha5 does not know it"),
        (dual(**V6), OFF, FAMILIES, "supports_workload_ipv6 is not activated"),
        (dual(**V6), ON, [], ""),
        (dual(**V6), Capabilities(telco=False), [], ""),
    ],
)
def test_fields_that_the_target_does_not_take_are_dropped_with_the_reason(
    given: Json, known: Capabilities, paths: list[str], reason: str
) -> None:
    before = m(given)
    after, dropped = releases.fit(before, known)
    assert [field.path for field in dropped] == paths
    assert all(reason in field.reason for field in dropped)
    assert (after.content == before.content) is (not paths)
    assert not any(path.rpartition(".")[2] in str(after.spec) for path in paths)
    assert "powerOnDelay" in str(after.spec) or after.name == "front"
