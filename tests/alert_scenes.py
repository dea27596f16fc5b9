"""A scene for each alert: what goes wrong, played on the product, so that its own metrics make the alert fire.

A scene is played again and again, as what goes wrong does: each time in a world of its own.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import yaml
from botocore.exceptions import ClientError
from kubernetes.client.exceptions import ApiException

from tests.rpc.small_actions import table
from tests.unit.builders import NAMESPACE, backup, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.adapters.failed_requests import counting
from velero_vmservice.adapters.kubernetes.errors import translated as kubernetes_translated
from velero_vmservice.adapters.s3.errors import Place
from velero_vmservice.adapters.s3.errors import translated as s3_translated
from velero_vmservice.adapters.vcenter.errors import from_answer
from velero_vmservice.drill.model import DrilledCapture, DrillReport, DrillVerdict
from velero_vmservice.errors import Corrupt, Forbidden, InvalidSettings, Unavailable, VmServiceError, reported
from velero_vmservice.live_actions import LiveActions
from velero_vmservice.metrics import SETTINGS_UNUSED, Api
from velero_vmservice.metrics.now import APPLICATIONS, DRILLS, OPEN_RESTORES
from velero_vmservice.monitoring.surveying import show, show_drills
from velero_vmservice.pb import velero_v2_pb2 as v2
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.rpc import control, wire
from velero_vmservice.rpc.control import PluginServer
from velero_vmservice.rpc.item_actions import BackupItemActions
from velero_vmservice.velero.actions import CALLER
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RULES = Path(__file__).parents[1] / "charts" / "velero-plugin-for-vmservice" / "files" / "alerts.yaml"
BACKED_UP = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEB = (vm("web-1", labels={"app": "web"}, group="web"), group("web", ["web-1"]), service("front", {"app": "web"}))
OF_WEB = {"application_namespace": NAMESPACE, "kind": "VirtualMachineGroup", "application": "web"}
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"
OFTEN = 5
"""How many requests fail each time where a single failure is none to be woken for."""


@dataclass(frozen=True)
class Stage:
    """What a scene may use."""

    patch: pytest.MonkeyPatch
    directory: Path
    """Short enough for a socket, and empty."""


@dataclass(frozen=True)
class Scene:
    """What makes an alert fire, and the labels that it fires with, its severity apart."""

    play: Callable[[Stage], datetime | None]
    """Gives the time that the scene takes place at, None for now."""
    labels: Mapping[str, str] = field(default_factory=dict)


def rules() -> list[dict[str, Any]]:
    """The alerts as the chart has them."""
    (only,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return list(only["rules"])


def forget() -> None:
    """End what a scene has left in this process."""
    OPEN_RESTORES.forget()
    APPLICATIONS.update([], {})
    DRILLS.update(None, {})
    SETTINGS_UNUSED.set(0)


def _ended_backup() -> dict[str, Any]:
    content = backup()
    content["status"]["phase"] = "Completed"
    return content


def _nightly() -> dict[str, Any]:
    made = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    return obj("Schedule", "nightly", api="velero.io/v1", namespace="velero", meta=made, spec={"schedule": "0 2 * * *"})


def _looked_at(world: World) -> datetime:
    show(world.app.survey.look())
    return world.clock.now()


def unprotected(_: Stage) -> datetime:
    """An application is in no backup, and no Schedule takes it."""
    world = World()
    world.cluster.seed(*WEB)
    return _looked_at(world)


def overdue(_: Stage) -> datetime:
    """A Schedule has made no backup for two days."""
    world = World()
    world.back_up(*WEB)
    world.cluster.seed(_ended_backup(), _nightly())
    world.clock.set(BACKED_UP + timedelta(days=2))
    return _looked_at(world)


def not_restorable(_: Stage) -> datetime:
    """A group lists a member twice, which VM Operator refuses."""
    world = World()
    world.back_up(vm("web-1", group="web"), group("web", ["web-1", "web-1"]))
    world.cluster.seed(_ended_backup())
    return _looked_at(world)


def no_drill(_: Stage) -> datetime:
    """The last drill was made 91 days ago."""
    world = World()
    world.cluster.seed(*WEB, obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero"))
    capture = DrilledCapture(name="gold", started="20251130T120000Z", maker="command")
    started = (BACKED_UP - timedelta(days=91)).isoformat()
    report = DrillReport(drill="gold", started=started, ended=started, verdict=DrillVerdict.READY, capture=capture)
    world.app.drills.keep(report, world.store)
    show_drills(world.app.drills.look())
    return _looked_at(world)


def unknown(_: Stage) -> datetime:
    """The plugin may not list Schedules."""
    world = World()
    world.cluster.seed(*WEB)
    world.cluster.calls.fail("list", Forbidden("no list of schedules"), on="Schedule")
    return _looked_at(world)


def items_failing(_: Stage) -> None:
    """The bucket refuses a capture, and Velero gets an error for its item."""
    world = World()
    world.cluster.seed(*WEB)
    world.store.calls.fail("put", Forbidden("no write"))
    servicer = BackupItemActions(world.app.actions.backup)
    item = wire.written(world.live("VirtualMachineGroup", "web").content)
    request = v2.ExecuteRequest(plugin=f"{PLUGIN_NAME}/capture", item=item, backup=wire.written(backup()))
    with pytest.raises(grpc.RpcError):
        servicer.Execute(request, _Refusing())  # type: ignore[arg-type] # as much of a context as an error needs


class _Refusing:
    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise grpc.RpcError(code, details)


def seal_failing(_: Stage) -> None:
    """A captured document is not what was written when the seal reads it back."""
    world = World()
    world.cluster.seed(*WEB)
    outcome = world.capture(world.live("VirtualMachineGroup", "web").content)
    world.store.tamper("captures/nightly/20260301T120000Z/objects/virtualmachinegroups/shop/web.json", b"{}")
    with pytest.raises(Corrupt):
        world.seal(outcome.operation_id)


def storage_errors(_: Stage) -> None:
    """The bucket's credentials are refused."""
    place = Place(bucket="captures", endpoint="https://s3.example.com", source="BackupStorageLocation velero/default")
    for _each in range(OFTEN):
        with pytest.raises(VmServiceError), s3_translated("store", "captures/a", place):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")


def kubernetes_errors(_: Stage) -> None:
    """The API server is overloaded."""
    for _each in range(OFTEN):
        with pytest.raises(VmServiceError), counting(Api.KUBERNETES), kubernetes_translated("cannot read Pod a/b"):
            raise ApiException(status=503, reason="Service Unavailable")


def source_errors(_: Stage) -> None:
    """VCenter is down."""
    for _each in range(OFTEN):
        assert from_answer("cannot call RegisterVM", 503, None).code == Unavailable.code


def restore_waiting(_: Stage) -> datetime:
    """The VMs of a restore do not come."""
    world = World()
    (item, *_others) = world.back_up(*WEB)
    world.lose(*WEB)
    (operation,) = world.replay_all([item])
    world.poll(operation)
    world.clock.advance(4 * 3600)
    world.poll(operation)
    return world.clock.now()


def registration_failed(_: Stage) -> datetime:
    """An engine says that a VM's disk cannot be registered."""
    world = World(sources=["engine"])
    (item, *_others) = world.back_up(*WEB)
    world.lose(*WEB)
    failure = Registration(name="web-1", state=State.FAILED, reason="no disk", code=CLAIM_FAILED, can_wait=False)
    world.engine.tell(NAMESPACE, failure)
    (operation,) = world.replay_all([item])
    world.poll(operation)
    return world.clock.now()


def replay_failed(_: Stage) -> None:
    """A capture is damaged when it is restored."""
    world = World()
    (item, *_others) = world.back_up(*WEB)
    world.lose(*WEB)
    (operation,) = world.replay_all([item])
    world.store.tamper("captures/nightly/20260301T120000Z/objects/virtualmachinegroups/shop/web.json", b"rotten")
    assert world.poll(operation).error


def results_not_stored(_: Stage) -> None:
    """The bucket takes no results."""
    world = World()
    (item, *_others) = world.back_up(*WEB)
    (operation,) = world.replay_all([item])  # the group was never lost: it is verified at once
    world.store.calls.fail("put", Forbidden("no write"), on="restores/")
    for _each in range(3):
        world.clock.advance(10)
        world.poll(operation)
        world.vm_operator()


def launches_failing(stage: Stage) -> None:
    """Something that is not a launcher, or a damaged one, connects."""
    with _served(stage):
        _say(stage.directory, b"not a path\n")


def launches_slow(stage: Stage) -> None:
    """The plugin takes four seconds to answer."""
    seconds = iter(range(0, 4_000, 4))
    with _served(stage):
        stage.patch.setattr(control, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
        with socket.socket(socket.AF_UNIX) as launcher:
            launcher.connect(str(stage.directory / "control.sock"))
            launcher.sendall(b"/plugins\n")
            assert launcher.recv(4).startswith(b"1|2|")
        stage.patch.undo()


def settings_unused(stage: Stage) -> None:
    """The ConfigMap has a mistake."""
    world = World()

    def refuse(_: object) -> Any:
        raise InvalidSettings("unknown key")

    live = LiveActions(refuse, lambda _: world.app, world.settings)
    caller = CALLER.set(f"launch-{stage.directory.name}-{id(world)}")
    try:
        assert "capture" in live.table().backup
        live.table().backup["capture"].applies_to()
    finally:
        CALLER.reset(caller)  # else the tests that follow are calls of this process


def internal_error(_: Stage) -> None:
    """A defect is met."""
    reported(ZeroDivisionError(), "VirtualMachineGroup shop/web")


def down(_: Stage) -> None:
    """Nothing happens, for nothing runs: the test takes the series away."""


SCENES: Mapping[str, Scene] = {
    "VmServiceDown": Scene(down),
    "VmServiceApplicationUnprotected": Scene(unprotected, OF_WEB),
    "VmServiceCaptureOverdue": Scene(overdue, OF_WEB),
    "VmServiceApplicationNotRestorable": Scene(not_restorable, OF_WEB),
    "VmServiceProtectionUnknown": Scene(unknown, {"part": "schedules"}),
    "VmServiceNoDrill": Scene(no_drill),
    "VmServiceItemsFailing": Scene(items_failing, {"call": "backup Execute", "code": "forbidden"}),
    "VmServiceSealFailing": Scene(seal_failing, {"code": "corrupt"}),
    "VmServiceStorageErrors": Scene(storage_errors, {"code": "forbidden", "cause": "AccessDenied"}),
    "VmServiceKubernetesErrors": Scene(kubernetes_errors, {"code": "unavailable", "cause": "503"}),
    "VmServiceRegistrationSourceErrors": Scene(
        source_errors, {"api": "vcenter", "code": "unavailable", "cause": "503"}
    ),
    "VmServiceRestoreWaiting": Scene(restore_waiting),
    "VmServiceRegistrationFailed": Scene(registration_failed, {"state": "failed", "code": CLAIM_FAILED}),
    "VmServiceReplayFailed": Scene(replay_failed, {"stage": "failed"}),
    "VmServiceResultsNotStored": Scene(results_not_stored, {"code": "forbidden"}),
    "VmServiceLaunchesFailing": Scene(launches_failing),
    "VmServiceLaunchesSlow": Scene(launches_slow),
    "VmServiceSettingsUnused": Scene(settings_unused),
    "VmServiceInternalError": Scene(internal_error),
}
"""By the name of the alert."""


class _served:  # noqa: N801 - a context manager that reads like a verb
    """Serves launchers from a thread."""

    def __init__(self, stage: Stage) -> None:
        self._server = PluginServer(stage.directory, table())
        self._thread = threading.Thread(target=self._server.serve)

    def __enter__(self) -> None:
        self._server.__enter__()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._thread.join()
        self._server.__exit__()


def _say(directory: Path, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(directory / "control.sock"))
        connection.sendall(text)
        assert connection.recv(1) == b""
