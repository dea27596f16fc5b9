"""A Supervisor with applications, one Velero server and our sidecar: what every end-to-end test acts on."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.wcp.register_steps import State
from tests.waiting import NotYetError, wait_until
from velero_vmservice.archive.pruning.marker import MARKER
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.cluster import Cluster, Manifest
    from tests.e2e.releases import Release
    from tests.e2e.sidecar import Sidecar
    from tests.e2e.velero import VeleroServer
    from tests.emulator.machines import Application
    from tests.emulator.supervisor import Supervisor
    from tests.emulator.vadp import RestorePoint

VMS = "virtualmachines.vmoperator.vmware.com"
GROUPS = "virtualmachinegroups.vmoperator.vmware.com"
SERVICES = "virtualmachineservices.vmoperator.vmware.com"
RESTORES = "restores.velero.io"
BACKUPS = "backups.velero.io"

on_newest_velero = pytest.mark.newest_release
"""Marks a test that depends neither on Velero's version nor on the API's, as what documents show."""

_COMING_UP_SECONDS = 180


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One Velero server on the Supervisor of a release."""

    server: VeleroServer
    sidecar: Sidecar
    supervisor: Supervisor

    @property
    def release(self) -> Release:
        return self.server.release

    @property
    def cluster(self) -> Cluster:
        return self.server.cluster

    def grouped(self, *names: str) -> set[str]:
        """Return these names of groups: none of them where the release has no groups."""
        return set(names) if self.release.groups else set()

    def space(self, name: str) -> str:
        """Return a namespace name for this Velero version."""
        return f"{name}-{self.server.version.replace('.', '-')}"

    @contextmanager
    def space_of(self, test: str) -> Iterator[str]:
        """Give a test a namespace name of its own, and lose what it left there and in namespaces named after it.

        VM Operator looks at all that is there in each pass: what stayed would slow down every test that follows.
        """
        name = self.space(test.removeprefix("test_").replace("_", "-")[:30].strip("-"))
        yield name
        for namespace in (manifest["metadata"]["name"] for manifest in self.cluster.all("namespaces")):
            if namespace.startswith(name):
                self.supervisor.lose(namespace)

    def deploy(self, application: Application, *, deadline: float = _COMING_UP_SECONDS) -> None:
        """Deploy and wait until it runs: VMs with addresses, members linked, services with endpoints.

        Where the release has no groups, the VMs belong to none.
        """
        (application if self.release.groups else application.without_groups()).deploy(self.supervisor.cluster)
        wait_until(lambda: self.running(application), deadline, f"{application.namespace} runs")

    def back_up(self, application: Application, *, deadline: float = _COMING_UP_SECONDS) -> RestorePoint:
        """Deploy an application and, once it runs, run a VADP job and a backup of its namespace's name."""
        self.deploy(application, deadline=deadline)
        where = application.namespace
        point = self.supervisor.back_up(where)
        backup = self.server.backup(where, f"--include-namespaces={where}")
        assert backup["status"]["phase"] == "Completed", self.server.cli("backup", "logs", where)
        return point

    def lose_and_restore(self, application: Application, *flags: str) -> RestorePoint:
        """Back an application up, lose it, and begin a restore of its namespace's name; no VM is there yet."""
        point, where = self.back_up(application), application.namespace
        self.supervisor.lose(where)
        self.server.cli("restore", "create", where, f"--from-backup={where}", *flags)
        return point

    def running(self, application: Application) -> bool:
        """Say whether everything of the application is up that is to be."""
        where = application.namespace
        wanted = [vm for vm in self.all(VMS, where) if vm["spec"].get("powerState") == "PoweredOn"]
        up = all(vm.get("status", {}).get("network", {}).get("primaryIP4") for vm in wanted)
        ready = all(_is_ready(group) for group in self.all(GROUPS, where))
        endpoints = self.all("endpoints", where)
        served = len(endpoints) == len(application.services) and all(endpoint.get("subsets") for endpoint in endpoints)
        return up and ready and served

    def all(self, resource: str, namespace: str) -> list[Manifest]:
        if resource == GROUPS and not self.release.groups:
            return []  # the client would look for the kind anew, each time
        return self.cluster.all(resource, namespace=namespace)

    def names(self, resource: str, namespace: str) -> set[str]:
        return {manifest["metadata"]["name"] for manifest in self.all(resource, namespace)}

    def uids(self, resource: str, namespace: str) -> dict[str, str]:
        return {manifest["metadata"]["name"]: manifest["metadata"]["uid"] for manifest in self.all(resource, namespace)}

    def register(self, point: RestorePoint, *names: str, into: str) -> None:
        """Have the VADP vendor restore VMs and RegisterVM register them."""
        for name in names:
            task = self.supervisor.restore(point, name, namespace=into)
            assert task.finish() is State.SUCCEEDED, f"RegisterVM of {name} failed: {task.error}"

    def start_restore(
        self, name: str, *, backup: str = "", policy: Mapping[str, str] | None = None, **spec: Any
    ) -> None:
        """Create a Restore, of the backup of its name if none is said, with policies as annotations.

        As an object: the command line of Velero 1.15 has no `--annotations`.
        """
        annotations = {f"{PLUGIN_NAME}/{key}": value for key, value in (policy or {}).items()}
        self.cluster.create(
            {
                "apiVersion": "velero.io/v1",
                "kind": "Restore",
                "metadata": {"name": name, "namespace": self.server.namespace, "annotations": annotations},
                "spec": {"backupName": backup or name, **spec},
            }
        )

    def wait_restored(self, name: str, phase: str = "Completed", *, deadline: float = 240) -> None:
        """Wait until a restore is over and expect that it ended in this phase."""
        restore = self.server.wait_over(RESTORES, name, deadline=deadline)
        assert restore["status"]["phase"] == phase, self.describe(name)

    def describe(self, restore: str) -> str:
        return self.server.cli("restore", "describe", restore, "--details")

    def wait_described(self, restore: str, excerpt: str, *, deadline: float = 180) -> None:
        """Wait until `velero restore describe --details` says something."""
        try:
            wait_until(lambda: excerpt in self.describe(restore), deadline, f"restore {restore} says {excerpt!r}")
        except NotYetError as error:
            error.add_note(self.describe(restore))
            raise

    def stored(self, prefix: str) -> list[str]:
        """Return the keys in Velero's bucket below our directory."""
        return self.server.store.keys(self.server.bucket, f"plugins/vmservice/{prefix}")

    def stages(self, restore: str) -> dict[str, tuple[str, str]]:
        """Return how each object of a restore ended, by kind and name: the stage and why."""
        results, _ = self.results(restore)
        return {label: (result["stage"], result["reason"]) for label, result in results.items()}

    def results(self, restore: str) -> tuple[dict[str, Manifest], dict[str, bytes]]:
        """Return what a restore left in the bucket: its results by kind and name, and its reports by key."""
        keys = {
            key: self.server.store.read(self.server.bucket, key)
            for key in self.stored("restores/")
            if f"/restores/{restore}/" in f"/{key}"
        }
        reports = {key: body for key, body in keys.items() if "/report." in key}
        results = [json.loads(body) for key, body in keys.items() if key not in reports and not key.endswith(MARKER)]
        return {f"{result['kind']} {result['name']}": result for result in results}, reports


def specs(manifests: list[Manifest], *without: str) -> dict[str, Manifest]:
    """Return the specs by name, without fields that are documented to be dropped."""
    return {
        manifest["metadata"]["name"]: {key: value for key, value in manifest["spec"].items() if key not in without}
        for manifest in manifests
    }


def states(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return what a restore that changes nothing leaves as it is: identity, generation, labels, annotations, spec."""
    return {
        manifest["metadata"]["name"]: {
            "spec": manifest["spec"],
            **{key: manifest["metadata"].get(key) for key in ("uid", "generation", "labels", "annotations")},
        }
        for manifest in manifests
    }


def _is_ready(group: Manifest) -> bool:
    conditions = group.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
