"""Settings in Velero's namespace: found there, below environment and file, and taken over when they change."""

from __future__ import annotations

import base64
import errno
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import create_autospec

import pytest
import yaml

from tests.clock import SettableClock
from tests.fakes.cluster import MemoryCluster
from tests.fakes.store import MemoryLocations, MemoryStore
from tests.unit.builders import NAMESPACE, backup, obj, vsphere_namespace
from velero_vmservice import app, configured, live_actions
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.vcenter import inventory as vcenter
from velero_vmservice.adapters.velero.installation import PluginConfig, find_namespace
from velero_vmservice.backup.withhold import WithholdAction
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import CONFIG_MAP, ObjectRef
from velero_vmservice.settings import reading
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.testing import LogCapture

    from velero_vmservice.settings.reading import Settings

TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"
LABELS = {"velero.io/plugin-config": "", "velero-plugin-for-vmservice": "BackupItemAction"}
REF = ObjectRef(CONFIG_MAP, "svc-velero", "settings")
VCENTER: dict[str, Any] = {
    "vcenter": {"server": "vc.example.com", "user": "velero", "password_file": "secret:vcenter/password"}
}


@pytest.fixture(name="environment", autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The environment of Velero's own container, and no file."""
    for name in os.environ:
        if name.startswith("VMSERVICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VELERO_NAMESPACE", "svc-velero")
    monkeypatch.setattr(reading, "DEFAULT_FILE", tmp_path / "nothing.yaml")
    return monkeypatch


@pytest.fixture(name="cluster")
def _cluster() -> MemoryCluster:
    cluster = MemoryCluster(namespaces=["svc-velero"])
    cluster.seed(vsphere_namespace())
    return cluster


def config_map(settings: dict[str, Any] | str, name: str = "settings") -> dict[str, Any]:
    text = settings if isinstance(settings, str) else yaml.safe_dump(settings)
    data = {"settings.yaml": text}
    return obj("ConfigMap", name, api="v1", namespace="svc-velero", meta={"labels": LABELS}, data=data)


def secret(name: str, **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return obj("Secret", name, api="v1", namespace="svc-velero", data=encoded)


def location(namespace: str) -> dict[str, Any]:
    return obj("BackupStorageLocation", "default", api="velero.io/v1", namespace=namespace)


def test_the_config_map_is_found_by_its_labels_and_lies_below_the_file_and_the_environment(
    cluster: MemoryCluster, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster.seed(config_map({"log_level": "debug", "restore": {"mode": "strict", "probe": "tcp"}}))
    cluster.seed(
        obj("ConfigMap", "other", api="v1", namespace="svc-velero", data={"settings.yaml": "log_level: error"})
    )
    file = tmp_path / "settings.yaml"
    file.write_text("restore: {probe: off}\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    environment.setenv("VMSERVICE_RESTORE__POWER", "on")

    settings = configured.load(cluster)

    assert (settings.log_level, settings.velero_namespace) == ("debug", "svc-velero")
    assert (settings.restore.mode, settings.restore.probe, settings.restore.power) == ("strict", "off", "on")


def test_a_key_of_a_secret_stands_for_a_file_and_a_rotated_one_is_another_setting(cluster: MemoryCluster) -> None:
    cluster.seed(config_map(VCENTER), secret("vcenter", password="first"))
    before = configured.load(cluster)
    assert before.vcenter is not None
    assert before.vcenter.read_password() == "first"
    assert before.vcenter.password_file is not None
    assert before.vcenter.password_file.stat().st_mode & 0o777 == 0o600

    cluster.seed(secret("vcenter", password="second"))
    after = configured.load(cluster)

    assert after.vcenter is not None
    assert (before.vcenter.read_password(), after.vcenter.read_password()) == ("first", "second")
    assert after != before


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"restore": {"conflct": "retain"}},
            "svc-velero/settings settings.yaml:2: unknown key restore.conflct",
        ),
        ("- a", "ConfigMap svc-velero/settings settings.yaml:1: the text is not a mapping"),
        (
            {"velero_namespace": "velero"},
            "velero_namespace is another namespace than the one",
        ),
        ({"vcenter": {**VCENTER["vcenter"], "ca_file": "secret:x"}}, "vcenter.ca_file names no key of a Secret"),
        (
            {"vcenter": {**VCENTER["vcenter"], "password_file": TOKEN_FILE}},
            "vcenter.password_file names no key of a Secret, and settings of the cluster can name no file",
        ),
        (
            {"vcenter": {**VCENTER["vcenter"], "password_file": "secret:token/token"}},
            "vcenter.password_file names Secret svc-velero/token, which holds the token of a service account",
        ),
        (VCENTER, "vcenter.password_file names Secret svc-velero/vcenter, which does not exist"),
    ],
)
def test_settings_that_cannot_be_used_name_the_config_map_and_the_line(
    cluster: MemoryCluster, settings: dict[str, Any] | str, problem: str
) -> None:
    token = {**secret("token", token="ey"), "type": "kubernetes.io/service-account-token"}
    cluster.seed(config_map(settings), token)
    with pytest.raises(InvalidSettings) as caught:
        configured.load(cluster)
    assert problem in caught.value.message


def test_a_config_map_without_settings_and_two_of_them_are_errors(cluster: MemoryCluster) -> None:
    empty = config_map("")
    empty["data"] = {"other": ""}
    cluster.seed(empty)
    with pytest.raises(InvalidSettings, match=r"ConfigMap svc-velero/settings has no key settings\.yaml"):
        configured.load(cluster)
    cluster.seed(config_map("log_level: debug"), config_map("log_level: debug", name="another"))
    with pytest.raises(InvalidSettings, match="have the labels of the settings: another, settings"):
        configured.load(cluster)


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        (["svc-velero"], "svc-velero"),
        (["oadp", "svc-velero"], "several namespaces have a Velero: oadp, svc-velero"),
        ([], "none has a BackupStorageLocation"),
    ],
)
def test_veleros_namespace_is_found_where_nothing_names_it(
    tmp_path: Path, namespaces: list[str], expected: str
) -> None:
    cluster = MemoryCluster(namespaces=["svc-velero", "oadp"])
    cluster.seed(*(location(namespace) for namespace in namespaces))
    absent = tmp_path / "namespace"
    if len(namespaces) == 1:
        assert find_namespace(cluster, {}, pod=absent) == expected
    else:
        with pytest.raises(InvalidSettings, match=expected):
            find_namespace(cluster, {}, pod=absent)
    absent.write_text("of-the-pod")
    assert find_namespace(cluster, {}, pod=absent) == "of-the-pod"
    assert find_namespace(cluster, {"VELERO_NAMESPACE": "of-velero"}, pod=absent) == "of-velero"


def test_a_namespace_of_the_settings_is_not_looked_for(cluster: MemoryCluster, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("VELERO_NAMESPACE")
    environment.setenv("VMSERVICE_VELERO_NAMESPACE", "svc-velero")
    assert configured.load(cluster).velero_namespace == "svc-velero"
    assert ("list", "backupstoragelocations") not in cluster.calls.made


def test_with_a_bucket_of_its_own_a_process_needs_no_velero(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("VELERO_NAMESPACE")
    environment.setenv("VMSERVICE_BUCKET__NAME", "captures")
    assert configured.load(MemoryCluster()).velero_namespace == ""
    environment.delenv("VMSERVICE_BUCKET__NAME")
    with pytest.raises(InvalidSettings, match="cannot tell Velero's namespace"):
        configured.load(MemoryCluster())


class Hold:
    """A place where a thread waits until it is let on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.passed = threading.Event()

    def wait(self, *_: object) -> None:
        self.reached.set()
        assert self.passed.wait(30)


class Server:
    """A process of the plugin whose settings lie in the cluster."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self.connected: list[Settings] = []
        self.fails_to_connect: Exception | None = None
        self.ends: dict[int, list[str]] = {}
        """Which callers' ends each plugin was called for, by the number of its connection."""
        self.owing: set[int] = set()
        """The plugins, by their numbers, that have still results to store."""
        self.closed: list[int] = []
        self.hold: dict[str, Hold] = {}
        """What the end of a caller waits for, by its name."""
        self.live = live_actions.LiveActions(configured.load, self._connect, configured.load(cluster))

    def _connect(self, settings: Settings, **_: object) -> app.App:
        if self.fails_to_connect:
            raise self.fails_to_connect
        number = len(self.connected)
        self.connected.append(settings)
        locations = MemoryLocations({"default": MemoryStore()})
        plugin = app.assemble(settings, cluster=self._cluster, locations=locations, clock=SettableClock())

        def ended(caller: str) -> None:
            self.ends.setdefault(number, []).append(caller)
            if caller in self.hold and self.ends[number].count(caller) == 1:
                self.hold.pop(caller).wait()
            plugin.actions.ended(caller)

        replays = create_autospec(plugin.replays, instance=True)
        replays.owes_results.side_effect = lambda: number in self.owing
        plugin.adapters.callback(self.closed.append, number)
        return replace(plugin, actions=replace(plugin.actions, ended=ended), replays=replays)

    def withholds(self, item: dict[str, Any], *, caller: str) -> bool:
        """Say whether the action leaves an item out that a process launched by Velero hands it."""
        token = CALLER.set(caller)
        try:
            outcome = self.live.table().backup["withhold"].execute(item, backup())
        finally:
            CALLER.reset(token)
        return "velero.io/skip-from-backup" in outcome.item["metadata"].get("annotations", {})


WIDGET = obj("Widget", "w", api="example.com/v1", namespace=NAMESPACE)
WITHHELD = {"restricted": {"add": ["widgets.example.com"]}}


def test_a_change_holds_for_the_next_process_and_not_for_one_that_runs(cluster: MemoryCluster) -> None:
    server = Server(cluster)
    assert not server.withholds(WIDGET, caller="first")

    cluster.seed(config_map(WITHHELD))

    assert not server.withholds(WIDGET, caller="first")
    assert server.withholds(WIDGET, caller="second")
    assert len(server.connected) == 2
    server.live.table().ended("first")
    assert server.withholds(WIDGET, caller="third")
    assert len(server.connected) == 2


@pytest.mark.parametrize("settings", ["restricted: {ad: []}", "- a"])
def test_settings_that_became_wrong_are_a_warning_in_the_log_and_those_of_before_hold(
    cluster: MemoryCluster, log: LogCapture, settings: str
) -> None:
    cluster.seed(config_map(WITHHELD))
    server = Server(cluster)
    cluster.seed(config_map(settings))

    assert server.withholds(WIDGET, caller="next")

    (line,) = [line for line in log.entries if line["event"] == "settings not taken over"]
    assert line["log_level"] == "warning", "an error makes each backup PartiallyFailed"
    assert line["cause"].startswith("ConfigMap svc-velero/settings settings.yaml:1")


@pytest.mark.parametrize(
    ("error", "level"),
    [(Unavailable("away"), "info"), (Forbidden("denied"), "warning")],
    ids=["unavailable", "forbidden"],
)
def test_a_cluster_that_does_not_answer_leaves_the_settings_as_they_are(
    cluster: MemoryCluster, log: LogCapture, error: Exception, level: str
) -> None:
    cluster.seed(config_map(WITHHELD))
    server = Server(cluster)
    cluster.calls.fail("list", error)
    assert server.withholds(WIDGET, caller="next")
    assert "settings not taken over" not in [line["event"] for line in log.entries]
    (line,) = [line for line in log.entries if line["event"] == "settings of the cluster not read"]
    assert line["log_level"] == level


@pytest.mark.parametrize("fault", ["load", "connect"])
def test_an_unexpected_fault_keeps_the_settings_of_before(cluster: MemoryCluster, log: LogCapture, fault: str) -> None:
    cluster.seed(config_map(WITHHELD))
    server = Server(cluster)
    cluster.seed(config_map({}))
    full = OSError(errno.ENOSPC, "No space left on device")
    if fault == "load":
        cluster.calls.fail("list", full, on="ConfigMap")
    else:
        server.fails_to_connect = full

    assert server.withholds(WIDGET, caller="next")

    (line,) = [line for line in log.entries if line["event"] == "settings not taken over"]
    assert (line["log_level"], line["cause"].startswith("internal error")) == ("warning", True)
    assert all(line.get("private") for line in log.entries if line["log_level"] == "error")


def test_the_list_of_the_actions_asks_the_cluster_for_nothing(cluster: MemoryCluster) -> None:
    server = Server(cluster)
    before = cluster.calls.counts
    token = CALLER.set("lists")
    try:
        table = server.live.table()
        assert len(table.listed("/plugins/launcher")) == len(table.backup) + len(table.restore) + len(table.delete)
    finally:
        CALLER.reset(token)
    assert cluster.calls.counts == before

    cluster.seed(config_map(WITHHELD))
    assert server.withholds(WIDGET, caller="lists"), "a list binds its caller to nothing"


def test_a_renewal_that_hangs_delays_new_callers_alone(cluster: MemoryCluster) -> None:
    server = Server(cluster)
    assert not server.withholds(WIDGET, caller="known")
    cluster.seed(config_map(WITHHELD))
    begun, answered = threading.Event(), threading.Event()

    def hang(_: str) -> None:
        begun.set()
        assert answered.wait(30)

    cluster.calls.before("list", hang)
    with ThreadPoolExecutor(3) as pool:
        try:
            new = [pool.submit(server.withholds, WIDGET, caller="new")]
            assert begun.wait(30)
            new += [pool.submit(server.withholds, WIDGET, caller=caller) for caller in ("new", "newer")]
            served = threading.Thread(target=server.withholds, args=(WIDGET,), kwargs={"caller": "known"}, daemon=True)
            served.start()
            served.join(10)
            assert not served.is_alive(), "a known caller does not wait"
            assert not any(call.done() for call in new)
        finally:
            answered.set()
        assert [call.result(30) for call in new] == [True, True, True]


def test_an_app_is_kept_for_its_caller_and_learns_of_its_end_once(cluster: MemoryCluster) -> None:
    server = Server(cluster)
    assert not server.withholds(WIDGET, caller="long")
    for number in range(4):
        cluster.seed(config_map({"restricted": {"add": [f"kind{number}.example.com"]}}))
        server.withholds(WIDGET, caller=f"caller-{number}")
    assert len(server.connected) == 5

    for number in (0, 1):
        server.live.table().ended(f"caller-{number}")
    server.ends.clear()
    server.live.table().ended("long")
    assert server.ends == {0: ["long"], 3: ["long"], 4: ["long"]}, "its own, the one of before and the newest"

    server.ends.clear()
    server.live.table().ended("caller-3")
    assert server.ends == {3: ["caller-3"], 4: ["caller-3"]}, "the others are forgotten"


def test_a_replaced_plugin_is_closed_once_no_caller_belongs_to_it_and_it_owes_nothing(cluster: MemoryCluster) -> None:
    server = Server(cluster)
    for caller in ("backup", "restore"):
        assert not server.withholds(WIDGET, caller=caller)
    cluster.seed(config_map(WITHHELD))
    assert server.withholds(WIDGET, caller="new")

    server.live.table().ended("backup")
    assert server.closed == [], "the restore goes on with it"
    server.owing = {0}
    server.live.table().ended("restore")
    assert server.closed == [], "it has results to store"
    server.owing = set()
    server.live.table().ended("new")
    assert server.closed == [0]
    server.live.table().ended("another")
    assert server.closed == [0], "the plugin of the newest settings stays, and none is closed twice"


def test_a_plugin_stays_open_while_the_end_of_its_caller_is_worked_off(cluster: MemoryCluster) -> None:
    server = Server(cluster)
    assert not server.withholds(WIDGET, caller="backup")
    cluster.seed(config_map(WITHHELD))
    assert server.withholds(WIDGET, caller="other")
    sealing = server.hold["backup"] = Hold()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(server.live.table().ended, "backup")
        try:
            assert sealing.reached.wait(30)
            server.live.table().ended("other")
            assert server.closed == [], "its capture is not sealed yet"
        finally:
            sealing.passed.set()
        ended.result(30)
    assert server.closed == [0]


def test_a_plugin_stays_open_while_a_call_of_an_ended_caller_runs(
    cluster: MemoryCluster, environment: pytest.MonkeyPatch
) -> None:
    server = Server(cluster)
    assert not server.withholds(WIDGET, caller="long")
    cluster.seed(config_map(WITHHELD))
    assert server.withholds(WIDGET, caller="other")
    running = Hold()
    environment.setattr(WithholdAction, "applies_to", running.wait)

    def call_of_the_ended() -> None:
        CALLER.set("long")  # of this thread alone
        server.live.table().backup["withhold"].applies_to()

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(call_of_the_ended)
        try:
            assert running.reached.wait(30)
            server.live.table().ended("long")
            assert server.closed == [], "the call goes on with it"
        finally:
            running.passed.set()
        call.result(30)
    assert server.closed == [0]


def test_a_plugin_stays_open_while_it_is_looked_with(cluster: MemoryCluster) -> None:
    server = Server(cluster)
    with server.live.newest() as plugin:
        assert plugin is server.live.app
        cluster.seed(config_map(WITHHELD))
        assert server.withholds(WIDGET, caller="next")
        server.live.table().ended("next")
        assert server.closed == []
    assert server.closed == [0]


def test_closing_a_plugin_closes_what_it_is_connected_to(
    cluster: MemoryCluster, environment: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    made = {
        kubernetes: create_autospec(kubernetes.KubernetesCluster, instance=True),
        vcenter: create_autospec(vcenter.VCenter, instance=True),
    }
    for module, adapter in made.items():
        adapter.close.side_effect = lambda name=module.__name__: closed.append(name)
        environment.setattr(module, "connect", lambda *_, made=adapter, **__: made)
    cluster.seed(config_map(VCENTER), secret("vcenter", password="first"))

    app.connect(configured.load(cluster)).close()

    assert sorted(closed) == sorted(module.__name__ for module in made)


class Start:
    """What `serve` begins with, in Velero's container and around a cluster in memory."""

    def __init__(self, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self._cluster = cluster
        monkeypatch.setattr(kubernetes, "connect", lambda **_: cluster)
        monkeypatch.setattr(app, "connect", self._connect)

    def _connect(self, settings: Settings, **_: object) -> app.App:
        vsphere = vcenter.connect(settings.vcenter, clock=SettableClock()) if settings.vcenter else None
        locations = MemoryLocations({"default": MemoryStore()})
        return app.assemble(
            settings, cluster=self._cluster, locations=locations, clock=SettableClock(), vsphere=vsphere
        )


@pytest.fixture(name="start")
def _start(cluster: MemoryCluster, environment: pytest.MonkeyPatch) -> Start:
    return Start(cluster, environment)


@pytest.mark.usefixtures("start")
def test_a_server_begins_although_the_plugin_of_the_clusters_settings_cannot_be_made(
    cluster: MemoryCluster, environment: pytest.MonkeyPatch, log: LogCapture
) -> None:
    environment.setenv("VMSERVICE_RESTORE__MODE", "strict")
    wrong = {"vcenter": {**VCENTER["vcenter"], "ca_file": "secret:vcenter/ca.crt"}, "drain_seconds": 3}
    cluster.seed(config_map(wrong), secret("vcenter", **{"password": "first", "ca.crt": "no PEM"}))

    live = live_actions.first_actions()

    assert (live.settings.vcenter, live.settings.drain_seconds) == (None, 20)
    assert (live.settings.restore.mode, live.settings.velero_namespace) == ("strict", "svc-velero")
    (line,) = [line for line in log.entries if line["event"] == "settings of the cluster not used"]
    assert line["log_level"] == "warning"
    assert "vcenter.ca_file" in line["cause"]


@pytest.mark.usefixtures("start")
def test_a_server_starts_although_reading_the_clusters_settings_fails_unexpectedly(
    cluster: MemoryCluster, log: LogCapture
) -> None:
    cluster.calls.fail("list", OSError(errno.ENOSPC, "No space left on device"))
    assert live_actions.first_actions().settings.velero_namespace == "svc-velero"
    assert "settings of the cluster not used" in [line["event"] for line in log.entries]


@pytest.mark.usefixtures("start")
def test_settings_of_the_process_that_cannot_be_used_stop_the_start(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = tmp_path / "ca.crt"
    wrong.write_text("no PEM")
    for key, value in {**VCENTER["vcenter"], "password_file": str(wrong), "ca_file": str(wrong)}.items():
        environment.setenv(f"VMSERVICE_VCENTER__{key.upper()}", value)
    with pytest.raises(InvalidSettings, match=r"vcenter\.ca_file"):
        live_actions.first_actions()


def test_a_directory_is_needed_only_for_what_a_secret_holds(
    cluster: MemoryCluster, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configured._private_directory.cache_clear()
    environment.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert configured.load(cluster).velero_namespace == "svc-velero"
    cluster.seed(config_map(WITHHELD))
    assert configured.load(cluster).restricted.add == ("widgets.example.com",)
    cluster.seed(config_map(VCENTER), secret("vcenter", password="first"))
    with pytest.raises(InvalidSettings, match="no directory for temporary files"):
        configured.load(cluster)


KEEPS_A_SECRET = """
from tests.unit import test_configured as it
from velero_vmservice import configured
cluster = it.MemoryCluster(namespaces=["svc-velero"])
cluster.seed(it.config_map(it.VCENTER), it.secret("vcenter", password="first"))
print(configured.load(cluster).vcenter.password_file)
"""


def test_the_files_of_secrets_are_gone_when_the_process_has_ended(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", KEEPS_A_SECRET], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_no_settings_in_the_cluster_are_no_settings(cluster: MemoryCluster, tmp_path: Path) -> None:
    assert PluginConfig(cluster, "svc-velero", directory=lambda: tmp_path).read().values == {}
