"""A store that refuses results: they are kept, stored when it takes them, and said not to be stored until then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import restore, service, vm
from velero_vmservice.errors import Forbidden, InvalidSettings, ReadOnlyStorage, Unavailable, VmServiceError
from velero_vmservice.restore.replay.ending import LASTING_SECONDS, OFFER_SECONDS, OUTAGE_SECONDS

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from tests.unit.world import World

WEB = {"app": "web"}
PREFIX = "restores/again/20260301T120000Z/"
REPORT, PAGE = f"{PREFIX}report.json", f"{PREFIX}report.html"
GONE = InvalidSettings("the bucket does not exist", hint="create it, or correct the bucket name")
LASTING = [GONE, Forbidden("access denied", hint="allow s3:PutObject")]
READ_ONLY = ReadOnlyStorage("BackupStorageLocation velero/default is ReadOnly", hint="set it to ReadWrite")
RESUME = (
    "velero restore describe again --details shows how each object has ended; when that is put right: velero-vmservice"
    " restore --resume again"
)


@pytest.fixture(name="operations")
def _operations(world: World) -> list[str]:
    """Services a and b, which can end at once, and c, which waits for its VM."""
    objects = [service("a", {"app": "none"}), service("b", {"app": "none"}), service("c", WEB)]
    items = world.back_up(vm("web-1", labels=WEB), *objects)
    world.lose(vm("web-1"), *objects)
    return world.replay_all(items)


def back(world: World) -> None:
    world.cluster.seed(vm("web-1", labels=WEB, uid="new"))


def stages(world: World) -> dict[str, str]:
    return {result["name"]: result["stage"] for result in world.document(REPORT)["objects"]}


def wait(world: World, operations: list[str], seconds: float) -> None:
    """Poll the operations until all that can end have, and again after that long."""
    for _ in range(5):
        world.round(operations)
    world.clock.advance(seconds)
    world.round(operations)


@pytest.mark.parametrize("error", LASTING, ids=lambda error: error.code)
def test_a_result_refused_by_the_store_is_stored_at_a_later_poll_of_another_object(
    world: World, operations: list[str], error: VmServiceError
) -> None:
    world.store.calls.fail("put", error)
    wait(world, operations, LASTING_SECONDS)
    polled = world.round(operations)
    assert [progress.completed for progress in polled.values()] == [True, True, False]
    world.store.calls.heal()
    back(world)
    world.finish(operations[2:])
    assert stages(world) == dict.fromkeys("abc", "verified")
    assert world.store.exists(PAGE)
    assert all(world.store.exists(f"{PREFIX}virtualmachineservices/shop/{name}.json") for name in "abc")


@pytest.mark.parametrize(
    ("error", "seconds"), [(GONE, LASTING_SECONDS), (Unavailable("s3 is away"), OUTAGE_SECONDS)], ids=["gone", "away"]
)
def test_an_operation_ends_some_time_after_its_object_though_its_result_is_not_stored_and_says_so(
    world: World, operations: list[str], error: VmServiceError, seconds: float
) -> None:
    world.store.calls.fail("put", error)
    wait(world, operations, seconds - 100)
    before = world.round(operations)[operations[0]]
    assert not before.completed
    assert before.description.endswith(f"the result is not stored yet: {error}")
    world.clock.advance(100)
    after = world.round(operations)[operations[0]]
    assert (after.completed, after.error) == (True, "")
    assert after.description.endswith(f"its result and the report are not stored: {error}; {RESUME}")
    assert "report.html" not in after.description


def test_a_location_that_is_read_only_is_not_waited_for(world: World, operations: list[str]) -> None:
    back(world)
    world.store.calls.fail("put", READ_ONLY)
    began = world.clock.monotonic()
    ended = world.finish(operations)
    assert world.clock.monotonic() - began < LASTING_SECONDS / 2
    for progress in ended.values():
        assert progress.error == ""
        assert progress.description.endswith(f"its result and the report are not stored: {READ_ONLY}; {RESUME}")
    world.store.calls.heal()
    world.clock.advance(OFFER_SECONDS)
    world.app.actions.ended("a process")
    assert stages(world) == dict.fromkeys("abc", "verified")


def test_the_error_of_an_object_that_failed_says_that_its_result_is_not_stored(
    world: World, operations: list[str]
) -> None:
    (key,) = (key for key in world.store.list("captures/") if key.endswith("a.json"))
    world.store.tamper(key, b"rotten")
    world.store.calls.fail("put", GONE)
    wait(world, operations, LASTING_SECONDS)
    error = world.round(operations)[operations[0]].error
    assert error.endswith(f"its result and the report are not stored: {GONE}; {RESUME}")


def test_an_event_says_once_that_operations_ended_without_being_stored(
    world: World, operations: list[str], log: LogCapture
) -> None:
    world.store.calls.fail("put", GONE)
    wait(world, operations, LASTING_SECONDS)
    (event,) = [warning for warning in world.cluster.events if warning.reason == "NotStored"]
    assert event.warning
    assert "the bucket does not exist" in event.message
    (line,) = [entry for entry in log.entries if entry["event"] == "result not stored"]
    assert (line["cause"], line["hint"]) == (GONE.message, GONE.hint)


def test_results_owed_when_velero_asks_no_more_are_stored_when_a_launched_process_ends(
    world: World, operations: list[str]
) -> None:
    back(world)
    world.store.calls.fail("put", GONE)
    wait(world, operations, LASTING_SECONDS)
    assert all(progress.completed for progress in world.round(operations).values())
    world.app.actions.ended("a process")
    world.store.calls.heal()
    world.app.actions.ended("a process too soon after it")
    assert not world.store.exists(REPORT)
    world.clock.advance(OFFER_SECONDS)
    world.app.actions.ended("another process")
    assert stages(world) == dict.fromkeys("abc", "verified")
    assert [event.reason for event in world.cluster.events].count("Reported") == 1


def test_a_result_is_not_forgotten_while_it_is_offered(world: World, operations: list[str]) -> None:
    back(world)
    world.store.calls.fail("put", GONE)
    wait(world, operations, LASTING_SECONDS)
    world.round(operations)
    for _ in range(3):
        world.clock.advance(20 * 3600)
        world.app.actions.ended("a process")
    world.store.calls.heal()
    world.clock.advance(OFFER_SECONDS)
    world.app.actions.ended("a process")
    assert stages(world) == dict.fromkeys("abc", "verified")


def test_a_restore_that_owes_something_and_is_being_polled_is_left_to_the_poll(
    world: World, operations: list[str]
) -> None:
    back(world)
    world.store.calls.fail("put", GONE)
    wait(world, operations, LASTING_SECONDS)
    world.round(operations)
    world.store.calls.heal()

    def during_the_poll(_: str) -> None:
        world.store.calls.heal()
        world.app.actions.ended("another process")
        assert not world.store.exists(REPORT)

    world.store.calls.before("put", during_the_poll)
    world.round(operations)
    assert stages(world) == dict.fromkeys("abc", "verified")


def test_only_the_report_is_reported_missing_where_the_result_is_stored(world: World, operations: list[str]) -> None:
    back(world)
    world.store.calls.fail("put", GONE, on="report")
    wait(world, operations, LASTING_SECONDS)
    polled = world.round(operations)
    last = polled[operations[2]]
    assert last.completed
    assert last.description.endswith(f"the report is not stored: {GONE}; {RESUME}")
    assert not any("report.html" in progress.description for progress in polled.values())


def test_a_report_that_cannot_be_made_does_not_keep_the_restore_from_ending(
    world: World, operations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("velero_vmservice.report.store.compose", broken)
    back(world)
    wait(world, operations, LASTING_SECONDS)
    polled = world.round(operations)
    assert all(progress.completed for progress in polled.values())
    assert "the report is not stored: internal error" in polled[operations[2]].description
    assert "secret" not in polled[operations[2]].description


@pytest.mark.parametrize("spoilt", [b"rotten", b'{"schema_version":1}'], ids=["not ours", "no result"])
def test_a_stored_result_that_cannot_be_read_is_named_and_hides_none_of_the_others(
    world: World, operations: list[str], spoilt: bytes
) -> None:
    for _ in range(3):
        world.round(operations)
    key = f"{PREFIX}virtualmachineservices/shop/a.json"
    world.store.tamper(key, spoilt)
    world.restart()
    back(world)
    world.finish(operations[2:])
    report = world.document(REPORT)
    assert [result["name"] for result in report["objects"]] == ["b", "c"]
    assert report["outcome"] == "unfinished"
    assert any(key in warning for warning in report["warnings"])


def test_cancel_does_not_claim_a_report_that_is_not_there(world: World, operations: list[str]) -> None:
    world.store.calls.fail("put", GONE)
    world.round(operations)
    world.app.actions.restore["replay"].cancel(operations[2], restore())
    assert "report.html" not in world.poll(operations[2]).description
