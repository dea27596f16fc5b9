from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, group, service, vm
from tests.unit.captures.scenes import GOLD, NIGHTLY, taken_twice, web
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, ObjectRef

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from tests.unit.world import World


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    world = taken_twice()
    command.connects_to(world.start)
    return world


@pytest.mark.usefixtures("world")
def test_a_capture_of_now_does_not_differ_from_the_cluster(command: CommandLine) -> None:
    ran = command("captures", "diff", "gold")
    assert (ran.code, ran.err, ran.lines) == (0, "", [f"from {GOLD} to the cluster", "nothing differs"])


@pytest.mark.usefixtures("world")
def test_two_captures_differ_in_objects_and_in_backup_versions(command: CommandLine) -> None:
    ran = command("captures", "diff", "nightly", "gold")
    assert ran.code == 5
    assert ran.rows == [
        [f"from {NIGHTLY} to {GOLD}"],
        ["CHANGE", "OBJECT", "DIFFERENCES"],
        ["added", "VirtualMachineGroup shop/tier", "-"],
        ["added", "VirtualMachine shop/lonely", "-"],
        ["changed", "VirtualMachine shop/web-1", 'backup version: "100" → "200"'],
    ]


def test_every_change_of_the_cluster_is_shown_with_its_path(world: World, command: CommandLine) -> None:
    world.cluster.seed(
        service("front", {"app": "other"}, meta={"labels": {"new": "1"}}),
        service("extra"),
        vm("lonely", labels={"tier": "db"}),
    )
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE_GROUP, NAMESPACE, "tier"))
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE, NAMESPACE, "web-1"))
    ran = command("captures", "diff", "gold", "-o", "json")
    assert ran.code == 5
    changes = {entry["name"]: entry for entry in json.loads(ran.out)["changes"]}
    assert {name: entry["change"] for name, entry in changes.items()} == {
        "tier": "removed",
        "front": "changed",
        "extra": "added",
        "web-1": "removed",
        "lonely": "changed",
    }
    assert changes["front"]["differences"] == [
        {"path": "spec.selector", "first": {"app": "shop"}, "second": {"app": "other"}},
        {"path": "metadata.labels.new", "first": None, "second": "1"},
    ]
    assert changes["lonely"]["differences"] == [{"path": "metadata.labels.tier", "first": None, "second": "db"}]


def test_what_the_capture_left_out_is_no_difference_to_the_cluster(world: World, command: CommandLine) -> None:
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE_GROUP, NAMESPACE, "tier"))
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE, NAMESPACE, "lonely"))
    world.cluster.seed(web("100"))
    assert command("captures", "diff", "nightly").code == 0


def test_a_mapped_namespace_is_compared_with_the_capture_s(world: World, command: CommandLine) -> None:
    world.cluster.seed(
        *({**each, "metadata": {**each["metadata"], "namespace": "copy"}} for each in (
            service("front", {"app": "shop"}), group("tier", ["web-1"]), web("200"), vm("lonely"),
        ))
    )  # fmt: skip
    assert command("captures", "diff", "gold", "--namespace-mapping", "shop:copy").code == 0


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ((), 2, "Missing argument 'CAPTURE'"),
        (("gold", "--namespace-mapping", "mail:copy"), 2, "the capture holds nothing of namespace mail"),
        (("gold", "silver"), 1, "no bucket has a capture named silver"),
    ],
    ids=["no capture", "mapping", "unknown"],
)
def test_misuse_is_refused(command: CommandLine, arguments: tuple[str, ...], code: int, error: str) -> None:
    ran = command("captures", "diff", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert error in ran.err


def test_a_capture_without_a_seal_is_not_compared(world: World, command: CommandLine) -> None:
    world.store.delete(f"vadp/{GOLD}/capture.json")
    ran = command("captures", "diff", "gold")
    assert (ran.code, ran.out) == (3, "")
    assert "has no seal" in ran.err
