"""The VMs of a backup that no captured object stands for: read from the seal, watched until they are registered.

Velero calls no action for a VM that the backup left out. It calls for the ServiceAccount `default`, which every backup
of a namespace holds, and waits for the operation that is returned there: that operation stands for these VMs. It
creates nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cachetools import TTLCache

from velero_vmservice.core import selection
from velero_vmservice.core.archive import Observed
from velero_vmservice.core.decision import Subject
from velero_vmservice.core.errors import ForeignStorage, InvalidItem, NotFound, VmServiceError
from velero_vmservice.core.manifest import (
    VIRTUAL_MACHINE,
    VMS_ALONE,
    Manifest,
    ObjectRef,
)
from velero_vmservice.core.operation import Replay, RestoreRun
from velero_vmservice.core.topology import Topology
from velero_vmservice.flows.restore_point import read_seal
from velero_vmservice.flows.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.core.archive import Seal
    from velero_vmservice.core.facts import NamespaceFacts
    from velero_vmservice.core.ports import Clock
    from velero_vmservice.flows.restore_point import RestorePoints

REMEMBERED = 64
REMEMBERED_SECONDS = 600.0


class VmsAlone:
    """Finds the VMs without an application that a restore brings back."""

    def __init__(self, *, restore_points: RestorePoints, clock: Clock) -> None:
        self._restore_points = restore_points
        self._seals: TTLCache[str, Seal | None] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def learn(self, run: RestoreRun, seal: Seal) -> None:
        """Remember the seal of a restore's backup, which was read and checked elsewhere."""
        with self._lock:
            self._seals[_key(run)] = seal

    def seal(self, run: RestoreRun) -> Seal | None:
        """Return the seal of a restore's backup, or None where there is none; raises what the store raises."""
        with self._lock:
            if _key(run) in self._seals:
                return self._seals[_key(run)]
        try:
            backup, store = self._restore_points.backup(run), self._restore_points.store(run)
            seal = read_seal(store, backup)
        except (NotFound, InvalidItem, ForeignStorage):
            seal = None
        with self._lock:
            self._seals[_key(run)] = seal
        return seal

    def replays(self, run: RestoreRun) -> Sequence[Replay]:
        """Return one replay for each namespace of the backup that has such VMs and that the restore restores."""
        seal = self.seal(run)
        namespaces = dict.fromkeys(name.partition("/")[0] for name in seal.without_application) if seal else ()
        return [one for one in (replay_of(namespace, run) for namespace in namespaces) if self._has_vms(one, run)]

    def _has_vms(self, replay: Replay, run: RestoreRun) -> bool:
        """Say whether the restore's filters leave VMs in; what cannot be read is told of when it is planned."""
        try:
            return bool(self.source(replay, run).subject.topology.needs)
        except VmServiceError as error:
            if error.transient:
                raise
            return True

    def source(self, replay: Replay, run: RestoreRun) -> Source:
        """Return the VMs of a namespace as what one operation waits for.

        Raises what the store raises, and `NotFound` where the seal that named them is gone.
        """
        seal, namespace = self.seal(run), replay.namespace
        if seal is None and not replay.unread:
            raise NotFound(
                f"the seal of Backup {run.backup} is gone: which VMs of namespace {namespace} are without an"
                " application is not known",
                hint="look at the VMs of the namespace yourself, or restore from another backup",
            )
        parts = [name.partition("/") for name in seal.without_application] if seal else []
        listed = [name for where, _, name in parts if where == namespace]
        known = self._restore_points.facts(run, namespace) if listed else None
        facts = known.facts if known and not known.doubt else None
        names = tuple(name for name in listed if _is_restored(name, namespace, facts, run))
        machines = tuple(facts.by_name[name] for name in names if name in facts.by_name) if facts else ()
        return Source(
            subject=Subject(
                ref=replay.destination,
                wanted=Manifest({}),
                topology=Topology(needs=names, machines=machines),
                captured_at=facts.observed_at if facts else "",
            ),
            before=Observed(),
            captured_without=(),
            dropped=(),
            remarks=(),
        )


def replay_of(namespace: str, run: RestoreRun) -> Replay:
    """Return the replay that stands for the VMs without an application of a namespace.

    A mapped one is named after its own namespace, as others may be mapped into the same one.
    """
    target = run.target(namespace)
    return Replay(plural=VMS_ALONE.plural, namespace=namespace, target=target, name=namespace * (target != namespace))


def _key(run: RestoreRun) -> str:
    return f"{run.uid}/{run.backup}"


def _is_restored(name: str, namespace: str, facts: NamespaceFacts | None, run: RestoreRun) -> bool:
    """Say whether the restore's filters leave a VM in; labels that are not known exclude nothing."""
    labels = facts.by_name[name].labels if facts and name in facts.by_name else None
    return selection.selected(run.spec, ObjectRef(VIRTUAL_MACHINE, namespace, name), labels)
