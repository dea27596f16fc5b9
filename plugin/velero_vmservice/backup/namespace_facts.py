"""The facts of a namespace, written once per backup, at the namespace's first item.

VMs are never captured (RegisterVM brings them back), but facts about them are: the restore compares against these.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from velero_vmservice.archive import backup_scope, facts, restorability
from velero_vmservice.archive.facts import NamespaceFacts, unbound_claims
from velero_vmservice.archive.store import check_writer, write_once
from velero_vmservice.errors import Unavailable, VmServiceError, as_ours
from velero_vmservice.kube.manifest import (
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
)
from velero_vmservice.supervisor.namespace_state import claim_phase
from velero_vmservice.vmoperator import groups, load_balancer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from velero_vmservice.archive.facts import ServiceFacts, VmFacts
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.vmoperator.groups import GroupFacts

log = structlog.get_logger()

REMEMBERED_NAMESPACES = 256
REMEMBERED_SECONDS = 600.0
"""Facts are kept in memory this long, so that a namespace costs one LIST per kind and one PUT."""
REMEMBERED_VMS = 20_000
"""VMs whose facts are kept in total; a namespace with more VMs than that is kept alone."""
FAILURE_SECONDS = 15.0
"""A store that does not answer is tried again after this long, not once per item."""


class NamespaceFactsOnce:
    """Writes and remembers the facts of each namespace of each backup."""

    def __init__(self, *, cluster: Cluster, locations: StorageLocations, clock: Clock) -> None:
        self._cluster = cluster
        self._locations = locations
        self._clock = clock
        self._known: TTLCache[str, tuple[NamespaceFacts, str]] = TTLCache(
            REMEMBERED_VMS, REMEMBERED_SECONDS, timer=clock.monotonic, getsizeof=_weight
        )
        self._failed: TTLCache[str, VmServiceError] = TTLCache(
            REMEMBERED_NAMESPACES, FAILURE_SECONDS, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def of(self, run: BackupRun, namespace: str) -> tuple[NamespaceFacts, str]:
        """Return the stored facts and their SHA-256; on a backup's first call, observe the namespace and store them.

        Raises `Unavailable` while the API server does not serve VMs.
        """
        with self._lock:
            return self._once(run, namespace)

    def observe(self, run: BackupRun, namespace: str, listed: ListedObjects | None = None) -> NamespaceFacts:
        """Return the facts as they are now, and store nothing; groups and services are listed unless they are given.

        Raises `Unavailable` while the API server does not serve VMs.
        """
        with ThreadPoolExecutor(2, thread_name_prefix="facts") as lists:  # beside the VMs, of which there are most
            groups_of = lists.submit(lambda: listed.groups if listed else self._groups(namespace))
            services_of = lists.submit(lambda: listed.services if listed else self._services(namespace))
            vms = self._cluster.read_all(VIRTUAL_MACHINE, namespace, facts.vm_facts)
        # Facts are written once, so none are better than empty ones. Groups are not served everywhere.
        if not vms and not self._cluster.served_versions(VIRTUAL_MACHINE):
            raise Unavailable(
                f"the VMs of namespace {namespace} cannot be listed: the API server does not serve"
                f" {VIRTUAL_MACHINE.resource} just now",
                hint="repeat the backup once VM Operator's definitions are served: they are missing or being upgraded",
            )
        return NamespaceFacts(
            namespace=namespace,
            backup=run.name,
            backup_started=run.started,
            backup_uid=run.uid,
            observed_at=self._clock.now().isoformat(),
            machines=tuple(sorted(vms, key=lambda vm: vm.name)),
            groups=groups_of.result(),
            services=services_of.result(),
            provider=load_balancer.provider(self._cluster.serves_group),
            unbound_claims=self._unbound_claims(namespace, vms),
        )

    def keep(self, run: BackupRun, observed: NamespaceFacts) -> str:
        """Store facts that were observed, for every later `of` of the run; return their SHA-256."""
        with self._lock:
            stored = self._known[_key(run, observed.namespace)] = self._store(run, observed)
        return stored[1]

    def attempt(self, run: BackupRun, namespace: str) -> None:
        """Write the facts if possible; a failure is logged, never raised, and not repeated for each item."""
        key = _key(run, namespace)
        with self._lock:
            if key in self._failed:
                return
            try:
                self._once(run, namespace)
            except Exception as raised:  # noqa: BLE001 - logged; an error would make the backup PartiallyFailed
                error = self._failed[key] = as_ours(raised, f"the facts of namespace {namespace}")
                log.warning(
                    "namespace facts not stored",
                    namespace=namespace,
                    cause=error.message,
                    hint=error.hint or "repeat the backup, else the VMs' disks are not recognised at restore",
                )

    def forget(self, run: BackupRun) -> None:
        """Drop what is remembered of a sealed backup, and all that has expired."""
        with self._lock:
            for key in [key for key in self._known if key.startswith(f"{run.uid}/")]:
                self._known.pop(key, None)
            self._known.expire()
            self._failed.expire()

    def _once(self, run: BackupRun, namespace: str) -> tuple[NamespaceFacts, str]:
        key = _key(run, namespace)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._store(run, self.observe(run, namespace))
        return known

    def _store(self, run: BackupRun, observed: NamespaceFacts) -> tuple[NamespaceFacts, str]:
        namespace = observed.namespace
        store = self._locations.open(run.location, namespace=run.namespace)
        stored, sha256 = write_once(store, run.namespace_key(namespace), observed)
        check_writer(run, stored.backup_uid, key=run.namespace_key(namespace))
        log.info(
            "namespace facts stored",
            namespace=namespace,
            vm_count=len(stored.machines),
            group_count=len(stored.groups),
            key=run.namespace_key(namespace),
        )
        log.debug("namespace facts stored with digest", key=run.namespace_key(namespace), sha256=sha256)
        for finding in restorability.namespace_findings(stored):
            level = logging.WARNING if finding.severity == "warning" else logging.INFO
            reason = finding.sentence(namespace)
            log.log(level, "restorability", namespace=namespace, finding=finding.code, reason=reason)
        _warn_of_not_captured(run, stored)
        return stored, sha256

    def _unbound_claims(self, namespace: str, vms: Collection[VmFacts]) -> dict[str, str] | None:
        """Return which claims of the VMs are not bound; None where they cannot be listed, which fails no backup."""
        if not any(vm.claims for vm in vms):
            return {}
        try:
            phases = self._cluster.read_all(PERSISTENT_VOLUME_CLAIM, namespace, claim_phase)
        except VmServiceError as error:
            log.info("bound claims not known", namespace=namespace, cause=error.message, hint=error.hint)
            return None
        return unbound_claims(vms, dict(phases))

    def _groups(self, namespace: str) -> tuple[GroupFacts, ...]:
        return _by_name(self._cluster.read_all(VIRTUAL_MACHINE_GROUP, namespace, groups.group_facts))

    def _services(self, namespace: str) -> tuple[ServiceFacts, ...]:
        return _service_facts(self._cluster.list(VIRTUAL_MACHINE_SERVICE, namespace))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObjects:
    """The groups and services of a namespace, where they were listed already."""

    groups: tuple[GroupFacts, ...]
    services: tuple[ServiceFacts, ...]

    @classmethod
    def of(cls, namespace: str, manifests: Iterable[Manifest]) -> ListedObjects:
        """Read those of a namespace among the groups and services that were listed."""
        own = [manifest for manifest in manifests if manifest.namespace == namespace]
        return cls(
            groups=_by_name(groups.group_facts(each) for each in own if each.kind_name == VIRTUAL_MACHINE_GROUP.name),
            services=_service_facts(each for each in own if each.kind_name == VIRTUAL_MACHINE_SERVICE.name),
        )


def _service_facts(services: Iterable[Manifest]) -> tuple[ServiceFacts, ...]:
    read = (facts.service_facts(service) for service in services if not service.deleting)
    return tuple(sorted(read, key=lambda service: service.name))


def _by_name(read: Iterable[GroupFacts]) -> tuple[GroupFacts, ...]:
    return tuple(sorted(read, key=lambda group: group.name))


def _warn_of_not_captured(run: BackupRun, observed: NamespaceFacts) -> None:
    """Warn of groups and services of the backup's VMs that its filters leave out; the seal lists what was captured."""
    captured = set(backup_scope.objects_by_filters(run.spec, observed))
    vms = set(backup_scope.vms_by_filters(run.spec, observed))
    for missed in backup_scope.not_captured(observed, captured, vms | backup_scope.vms_of(observed, captured)):
        log.warning(
            "not captured",
            object=f"{missed.kind} {missed.namespace}/{missed.name}",
            vms=missed.vms,
            reason="VMs of this backup belong to it, and the backup's filters leave it out",
            hint="label the object like its VMs, or back up without the label selector or resource filter",
        )


def _key(run: BackupRun, namespace: str) -> str:
    return f"{run.uid}/{run.namespace_key(namespace)}"


def _weight(known: tuple[NamespaceFacts, str]) -> int:
    """Return the weight of a namespace's facts: its VMs, and a minimum for a namespace with none."""
    return min(len(known[0].machines) + REMEMBERED_VMS // REMEMBERED_NAMESPACES, REMEMBERED_VMS)
