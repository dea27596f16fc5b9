"""A capture that was taken during a recovery is no capture to restore from unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.captures.scene import FRONT, OTHER, TIER
from tests.unit.cli.capture_scene import NEW, Scene
from velero_vmservice.kube.manifest import compact_time

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

NONE_FITS = "no capture is known to fit the VMs that are registered"


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


def started_of_the_report(scene: Scene) -> str:
    """Return the start time of the capture that was restored, as keys spell it."""
    return compact_time(scene.report().backup_started)


LACKED = "VirtualMachineGroup shop/tier; VirtualMachineService shop/front; VirtualMachineService shop/other"


@pytest.mark.parametrize("named", ["latest", "nightly"])
def test_a_capture_of_a_recovery_is_refused_until_fewer_objects_are_allowed(scene: Scene, named: str) -> None:
    taken = scene.take_during_recovery()
    ran = scene.restore("--from", named)
    assert (ran.code, scene.restored) == (3, set())
    fewer = f"capture {taken} holds fewer objects than before: it lacks {LACKED}, which {scene.newer} holds"
    assert ran.err.splitlines()[-2:] == [
        f"velero-vmservice: {fewer}",
        f"hint: restore the earlier one with --from {scene.newer}, or allow this one with --allow-fewer-objects",
    ]
    allowed = scene.restore("--from", named, "--allow-fewer-objects")
    assert allowed.code == 0
    assert f"note: capture {taken} holds less than before: it lacks {LACKED}" in allowed.err


def test_a_capture_of_a_recovery_that_is_named_with_its_time_is_restored_with_a_remark(scene: Scene) -> None:
    taken = scene.take_during_recovery()
    ran = scene.restore("--from", taken)
    assert ran.code == 0
    assert f"note: capture {taken} holds less than before: it lacks {LACKED}, which {scene.newer} holds" in ran.err


def test_match_prefers_the_capture_before_a_recovery(scene: Scene) -> None:
    scene.take_during_recovery()
    scene.world.clock.advance(60.0)
    scene.take_during_recovery()
    ran = scene.restore("--from", "match")
    assert (ran.code, scene.restored) == (0, {"tier", "front", "other"})
    assert started_of_the_report(scene) == scene.newer.started


def test_match_refuses_the_capture_of_a_recovery_where_no_other_fits(scene: Scene) -> None:
    scene.come_back("1600000000000")
    taken = scene.world.take_as_is().ref
    ran = scene.restore("--from", "match")
    assert (ran.code, scene.restored) == (3, set())
    assert ran.err.splitlines() == [
        f"velero-vmservice: {NONE_FITS}: {taken} is exact: 2 as captured; it lacks {LACKED}, which {scene.newer} holds",
        f"hint: restore the earlier one with --from {scene.newer}, or allow this one with --allow-fewer-objects",
    ]
    allowed = scene.restore("--from", "match", "--allow-fewer-objects")
    assert (allowed.code, allowed.err.splitlines()[0]) == (0, f"note: the best match is {taken}, exact: 2 as captured")


def test_a_service_that_was_removed_beside_its_vms_asks_for_the_option_too(scene: Scene) -> None:
    scene.world.cluster.seed(TIER, FRONT)
    scene.come_back(NEW)
    scene.restore("--from", str(scene.newer))
    whole = scene.world.take_as_is().ref
    scene.world.lose(OTHER)
    taken = scene.world.take_as_is().ref
    ran = scene.restore("--from", "match")
    lacked = f"it lacks VirtualMachineService shop/other, which {whole} holds"
    assert ran.code == 3
    assert f"capture {taken} holds fewer objects than before: {lacked}\n" in ran.err
    assert scene.restore("--from", "match", "--allow-fewer-objects").code == 0
    assert started_of_the_report(scene) == taken.started
    assert scene.restore("--from", "latest", "--application", "tier", "--yes").code == 0, "it lacks nothing of tier"


def test_a_newer_capture_without_a_seal_is_passed_over_with_a_remark(scene: Scene) -> None:
    scene.world.cluster.seed(TIER, FRONT, OTHER)
    scene.come_back(NEW)
    stopped = scene.world.take_as_is().ref
    scene.world.store.delete(f"vadp/{stopped}/capture.json")
    ran = scene.restore("--from", "nightly")
    assert (ran.code, started_of_the_report(scene)) == (0, scene.newer.started)
    assert f"note: capture {stopped} has no seal" in ran.err
    refused = scene.restore("--from", str(stopped))
    assert refused.code == 3
    assert f"capture nightly of {stopped.started} has no seal: it was stopped before its end, or goes on" in refused.err
