"""`velero-vmservice restore --from` and `plan --from`, on a Supervisor where no kind of Velero is served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.unit.builders import NAMESPACE, vm, vsphere_namespace
from tests.unit.captures.scene import LABELS, VELERO_KINDS
from tests.unit.cli.capture_scene import OLD, Scene
from tests.unit.restored_vms import restored
from velero_vmservice.kube.manifest import compact_time

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from velero_vmservice.report.model import Report

NONE_FITS = "no capture is known to fit the VMs that are registered"


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


def moment_of(report: Report) -> str:
    """Return the start time of the capture that was restored, as keys spell it."""
    return compact_time(report.backup_started)


def asked_of_velero(scene: Scene) -> list[str]:
    """Return the requests about a kind of Velero."""
    names = {kind.name for kind in VELERO_KINDS}
    return [subject for _, subject in scene.world.cluster.calls.made if names & set(subject.split())]


def test_a_capture_is_restored_without_any_object_of_velero(scene: Scene) -> None:
    made_before = len(asked_of_velero(scene))
    scene.passing(lambda: None, scene.come_back)
    ran = scene.restore("--from", str(scene.older))
    assert (ran.code, ran.err) == (0, "")
    assert scene.restored == {"tier", "front", "other"}
    assert len(asked_of_velero(scene)) == made_before
    report = scene.report()
    assert (report.outcome, report.backup, moment_of(report)) == ("verified", "nightly", scene.older.started)


def test_latest_is_the_newest_capture(scene: Scene) -> None:
    scene.passing(scene.come_back)
    ran = scene.restore("--from", "latest", "-n", "shop")
    assert (ran.code, ran.err) == (0, f"note: the latest capture is {scene.newer}\n")
    assert moment_of(scene.report()) == scene.newer.started


def test_match_takes_the_capture_of_the_registered_vms(scene: Scene) -> None:
    scene.come_back(OLD)
    ran = scene.restore("--from", "match")
    assert (ran.code, ran.err) == (0, f"note: the best match is {scene.older}, exact: 2 as captured\n")
    assert moment_of(scene.report()) == scene.older.started


def test_match_refuses_a_capture_newer_than_its_vms_unless_it_is_allowed(scene: Scene) -> None:
    scene.come_back("1600000000000")
    ran = scene.restore("--from", "match")
    assert ran.code == 3
    assert ran.err.splitlines() == [
        f"velero-vmservice: {NONE_FITS}: {scene.older} is newer: 2 from an older restore point",
        "hint: use --allow-newer, or bring the VMs back from a newer restore point",
    ]
    assert scene.restored == set()
    allowed = scene.restore("--from", "match", "--allow-newer")
    assert (allowed.code, moment_of(scene.report())) == (0, scene.older.started)


def test_match_guesses_nothing_before_a_vm_is_registered(scene: Scene) -> None:
    ran = scene.restore("--from", "match")
    assert ran.code == 3
    assert "is unknown: 2 missing" in ran.err
    assert "--from NAME/TIME" in ran.err


def test_an_application_is_restored_as_a_whole_once_that_is_agreed(scene: Scene) -> None:
    scene.come_back()
    arguments = ("--from", str(scene.older), "--object", "VirtualMachineService/front")
    refused = scene.restore(*arguments, typed="n\n")
    assert (refused.code, scene.restored) == (130, set())
    unanswered = scene.restore(*arguments)
    assert (unanswered.code, scene.restored) == (3, set())
    ran = scene.restore(*arguments, "--yes")
    assert ran.code == 0
    assert (
        "note: application shop/tier: VirtualMachineGroup shop/tier, VirtualMachineService shop/front; VMs web-1, web-2"
        in ran.err
    )
    assert scene.restored == {"tier", "front"}
    assert {item.name for item in scene.report().objects} == {"tier", "front"}


def test_an_application_may_be_named(scene: Scene) -> None:
    scene.come_back()
    ran = scene.restore("--from", str(scene.older), "--application", "shop/other", "-y")
    assert (ran.code, scene.restored) == (0, {"other"})


def test_a_dry_run_is_the_plan_of_the_same_part(scene: Scene) -> None:
    scene.come_back()
    made = scene.world.created()
    arguments = ("--from", "match", "--application", "tier")
    dry = scene.restore(*arguments, "--dry-run")
    plan = scene.command("plan", *arguments)
    assert (dry.code, dry.out) == (0, plan.out)
    assert [row[1] for row in dry.rows if row[0] == "create"] == [
        "VirtualMachineGroup shop/tier",
        "VirtualMachineService shop/front",
    ]
    assert scene.world.created() == made


def test_a_capture_is_restored_into_another_namespace(scene: Scene) -> None:
    scene.world.cluster.seed(vsphere_namespace("dr"))
    scene.passing(lambda: scene.come_back(namespace="dr"))
    ran = scene.restore("--from", str(scene.older), "--namespace-mapping", "shop:dr")
    assert ran.code == 0
    assert scene.world.exists("VirtualMachineGroup", "tier", "dr")
    assert scene.restored == set()


def test_a_restore_that_was_stopped_goes_on_with_the_same_capture(scene: Scene) -> None:
    scene.come_back(OLD)
    scene.world.cluster.seed(vm("web-2", labels=LABELS, group="tier", created=False))
    scene.passing(lambda: None, interrupted=True)
    ran = scene.restore("--from", "latest", "--application", "tier", "--yes", "--timeout", "1h")
    assert ran.code == 130
    assert ran.err.splitlines()[-1] == (
        f"hint: repeat the command to go on: velero-vmservice restore --from {scene.newer} --application shop/tier"
    )
    scene.passing(scene.come_back)
    again = scene.restore("--from", str(scene.newer), "--application", "shop/tier", "--yes")
    assert (again.code, scene.restored) == (0, {"tier", "front"})


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("nightly", "--from", "latest"), 2, "name one of a BACKUP, a capture with --from, or a restore"),
        (("--from", "latest", "--allow-newer"), 2, "--allow-newer is about --from match alone"),
        (("nightly", "--allow-fewer-objects"), 2, "--allow-fewer-objects is about --from alone"),
        (("--from", "latest", "--object", "Pod/web"), 2, '"Pod/web" names no captured object'),
        (("--from", "nightly", "--application", "nothing"), 1, "the capture has no application nothing"),
        (
            ("--from", "latest", "--application", "nothing"),
            1,
            "no bucket has a sealed capture with application nothing",
        ),
        (("--from", "unknown"), 1, "no bucket has a capture named unknown"),
        (("--from", "latest", "-n", "elsewhere"), 1, "no bucket has a sealed capture of namespace elsewhere"),
        (("--from", "latest", "--namespace-mapping", "shp:dr"), 2, "object of namespace shp"),
    ],
)
def test_a_refusal_says_what_to_do(scene: Scene, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    ran = scene.restore(*arguments)
    assert ran.code == code
    assert sentence in ran.err
    assert scene.restored == set()


def test_reports_are_listed_and_shown_without_velero(scene: Scene) -> None:
    scene.come_back()
    scene.restore("--from", str(scene.older))
    (name,) = scene.command("report", "list", "-o", "name").lines
    restore, _, started = name.partition("/")
    assert restore == "nightly"
    shown = scene.command("report", "nightly")
    assert (shown.code, "Restored and verified" in shown.out) == (0, True)
    assert scene.command("report", "show", "nightly", "--started", started).code == 0


def test_a_report_is_the_same_document_in_yaml_and_says_what_took_the_capture(scene: Scene) -> None:
    scene.come_back()
    scene.restore("--from", str(scene.older))
    written = json.loads(scene.command("report", "nightly", "-o", "json").out)
    assert yaml.safe_load(scene.command("report", "nightly", "-o", "yaml").out) == written
    assert written["made_by"] == "command"


def test_registervm_is_called_for_the_vms_of_a_capture_and_a_restore_of_it_follows_the_call(scene: Scene) -> None:
    scene.world.settings = scene.world.settings.model_copy(update={"velero_namespace": "velero"})
    scene.world.cluster.seed(vsphere_namespace())
    scene.world.vsphere.vcenter.restore(NAMESPACE, restored("vm-1", "web-1"))
    ran = scene.command("registration", "trigger", "--from", str(scene.older), "-n", "shop", "web-1", "--yes")
    assert (ran.code, ran.lines[-1]) == (
        0,
        f"to follow: velero-vmservice registration status --from {scene.older} -n shop --vm web-1 --watch",
    )
    scene.restore("--from", str(scene.older), "--register", "--timeout", "10s")
    assert [moid for method, moid in scene.world.vsphere.vcenter.calls.made if method == "call"] == ["vm-1"]


def test_the_registration_of_the_vms_of_a_capture_is_shown(scene: Scene) -> None:
    scene.world.cluster.seed(vsphere_namespace())
    waiting = scene.command("registration", "status", "--from", str(scene.older))
    assert (waiting.code, "web-1" in waiting.out) == (4, True)
    scene.come_back()
    assert scene.command("registration", "status", "--from", str(scene.older)).code == 0
    both = scene.command("registration", "status", "nightly", "--from", "latest")
    assert (both.code, both.out) == (2, "")
