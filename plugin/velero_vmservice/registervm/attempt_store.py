"""Read and write the records of RegisterVM calls: ConfigMaps in Velero's namespace."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import LRUCache, TTLCache

from velero_vmservice.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    InvalidItem,
    InvalidSettings,
    NotFound,
    VmServiceError,
)
from velero_vmservice.kube.manifest import CONFIG_MAP
from velero_vmservice.registervm.attempt import Attempt, changed, claimed, given_up, labels, read_attempt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.registervm.attempt import ForRestore

log = structlog.get_logger()

NONE_SECONDS: Final = 30.0
"""The attempts of a restore without any are read again after this time, because a user may call at any time."""
REMEMBERED_RESTORES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The newest attempt for each VM of a namespace, as far as the records could be read."""

    attempts: tuple[Attempt, ...] = ()
    problem: str = ""
    """Why they could not be read just now; `attempts` are then those of the last read."""


class Attempts:
    """The records of every restore, which are only added to. The last read of a restore survives a failed LIST."""

    def __init__(self, *, cluster: Cluster, clock: Clock, velero_namespace: str) -> None:
        self._cluster = cluster
        self._namespace = velero_namespace
        self._lock = threading.Lock()
        self._without: TTLCache[str, str] = TTLCache(REMEMBERED_RESTORES, NONE_SECONDS, timer=clock.monotonic)
        """Restores without an attempt at the last read, and the problem if the read was denied."""
        self._last: LRUCache[str, Mapping[tuple[str, str], Attempt]] = LRUCache(REMEMBERED_RESTORES)
        """The last read of each restore with attempts."""

    def newest(self, restore_uid: str) -> Mapping[tuple[str, str], Attempt]:
        """Read the newest attempt for each VM of a restore, by namespace and name; one LIST, remembered.

        Raises what the cluster raises: without the records no call is allowed.
        """
        newest: dict[tuple[str, str], Attempt] = {}
        if not self._namespace:
            return newest  # without a namespace for records no call was ever made
        selector = labels(restore_uid)
        for attempt in self._cluster.read_all(CONFIG_MAP, self._namespace, read_attempt, labels=selector):
            if attempt is None or attempt.restore_uid != restore_uid:
                continue
            key = attempt.namespace, attempt.vm
            if key not in newest or newest[key].number < attempt.number:
                newest[key] = attempt
        with self._lock:
            if newest:
                self._last[restore_uid] = newest
            else:
                self._last.pop(restore_uid, None)
        return newest

    def recorded(self, restore: ForRestore, namespace: str) -> Recorded:
        """Return the newest attempt for each VM of a namespace: one LIST, or none for a while after a failed one.

        Never raises, because a restore without calls needs no records.
        """
        restore_uid = restore.uid
        with self._lock:
            if restore_uid in self._without:
                return Recorded(problem=self._without[restore_uid])
        problem = ""
        try:
            newest = self.newest(restore_uid)
        except VmServiceError as error:
            log.info("RegisterVM attempts not read", cause=error.message)
            problem = str(error)
            with self._lock:
                newest = self._last.get(restore_uid, {})
                if not newest and isinstance(error, Forbidden):
                    self._without[restore_uid] = problem
        else:
            if not newest:
                with self._lock:
                    self._without[restore_uid] = ""
        return Recorded(attempts=_of(newest, restore, namespace), problem=problem)

    def last(self, restore: ForRestore, namespace: str) -> tuple[Attempt, ...]:
        """Return the last read of the attempts for VMs of a namespace, without a request."""
        with self._lock:
            return _of(self._last.get(restore.uid, {}), restore, namespace)

    def record(self, attempt: Attempt) -> bool:
        """Create the record durably; return False if it exists already.

        Raises `InvalidItem` if the object of its name is not a record: it is then unknown whether a call was made.
        Raises `InvalidSettings` if no namespace is set for records: no call is allowed without a record.
        """
        if not self._namespace:
            raise InvalidSettings(
                f"RegisterVM is not called for VM {attempt.namespace}/{attempt.vm}: no namespace is set in which a"
                " record of the call could be kept, as there is no Velero",
                hint="name a namespace for the records in velero_namespace, or in VMSERVICE_VELERO_NAMESPACE",
            )
        try:
            self._cluster.create(attempt.manifest(self._namespace))
        except AlreadyExists:
            self._demand_record(attempt)
            return False
        return True

    def update(self, attempt: Attempt) -> None:
        """Add the state of the call; a deleted record is not created again.

        Never raises: until the record has the state, each round comes to the same result.
        """
        try:
            self._cluster.patch(attempt.ref(self._namespace), changed(attempt), version="v1")
        except NotFound:
            return
        except VmServiceError as error:
            log.warning("RegisterVM attempt not updated", attempt=attempt.name, cause=error.message)

    def claim(self, attempt: Attempt, now: datetime) -> bool:
        """Continue a call that was recorded earlier and not sent; False if the record has changed since its read.

        The API server lets only one of `claim` and `give_up` succeed.
        """
        try:
            self._cluster.patch(attempt.ref(self._namespace), claimed(attempt, now), version="v1")
        except (Conflict, NotFound):
            return False
        return True

    def give_up(self, attempt: Attempt, message: str, now: datetime) -> bool:
        """Make an attempt final, so that its holder never calls; return False if it was claimed first."""
        if attempt.over:
            return True
        ref = attempt.ref(self._namespace)
        try:
            self._cluster.patch(ref, given_up(attempt, message, now), version="v1")
        except Conflict:
            current = read_attempt(self._cluster.get(ref))
            return current is not None and current.over
        except NotFound:
            return True
        return True

    def _demand_record(self, attempt: Attempt) -> None:
        ref = attempt.ref(self._namespace)
        if read_attempt(self._cluster.get(ref)) is None:
            raise InvalidItem(
                f"{ref} is not a readable record of a RegisterVM call for {attempt.namespace}/{attempt.vm}, or its"
                " labels were changed",
                hint="whether RegisterVM was called is unknown: check the VM's tasks in vCenter, then delete"
                " the ConfigMap yourself, or register the VM by hand",
            )


def _of(newest: Mapping[tuple[str, str], Attempt], restore: ForRestore, namespace: str) -> tuple[Attempt, ...]:
    """Return the attempts for VMs of a namespace from this run of the restore."""
    return tuple(
        attempt for (where, _), attempt in newest.items() if where == namespace and not attempt.is_earlier(restore)
    )
