"""`velero-vmservice drill` as an administrator runs it: on a working day, beside the application that lives."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import NAMESPACE, group, obj, service, vm, vsphere_namespace
from tests.unit.world import World
from velero_vmservice import app
from velero_vmservice.archive.store import read_document
from velero_vmservice.documents import digest
from velero_vmservice.drill.model import DrillReport, DrillVerdict, Trial
from velero_vmservice.errors import ReadOnlyStorage, Rejected, Unavailable
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION, ObjectRef
from velero_vmservice.kube.manifest import NAMESPACE as NAMESPACE_KIND
from velero_vmservice.vadp.capturing import CaptureRequest

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine
    from velero_vmservice.settings.access import LoginChoice
    from velero_vmservice.settings.reading import Settings

WRITES = {"create", "patch", "event"}


@pytest.fixture(name="world")
def _world(command: CommandLine) -> World:
    """An application that lives, its capture, and a namespace to drill in; no Velero object but a location."""
    world = World()
    world.clock.set(datetime(2026, 3, 1, 13, tzinfo=UTC))
    location = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
    world.cluster.seed(location, vsphere_namespace(), vsphere_namespace("drill"))
    world.cluster.seed(
        vm("web-1", labels={"app": "web"}, group="web"), group("web", ["web-1"]), service("front", {"app": "web"})
    )
    world.cluster.seed(vm("mail-1", labels={"app": "mail"}), service("mail", {"app": "mail"}))
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold", restore_point="4711"))
    world.clock.advance(3600.0)
    command.connects_to(world.start)
    return world


def stored(world: World) -> DrillReport:
    key = "drills/gold/20260301T140000Z/report.json"
    return read_document(world.store, key, DrillReport)


def trials(report: DrillReport) -> dict[str, str]:
    return {each.name: each.trial for each in report.objects}


def test_a_drill_tries_every_object_and_stores_a_report(command: CommandLine, world: World) -> None:
    world.cluster.calls.made.clear()
    ran = command("drill", "run", "--into", "drill")
    report = stored(world)
    assert trials(report) == dict.fromkeys(("web", "front", "mail"), Trial.ACCEPTED)
    assert {each.target for each in report.objects} == {"drill"}
    assert (report.capture.vadp_job, report.capture.restore_point) == ("gold", "4711")
    assert report.last_restore is None
    assert [row[:5] for row in ran.rows if row[1:2] == ["shop/web"]] == [
        [report.applications[0].verdict, "shop/web", "drill", "1", "2/2"]
    ]
    assert ran.lines[-1] == f"report: {world.store.where('drills/gold/20260301T140000Z/report.json')}"


@pytest.mark.parametrize("into", [[], ["--into", "drill"], ["--into", "nowhere"]])
def test_the_only_writes_on_the_cluster_are_dry_runs(command: CommandLine, world: World, into: list[str]) -> None:
    world.cluster.calls.made.clear()
    command("drill", "run", *into)
    methods = {method for method, _ in world.cluster.calls.made}
    assert WRITES.isdisjoint(methods)
    assert "dry-run create" in methods
    assert world.vsphere.vcenter.calls.counts["call"] == 0, "no RegisterVM"


def test_the_namespace_of_the_living_application_takes_the_names(command: CommandLine, world: World) -> None:
    command("drill", "run")
    report = stored(world)
    assert trials(report) == dict.fromkeys(("web", "front", "mail"), Trial.NAME_TAKEN)
    assert not any(finding.blocks for application in report.applications for finding in application.reasons)


def test_a_page_is_stored_beside_the_report_and_shown_again(command: CommandLine, world: World) -> None:
    ran = command("drill", "run", "--into", "drill")
    key = "drills/gold/20260301T140000Z/report.html"
    page = world.store.get(key).decode()
    assert "<h1>gold</h1>" in page
    assert f"page: {world.store.where(key)}" in ran.lines
    assert command("drill", "show", "gold", "-o", "html").out.strip() == page.strip()
    world.store.delete(key)
    assert "page: " not in command("drill", "show", "gold").out, "a drill of an earlier release has none"


def test_a_name_that_another_object_has_is_not_ready(command: CommandLine, world: World) -> None:
    world.cluster.seed(service("front", {"app": "another"}, more={"namespace": "drill"}))
    ran = command("drill", "run", "--into", "drill")
    assert (ran.code, stored(world).verdict) == (3, DrillVerdict.NOT_READY)
    assert "VirtualMachineService drill/front name-taken: " in ran.out


def test_a_capture_of_nothing_is_not_ready(command: CommandLine, world: World) -> None:
    world.cluster.seed(vsphere_namespace("empty"))
    world.app.capturing.take(CaptureRequest(namespaces=("empty",), job="empty", allow_empty=True))
    ran = command("drill", "run", "--from", "empty")
    assert (ran.code, ran.lines[-3]) == (3, "not-ready: a restore would not succeed as things are")
    assert any(line.endswith("holds no application and no VM") for line in ran.lines)


def test_an_object_that_a_webhook_refuses_is_not_ready(command: CommandLine, world: World) -> None:
    world.cluster.calls.fail("dry-run create", Rejected("the webhook wants another port"), on="front")
    ran = command("drill", "run", "--into", "drill")
    assert ran.code == 3
    assert "VirtualMachineService drill/front refused: the webhook wants another port" in ran.out
    assert stored(world).verdict == DrillVerdict.NOT_READY


def test_without_the_namespace_that_part_is_not_tried(command: CommandLine, world: World) -> None:
    ran = command("drill", "run", "--into", "nowhere")
    assert ran.code == 1
    assert "not tried: 3 objects by dry run: namespace nowhere does not exist" in ran.lines
    report = stored(world)
    assert report.verdict == DrillVerdict.INCOMPLETE
    assert set(trials(report).values()) == {Trial.NO_NAMESPACE}


def test_an_application_is_drilled_alone(command: CommandLine, world: World) -> None:
    command("drill", "shop/mail", "--into", "drill")
    report = stored(world)
    assert (report.chosen, trials(report)) == (("shop/mail",), {"mail": Trial.ACCEPTED})
    assert [application.name for application in report.applications] == ["mail"]


def test_what_the_target_lacks_is_a_reason(command: CommandLine, world: World) -> None:
    world.cluster.remove(ObjectRef(NAMESPACE_KIND, "", "drill"))
    world.cluster.seed(obj("Namespace", "drill", api="v1", namespace="", meta={"annotations": {}}))
    ran = command("drill", "run", "--into", "drill")
    assert ran.code == 3
    assert "is not a vSphere Namespace" in ran.out


def test_another_supervisor_is_drilled_against_with_the_stores_of_this_one(command: CommandLine, world: World) -> None:
    other, contexts = World(), list[str]()
    other.cluster.seed(vsphere_namespace("drill"))

    def towards(plugin: app.App, settings: Settings, *, login: LoginChoice) -> app.App:
        contexts.append(login.context)
        return app.assemble(settings, cluster=other.cluster, locations=plugin.locations, clock=plugin.clock)

    command.patch.setattr(app, "towards", towards)
    world.cluster.calls.made.clear()
    command("drill", "run", "--into", "drill", "--target-context", "dr")
    assert contexts == ["dr"]
    report = stored(world)
    assert report.target.other
    assert set(trials(report).values()) == {Trial.ACCEPTED}
    assert ("dry-run create", "VirtualMachineService drill/front") in other.cluster.calls.made
    assert "dry-run create" not in world.cluster.calls.counts
    assert WRITES.isdisjoint(other.cluster.calls.counts)


def test_the_last_restore_is_timed_from_its_report(command: CommandLine, world: World) -> None:
    started = {"restore": "again", "restore_uid": "u", "backup": "gold", "outcome": "verified", "objects": []}
    item = {"restore": "again", "backup": "gold", "kind": "VirtualMachineService", "namespace": "dr", "name": "front"}
    item |= {"source_namespace": NAMESPACE, "stage": "verified", "reason": "-"}
    report = started | {
        "started": "2026-02-01T10:00:00+00:00",
        "ended": "2026-02-01T10:42:00+00:00",
        "objects": [item],
    }
    body = json.dumps(report).encode()
    world.store.put("restores/again/20260201T100000Z/report.json", body, sha256=digest(body))
    ran = command("drill", "run", "--into", "drill")
    assert "the last restore, again, took 42 min and ended verified" in ran.lines
    last = stored(world).last_restore
    assert last is not None
    assert last.seconds == 42 * 60


def test_a_drill_is_listed_and_shown_again(command: CommandLine, world: World) -> None:
    first = command("drill", "run", "--into", "drill", "-o", "json")
    assert command("drill", "list", "-o", "name").lines == ["gold/20260301T140000Z"]
    shown = command("drill", "show", "gold", "-o", "json")
    assert json.loads(shown.out) == json.loads(first.out)
    assert command("drill", "list", "none").code == 1
    assert stored(world).drill == "gold"


def test_a_report_that_cannot_be_stored_is_printed_and_exits_with_1(command: CommandLine, world: World) -> None:
    world.store.calls.fail("put", ReadOnlyStorage("the location is ReadOnly"))
    ran = command("drill", "run", "--into", "drill")
    assert ran.code == 1
    assert "the report is not stored: the location is ReadOnly" in ran.err
    assert "shop/web" in ran.out


def test_a_capture_that_is_newer_and_damaged_is_passed_over(command: CommandLine, world: World) -> None:
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="silver"))
    (seal,) = (key for key in world.store.list("vadp/silver/") if key.endswith("/capture.json"))
    world.store.tamper(seal, b"{")
    command("drill", "run", "--into", "drill")
    assert stored(world).capture.name == "gold"


@pytest.mark.usefixtures("world")
def test_help_has_the_exit_codes_and_examples(command: CommandLine) -> None:
    ran = command("drill", "run", "--help")
    assert ran.code == 0
    text = " ".join(ran.out.split())
    assert "Exits with 3 if a restore would not succeed, with 1 if a part could not be tried." in text
    assert "velero-vmservice drill run --from nightly --target-context other-supervisor" in text
    assert "list" in command("drill").err


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("run", "shop/unknown", "--from", "gold"), 2, "the capture has no application shop/unknown"),
        (("run", "--from", "unknown"), 1, "no bucket has a capture named unknown"),
        (("run", "--into", "drill", "--namespace-mapping", "shop:drill"), 2, "say the same"),
        (("shop/unknown",), 1, "no bucket has a sealed capture with application shop/unknown"),
        (("show", "gold"), 1, "no drill gold is stored"),
    ],
)
def test_a_misuse_says_what_to_do(command: CommandLine, arguments: tuple[str, ...], code: int, error: str) -> None:
    ran = command("drill", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert error in ran.err
    assert "hint: " in ran.err


def test_without_a_bucket_there_is_no_drill(command: CommandLine, world: World) -> None:
    world.cluster.remove(ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default"))
    assert command("drill", "run").code == 1


def test_a_target_that_cannot_be_observed_is_no_drill(command: CommandLine, world: World) -> None:
    world.cluster.calls.fail("list", Unavailable("the API server is away"), on="VirtualMachine drill")
    ran = command("drill", "run", "--into", "drill")
    assert (ran.code, ran.out) == (1, "")
    assert not list(world.store.list("drills/"))


def test_the_capture_that_fits_the_vms_is_drilled(command: CommandLine, world: World) -> None:
    ran = command("drill", "shop/mail", "--from", "match", "--into", "drill")
    assert "no capture is known to fit" in ran.err, "without a backup version nothing can be compared"
    assert ran.code == 3
    versions = {"vmoperator.vmware.com/backup-version": "1772370000000"}
    world.cluster.seed(vm("mail-1", labels={"app": "mail"}, meta={"annotations": versions}))
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="silver"))
    ran = command("drill", "shop/mail", "--from", "match", "--into", "drill")
    assert "the capture is silver/20260301T140000Z" in ran.err
    _, key = world.store.list("drills/silver/")
    assert read_document(world.store, key, DrillReport).chosen == ("shop/mail",)
