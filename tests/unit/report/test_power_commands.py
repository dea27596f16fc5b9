"""The commands that power an application on: one for each root group, in boot order, once all of it has ended whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sample_report import GROUP, SERVICE, machine, members, power_on, result
from tests.unit.builders import group, m, vm
from velero_vmservice.report.application import applications, merged
from velero_vmservice.report.power_commands import power_on as commands_of
from velero_vmservice.report.power_commands import powered_by
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from velero_vmservice.report.model import Result, VmResult

DB = machine("db-1", powered_by="app")
WEB = machine("web-1", powered_by="app")


def tree(**stages: str) -> tuple[Result, ...]:
    """Build an application: `app` starts the group `z-db` first, then `a-web`, whose VM a service selects."""
    return (
        result(GROUP, "app", stages.get("app", "verified"), "", members=members(groups=("z-db", "a-web"))),
        result(GROUP, "z-db", stages.get("db", "verified"), "", parent="app", members=members("db-1"), machines=(DB,)),
        result(GROUP, "a-web", stages.get("web", "verified"), "", parent="app", members=members("web-1")),
        result(SERVICE, "front", stages.get("front", "verified"), "", selected=("web-1",), machines=(WEB,)),
    )


def commands(*objects: Result, machines: tuple[VmResult, ...] | None = None) -> tuple[str, ...]:
    (application,) = applications(objects, merged(objects) if machines is None else machines)
    return commands_of(application)


def start(name: str) -> str:
    patch = '{"spec":{"powerState":"PoweredOn"}}'
    return f"kubectl -n shop patch virtualmachine {name} --type merge -p '{patch}'"


def test_a_tree_is_powered_on_by_one_command_to_its_root() -> None:
    assert commands(*tree()) == (power_on("shop", "app"),)


@pytest.mark.parametrize("order", [1, -1])
def test_a_service_whose_look_came_before_the_groups_names_no_vm_alone(order: int) -> None:
    """The service ended first, when the group of its VM was still to come."""
    early = machine("web-1", powered_by="")
    front = result(
        SERVICE, "front", "verified", "", selected=("web-1",), machines=(early,), ended="2026-11-22T20:00:10"
    )
    assert commands(*(*tree()[:3], front)[::order]) == (power_on("shop", "app"),)


@pytest.mark.parametrize("part", ["app", "db", "web", "front"])
@pytest.mark.parametrize("stage", ["waiting", "replayed", "powering"])
def test_nothing_is_given_before_all_of_the_application_has_ended(part: str, stage: str) -> None:
    assert commands(*tree(**{part: stage})) == ()


@pytest.mark.parametrize("part", ["app", "db", "web"])
@pytest.mark.parametrize("stage", ["failed", "cancelled", "incomplete"])
def test_nothing_is_given_for_an_application_with_a_broken_group(part: str, stage: str) -> None:
    assert commands(*tree(**{part: stage})) == ()


@pytest.mark.parametrize("stage", ["failed", "cancelled", "incomplete", "retained"])
def test_a_service_that_came_to_nothing_breaks_no_boot_order(stage: str) -> None:
    assert commands(*tree(front=stage)) == (power_on("shop", "app"),)


@pytest.mark.parametrize(
    "left_out",
    [
        {"deleting": True},
        {"registered": False},
        {"waiting_for": "is another VM of that name"},
        {"power_before": "PoweredOff"},
        {"power_after": "PoweredOn"},
        {"power_asked": "PoweredOn"},
    ],
    ids=str,
)
def test_a_vm_that_is_not_to_be_started_is_never_named(left_out: dict[str, Any]) -> None:
    alone = machine("batch", **left_out)
    front = result(SERVICE, "front", "verified", "", selected=("batch", "web-9"), machines=(alone, machine("web-9")))
    assert commands(front) == (start("web-9"),)


def test_late_vms_and_roots_stand_in_boot_order() -> None:
    """The group of the database has started already: its VM comes before the root, which starts the others."""
    late = machine("db-1", powered_by="app", late=True)
    assert commands(*tree(), machines=(late, WEB)) == (start("db-1"), power_on("shop", "app"))
    late = machine("web-1", powered_by="app", late=True)
    assert commands(*tree(), machines=(DB, late)) == (power_on("shop", "app"), start("web-1"))


def test_a_result_of_an_earlier_version_is_powered_through_the_groups_of_the_report() -> None:
    """It does not say what the VM is powered by."""
    assert commands(*tree(), machines=(machine("db-1"), machine("web-1"))) == (power_on("shop", "app"),)


def test_the_roots_of_two_applications_are_kept_apart() -> None:
    batch = result(GROUP, "batch", "failed", "", members=members("batch-1"), machines=(machine("batch-1"),))
    objects = (*tree(), batch)
    commands_of_each = [commands_of(application) for application in applications(objects, merged(objects))]
    assert commands_of_each == [(power_on("shop", "app"),), ()]


ROOT = group("app", ["/db"])
TIER = group("db", ["db-1"], parent="app")


@pytest.mark.parametrize(
    ("why", "groups", "of", "want"),
    [
        ("the outermost group", (ROOT, TIER), "db", "app"),
        ("the group that is there", (TIER,), "db", "db"),
        ("no group that is not there", (), "db", ""),
        ("no group that does not list it", (ROOT, group("db", ["db-2"], parent="app")), "db", ""),
        ("no parent that does not list its group", (group("app", []), TIER), "db", "db"),
        ("none for a VM of no group", (ROOT, TIER), "", ""),
        (
            "a cycle ends",
            (group("app", ["/db"], parent="db"), group("db", ["db-1", "/app"], parent="app")),
            "db",
            "app",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_vm_is_powered_by(why: str, groups: tuple[dict[str, Any], ...], of: str, want: str) -> None:
    live = {manifest["metadata"]["name"]: m(manifest) for manifest in groups}
    assert powered_by(read_vm(m(vm("db-1", group=of))), live) == want, why
