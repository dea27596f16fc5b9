"""Everything a test session needs, in one directory: a Supervisor-like API server, S3, and Velero servers on demand."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kubernetes import client, config

from tests.e2e import audit, crds
from tests.e2e.chart import Installation
from tests.e2e.cluster import Cluster
from tests.e2e.object_store import ObjectStore
from tests.e2e.releases import NEWEST, Release
from tests.e2e.velero import VeleroServer
from tests.emulator.supervisor import Supervisor
from tests.emulator.vm_operator.admission import Rules
from tests.emulator.vm_operator.webhook import webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Stack:
    """The running programs of a session. Velero reads the served kinds at its start and then every five minutes."""

    def __init__(
        self, directory: Path, release: Release = NEWEST, *, audited: bool = False, chart_rights: bool = False
    ) -> None:
        self.directory = directory
        self.release = release
        self.cluster = Cluster(directory / "cluster", audited=audited)
        self.store = ObjectStore(directory / "s3")
        self._servers: list[VeleroServer] = []
        self._chart_rights = chart_rights
        self._charts: list[Installation] = []
        """Of servers whose sidecars have no more rights than the chart gives."""

    def start(self, *, velero: bool = True) -> None:
        """Start the API server and S3, and install the definitions of the release's Supervisor, and of Velero."""
        self.store.start()
        self.cluster.start()
        self.cluster.install([*(crds.load("velero") if velero else ()), *crds.supervisor(self.release)])

    def velero(
        self,
        version: str = "",
        *,
        name: str = "",
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        charted: bool = True,
    ) -> VeleroServer:
        """Prepare a Velero server of the release's version, not started yet.

        `name` is its namespace, bucket and folder. Where the stack has its sidecars under the chart's rights, one that
        is not `charted` is left out.
        """
        version = version or self.release.velero
        name = name or f"velero-{version.rpartition('.')[0].replace('.', '-')}"
        server = VeleroServer(
            self.cluster,
            self.store,
            self.directory / name,
            release=self.release,
            version=version,
            namespace=name,
            flags=flags,
            environment=environment,
        )
        self._servers.append(server)
        server.prepare()
        if charted and self._chart_rights:
            chart = Installation(cluster=self.cluster, namespace=name)
            chart.upgrade("rbac.bootstrapObjects=true", "rbac.registerVm=true")
            server.plugin_kubeconfig = chart.kubeconfig()
            self._charts.append(chart)
        return server

    def refused(self) -> list[str]:
        """Return what RBAC has refused the sidecars that have the chart's rights."""
        return [
            f"{chart.namespace}: {what}" for chart in self._charts for what in audit.refused(self.cluster, chart.user)
        ]

    @contextmanager
    def supervisor(self, rules: Rules | None = None, **options: Any) -> Iterator[Supervisor]:
        """Have VM Operator with its webhooks, WCP and a VADP vendor at work; `options` are the `Supervisor`'s."""
        settings = client.Configuration()
        config.load_kube_config(str(self.cluster.kubeconfig), client_configuration=settings)
        groups = bool(self.release.groups)
        of_release: dict[str, Any] = {
            "vm_operator": f"{crds.VM_OPERATOR}/{self.release.newest_api}",
            "operator": {"groups": groups},
            "wcp": {"opt_in": self.release.registers_existing},
        }
        playing = Supervisor(client.ApiClient(settings), **{**of_release, **options})
        with webhooks(playing.cluster, rules or Rules(groups=groups)), playing.operator:
            yield playing

    def stop(self) -> None:
        """Stop everything, servers first; what was never started is passed over."""
        for server in self._servers:
            server.close()
        self.cluster.stop()
        self.store.stop()

    def logs(self) -> list[Path]:
        """Return the log files of all programs."""
        return sorted(self.directory.glob("*/*.log"))
