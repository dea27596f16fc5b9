"""A capture that was taken during a recovery is no capture to restore from unasked."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, obj, vm, vsphere_namespace
from tests.unit.captures.scene import FRONT, OTHER, TIER
from tests.unit.cli.capture_scene import NEW, Scene
from velero_vmservice.kube.manifest import compact_time
from velero_vmservice.vadp.capturing import CaptureRequest

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from velero_vmservice.velero.runs import CaptureRef

NONE_FITS = "no capture is known to fit the VMs that are registered"


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


def started_of_the_report(scene: Scene) -> str:
    """Return the start time of the capture that was restored, as keys spell it."""
    return compact_time(scene.report().backup_started)


LACKED = "VirtualMachineGroup shop/tier; VirtualMachineService shop/front; VirtualMachineService shop/other"
ANEW = "(its VMs were registered anew since, or are not there to compare)"


def commands(earlier: CaptureRef, named: str) -> str:
    """Return the hint that has both ways on."""
    command = "velero-vmservice restore --from"
    accept = f"`{command} {named} --allow-fewer-objects`"
    return f"hint: restore the earlier one: `{command} {earlier}`, or accept this one: {accept}"


@pytest.mark.parametrize("named", ["latest", "nightly"])
def test_a_capture_of_a_recovery_is_refused_until_fewer_objects_are_allowed(scene: Scene, named: str) -> None:
    taken = scene.take_during_recovery()
    ran = scene.restore("--from", named)
    assert (ran.code, scene.restored) == (3, set())
    fewer = f"capture {taken} holds fewer objects than before: it lacks {LACKED}, which {scene.newer} holds {ANEW}"
    assert ran.err.splitlines()[-2:] == [f"velero-vmservice: {fewer}", commands(scene.newer, named)]
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
    newest = scene.take_during_recovery()
    ran = scene.restore("--from", "match")
    assert (ran.code, scene.restored) == (0, {"tier", "front", "other"})
    assert started_of_the_report(scene) == scene.newer.started
    assert f"note: capture {newest}, exact and newer than {scene.newer}, is passed over with 1 more" in ran.err


def test_match_weighs_what_is_to_be_restored_alone(scene: Scene) -> None:
    scene.come_back(NEW)
    scene.world.cluster.seed(TIER, FRONT)
    taken = scene.world.take_as_is().ref
    for asked_for, best in (("VirtualMachineGroup/tier", taken), ("VirtualMachineService/other", scene.newer)):
        ran = scene.restore("--from", "match", "--object", asked_for, "--dry-run")
        assert f"note: the best match is {best}, exact" in ran.err


def test_match_takes_the_newest_capture_after_a_recovery_that_has_ended(scene: Scene) -> None:
    scene.come_back(NEW)
    scene.world.cluster.seed(TIER, FRONT)
    days = [scene.world.take_as_is().ref for _ in range(10)]
    scene.world.lose(TIER, FRONT, *(vm(name) for name in ("web-1", "web-2")))
    scene.world.register(NEW, uid="registered once more")
    ran = scene.command("match", "-n", NAMESPACE, "-o", "json")
    assert (ran.code, json.loads(ran.out)["best"]) == (0, str(days[-1]))
    scene.restore("--from", "match", "--allow-fewer-objects")
    assert (scene.restored, started_of_the_report(scene)) == ({"tier", "front"}, days[-1].started)


@pytest.mark.parametrize("named", ["latest", "nightly", "match"])
def test_a_recovery_is_seen_across_captures_of_itself_and_of_other_namespaces(scene: Scene, named: str) -> None:
    scene.come_back(NEW)
    others = [f"shop-{number}" for number in range(25)]
    for namespace in others:
        scene.world.cluster.seed(obj("Namespace", namespace, api="v1", namespace=""), vm("a", namespace=namespace))
    for _ in range(25):
        scene.world.take_as_is()
    for namespace in others:
        scene.world.clock.advance(1.0)
        scene.world.app.capturing.take(CaptureRequest(namespaces=(namespace,), job=f"of {namespace}"))
    taken = scene.world.take_as_is().ref
    ran = scene.restore("--from", named, "-n", NAMESPACE)
    if named == "match":
        assert (ran.code, started_of_the_report(scene)) == (0, scene.newer.started)
    else:
        assert (ran.code, scene.restored) == (3, set())
        assert f"capture {taken} holds fewer objects than before: it lacks {LACKED}" in ran.err


def test_match_refuses_the_capture_of_a_recovery_where_no_other_fits(scene: Scene) -> None:
    scene.come_back("1600000000000")
    taken = scene.world.take_as_is().ref
    ran = scene.restore("--from", "match")
    assert (ran.code, scene.restored) == (3, set())
    lacked = f"it lacks {LACKED}, which {scene.newer} holds {ANEW}"
    assert ran.err.splitlines() == [
        f"velero-vmservice: {NONE_FITS}: {taken} is exact: 2 as captured; {lacked}",
        commands(scene.newer, "match"),
    ]
    allowed = scene.restore("--from", "match", "--allow-fewer-objects")
    assert (allowed.code, allowed.err.splitlines()[0]) == (0, f"note: the best match is {taken}, exact: 2 as captured")


@pytest.mark.parametrize("named", ["match", "latest", "nightly"])
def test_a_service_that_was_removed_while_its_vms_stayed_is_a_remark(scene: Scene, named: str) -> None:
    scene.world.cluster.seed(TIER, FRONT)
    scene.come_back(NEW)
    scene.restore("--from", str(scene.newer))
    whole = scene.world.take_as_is().ref
    scene.world.lose(FRONT)
    taken = scene.world.take_as_is().ref
    ran = scene.restore("--from", named)
    assert (ran.code, started_of_the_report(scene)) == (0, taken.started)
    lacked = f"it lacks VirtualMachineService shop/front, which {whole} holds (removed, as captures of its VMs show)"
    assert f"note: capture {taken} holds less than before: {lacked}\n" in ran.err
    part = scene.restore("--from", named, "--object", "VirtualMachineService/other", "--yes")
    assert (part.code, "holds less" in part.err) == (0, False), "it lacks nothing of that application"


@pytest.mark.parametrize("reading", [("plan",), ("restore", "--dry-run")])
@pytest.mark.parametrize("named", ["latest", "nightly"])
def test_what_is_only_planned_is_a_remark(scene: Scene, reading: tuple[str, ...], named: str) -> None:
    taken = scene.take_during_recovery()
    ran = scene.command(*reading, "--from", named)
    assert ran.code == 0
    assert ran.err.splitlines()[-2:] == [
        f"note: capture {taken} holds less than before: it lacks {LACKED}, which {scene.newer} holds {ANEW}",
        f"note: to restore capture {taken}, give --allow-fewer-objects",
    ]


def test_the_plan_of_a_match_is_of_the_capture_that_a_restore_would_refuse(scene: Scene) -> None:
    scene.come_back("1600000000000")
    taken = scene.world.take_as_is().ref
    ran = scene.command("plan", "--from", "match")
    assert ran.code == 0
    assert ran.err.splitlines()[-1] == f"note: to restore capture {taken}, give --allow-fewer-objects"


@pytest.mark.parametrize("named", ["latest", "nightly"])
def test_registervm_is_called_for_the_vms_of_a_capture_of_a_recovery_only_if_that_is_allowed(
    scene: Scene, named: str
) -> None:
    scene.world.settings = scene.world.settings.model_copy(update={"velero_namespace": "velero"})
    scene.world.cluster.seed(vsphere_namespace())
    taken = scene.take_during_recovery()
    trigger = ("registration", "trigger", "--from", named)
    refused = scene.command(*trigger, "-n", "shop", "web-1", "--yes")
    assert refused.code == 3
    assert f"capture {taken} holds fewer objects than before" in refused.err
    accept = " ".join((*trigger, "--allow-fewer-objects", "-n", "shop", "web-1", "--yes"))
    assert refused.err.splitlines()[-1].endswith(f"or accept this one: `velero-vmservice {accept}`")
    assert scene.command(*accept.split()).code == 0
    status = scene.command("registration", "status", "--from", named)
    assert f"note: capture {taken} holds less than before" in status.err
    assert status.code == 0


def test_a_capture_is_named_only_where_it_holds_all_that_is_lacked(scene: Scene) -> None:
    scene.world.cluster.seed(TIER)
    scene.come_back(NEW)
    part = scene.world.take_as_is().ref
    scene.world.lose(TIER)
    scene.world.register(NEW, uid="once-more")
    scene.world.take_as_is()
    ran = scene.restore("--from=latest", "-n", "shop")
    assert ran.code == 3
    services = "VirtualMachineService shop/front; VirtualMachineService shop/other"
    assert f"it lacks {services}, which {scene.newer} holds {ANEW}" in ran.err
    assert f"it lacks VirtualMachineGroup shop/tier, which {part} holds {ANEW}" in ran.err
    accept = "velero-vmservice restore --from latest --allow-fewer-objects -n shop"
    assert ran.err.splitlines()[-1] == (
        f"hint: none of these captures is known to hold all of it: accept this one: `{accept}`, or name one with"
        " --from NAME/TIME"
    )


def test_the_commands_of_a_refusal_can_be_typed(scene: Scene) -> None:
    for key in scene.world.store.list("vadp/"):
        scene.world.store.delete(key)
    unknown = scene.world.take("").ref
    scene.lost()
    scene.take_during_recovery()
    ran = scene.restore("--from", "match", "--allow-newer", "--policy", "conflict=update")
    assert ran.code == 3
    typed = [shlex.split(command)[1:] for command in ran.err.splitlines()[-1].split("`")[1::2]]
    assert typed[0] == ["restore", "--from", str(unknown), "--policy", "conflict=update"]
    assert [scene.command(*arguments, "--timeout", "1m").code for arguments in typed] == [0, 0]


@pytest.mark.parametrize("part", [("--application", "tier"), ("--object", "VirtualMachineService/front")])
def test_the_latest_capture_of_an_application_is_one_that_holds_it(scene: Scene, part: tuple[str, str]) -> None:
    scene.come_back(NEW)
    scene.world.cluster.seed(obj("Namespace", "dr", api="v1", namespace=""), vm("crm-1", namespace="dr"))
    scene.world.clock.advance(60.0)
    other = scene.world.app.capturing.take(CaptureRequest(namespaces=("dr",), job="other")).ref
    ran = scene.restore("--from", "latest", *part, "--yes")
    assert (ran.code, started_of_the_report(scene)) == (0, scene.newer.started)
    assert f"note: capture {other} is passed over: it does not hold {part[1]}\n" in ran.err


@pytest.mark.parametrize("named", ["latest", "nightly", "match"])
@pytest.mark.parametrize(("minutes", "remarked"), [(4, False), (-4, False), (6, True), (-60, True)])
def test_a_capture_of_a_host_whose_clock_is_wrong_is_a_remark(
    scene: Scene, named: str, minutes: int, *, remarked: bool
) -> None:
    store, clock = scene.world.store, scene.world.clock
    store.now = lambda: clock.now() + timedelta(minutes=minutes)
    taken = scene.world.take(NEW).ref
    ran = scene.restore("--from", named, "--dry-run")
    assert ran.code == 0
    assert (f"note: capture {taken} was sealed at {taken.started} by its host's clock and at " in ran.err) is remarked


@pytest.mark.parametrize("source", ["nightly", "latest"])
def test_a_newer_capture_without_a_seal_is_passed_over_with_a_remark(scene: Scene, source: str) -> None:
    scene.world.cluster.seed(TIER, FRONT, OTHER)
    scene.come_back(NEW)
    stopped = scene.world.take_as_is().ref
    scene.world.store.delete(f"vadp/{stopped}/capture.json")
    ran = scene.restore("--from", source)
    assert (ran.code, started_of_the_report(scene)) == (0, scene.newer.started)
    assert f"note: capture {stopped} has no seal" in ran.err
    refused = scene.restore("--from", str(stopped))
    assert refused.code == 3
    assert f"capture nightly of {stopped.started} has no seal: it was stopped before its end, or goes on" in refused.err
