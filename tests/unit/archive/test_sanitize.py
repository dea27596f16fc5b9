"""Expectations: the strip and keep lists of the facts about VM Operator, section 4.8."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.builders import group, m, service
from velero_vmservice.archive.sanitize import sanitize

METADATA = {
    "uid": "5f0c",
    "resourceVersion": "99",
    "generation": 3,
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "deletionTimestamp": "2026-01-02T00:00:00Z",
    "managedFields": [{"manager": "kubectl"}],
    "ownerReferences": [{"apiVersion": "vmoperator.vmware.com/v1alpha5", "kind": "VirtualMachineGroup", "uid": "dead"}],
    "finalizers": ["vmoperator.vmware.com/virtualmachinegroup"],
    "selfLink": "/apis/x",
}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CONVERSION = "vmoperator.vmware.com/conversion"
NCP = "ncp/healthCheckNodePort"
PROXY = "service.kubernetes.io/service-proxy-name"
UPDATED = "vmoperator.vmware.com.protected/last-updated-power-state-time"
APPLIED = "vmoperator.vmware.com.protected/apply-power-state-time"


def at(content: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(content, dict) or key not in content:
            return None
        content = content[key]
    return content


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any]
    want: tuple[str, ...]
    """The path that goes, and nothing else."""


def both(why: str, want: tuple[str, ...], **meta: Any) -> list[Case]:
    return [
        Case(why=f"{why} (service)", given=service("web", {"app": "web"}, meta=copy.deepcopy(meta)), want=want),
        Case(why=f"{why} (group)", given=group("tier", ["web-1"], meta=copy.deepcopy(meta)), want=want),
    ]


CASES = [
    *[
        case
        for key, value in METADATA.items()
        for case in both(f"metadata.{key} ties it to the past", ("metadata", key), **{key: value})
    ],
    *both(
        "copied onto the generated Service",
        ("metadata", "annotations", LAST_APPLIED),
        annotations={LAST_APPLIED: "{}", "mine": "1"},
    ),
    *both(
        "overrides fields on write",
        ("metadata", "annotations", CONVERSION),
        annotations={CONVERSION: "{}", "mine": "1"},
    ),
    *both(
        "names an earlier restore",
        ("metadata", "labels", "velero.io/restore-name"),
        labels={"velero.io/restore-name": "r", "mine": "1"},
    ),
    *both("reported by VM Operator", ("status",)),
    Case(
        why="written back by the load-balancer provider",
        given=service("web", meta={"annotations": {NCP: "31000", "mine": "1"}}),
        want=("metadata", "annotations", NCP),
    ),
    Case(
        why="hides the Service from kube-proxy",
        given=service("web", meta={"labels": {PROXY: "nsx-t", "mine": "1"}}),
        want=("metadata", "labels", PROXY),
    ),
    Case(why="an address may be taken", given=service("web", {}, clusterIp="10.0.0.7"), want=("spec", "clusterIp")),
    Case(
        why="protected: refused from us",
        given=group("tier", meta={"annotations": {UPDATED: "2026-01-01T00:00:00Z", "mine": "1"}}),
        want=("metadata", "annotations", UPDATED),
    ),
    Case(
        why="protected: taken as the base time",
        given=group("tier", meta={"annotations": {APPLIED: "2026-01-01T00:00:00Z", "mine": "1"}}),
        want=("metadata", "annotations", APPLIED),
    ),
    Case(
        why="denied unless it is now",
        given=group("tier", nextForcePowerStateSyncTime="2026-01-01T00:00:00Z"),
        want=("spec", "nextForcePowerStateSyncTime"),
    ),
    Case(why="boots VMs", given=group("tier", powerState="PoweredOn"), want=("spec", "powerState")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{'.'.join(c.want)}: {c.why}")
def test_exactly_one_field_goes_with_a_reason(case: Case) -> None:
    given = {**case.given, "status": {"conditions": []}} if case.want == ("status",) else case.given
    assert at(given, case.want) is not None
    result = sanitize(m(given))
    expected = copy.deepcopy(given)
    holder = at(expected, case.want[:-1])
    del holder[case.want[-1]]
    assert result.manifest.content == expected
    assert len(result.dropped) == 1
    assert case.want[-1] in result.dropped[0].path
    assert result.dropped[0].reason


KEPT = [
    service(
        "web",
        {"app": "web"},
        clusterIp="None",
        loadBalancerIP="192.0.2.7",
        loadBalancerSourceRanges=["10.0.0.0/8"],
        ipFamilies=["IPv4"],
        meta={
            "labels": {"app": "shop"},
            "annotations": {
                "nsx.vmware.com/hostname": "shop.example.com",
                "virtualmachineservice.vmoperator.vmware.com/service.externalTrafficPolicy": "Local",
            },
        },
    ),
    group("tier", ["web-1", "/inner"], parent="outer", meta={"labels": {"app": "shop"}}),
    service("headless", meta={"annotations": {"a": "b"}}, more={"extra": {"kept": True}}),
]


@pytest.mark.parametrize("given", KEPT, ids=lambda manifest: manifest["metadata"]["name"])
def test_declared_fields_are_not_touched(given: dict[str, Any]) -> None:
    result = sanitize(m(given))
    assert result.manifest.content == given
    assert result.dropped == ()


def test_power_off_delay_is_kept_for_the_target_to_decide() -> None:
    given = group("tier")
    given["spec"]["bootOrder"] = [{"members": [{"name": "web-1"}], "powerOnDelay": "30s", "powerOffDelay": "10s"}]
    assert sanitize(m(given)).manifest.content == given


def test_the_given_manifest_is_left_as_it_was() -> None:
    given = service("web", meta={"uid": "1", "labels": {"velero.io/backup-name": "b"}})
    before = copy.deepcopy(given)
    sanitize(m(given))
    assert given == before


def test_a_second_pass_drops_nothing_more() -> None:
    everything = service("web", clusterIp="10.0.0.1", meta={**METADATA, "labels": {PROXY: "x", "velero.io/a": "b"}})
    once = sanitize(m(everything))
    twice = sanitize(once.manifest)
    assert twice.manifest.content == once.manifest.content
    assert twice.dropped == ()
    assert "labels" not in once.manifest.metadata
