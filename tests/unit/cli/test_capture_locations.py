"""Captures of one name and time in the buckets of two locations: each command takes the one whose location is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.store import MemoryStore
from tests.unit.builders import NAMESPACE, obj, vm
from tests.unit.captures.scene import FRONT, LABELS, TIER
from tests.unit.cli.capture_scene import NEW
from tests.unit.world import World
from velero_vmservice.vadp.capturing import CaptureRequest
from velero_vmservice.vmoperator.marks import BACKUP_VERSION_ANNOTATION

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine, Ran


class TwoLocations:
    """A group with its service in a capture of one location; in that of the other, of the same second, no service."""

    def __init__(self, command: CommandLine) -> None:
        self.command = command
        self.world = World()
        second = MemoryStore()
        second.endpoint, second.now = "elsewhere", self.world.clock.now
        self.world.cluster.seed(
            obj("Namespace", NAMESPACE, api="v1", namespace=""),
            *(
                obj("BackupStorageLocation", name, api="velero.io/v1", namespace="velero")
                for name in ("first", "second")
            ),
            TIER,
            FRONT,
            *(
                vm(name, labels=LABELS, group="tier", uid=name, meta={"annotations": {BACKUP_VERSION_ANNOTATION: NEW}})
                for name in ("web-1", "web-2")
            ),
        )
        self.world.locations.stores = {"first": self.world.store, "second": second}
        self.world.restart()
        self.named = self.take("first")
        self.world.lose(FRONT)
        assert self.take("second") == self.named
        self.world.lose(TIER)
        command.connects_to(self.world.start)
        command.waits(self.world)

    def take(self, location: str) -> str:
        request = CaptureRequest(namespaces=(NAMESPACE,), job="nightly", location=location)
        return str(self.world.app.capturing.take(request).ref)

    def restore(self, *arguments: str) -> Ran:
        return self.command("restore", *arguments)

    @property
    def restored(self) -> tuple[bool, bool]:
        """Whether the group and the service are there."""
        exists = self.world.exists
        return exists("VirtualMachineGroup", "tier"), exists("VirtualMachineService", "front")


@pytest.fixture(name="both")
def _both(command: CommandLine) -> TwoLocations:
    return TwoLocations(command)


@pytest.mark.parametrize("typed", [("restore", "--from"), ("plan", "--from"), ("captures", "show"), ("verify",)])
def test_the_locations_are_named_where_one_has_to_be_chosen(both: TwoLocations, typed: tuple[str, ...]) -> None:
    ran = both.command(*typed, both.named)
    assert ran.code == 1
    hint = "hint: name the location of the one that is meant: --location first or --location second"
    assert ran.err.splitlines()[-1] == hint
    chosen = both.command(*typed, both.named, "--location", "second")
    assert hint not in chosen.err


@pytest.mark.parametrize("source", ["exact", "nightly", "latest", "match"])
@pytest.mark.parametrize(("location", "service"), [("first", True), ("second", False)])
def test_a_restore_takes_the_capture_of_the_location(
    both: TwoLocations, source: str, location: str, *, service: bool
) -> None:
    ran = both.restore("--from", both.named if source == "exact" else source, "--location", location)
    assert ran.code == 0
    assert both.restored == (True, service)


def test_what_is_repeated_names_the_location_again(both: TwoLocations) -> None:
    both.world.lose(vm("web-1"))
    both.command.waits(both.world, lambda: None, interrupted=True)
    ran = both.restore("--from", "latest", "--location", "second", "-n", NAMESPACE)
    assert ran.code == 130
    assert ran.err.splitlines()[-1].endswith(f"restore --from {both.named} --location second -n {NAMESPACE}")


@pytest.mark.parametrize("typed", [("restore", "nightly"), ("plan", "nightly"), ("registration", "status", "nightly")])
def test_a_location_without_a_capture_is_refused(both: TwoLocations, typed: tuple[str, ...]) -> None:
    ran = both.command(*typed, "--location", "first")
    assert ran.code == 2
    assert "--location is about --from alone" in ran.err


def test_a_location_beside_a_velero_restore_is_refused(both: TwoLocations) -> None:
    ran = both.command("verify", "--restore", "nightly-2", "--location", "first")
    assert ran.code == 2
    assert "--location is about CAPTURE alone" in ran.err


@pytest.mark.parametrize("location", ["first", "second"])
def test_the_best_of_a_location_is_restored_from_there(both: TwoLocations, location: str) -> None:
    ran = both.command("match", "--location", location)
    assert ran.code == 0
    assert ran.lines[-1] == f"restore the best: velero-vmservice restore --from {both.named} --location {location}"
    assert both.command("match", "--location", location, "-o", "name").lines == [both.named]


def test_the_location_of_the_best_is_named_where_another_has_its_name(both: TwoLocations) -> None:
    best = both.command("match").lines[-1]
    assert best.startswith(f"restore the best: velero-vmservice restore --from {both.named} --location ")


@pytest.mark.parametrize(("location", "service"), [("first", True), ("second", False)])
def test_a_drill_of_what_matches_looks_in_the_location(both: TwoLocations, location: str, *, service: bool) -> None:
    ran = both.command("drill", "run", "--from", "match", "--location", location, "-o", "json")
    assert f"note: the capture is {both.named}" in ran.err
    assert ("VirtualMachineService" in ran.out) is service


def test_status_reads_the_capture_of_the_location(both: TwoLocations) -> None:
    ran = both.command("registration", "status", "--from", both.named, "--location", "second")
    assert "hint:" not in ran.err
    assert "web-1" in ran.out
