"""One Velero server of a chosen version: what it needs in the cluster, its process, its plugins and its command line.

Each server has its own namespace, bucket and plugin directory, so that several versions live beside each other on one
API server. Whatever a test puts into `plugins` before `start` is a plugin.
"""

from __future__ import annotations

import os
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.build import binary
from tests.e2e.processes import (
    Process,
    free_ports,
    kill_process,
    processes_called,
    processes_running,
    run_command,
)
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.e2e.cluster import Cluster, Manifest
    from tests.e2e.object_store import ObjectStore
    from tests.e2e.releases import Release

FINAL_PHASES = frozenset({"Completed", "PartiallyFailed", "Failed", "FailedValidation"})

AWS_PLUGIN = "velero-plugin-for-aws"
VSPHERE_PLUGIN = "velero-plugin-for-vsphere"
BLOCKED_RESOURCES = "velero-vsphere-plugin-blocked-resources-list"
_DEFAULT_LIST = Path(__file__).parents[1] / "unit/vmoperator/data/blocked-resources-1.7.0.txt"

Container = Callable[["list[str | Path]", "Mapping[str, str]"], "list[str | Path]"]
"""Gives the command that runs a command, with its environment, inside something."""

# plugins make their sockets in TMPDIR, and a socket's path may have 107 bytes
_LONGEST_TMPDIR = 80


class VeleroServer:
    """A Velero server that can be started, stopped, killed and started again on the same namespace and plugins."""

    location = "default"

    def __init__(
        self,
        cluster: Cluster,
        store: ObjectStore,
        directory: Path,
        *,
        release: Release,
        version: str,
        namespace: str,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.cluster = cluster
        self.store = store
        self.directory = directory
        self.release = release
        """Of the Supervisor on which it is."""
        self.version = version
        self.namespace = namespace
        self.bucket = namespace
        self.flags = list(flags)
        self.environment = dict(environment or {})
        self.plugins = directory / "plugins"
        # A file that is not written while the server runs, as where an installation mounts its Secret. The one of a
        # location's own credential Velero empties and writes anew each time it opens the bucket: a plugin that starts
        # just then finds no credentials in it, and what it was started for ends Failed.
        self.credentials = directory / "credentials"
        self.kubeconfig = cluster.kubeconfig
        self.plugin_kubeconfig = cluster.kubeconfig
        """Of the account that the plugin's sidecar has: Velero's, unless the chart has made another."""
        self.container: Container = lambda argv, _environment: argv
        self._temporary = directory / "tmp"
        self._profiler = 0
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The server's process."""
        if self._process is None:
            raise AssertionError(f"Velero {self.version} was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The id of the server itself, inside of whatever `container` made."""
        (pid,) = processes_called(binary(f"velero-{self.version}").name, self._plugins_flag)
        return pid

    @property
    def _plugins_flag(self) -> str:
        return f"--plugin-dir={self.plugins}"

    def prepare(self) -> None:
        """Create folders, credentials, bucket, namespace, location and deployment; give Velero its S3 plugin."""
        for folder in (self.plugins, self._temporary):
            folder.mkdir(parents=True)
        if len(str(self._temporary)) > _LONGEST_TMPDIR:
            raise AssertionError(f"{self._temporary} is too long a path for plugin sockets")
        self.credentials.write_text(self.store.credentials)
        self.add_plugin(AWS_PLUGIN)
        self.store.create_bucket(self.bucket)
        self.cluster.namespace(self.namespace)
        self.kubeconfig = self.plugin_kubeconfig = self.cluster.account(self.namespace)
        self.cluster.create(self._location(), self._deployment())

    def add_plugin(self, name: str) -> Path:
        """Put one of the built plugins into the plugin directory; it counts from the next start on."""
        target = self.plugins / name
        try:
            os.link(binary(name), target)
        except OSError:  # another file system
            shutil.copy2(binary(name), target)
        return target

    def reset_blocked_resources(self) -> None:
        """Fill the list of velero-plugin-for-vsphere with its defaults, as it is when Velero's pod has restarted."""
        names = [line for line in _DEFAULT_LIST.read_text().splitlines() if not line.startswith("#")]
        self.cluster.kubectl(
            "delete", "configmap", BLOCKED_RESOURCES, f"--namespace={self.namespace}", "--ignore-not-found"
        )
        self.cluster.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": self._metadata(BLOCKED_RESOURCES),
                "data": dict.fromkeys(names, "true"),
            }
        )

    def start(self, *, until_available: bool = True) -> None:
        """Start the server and wait until its backup location is validated."""
        metrics, self._profiler = free_ports(2)
        argv: list[str | Path] = [
            binary(f"velero-{self.version}"),
            "server",  # must come first: Velero hands all that follows to every plugin
            self._plugins_flag,
            f"--namespace={self.namespace}",
            f"--metrics-address=127.0.0.1:{metrics}",
            f"--profiler-address=127.0.0.1:{self._profiler}",
            "--item-operation-sync-frequency=1s",
            # a Supervisor serves a hundred kinds; at the 20 requests a second of old servers a backup takes 10 s
            "--client-qps=100",
            "--client-burst=200",
            *self.flags,
        ]
        environment = {
            "KUBECONFIG": str(self.kubeconfig),
            "VELERO_NAMESPACE": self.namespace,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials),
            "HOME": str(self.directory),
            "TMPDIR": str(self._temporary),
        }
        environment |= self.environment
        log = self.directory / "velero.log"
        self._process = Process(self.container(argv, environment), log=log, environment=environment)
        validated = self._location_status().get("lastValidationTime")
        self._process.start()
        if until_available:
            self._process.wait_ready(lambda: self._available(since=validated), deadline=90)

    def stop(self) -> None:
        """Ask the server to end, as Kubernetes does."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """Kill the server without warning; its plugin processes are left to themselves."""
        self.process.kill()

    def close(self) -> None:
        """Stop the server and end what is left of its plugin processes; for the end of a test session."""
        self.stop()
        for pid in self.plugin_processes():
            kill_process(pid)

    def plugin_processes(self, name: str = "") -> list[int]:
        """Return the ids of all processes that run a plugin of this server, or the one of this file name."""
        files = [file for file in self.plugins.rglob(name or "*") if file.is_file()]
        return [pid for file in files for pid in processes_running(file)]

    def stacks(self) -> str:
        """Return what each goroutine of the server does, as its profiler has it."""
        address = f"http://127.0.0.1:{self._profiler}/debug/pprof/goroutine?debug=2"
        with urllib.request.urlopen(address, timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def cli(self, *arguments: str) -> str:
        """Run this version's `velero` command against this server and return what it printed."""
        scope = [f"--namespace={self.namespace}", f"--kubeconfig={self.cluster.kubeconfig}"]
        return run_command([binary(f"velero-{self.version}"), *arguments, *scope])

    def backup(self, name: str, *flags: str, deadline: float = 240) -> Manifest:
        """Create a backup, wait until it is over, well or not, and return it."""
        self.cli("backup", "create", name, *flags)
        return self.wait_over("backups.velero.io", name, deadline=deadline)

    def restore(self, name: str, *flags: str, deadline: float = 240) -> Manifest:
        """Create a restore, wait until it is over, well or not, and return it."""
        self.cli("restore", "create", name, *flags)
        return self.wait_over("restores.velero.io", name, deadline=deadline)

    def delete_backup(self, name: str, *, deadline: float = 180) -> None:
        """Have Velero delete a backup and wait until it is gone."""
        self.cli("backup", "delete", name, "--confirm")
        resource = "backups.velero.io"
        wait_until(
            lambda: not self.cluster.exists(resource, name, namespace=self.namespace),
            deadline,
            f"backup {name} is deleted",
        )

    def phase(self, resource: str, name: str) -> str:
        """Return the phase of one of Velero's objects; empty until the server has seen it."""
        manifest = self.cluster.get(resource, name, namespace=self.namespace)
        return str(manifest.get("status", {}).get("phase", ""))

    def wait_phase(self, resource: str, name: str, *phases: str, deadline: float = 240) -> Manifest:
        """Wait until one of Velero's objects is in one of these phases and return it."""
        wait_until(
            lambda: self.phase(resource, name) in phases, deadline, f"{resource}/{name} is {' or '.join(phases)}"
        )
        return self.cluster.get(resource, name, namespace=self.namespace)

    def wait_over(self, resource: str, name: str, *, deadline: float = 240) -> Manifest:
        """Wait until a backup or restore is over, well or not, and return it."""
        return self.wait_phase(resource, name, *sorted(FINAL_PHASES), deadline=deadline)

    def _available(self, *, since: str | None) -> bool:
        status = self._location_status()
        return status.get("phase") == "Available" and status.get("lastValidationTime") != since

    def _location_status(self) -> Manifest:
        resource = "backupstoragelocations.velero.io"
        manifest = self.cluster.get(resource, self.location, namespace=self.namespace)
        status: Manifest = manifest.get("status", {})
        return status

    def _metadata(self, name: str) -> Manifest:
        return {"name": name, "namespace": self.namespace}

    def _location(self) -> Manifest:
        return {
            "apiVersion": "velero.io/v1",
            "kind": "BackupStorageLocation",
            "metadata": self._metadata(self.location),
            "spec": {
                "provider": "aws",
                "default": True,
                "objectStorage": {"bucket": self.bucket},
                "config": {
                    "region": self.store.region,
                    "s3ForcePathStyle": "true",
                    "s3Url": self.store.url,
                },
            },
        }

    def _deployment(self) -> Manifest:
        # Velero reads its own Deployment at every restore; nothing here would run its pod.
        labels = {"deploy": "velero"}
        container = {"name": "velero", "image": "velero"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self._metadata("velero"),
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }
