"""Each call arrives as values and leaves as bytes; each error leaves as a status with words."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.rpc.small_actions import STARTED
from velero_vmservice.pb import velero_generated_pb2 as generated
from velero_vmservice.pb import velero_v2_pb2 as v2

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from tests.rpc.velero_host import PluginProcess
    from velero_vmservice.rpc.control import PluginServer
    from velero_vmservice.rpc.server import ActionTable

CAPTURE = "velero-plugin-for-vmservice/capture"
REPLAY = "velero-plugin-for-vmservice/replay"
PURGE = "velero-plugin-for-vmservice/purge"
BACKUP = {"metadata": {"namespace": "velero", "name": "nightly"}}
RESTORE = {"metadata": {"namespace": "velero", "name": "again"}}


@pytest.fixture(name="velero")
def _velero(server: PluginServer, launch: Callable[..., PluginProcess]) -> PluginProcess:
    assert server is not None
    return launch()


def config_map(do: str = "") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "a"}, "data": {"do": do}}


def test_backup_execute_carries_all_that_the_action_answers(velero: PluginProcess) -> None:
    answer = velero.backup_items.Execute(
        v2.ExecuteRequest(plugin=CAPTURE, item=json.dumps(config_map()).encode(), backup=json.dumps(BACKUP).encode())
    )
    assert json.loads(answer.item)["metadata"]["annotations"] == {"seen-in": "nightly"}
    assert answer.operationID == "op-1"


def test_restore_execute_sees_both_items_and_skips(velero: PluginProcess) -> None:
    answer = velero.restore(REPLAY, config_map(), {**config_map(), "status": {"ready": True}}, RESTORE)
    assert json.loads(answer.item)["status"] == {"ready": True}
    assert (answer.skipRestore, answer.operationID) == (True, "op-2")
    assert not answer.waitForAdditionalItems


def test_delete_execute_reaches_the_action(velero: PluginProcess, actions: ActionTable) -> None:
    velero.delete(PURGE, config_map(), BACKUP)
    assert actions.delete["purge"].deleted == ["nightly/a"]


def test_every_kind_says_what_it_applies_to(velero: PluginProcess) -> None:
    answers = [
        velero.backup_items.AppliesTo(v2.BackupItemActionAppliesToRequest(plugin=CAPTURE)),
        velero.restore_items.AppliesTo(v2.RestoreItemActionAppliesToRequest(plugin=REPLAY)),
        velero.delete_items.AppliesTo(generated.DeleteItemActionAppliesToRequest(plugin=PURGE)),
    ]
    for answer in answers:
        assert list(answer.ResourceSelector.includedResources) == ["configmaps"]
        assert not answer.ResourceSelector.excludedNamespaces


def test_additional_items_are_never_waited_for(velero: PluginProcess) -> None:
    assert velero.restore_items.AreAdditionalItemsReady(v2.RestoreItemActionItemsReadyRequest(plugin=REPLAY)).ready


def test_cancel_reaches_the_action(velero: PluginProcess, actions: ActionTable) -> None:
    velero.backup_items.Cancel(
        v2.BackupItemActionCancelRequest(plugin=CAPTURE, operationID="op-1", backup=json.dumps(BACKUP).encode())
    )
    velero.restore_items.Cancel(
        v2.RestoreItemActionCancelRequest(plugin=REPLAY, operationID="op-2", restore=json.dumps(RESTORE).encode())
    )
    assert actions.backup["capture"].cancelled == ["op-1"]
    assert actions.restore["replay"].cancelled == ["op-2"]


def test_progress_tells_numbers_words_and_times(velero: PluginProcess) -> None:
    for progress in (
        velero.backup_progress(CAPTURE, "op", BACKUP),
        velero.restore_progress(REPLAY, "op", RESTORE),
    ):
        assert not progress.completed
        assert (progress.nCompleted, progress.nTotal, progress.operationUnits) == (1, 3, "VMs")
        assert progress.description == "web-2: not registered yet"
        assert progress.started.ToDatetime(UTC) == STARTED


def test_a_time_that_is_not_known_is_go_s_zero_time_not_1970(velero: PluginProcess) -> None:
    assert velero.backup_progress(CAPTURE, "op", BACKUP).updated.ToDatetime() == datetime.min  # noqa: DTZ901 - the wire has no zone


def test_objects_larger_than_grpc_s_default_go_both_ways(velero: PluginProcess) -> None:
    big = config_map() | {"big": "é" * 6_000_000}
    assert velero.back_up(CAPTURE, big, BACKUP)[0]["big"] == big["big"]


def test_calls_of_one_process_run_at_the_same_time(velero: PluginProcess) -> None:
    with ThreadPoolExecutor(3) as velero_s_workers:
        calls = [velero_s_workers.submit(velero.back_up, CAPTURE, config_map("meet"), BACKUP) for _ in range(3)]
        assert all(call.result() for call in calls)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("InvalidItem", grpc.StatusCode.INVALID_ARGUMENT),
        ("InvalidSettings", grpc.StatusCode.FAILED_PRECONDITION),
        ("NotFound", grpc.StatusCode.NOT_FOUND),
        ("AlreadyExists", grpc.StatusCode.ALREADY_EXISTS),
        ("Corrupt", grpc.StatusCode.DATA_LOSS),
        ("Forbidden", grpc.StatusCode.PERMISSION_DENIED),
        ("Conflict", grpc.StatusCode.ABORTED),
        ("Rejected", grpc.StatusCode.FAILED_PRECONDITION),
        ("Unavailable", grpc.StatusCode.UNAVAILABLE),
        ("VmServiceError", grpc.StatusCode.INTERNAL),
    ],
)
def test_an_error_becomes_a_status_with_cause_remedy_and_code(
    velero: PluginProcess, error: str, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        velero.back_up(CAPTURE, config_map(f"raise {error}"), BACKUP)
    assert caught.value.code() is code
    assert caught.value.details().startswith("the object is odd: look at it [")


def test_a_defect_names_the_item_and_an_id_and_shows_nothing_more(velero: PluginProcess, own_log: io.StringIO) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        velero.back_up(CAPTURE, config_map("break"), BACKUP)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    sentence = caught.value.details()
    assert "ConfigMap shop/a" in sentence
    assert "hunter2" not in sentence
    assert "Traceback" not in sentence
    entry = next(line for line in map(json.loads, own_log.getvalue().splitlines()) if "incident" in line)
    assert entry["incident"] in sentence
    assert "Traceback" in entry["exception"]
    assert velero.list_plugins()
    assert "hunter2" not in str(velero.log.lines)


@pytest.mark.parametrize(
    ("raw", "fault"),
    [(b"", "JSON"), (b"{", "JSON"), (b"\xff", "JSON"), (b"[]", "a JSON object"), (b"null", "a JSON object")],
)
def test_an_item_that_is_no_object_is_refused(velero: PluginProcess, raw: bytes, fault: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        velero.backup_items.Execute(v2.ExecuteRequest(plugin=CAPTURE, item=raw, backup=json.dumps(BACKUP).encode()))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"the item that Velero sent is not {fault}: " in caught.value.details()


@pytest.mark.parametrize("levels", [300, 5_000], ids=["too deep to write", "too deep to read"])
def test_an_item_nested_deeper_than_any_object_is_an_invalid_item(velero: PluginProcess, levels: int) -> None:
    raw = b'{"metadata":{"name":"a"},"data":{"do":""},"spec":' + b"[" * levels + b"]" * levels + b"}"
    with pytest.raises(grpc.RpcError) as refused:
        velero.backup_items.Execute(v2.ExecuteRequest(plugin=CAPTURE, item=raw, backup=json.dumps(BACKUP).encode()))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "[invalid-item]" in refused.value.details()


def test_an_item_that_an_action_leaves_alone_comes_back_byte_for_byte(velero: PluginProcess) -> None:
    raw = b'{ "metadata": {"name": "a"}, "data": {"do": "nothing"}, "spec": {"share": 1.0} }'
    answer = velero.backup_items.Execute(
        v2.ExecuteRequest(plugin=CAPTURE, item=raw, backup=json.dumps(BACKUP).encode())
    )
    assert answer.item == raw


def test_an_item_without_metadata_is_the_action_s_business(velero: PluginProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        velero.back_up(CAPTURE, {"metadata": None}, BACKUP)
    assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_an_unknown_action_is_named(velero: PluginProcess) -> None:
    for plugin in ("velero-plugin-for-vmservice/nothing", "capture", REPLAY):
        with pytest.raises(grpc.RpcError) as caught:
            velero.back_up(plugin, config_map(), BACKUP)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert repr(plugin) in caught.value.details()


def test_words_that_cannot_be_sent_as_they_are_still_arrive(velero: PluginProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        velero.back_up(CAPTURE, config_map("raise-garbled"), BACKUP)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(caught.value.details()) < 4_000
    assert velero.restore_progress(REPLAY, "raise-garbled", RESTORE).description.startswith(r"waiting: \ud800")


@pytest.mark.parametrize("error", ["Unavailable", "Conflict"])
def test_a_passing_fault_is_progress_with_a_description(velero: PluginProcess, error: str) -> None:
    progress = velero.restore_progress(REPLAY, f"raise {error}", RESTORE)
    assert (progress.completed, progress.err) == (False, "")
    assert "the object is odd: look at it" in progress.description


@pytest.mark.parametrize("error", ["Corrupt", "NotFound", "Forbidden"])
def test_a_lasting_fault_fails_the_operation_with_cause_and_remedy(velero: PluginProcess, error: str) -> None:
    progress = velero.restore_progress(REPLAY, f"raise {error}", RESTORE)
    assert progress.completed
    assert progress.err.startswith("the object is odd: look at it [")


def test_a_defect_in_progress_is_asked_again(velero: PluginProcess) -> None:
    progress = velero.backup_progress(CAPTURE, "break", BACKUP)
    assert (progress.completed, progress.err) == (False, "")
    assert progress.description.startswith("internal error ")


def test_progress_of_an_operation_that_cannot_be_read_fails_it(velero: PluginProcess) -> None:
    progress = velero.restore_items.Progress(
        v2.RestoreItemActionProgressRequest(plugin=REPLAY, operationID="op", restore=b"{")
    ).progress
    assert progress.completed
    assert "the restore that Velero sent is not JSON" in progress.err
    assert velero.backup_progress("velero-plugin-for-vmservice/nothing", "op", BACKUP).completed
