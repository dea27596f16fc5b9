"""The VMs of a backup that no object of a restore needs: read from the seal, watched until they are registered.

Velero calls no action for a VM that the backup left out. It calls for the ServiceAccount `default`, which every backup
of a namespace holds, and waits for the operation that is returned there: that operation stands for these VMs. It
creates nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache

from velero_vmservice.archive import backup_scope
from velero_vmservice.archive.restore_point import read_seal
from velero_vmservice.archive.schema import SavedStatus
from velero_vmservice.archive.topology import Topology
from velero_vmservice.errors import ForeignStorage, InvalidItem, MissingBackup, NotFound, NotRestorable, VmServiceError
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VIRTUAL_MACHINE, VMS_ALONE, Manifest, ObjectRef
from velero_vmservice.restore.model import Source, Subject
from velero_vmservice.restore.source import sealed_objects
from velero_vmservice.velero import selection
from velero_vmservice.velero.runs import Replay

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.kube.names import NamedResource
    from velero_vmservice.velero.runs import RestoreRun

REMEMBERED = 64
REMEMBERED_SECONDS = 600.0
_LOOK = "look at the VMs of the namespace yourself, or restore from another backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The VMs of a namespace that a restore watches though no object that it replays needs them."""

    names: tuple[str, ...] = ()
    facts: NamespaceFacts | None = None
    """Their facts at backup, where a digest vouches for them."""


class VmsAlone:
    """Finds the VMs without an application that a restore brings back."""

    def __init__(self, *, cluster: Cluster, restore_points: RestorePoints, clock: Clock) -> None:
        self._cluster = cluster
        self._restore_points = restore_points
        self._seals: TTLCache[str, Seal | None] = TTLCache(REMEMBERED, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._lock = threading.Lock()

    def learn(self, run: RestoreRun, seal: Seal) -> None:
        """Remember the seal of a restore's backup, which was read and checked elsewhere."""
        with self._lock:
            self._seals[run.source_key] = seal

    def seal(self, run: RestoreRun) -> Seal | None:
        """Return the seal of a restore's backup, or None where there is none.

        Raises what the store raises, and `MissingBackup` where nothing tells whether there is one.
        """
        with self._lock:
            if run.source_key in self._seals:
                return self._seals[run.source_key]
        try:
            backup, store = self._restore_points.backup(run), self._restore_points.store(run)
            seal = read_seal(store, backup)
        except MissingBackup:
            raise
        except (NotFound, InvalidItem, ForeignStorage):
            seal = None
        with self._lock:
            self._seals[run.source_key] = seal
        return seal

    def replays(self, run: RestoreRun) -> Sequence[Replay]:
        """Return one replay for each namespace of the backup that has such VMs and that the restore restores."""
        return [replay for replay in self._candidates(run) if self._has_vms(replay, run)]

    def by_namespace(self, run: RestoreRun) -> Mapping[str, tuple[str, ...]]:
        """Return the names of all such VMs, by their namespace in the backup; raises what `watched` raises."""
        namespaces = [replay.namespace for replay in self._candidates(run)]
        names = {namespace: self.watched(namespace, run).names for namespace in namespaces}
        return {namespace: vms for namespace, vms in names.items() if vms}

    def _candidates(self, run: RestoreRun) -> Sequence[Replay]:
        """Return one replay for each namespace of the backup that may have such VMs."""
        if run.objects is not None or (seal := self.seal(run)) is None:
            return ()  # who chooses objects asks for no other VMs
        namespaces = dict.fromkeys(name.partition("/")[0] for name in seal.without_application)
        if _filters_objects(run.spec):
            objects = (sealed_objects.sealed_object(item, run) for item in seal.objects)
            namespaces |= dict.fromkeys(sorted({ref.namespace for ref in objects}))
        return [replay_of(namespace, run) for namespace in namespaces]

    def may_be_passed_over(self, namespace: str, run: RestoreRun) -> bool:
        """Say whether Velero may call no action for captured objects of a namespace; raises what `captured` raises."""
        kinds = self._passed_over(run)
        if not kinds or (seal := self.seal(run)) is None:
            return False
        objects = (sealed_objects.sealed_object(item, run) for item in seal.objects)
        return any(ref.namespace == namespace and ref.kind in kinds for ref in objects)

    def captured(self, namespace: str, run: RestoreRun) -> Sequence[Replay]:
        """Return the captured objects of a namespace that Velero may call no action for and the restore's filters name.

        Without a seal, none. Raises what store and cluster raise, and `NotRestorable` when the seal lists what is no
        captured object.
        """
        if not (kinds := self._passed_over(run)):
            return ()
        replays = sealed_objects.replays(
            self.seal(run), run, run.spec, cluster=self._cluster, restore_points=self._restore_points
        )
        return [replay for replay in replays if replay.namespace == namespace and replay.kind in kinds]

    def _passed_over(self, run: RestoreRun) -> Collection[Kind]:
        """Return the kinds of captured objects that Velero may call no action for.

        Its archive may lack any of a backup that had errors, and it leaves out what the cluster does not serve
        (pkg/restore, getOrderedResourceCollection).
        """
        if self._restore_points.backup(run).lacks_items:
            return CAPTURED_KINDS
        return [kind for kind in CAPTURED_KINDS if not self._cluster.served_versions(kind)]

    def _has_vms(self, replay: Replay, run: RestoreRun) -> bool:
        """Say whether the restore's filters leave VMs in; a fault that lasts counts as yes: the replay reports it."""
        try:
            return bool(self.watched(replay.namespace, run).names)
        except VmServiceError as error:
            if error.transient:
                raise
            return True

    def source(self, replay: Replay, run: RestoreRun) -> Source:
        """Return the VMs of a namespace as what one operation waits for.

        Raises an error that may pass, and `NotRestorable` where it is not known which VMs these are: a fault that a
        person has to put right is not waited for if it was there as the restore began.
        """
        try:
            if self.seal(run) is None and not replay.unread:
                raise NotFound(f"the seal of Backup {run.backup} is gone", hint=_LOOK, goes_on=True)
            watched = self.watched(replay.namespace, run)
        except VmServiceError as error:
            if error.transient or (error.mendable and not replay.unread):
                raise
            raise NotRestorable(
                f"the VMs without an application of namespace {replay.namespace} are not watched: {error.message}",
                hint=error.hint,
            ) from error
        names, facts = watched.names, watched.facts
        vms = tuple(facts.by_name[name] for name in names if name in facts.by_name) if facts else ()
        return Source(
            subject=Subject(
                ref=replay.destination,
                wanted=Manifest({}),
                topology=Topology(needs=names, machines=vms),
                captured_at=facts.observed_at if facts else "",
            ),
            before=SavedStatus(),
            captured_without=(),
            dropped=(),
            remarks=(),
        )

    def watched(self, namespace: str, run: RestoreRun) -> Watched:
        """Return the VMs of a namespace that the restore brings back and that none of its objects needs.

        They are those of no captured object, and those of captured objects that the Restore's filters leave out.

        Raises what the store raises, and `NotFound` where the backup has facts of VMs and no seal says what it holds.
        """
        if (seal := self.seal(run)) is None:
            return self._without_seal(namespace, run)
        names = dict.fromkeys(_of(namespace, seal.without_application))
        filtered = _filters_objects(run.spec)
        known = self._restore_points.facts(run, namespace) if names or filtered else None
        facts = known.facts if known and not known.doubt else None
        served = sealed_objects.served_resources(self._cluster, run.spec)
        if facts and filtered:
            refs = (sealed_objects.sealed_object(item, run) for item in seal.objects)
            captured = {(ref.kind.name, ref.name): ref for ref in refs if ref.namespace == namespace}
            restored = {key for key, ref in captured.items() if _is_restored(ref, facts, run, served)}
            left_out = backup_scope.vms_left_out(facts, captured.keys() - restored, restored)
            names |= dict.fromkeys(sorted(left_out.intersection(_of(namespace, seal.vadp.machines))))
        vms = (ObjectRef(VIRTUAL_MACHINE, namespace, name) for name in names)
        chosen = tuple(ref.name for ref in vms if _is_restored(ref, facts, run, served))
        return Watched(names=chosen, facts=facts)

    def _without_seal(self, namespace: str, run: RestoreRun) -> Watched:
        """Return no VMs where the backup has nothing of the namespace; a backup that died may have had some."""
        known = self._restore_points.facts(run, namespace)
        if known is not None and backup_scope.vms_of_no_object(known.facts):
            raise NotFound(f"cannot tell which VMs these are: {known.doubt}", hint=_LOOK, goes_on=True)
        return Watched()


def replay_of(namespace: str, run: RestoreRun) -> Replay:
    """Return the replay that stands for the VMs without an application of a namespace.

    A mapped one is named after its own namespace, as others may be mapped into the same one.
    """
    target = run.target(namespace)
    return Replay(plural=VMS_ALONE.plural, namespace=namespace, target=target, name=namespace * (target != namespace))


def _of(namespace: str, names: Iterable[str]) -> list[str]:
    """Return the names of the VMs of a namespace, of `namespace/name` each."""
    parts = (name.partition("/") for name in names)
    return [name for where, _, name in parts if where == namespace]


def _filters_objects(spec: Mapping[str, Any]) -> bool:
    """Say whether a Restore may leave out some objects of a namespace that it restores others of."""
    return selection.names_resources(spec) or selection.asks_for_labels(spec)


def _is_restored(
    ref: ObjectRef, facts: NamespaceFacts | None, run: RestoreRun, served: Sequence[NamedResource]
) -> bool:
    """Say whether the restore's filters leave an object in; labels that are not known exclude nothing."""
    labels = facts.labels(ref.kind.name, ref.name) if facts else None
    return selection.selected(run.spec, ref, labels, served=served)
