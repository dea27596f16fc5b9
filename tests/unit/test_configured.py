"""Settings in Velero's namespace: found there, below environment and file, and taken over when they change."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.clock import SettableClock
from tests.fakes.cluster import MemoryCluster
from tests.fakes.store import MemoryLocations, MemoryStore
from tests.unit.builders import NAMESPACE, backup, obj, vsphere_namespace
from velero_vmservice import app, configured
from velero_vmservice.adapters.velero.installation import PluginConfig, find_namespace
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import CONFIG_MAP, ObjectRef
from velero_vmservice.settings import reading
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.testing import LogCapture

    from velero_vmservice.settings.reading import Settings

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
    cluster.seed(config_map({"log_level": "debug", "restore": {"mode": "strict", "probe": "on"}}))
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
        ("- a", "ConfigMap svc-velero/settings settings.yaml:1: the text is no mapping"),
        (
            {"velero_namespace": "velero"},
            "velero_namespace is another namespace than the one",
        ),
        ({"vcenter": {**VCENTER["vcenter"], "ca_file": "secret:x"}}, "vcenter.ca_file names no key of a Secret"),
        (VCENTER, "vcenter.password_file names Secret svc-velero/vcenter, which does not exist"),
    ],
)
def test_settings_that_cannot_be_used_name_the_config_map_and_the_line(
    cluster: MemoryCluster, settings: dict[str, Any] | str, problem: str
) -> None:
    cluster.seed(config_map(settings))
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
    with pytest.raises(InvalidSettings, match="bear the labels of the settings: another, settings"):
        configured.load(cluster)


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        (["svc-velero"], "svc-velero"),
        (["oadp", "svc-velero"], "several namespaces have a Velero: oadp, svc-velero"),
        ([], "no namespace has a BackupStorageLocation"),
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


class Server:
    """A process of the plugin whose settings lie in the cluster."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self.connected: list[Settings] = []
        self.live = configured.LiveActions(configured.load, self._connect, configured.load(cluster))

    def _connect(self, settings: Settings) -> app.App:
        self.connected.append(settings)
        locations = MemoryLocations({"default": MemoryStore()})
        return app.assemble(settings, cluster=self._cluster, locations=locations, clock=SettableClock())

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
def test_settings_that_became_wrong_are_an_error_in_the_log_and_those_of_before_hold(
    cluster: MemoryCluster, log: LogCapture, settings: str
) -> None:
    cluster.seed(config_map(WITHHELD))
    server = Server(cluster)
    cluster.seed(config_map(settings))

    assert server.withholds(WIDGET, caller="next")

    (line,) = [line for line in log.entries if line["event"] == "settings not taken over"]
    assert line["log_level"] == "error"
    assert line["cause"].startswith("ConfigMap svc-velero/settings settings.yaml:1")


@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("denied")], ids=lambda error: error.code)
def test_a_cluster_that_does_not_answer_leaves_the_settings_as_they_are(
    cluster: MemoryCluster, log: LogCapture, error: Exception
) -> None:
    cluster.seed(config_map(WITHHELD))
    server = Server(cluster)
    cluster.calls.fail("list", error)
    assert server.withholds(WIDGET, caller="next")
    assert "settings not taken over" not in [line["event"] for line in log.entries]


def test_no_settings_in_the_cluster_are_no_settings(cluster: MemoryCluster, tmp_path: Path) -> None:
    assert PluginConfig(cluster, "svc-velero", directory=tmp_path).read().values == {}
