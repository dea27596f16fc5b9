from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.builders import group, m, service
from velero_vmservice.restore.model import Difference
from velero_vmservice.restore.plan.desired import change, differences, immutable
from velero_vmservice.velero.resource_modifier import merged


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any]
    """What is wanted."""
    live: dict[str, Any]
    want: tuple[str, ...] = ()


WEB = {"app": "web"}

CASES = [
    Case(why="the same", given=service("a", WEB), live=service("a", WEB)),
    Case(
        why="what the server and others added",
        given=service("a", WEB, meta={"labels": {"mine": "1"}}),
        live=service(
            "a",
            WEB,
            clusterIp="10.0.0.1",
            meta={"uid": "1", "labels": {"mine": "1", "theirs": "2"}, "annotations": {"x": "y"}},
            more={"status": {"a": 1}},
        ),
    ),
    Case(
        why="Velero's labels are not the user's",
        given=service("a", WEB, meta={"labels": {"velero.io/restore-name": "again"}}),
        live=service("a", WEB),
    ),
    Case(why="the order of keys", given=service("a", {"x": "1", "y": "2"}), live=service("a", {"y": "2", "x": "1"})),
    Case(
        why="a label",
        given=service("a", WEB, meta={"labels": {"mine": "1"}}),
        live=service("a", WEB),
        want=("metadata.labels.mine",),
    ),
    Case(
        why="an annotation",
        given=service("a", WEB, meta={"annotations": {"x": "1"}}),
        live=service("a", WEB, meta={"annotations": {"x": "2"}}),
        want=("metadata.annotations.x",),
    ),
    Case(
        why="a port",
        given=service("a", WEB),
        live=service("a", WEB, ports=[{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 9090}]),
        want=("spec.ports[0].targetPort",),
    ),
    Case(why="another port", given=service("a", WEB), live=service("a", WEB, ports=[]), want=("spec.ports",)),
    Case(
        why="a selector of another value",
        given=service("a", WEB),
        live=service("a", {"app": "db"}),
        want=("spec.selector",),
    ),
    Case(
        why="a selector with one label more selects fewer VMs",
        given=service("a", WEB),
        live=service("a", {"app": "web", "tier": "x"}),
        want=("spec.selector",),
    ),
    Case(why="a selector where none is wanted", given=service("a"), live=service("a", WEB), want=("spec.selector",)),
    Case(why="no selector either way", given=service("a", {}), live=service("a")),
    Case(
        why="what is empty is left out",
        given=service("a", WEB, externalName="", loadBalancerSourceRanges=[]),
        live=service("a", WEB),
    ),
    Case(
        why="the order of the boot order",
        given=group("a", ["x"], ["y"]),
        live=group("a", ["y"], ["x"]),
        want=("spec.bootOrder[0].members[0].name", "spec.bootOrder[1].members[0].name"),
    ),
    Case(why="a parent", given=group("a", parent="b"), live=group("a", parent="c"), want=("spec.groupName",)),
    Case(
        why="a power state that was set since",
        given=group("a", ["x"]),
        live=group("a", ["x"], powerState="PoweredOn"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_differences(case: Case) -> None:
    assert tuple(difference.path for difference in differences(m(case.given), m(case.live))) == case.want


@pytest.mark.parametrize("case", [case for case in CASES if case.want], ids=lambda c: c.why)
def test_the_patch_makes_them_equal_and_takes_nothing_else(case: Case) -> None:
    given, live = m(case.given), m(case.live)
    after = merged(dict(live.content), change(given, live))
    assert differences(given, m(after)) == ()
    assert not {"ownerReferences", "finalizers", "status"} & {*change(given, live)["metadata"], *change(given, live)}
    assert {*live.annotations} <= {*after["metadata"].get("annotations", {})}


def test_a_power_state_is_never_emptied_nor_set() -> None:
    live = m(group("a", ["y"], powerState="PoweredOn"))
    assert "powerState" not in change(m(group("a", ["x"])), live)["spec"]


def test_what_cannot_be_changed() -> None:
    names = ("spec.type", "spec.clusterIp", "spec.ports", "metadata.labels.a")
    paths = [Difference(path=name, wanted=1, live=2) for name in names]
    assert immutable("VirtualMachineService", paths) == ("spec.type", "spec.clusterIp")
    assert immutable("VirtualMachineGroup", paths) == ()
