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
"""A restore without any attempt is asked for its attempts again after this long: a person may call at any time."""
REMEMBERED_RESTORES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The newest attempt for each VM of a namespace, as far as the records could be read."""

    attempts: tuple[Attempt, ...] = ()
    problem: str = ""
    """Why they could not be read just now; then `attempts` are those that were read last."""


class Attempts:
    """The records of every restore; only added to. What was last read of a restore survives a LIST that fails."""

    def __init__(self, *, cluster: Cluster, clock: Clock, velero_namespace: str) -> None:
        self._cluster = cluster
        self._namespace = velero_namespace
        self._lock = threading.Lock()
        self._without: TTLCache[str, str] = TTLCache(REMEMBERED_RESTORES, NONE_SECONDS, timer=clock.monotonic)
        """Restores that had no attempt when they were last asked for, and the problem where that was denied."""
        self._last: LRUCache[str, Mapping[tuple[str, str], Attempt]] = LRUCache(REMEMBERED_RESTORES)
        """What was last read of each restore that has attempts."""

    def newest(self, restore_uid: str) -> Mapping[tuple[str, str], Attempt]:
        """Read the newest attempt for each VM of a restore, by namespace and name; one LIST, and it is remembered.

        Raises what the cluster raises: without the records nothing may be called.
        """
        newest: dict[tuple[str, str], Attempt] = {}
        if not self._namespace:
            return newest  # there is no home for records, so that no call was ever made
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
        """Return the newest attempt for each VM of a namespace: one LIST, and none while the last was in vain.

        Never raises: a restore without calls does without the records.
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
        """Return the attempts for VMs of a namespace that were read last, without a request."""
        with self._lock:
            return _of(self._last.get(restore.uid, {}), restore, namespace)

    def record(self, attempt: Attempt) -> bool:
        """Create the record durably; return False if it exists already.

        Raises `InvalidItem` if the object of its name is not a record: whether a call was made is then unknown.
        Raises `InvalidSettings` where no namespace is set for records: nothing may be called without one.
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
        """Add what became of the call; a record that was deleted is not created again.

        Never raises: as long as the record does not have it, the next round comes to the same end.
        """
        try:
            self._cluster.patch(attempt.ref(self._namespace), changed(attempt), version="v1")
        except NotFound:
            return
        except VmServiceError as error:
            log.warning("RegisterVM attempt not updated", attempt=attempt.name, cause=error.message)

    def claim(self, attempt: Attempt, now: datetime) -> bool:
        """Go on with a call that was recorded earlier and not sent; False if the record is no longer as it was read.

        The API server lets one of `claim` and `give_up` be first.
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
    """Return the attempts for VMs of a namespace that are of this run of the restore."""
    return tuple(
        attempt for (where, _), attempt in newest.items() if where == namespace and not attempt.is_earlier(restore)
    )
