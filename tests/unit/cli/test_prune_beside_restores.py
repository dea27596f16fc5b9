"""What a restore reads is not pruned while it waits, nor before it is repeated to its end or given up."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, backup, obj, service, vm
from tests.unit.cli.capture_scene import Scene
from tests.unit.world import CAPTURES, World
from velero_vmservice.archive.pruning.marker import MARKER
from velero_vmservice.archive.pruning.stored_runs import runs_of
from velero_vmservice.captures.pruning.retention import Rules
from velero_vmservice.captures.selection import Filter
from velero_vmservice.documents import digest
from velero_vmservice.errors import Forbidden, ReadOnlyStorage, Unavailable
from velero_vmservice.kube.manifest import BACKUP, ObjectRef
from velero_vmservice.report.store import REPORT

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.velero.runs import CaptureRef

DAY = 24 * 3600.0
RULES = Rules(older_than=timedelta(days=1), keep_last=0)
PRUNE = ("captures", "prune", "--older-than", "1d", "--keep-last", "0")


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    """The older of two captures has been replaced long ago."""
    scene = Scene(command)
    scene.world.clock.advance(10 * DAY)
    return scene


def is_kept(scene: Scene, ref: CaptureRef) -> bool:
    return any(scene.world.store.list(f"vadp/{ref}/capture.json"))


def stopped(scene: Scene, *arguments: str) -> None:
    """Begin a restore of the older capture, and stop it while it waits."""
    scene.passing(lambda: None, interrupted=True)
    assert scene.restore("--from", str(scene.older), *arguments).code == 130


def test_a_replaced_capture_goes(scene: Scene) -> None:
    assert scene.command(*PRUNE, "--delete").lines[-1] == "deleted: 1 of 1 capture"
    assert not is_kept(scene, scene.older)


def test_the_capture_of_a_restore_that_waits_stays(scene: Scene) -> None:
    pruned = []

    def prune() -> None:
        pruning = scene.world.app.capture_pruning
        survey = pruning.survey(RULES, Filter())
        pruned.extend(pruning.remove(judged) for judged in survey.removable)

    scene.passing(prune, scene.come_back)
    ran = scene.restore("--from", str(scene.older))
    assert (ran.code, ran.err) == (0, "")
    assert pruned == []
    assert is_kept(scene, scene.older)
    scene.world.clock.advance(10 * DAY)
    assert scene.command(*PRUNE, "-o", "name").lines == [str(scene.older)]


def test_the_capture_of_a_restore_that_begins_between_list_and_removal_stays(scene: Scene) -> None:
    pruning = scene.world.app.capture_pruning
    survey = pruning.survey(RULES, Filter())
    stopped(scene)
    removals = [pruning.remove(judged) for judged in survey.removable]
    assert [str(error) for removal in removals for error in removal.refused.values()] == [
        f"a restore of capture {scene.older} has begun since the captures were listed"
    ]
    assert is_kept(scene, scene.older)


def test_a_restore_that_was_stopped_keeps_its_capture_until_it_has_been_repeated_to_its_end(scene: Scene) -> None:
    stopped(scene)
    scene.world.clock.advance(3 * DAY)
    assert "kept: 1 capture: a restore of it has not ended" in scene.command(*PRUNE, "--delete").lines
    scene.passing(scene.come_back)
    assert scene.restore("--from", str(scene.older)).code == 0
    assert scene.command(*PRUNE, "-o", "name").lines == [str(scene.older)]


def test_the_end_of_a_restore_of_another_part_releases_nothing(scene: Scene) -> None:
    stopped(scene, "--application", "tier", "--yes")
    scene.world.clock.advance(60.0)
    scene.passing(scene.come_back)
    assert scene.restore("--from", str(scene.older), "--application", "other", "--yes").code == 0
    scene.world.clock.advance(3 * DAY)
    assert scene.command(*PRUNE, "-o", "name").lines == []


def test_a_restore_that_never_ended_is_named_and_goes_on_keeping_its_capture(scene: Scene) -> None:
    stopped(scene)
    scene.world.clock.advance(8 * DAY)
    ran = scene.command(*PRUNE, "--delete")
    assert "kept: 1 capture: a restore of it has not ended, of which nothing was stored for a week" in ran.lines
    (named,) = [line for line in ran.lines if line.startswith("not ended: ")]
    assert named.startswith("not ended: restore nightly of 20260311T120200Z, nothing stored of it for 8 days: repeat")
    assert is_kept(scene, scene.older)
    (entry,) = json.loads(scene.command(*PRUNE, "-o", "json").out)["unended"]
    assert (entry["restore"], entry["capture"]) == ("nightly", f"vadp/{scene.older}")


def test_a_marker_that_is_damaged_keeps_every_capture(scene: Scene) -> None:
    stopped(scene)
    (marker,) = [key for key in scene.world.store.list("restores/") if key.endswith("begun.json")]
    scene.world.store.tamper(marker, b"{}")
    scene.world.clock.advance(3 * DAY)
    assert "kept: 2 captures: a restore of it has not ended" in scene.command(*PRUNE).lines


def test_the_report_counts_no_marker_as_a_result_and_is_removed_after_it(scene: Scene) -> None:
    scene.passing(scene.come_back)
    assert scene.restore("--from", str(scene.older)).code == 0
    assert not any(MARKER in warning for warning in scene.report().warnings)
    (run,) = runs_of(scene.world.store.documents("restores/"))
    assert [key.rpartition("/")[2] for key in run.removal_order][-1] == REPORT
    assert run.has(MARKER)


@pytest.mark.parametrize("error", [ReadOnlyStorage("ReadOnly"), Forbidden("denied"), Unavailable("away")], ids=str)
def test_a_restore_does_without_a_marker_that_the_bucket_refuses(scene: Scene, error: VmServiceError) -> None:
    scene.world.store.calls.fail("put", error, on="begun.json")
    scene.passing(lambda: None, scene.come_back)
    ran = scene.restore("--from", str(scene.older))
    assert ran.code == 0
    assert scene.restored == {"tier", "front", "other"}


def test_a_restore_from_a_read_only_location_says_that_prune_does_not_know_of_it(scene: Scene) -> None:
    scene.world.store.read_only = True
    scene.passing(scene.come_back)
    ran = scene.restore("--from", str(scene.older))
    assert ran.err == (
        "note: the location is ReadOnly: no report is stored, and prune does not know what this restore needs\n"
    )
    assert scene.restored == {"tier", "front", "other"}


@pytest.fixture(name="orphan")
def _orphan(command: CommandLine) -> World:
    """The Backup of a capture is gone, and Velero has not removed the capture."""
    world = World()
    location = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
    world.cluster.seed(location, backup(), obj("Namespace", NAMESPACE, api="v1", namespace=""))
    world.back_up(service("front", {"app": "web"}), vm("web-1", labels={"app": "web"}))
    world.clock.advance(2 * DAY)
    world.cluster.remove(ObjectRef(BACKUP, "velero", "nightly"))
    world.lose(service("front"), vm("web-1"))
    command.connects_to(world.start)
    return world


def test_the_capture_of_a_backup_that_is_gone_stays_while_a_restore_of_it_waits(
    orphan: World, command: CommandLine
) -> None:
    command.waits(orphan, lambda: None, interrupted=True)
    assert command("restore", "--from", "nightly", "--yes").code == 130
    orphan.clock.advance(2 * DAY)
    ran = command("prune", "--delete")
    assert "kept: 1 capture: a restore of it has not ended" in ran.lines
    assert any(orphan.store.list(CAPTURES))
    assert "kept: the results of 1 restore: the restore has not ended" in ran.lines


def test_results_of_a_restore_that_never_ended_go_by_age_and_release_its_capture(
    orphan: World, command: CommandLine
) -> None:
    command.waits(orphan, lambda: None, interrupted=True)
    assert command("restore", "--from", "nightly", "--yes").code == 130
    orphan.clock.advance(31 * DAY)
    first = command("prune", "--delete")
    assert [row[0] for row in first.rows[1:2]] == ["results"]
    assert any(line.startswith("not ended: restore nightly of ") for line in first.lines)
    assert any(orphan.store.list(CAPTURES))
    assert command("prune", "-o", "json", "--delete").code == 0
    assert list(orphan.store.list("")) == []


def test_results_and_drills_are_pruned_without_velero(scene: Scene) -> None:
    for _ in range(2):
        scene.world.clock.advance(60.0)
        scene.command("drill", "run", "--from", str(scene.older))
    scene.passing(scene.come_back)
    assert scene.restore("--from", str(scene.older)).code == 0
    first, last = sorted({key.rpartition("/")[0] for key in scene.world.store.list("drills/")})
    scene.world.clock.advance(31 * DAY)
    before = list(scene.world.store.list(""))
    dry = scene.command("prune")
    assert [row[0] for row in dry.rows[1:3]] == ["drill", "results"]
    assert "kept: 1 drill: it is the newest drill of its capture's name" in dry.lines
    assert list(scene.world.store.list("")) == before
    assert scene.command("prune", "--delete").code == 0
    left = {key.rpartition("/")[0] for key in scene.world.store.list("")}
    assert first not in left
    assert last in left
    assert list(scene.world.store.list("restores/")) == []
    assert is_kept(scene, scene.older)


def test_captures_of_backups_stay_where_no_velero_can_tell_which_backups_exist(
    scene: Scene, command: CommandLine
) -> None:
    key = "captures/nightly/20250101T000000Z/capture.json"
    scene.world.store.replace(key, b"{}", sha256=digest(b"{}"))
    scene.world.clock.advance(31 * DAY)
    assert any(
        line.startswith("kept: 1 capture: the cluster has no Velero that could tell which backups exist")
        for line in command("prune", "--delete", "--own-bucket-unshared").lines
    )
    assert key in set(scene.world.store.list(""))
