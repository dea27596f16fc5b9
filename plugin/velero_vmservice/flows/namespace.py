"""The facts of a namespace, written once per backup by whichever item comes first.

Machines are never captured (RegisterVM brings them back), but what they were is: the restore compares against it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from velero_vmservice.core import facts, restorability
from velero_vmservice.core.errors import VmServiceError
from velero_vmservice.core.facts import NamespaceFacts
from velero_vmservice.core.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP
from velero_vmservice.flows import documents

if TYPE_CHECKING:
    from velero_vmservice.core.archive import BackupRun
    from velero_vmservice.core.ports import Clock, Cluster, StorageLocations

log = structlog.get_logger()

REMEMBERED_NAMESPACES = 256
REMEMBERED_SECONDS = 600.0
"""Facts are kept in memory this long, so that a namespace costs one LIST per kind and one PUT."""
FAILURE_SECONDS = 15.0
"""A store that is away is asked again after this long, not once per item."""


class NamespaceFactsOnce:
    """Writes and remembers the facts of each namespace of each backup."""

    def __init__(self, *, cluster: Cluster, locations: StorageLocations, clock: Clock) -> None:
        self._cluster = cluster
        self._locations = locations
        self._clock = clock
        self._known: TTLCache[str, NamespaceFacts] = TTLCache(
            REMEMBERED_NAMESPACES, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._failed: TTLCache[str, VmServiceError] = TTLCache(
            REMEMBERED_NAMESPACES, FAILURE_SECONDS, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def of(self, run: BackupRun, namespace: str) -> NamespaceFacts:
        """Return the stored facts; on the first call for a backup, observe the namespace and store them."""
        with self._lock:
            return self._once(run, namespace)

    def attempt(self, run: BackupRun, namespace: str) -> None:
        """Write the facts if it can be done; a failure is logged, never raised, and not repeated per item."""
        key = _key(run, namespace)
        with self._lock:
            if key in self._failed:
                return
            try:
                self._once(run, namespace)
            except VmServiceError as error:
                self._failed[key] = error
                log.warning(  # an error would make the backup PartiallyFailed
                    "namespace facts not stored",
                    namespace=namespace,
                    cause=error.message,
                    remedy=error.hint or "the machines' disks will not be recognised at restore",
                )

    def _once(self, run: BackupRun, namespace: str) -> NamespaceFacts:
        key = _key(run, namespace)
        if key not in self._known:
            self._known[key] = self._write(run, namespace)
        return self._known[key]

    def _write(self, run: BackupRun, namespace: str) -> NamespaceFacts:
        store = self._locations.open(run.location)
        observed = NamespaceFacts(
            namespace=namespace,
            observed_at=self._clock.now().isoformat(),
            machines=tuple(
                sorted(
                    (facts.machine_facts(vm) for vm in self._cluster.list(VIRTUAL_MACHINE, namespace)),
                    key=lambda one: one.name,
                )
            ),
            groups=tuple(
                sorted(
                    (facts.group_facts(group) for group in self._cluster.list(VIRTUAL_MACHINE_GROUP, namespace)),
                    key=lambda one: one.name,
                )
            ),
        )
        stored, sha256 = documents.write_once(store, run.namespace_key(namespace), observed)
        log.info(
            "namespace facts stored",
            namespace=namespace,
            machines=len(stored.machines),
            groups=len(stored.groups),
            key=run.namespace_key(namespace),
            sha256=sha256,
        )
        for finding in restorability.namespace_findings(stored):
            log.warning("restorability", namespace=namespace, code=finding.code, finding=finding.message)
        return stored


def _key(run: BackupRun, namespace: str) -> str:
    return f"{run.uid}/{run.namespace_key(namespace)}"
