"""Which applications live, which captures hold them, when the next is due; and what it costs to find out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, STARTED, backup, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.adapters.clock import zone_of_process
from velero_vmservice.captures import survey
from velero_vmservice.captures.holdings import SealAnswer
from velero_vmservice.captures.protection import SealedCapture
from velero_vmservice.captures.survey import Part, View
from velero_vmservice.errors import Forbidden, ForeignStorage, Unavailable
from velero_vmservice.kube.manifest import (
    BACKUP,
    BACKUP_STORAGE_LOCATION,
    DEPLOYMENT,
    SCHEDULE,
    VIRTUAL_MACHINE_SERVICE,
    ObjectRef,
)
from velero_vmservice.settings.reading import BucketSettings
from velero_vmservice.vadp.capturing import CaptureRequest
from velero_vmservice.velero.runs import CaptureRef, Maker

if TYPE_CHECKING:
    from pathlib import Path

    from velero_vmservice.captures.protection import Protection

BACKED_UP = datetime(2026, 3, 1, 12, tzinfo=UTC)


def made_in_january(*objects: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    for content in objects:
        content["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return objects


WEB = made_in_january(
    vm("web-1", labels={"app": "web"}, group="web"), group("web", ["web-1"]), service("front", {"app": "web"})
)


def schedule(cron: str = "0 2 * * *", name: str = "nightly", **template: Any) -> dict[str, Any]:
    made = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = {"schedule": cron, "template": template}
    return obj("Schedule", name, api="velero.io/v1", namespace="velero", meta=made, spec=spec)


def ended(name: str = "nightly", **rest: Any) -> dict[str, Any]:
    content = backup(name, **rest)
    content["status"]["phase"] = "Completed"
    return content


@pytest.fixture(name="world")
def _world() -> World:
    world = World()
    world.clock.set(BACKED_UP + timedelta(hours=1))
    return world


def only(view: View) -> Protection:
    (protection,) = view.protections
    return protection


def back_up(world: World, *objects: dict[str, Any]) -> None:
    world.back_up(*objects)
    world.cluster.seed(ended())


def test_an_application_that_is_captured_whole(world: World) -> None:
    back_up(world, *WEB)
    world.cluster.seed(schedule())
    view = world.app.survey.look()
    seen = only(view)
    assert str(seen.application.name) == "VirtualMachineGroup shop/web"
    assert seen.last is not None
    assert (seen.last.ref.name, seen.last.started) == ("nightly", BACKED_UP)
    assert seen.due == datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert view.restorable == {seen.application.name: True}
    assert view.unread == {}


def test_an_application_that_no_capture_holds_whole(world: World) -> None:
    back_up(world, *WEB)
    world.cluster.seed(service("added-since", {"app": "web"}))
    seen = only(world.app.survey.look())
    assert seen.last is None
    assert seen.due is None


def test_a_new_application_is_due_with_the_next_run(world: World) -> None:
    made = {"creationTimestamp": "2026-03-01T12:30:00Z"}
    world.cluster.seed(vm("db-1", labels={"app": "db"}), service("db", {"app": "db"}, meta=made), schedule())
    assert only(world.app.survey.look()).due == datetime(2026, 3, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "template",
    [
        {"includedNamespaces": ["other"]},
        {"excludedNamespaces": [NAMESPACE]},
        {"excludedResources": ["virtualmachineservices.vmoperator.vmware.com"]},
        {"labelSelector": {"matchLabels": {"tier": "front"}}},
    ],
)
def test_a_schedule_that_leaves_part_of_it_out_is_no_schedule_of_it(world: World, template: dict[str, Any]) -> None:
    world.cluster.seed(*WEB, schedule(**template))
    assert only(world.app.survey.look()).due is None


def test_a_schedule_is_measured_from_when_it_was_made(world: World) -> None:
    back_up(world, *WEB)
    later = schedule()
    later["metadata"]["creationTimestamp"] = "2026-03-05T12:00:00Z"
    world.cluster.seed(later)
    assert only(world.app.survey.look()).due == datetime(2026, 3, 6, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("variables", "due"),
    [
        ([{"name": "TZ", "value": "Asia/Tokyo"}], datetime(2026, 3, 1, 17, tzinfo=UTC)),
        ([{"name": "TZ", "value": ""}], datetime(2026, 3, 2, 2, tzinfo=UTC)),
        ([{"name": "TZ", "valueFrom": {"configMapKeyRef": {}}}], datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ([], datetime(2026, 3, 2, 1, tzinfo=UTC)),
        (None, datetime(2026, 3, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_schedule_counts_in_the_zone_of_veleros_container_else_in_that_of_this_process(
    world: World, variables: list[dict[str, Any]] | None, due: datetime
) -> None:
    back_up(world, *WEB)
    world.cluster.seed(schedule())
    if variables is not None:
        world.cluster.serve(DEPLOYMENT, "v1")
        pod = {"containers": [{"name": "velero", "env": variables}]}
        spec = {"template": {"spec": pod}}
        world.cluster.seed(obj("Deployment", "velero", api="apps/v1", namespace="velero", spec=spec))
    looking = survey.Survey(
        cluster=world.cluster,
        locations=world.locations,
        catalogue=world.app.catalogue,
        clock=world.clock,
        velero_namespace="velero",
        zone=zone_of_process({"TZ": "Europe/Berlin"}),
    )
    assert only(looking.look()).due == due


def test_the_zone_of_a_process_without_tz_is_the_systems(tmp_path: Path) -> None:
    assert zone_of_process({}, local_time=tmp_path / "absent") is UTC
    local_time = tmp_path / "localtime"
    local_time.write_bytes(files("tzdata.zoneinfo.Europe").joinpath("Berlin").read_bytes())
    system = zone_of_process({}, local_time=local_time)
    assert BACKED_UP.astimezone(system).utcoffset() == timedelta(hours=1)


def test_objects_without_a_vm_are_no_application(world: World) -> None:
    node = {"capv.vmware.com/cluster.role": "worker"}
    world.cluster.seed(
        group("empty", ["gone-1"]),
        service("nothing", {"app": "nothing"}),
        vm("node-1", labels={"app": "node", **node}),
        service("nodes", {"app": "node"}),
    )
    assert world.app.survey.look().protections == []


def test_groups_below_a_group_are_one_application(world: World) -> None:
    world.cluster.seed(
        vm("db-1", group="db"),
        vm("web-1", group="web"),
        group("shop", ["/db"], ["/web"]),
        group("db", ["db-1"], parent="shop"),
        group("web", ["web-1"], parent="shop"),
    )
    assert str(only(world.app.survey.look()).application.name) == "VirtualMachineGroup shop/shop"


def test_a_finding_that_keeps_it_from_coming_back(world: World) -> None:
    back_up(world, *made_in_january(vm("web-1", group="web"), group("web", ["web-1", "web-1"])))
    view = world.app.survey.look()
    assert view.restorable == {only(view).application.name: False}


def test_a_backup_that_is_gone_old_or_unfinished_protects_nothing(world: World) -> None:
    world.back_up(*WEB)
    assert only(world.app.survey.look()).last is None  # it has no phase yet
    world.cluster.seed(ended())
    assert only(world.app.survey.look()).last is not None
    world.clock.set(BACKED_UP + survey.RECENT + timedelta(seconds=1))
    assert only(world.app.survey.look()).last is None


def test_a_seal_that_was_read_is_not_read_again(world: World) -> None:
    back_up(world, *WEB)
    world.app.survey.look()
    world.store.calls.made.clear()
    world.app.survey.look()
    assert world.store.calls.made == []


def test_a_seal_is_read_only_as_far_back_as_it_takes(world: World) -> None:
    back_up(world, *WEB)
    for day in range(1, 10):
        world.cluster.seed(ended(f"older-{day}", started=f"2026-02-{day:02}T12:00:00Z"))
    world.store.calls.made.clear()
    world.app.survey.look()
    seals = [key for method, key in world.store.calls.made if method == "get" and key.endswith("/capture.json")]
    assert seals == ["captures/nightly/20260301T120000Z/capture.json"]


def seals_read(world: World) -> int:
    return sum(method == "get" and key.endswith("/capture.json") for method, key in world.store.calls.made)


def test_no_seal_is_read_of_a_backup_that_began_before_the_application_was_made(world: World) -> None:
    made = {"creationTimestamp": "2026-02-08T00:00:00Z"}
    world.cluster.seed(vm("db-1", labels={"app": "db"}), service("db", {"app": "db"}, meta=made))
    for day in range(1, 11):
        world.cluster.seed(ended(f"february-{day}", started=f"2026-02-{day:02}T12:00:00Z"))
    view = world.app.survey.look()
    assert seals_read(world) == 3
    assert view.captures_known
    assert only(view).last is None


def test_an_older_capture_counts_again_once_the_newer_is_gone(world: World) -> None:
    never_captured = made_in_january(vm("db-1", labels={"app": "db"}), service("db", {"app": "db"}))
    back_up(world, *WEB)
    world.cluster.seed(*never_captured)
    older = last_of_web(world)
    newer = {"name": "newer", "started": "2026-03-01T12:30:00Z"}
    for operation in {world.capture(content, **newer).operation_id for content in WEB[1:]}:
        assert world.seal(operation, **newer).completed
    world.cluster.seed(ended(**newer))
    assert (older, last_of_web(world)) == ("nightly", "newer")
    world.cluster.remove(ObjectRef(BACKUP, "velero", "newer"))
    assert last_of_web(world) == "nightly"


def last_of_web(world: World) -> str:
    (web,) = (each for each in world.app.survey.look().protections if each.application.name.name == "web")
    return web.last.ref.name if web.last else ""


def test_of_a_seal_only_the_keys_of_the_applications_that_were_looked_for_are_kept() -> None:
    refs = [ObjectRef(VIRTUAL_MACHINE_SERVICE, NAMESPACE, name) for name in ("front", "db", "other")]
    front, database, other = (frozenset({ref}) for ref in refs)
    ref = CaptureRef(maker=Maker.VELERO, name="b", started="20260301T120000Z", location="default")
    capture = SealedCapture(ref=ref, keys={refs[0]: "front", refs[2]: "other"})
    answer = SealAnswer(sought=frozenset({front, database}), capture=capture).about(frozenset({front, database}))
    assert answer.capture is not None
    assert answer.capture.keys == {refs[0]: "front"}
    assert answer.answers(frozenset({front, database}))
    assert not answer.answers(frozenset({other}))

    without_front = answer.about(frozenset({database}))  # a newer capture holds it by now
    assert without_front.capture is not None
    assert without_front.capture.keys == {}
    assert without_front.answers(frozenset({database}))
    assert not without_front.answers(frozenset({front})), "whether it is held was forgotten"
    assert SealAnswer().answers(frozenset({front})), "a backup without a seal holds nothing"


def test_many_backups_are_read_over_several_looks(world: World) -> None:
    world.cluster.seed(*WEB, *(ended(f"other-{number}", started=STARTED) for number in range(survey.MOST_SEALS + 1)))
    view = world.app.survey.look()
    assert view.unread == {Part.CAPTURES: "unread"}
    assert not view.captures_known
    assert world.store.calls.counts["get"] == survey.MOST_SEALS
    assert world.app.survey.look().captures_known


def test_without_a_right_the_rest_is_read(world: World) -> None:
    back_up(world, *WEB)
    world.cluster.seed(schedule())
    world.cluster.calls.fail("list", Forbidden("no list of schedules"), on="Schedule")
    view = world.app.survey.look()
    assert view.unread == {Part.SCHEDULES: "forbidden"}
    assert view.captures_known
    assert only(view).last is not None
    assert only(view).due is None


def test_a_bucket_that_is_away_is_asked_once_a_look_and_leaves_protection_unknown(world: World) -> None:
    back_up(world, *WEB)
    world.cluster.seed(ended("second", started="2026-02-28T12:00:00Z"))
    world.store.calls.fail("get", Unavailable("the bucket is away"))
    world.store.calls.made.clear()
    view = world.app.survey.look()
    assert (view.unread, view.captures_known) == ({Part.CAPTURES: "unavailable"}, False)
    assert world.store.calls.counts["get"] == 1
    world.store.calls.heal()
    assert only(world.app.survey.look()).last is not None


def test_an_object_whose_document_is_damaged_or_gone_is_not_restorable(world: World) -> None:
    back_up(world, *WEB)
    web, front = (f"captures/nightly/20260301T120000Z/objects/{kind}.json" for kind in CAPTURED)
    world.store.delete(web)
    view = world.app.survey.look()
    assert view.restorable == {only(view).application.name: False}
    assert view.unread == {}
    world.restart()
    world.store.tamper(front, b"{}")
    assert set(world.app.survey.look().restorable.values()) == {False}


def test_a_location_that_is_not_s3_holds_no_capture_and_leaves_none_unknown(world: World) -> None:
    world.cluster.seed(*WEB, ended())
    world.locations.calls.fail("open", ForeignStorage("the provider is not S3"))
    view = world.app.survey.look()
    assert view.captures_known
    assert only(view).last is None


CAPTURED = ("virtualmachinegroups/shop/web", "virtualmachineservices/shop/front")


def test_a_damaged_seal_hides_no_other(world: World) -> None:
    back_up(world, *WEB)
    world.cluster.seed(ended("damaged", started="2026-03-01T12:30:00Z"))
    world.store.put("captures/damaged/20260301T123000Z/capture.json", b"{", sha256=DIGEST_OF_A_BRACE)
    view = world.app.survey.look()
    assert view.unread == {Part.CAPTURES: "corrupt"}
    assert only(view).last is not None


DIGEST_OF_A_BRACE = "021fb596db81e6d02bf3d2586ee3981fe519f275c0ac9ca76bbcf2ebb4097d96"


LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")


def take(world: World, **request: Any) -> None:
    world.cluster.seed(obj("Namespace", NAMESPACE, api="v1", namespace=""))
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold", **request))


def test_a_capture_of_the_command_protects_as_one_of_a_backup_does(world: World) -> None:
    world.cluster.seed(LOCATION, *WEB, schedule())
    take(world, restore_point="4711")
    view = world.app.survey.look()
    last = only(view).last
    assert last is not None
    assert (last.ref.maker, last.started) == (Maker.COMMAND, BACKED_UP + timedelta(hours=1))
    assert (last.vadp_job, last.restore_point) == ("gold", "4711")
    assert only(view).due == datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert view.restorable == {only(view).application.name: True}
    assert view.unread == {}


def test_the_newer_of_a_backup_and_a_capture_of_the_command_counts(world: World) -> None:
    back_up(world, LOCATION, *WEB)
    take(world)
    assert last_of_web(world) == "gold"
    later = {"name": "later", "started": "2026-03-01T14:00:00Z"}
    for operation in {world.capture(content, **later).operation_id for content in WEB[1:]}:
        assert world.seal(operation, **later).completed
    world.cluster.seed(ended(**later))
    assert last_of_web(world) == "later"


def test_captures_of_the_command_count_without_velero() -> None:
    own_bucket = World()
    own_bucket.settings = own_bucket.settings.model_copy(update={"bucket": BucketSettings(name="own")})
    own_bucket.locations.stores = {"": own_bucket.store}
    for kind in (BACKUP, SCHEDULE, BACKUP_STORAGE_LOCATION):
        own_bucket.cluster.serve(kind)
    own_bucket.restart()
    own_bucket.cluster.seed(*WEB)
    take(own_bucket)
    view = own_bucket.app.survey.look()
    assert view.unread == {}
    assert last_of_web(own_bucket) == "gold"


def test_a_capture_of_the_command_that_is_not_whole_or_old_protects_nothing(world: World) -> None:
    world.cluster.seed(LOCATION, *WEB)
    take(world)
    name = "vadp/gold/20260301T130000Z/capture.json"
    assert last_of_web(world)
    world.clock.advance(survey.RECENT.total_seconds() + 1)
    assert last_of_web(world) == ""
    world.clock.set(BACKED_UP + timedelta(hours=2))
    world.store.delete(name)
    world.restart()
    view = world.app.survey.look()
    assert (only(view).last, view.captures_known) == (None, True)


def test_a_look_lists_the_names_of_the_commands_captures_and_not_their_documents(world: World) -> None:
    world.cluster.seed(LOCATION, *WEB)
    take(world)
    world.store.calls.made.clear()
    world.app.survey.look()
    assert [key for method, key in world.store.calls.made if method == "list"] == ["vadp/", "vadp/gold/"]


def test_what_is_no_time_in_a_bucket_is_no_capture(world: World) -> None:
    world.cluster.seed(LOCATION)
    for key in ("vadp/by-hand/20260301T130000Z/capture.json", "vadp/by-hand/99999999T999999Z/capture.json"):
        world.store.put(key, b"{", sha256=DIGEST_OF_A_BRACE)
    (run,) = world.app.catalogue.taken(since=BACKED_UP).runs
    assert (run.name, run.started) == ("by-hand", "20260301T130000Z")
    assert [capture.run.started for capture in world.app.catalogue.list().captures] == ["20260301T130000Z"]


def test_a_bucket_that_cannot_be_listed_leaves_protection_unknown(world: World) -> None:
    back_up(world, LOCATION, *WEB)
    world.store.calls.fail("list", Unavailable("the bucket is away"))
    view = world.app.survey.look()
    assert view.unread == {Part.CAPTURES: "unavailable"}
    assert last_of_web(world) == "nightly"
