"""What sealed captures hold of the objects that are looked for: read newest first, no further back than it takes.

A seal never changes, so each is read once. Of a seal that was read, no more is remembered than the answer about the
objects that were looked for.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from velero_vmservice.archive import schema
from velero_vmservice.archive.findings import Verdict
from velero_vmservice.archive.restore_point import read_seal
from velero_vmservice.captures.protection import SealedCapture
from velero_vmservice.errors import ForeignStorage, NotFound, VmServiceError, as_ours
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.supervisor.identity import ClusterChoice
from velero_vmservice.velero.runs import CaptureRef

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from velero_vmservice.archive.schema import BackupRun, Seal
    from velero_vmservice.archive.store import StorageLocations

Objects = frozenset[ObjectRef]
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Objects that are looked for together, in captures that began no earlier than the newest of them was made."""

    objects: Objects
    created: datetime | None = None
    """None where an older capture is of interest too."""
    with_job: bool = False
    """Whether the search goes on until a capture names the VADP job that saves the VMs."""

    def is_in_reach(self, started: datetime) -> bool:
        """Say whether a capture of that time is worth reading."""
        return self.created is None or self.created <= started

    def is_found_in(self, capture: SealedCapture) -> bool:
        """Say whether no older capture is of interest."""
        return capture.holds(self.objects) and bool(not self.with_job or capture.vadp_job)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealAnswer:
    """What a seal said about the objects that were looked for in it; not what else it lists, which may be much."""

    sought: frozenset[Objects] = frozenset()
    capture: SealedCapture | None = None
    """With the keys of those objects alone that it holds together; None where there is no seal."""

    def answers(self, wanted: frozenset[Objects]) -> bool:
        """Say whether the seal need not be read again to tell which of these it holds."""
        return self.capture is None or wanted <= self.sought

    def about(self, wanted: frozenset[Objects]) -> SealAnswer:
        """Return the answer with the keys of these objects alone; of any others, only that they are not all held."""
        if self.capture is None:
            return self
        held = self.capture.keys
        absent = {objects for objects in self.sought if not objects <= held.keys()}
        whole = [objects for objects in wanted if objects <= held.keys()]
        keys = {ref: held[ref] for objects in whole for ref in objects}
        judged = self.capture.not_restorable & keys.keys()
        return SealAnswer(sought=wanted | absent, capture=replace(self.capture, keys=keys, not_restorable=judged))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The captures that were found, and what is not known."""

    captures: Sequence[SealedCapture] = ()
    """The newest first; each with the keys of what was looked for in it."""
    unsealed: Sequence[BackupRun] = ()
    """Runs that have no seal, of those that were read."""
    unread: Sequence[VmServiceError] = field(default=())
    """Why seals could not be read: what no capture seems to hold may be in one of them."""
    left: bool = False
    """Whether more seals would have had to be read than was allowed."""


class Holdings:
    """Finds captures by what they hold, and remembers their seals; one thread at a time may look."""

    def __init__(
        self,
        *,
        locations: StorageLocations,
        readers: int = 1,
        clusters: Callable[[], ClusterChoice] = ClusterChoice,
    ) -> None:
        """Put together; with several readers, seals are read side by side, and a few more than it takes.

        Captures that are not of `clusters` hold nothing that is looked for: a bucket may be shared.
        """
        self._locations = locations
        self._clusters = clusters
        self._readers = readers
        self._answers: dict[_Key, SealAnswer] = {}

    def find(
        self,
        sought: Collection[Sought],
        runs: Sequence[BackupRun],
        *,
        most: int | None = None,
        read: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Held:
        """Return the captures of these runs, newest first, as far back as it takes to find everything sought.

        Args:
            sought: what is looked for.
            runs: the newest first; the seals of others are forgotten.
            most: how many seals are read at most; None for as many as it takes.
            read: told how many of how many runs have been looked at.
        """
        looking = _Looking(
            self._locations,
            self._readers,
            self._clusters(),
            answers={key: self._answers.get(key) for key in map(_key, runs)},
        )
        missing, captures, unsealed = list(sought), list[SealedCapture](), list["BackupRun"]()
        for at, run in enumerate(runs):
            read(at, len(runs))
            started = schema.moment(run.started)
            missing = [each for each in missing if each.is_in_reach(started)]
            wanted = frozenset(each.objects for each in missing)
            known = looking.answers[_key(run)]
            if wanted and (known is None or not known.answers(wanted)):
                if most is not None and looking.requests >= most and run.location not in looking.away:
                    looking.left = True
                    break
                known = looking.ask(runs[at : at + self._readers], wanted)
            if known is None:
                continue
            looking.answers[_key(run)] = answer = known.about(wanted)
            if answer.capture is None:
                unsealed.append(run)
                continue
            captures.append(answer.capture)
            missing = [each for each in missing if not each.is_found_in(answer.capture)]
        self._answers = {key: answer for key, answer in looking.answers.items() if answer is not None}
        return Held(captures=captures, unsealed=unsealed, unread=looking.unread, left=looking.left)


class _Looking:
    """One search: what it has asked, and of whom it asks no more."""

    def __init__(
        self,
        locations: StorageLocations,
        readers: int,
        clusters: ClusterChoice,
        *,
        answers: dict[_Key, SealAnswer | None],
    ) -> None:
        self._locations = locations
        self._clusters = clusters
        self._readers = readers
        self.answers = answers
        self.unread: list[VmServiceError] = []
        self.away: set[str] = set()
        """Locations that do not answer: each costs a timeout."""
        self.requests = 0
        self.left = False

    def ask(self, runs: Sequence[BackupRun], wanted: frozenset[Objects]) -> SealAnswer | None:
        """Read the seals of these runs, where they are not known; return the answer of the first, None for none."""
        first = runs[0]
        if first.location in self.away:
            return None
        unknown = [
            run
            for run in runs
            if run.location not in self.away
            and (run is first or (known := self.answers[_key(run)]) is None or not known.answers(wanted))
        ]
        self.requests += len(unknown)
        fresh: dict[_Key, SealAnswer] = {}
        for run, answer in zip(unknown, self._read(unknown), strict=True):
            if isinstance(answer, VmServiceError):
                self.unread.append(answer)
                if answer.passing:
                    self.away.add(run.location)
            else:
                fresh[_key(run)] = SealAnswer(sought=wanted, capture=answer)
        self.answers |= fresh
        return fresh.get(_key(first))

    def _read(self, runs: Sequence[BackupRun]) -> Sequence[SealedCapture | VmServiceError | None]:
        if len(runs) == 1:
            return [self._attempt(runs[0])]
        with ThreadPoolExecutor(self._readers, thread_name_prefix="holdings") as readers:
            return list(readers.map(self._attempt, runs))

    def _attempt(self, run: BackupRun) -> SealedCapture | VmServiceError | None:
        try:
            store = self._locations.open(run.location, namespace=run.namespace)
            return _sealed_capture(run, read_seal(store, run), self._clusters)
        except (NotFound, ForeignStorage):
            return None
        except Exception as raised:  # noqa: BLE001 - handed back; other captures are looked at
            return as_ours(raised, f"the seal of {run}")


def _key(run: BackupRun) -> _Key:
    """Tell a run from others, that of a Backup of the same name and time which was made anew included."""
    return (run.uid, run.location, run.prefix)


def _sealed_capture(run: BackupRun, seal: Seal, clusters: ClusterChoice) -> SealedCapture:
    """Return what a seal lists, which of another cluster's is nothing: objects of the same names are others."""
    refs = ((schema.captured_object(sealed.key), sealed.key) for sealed in seal.objects)
    names = (name.partition("/") for name in seal.vadp.machines)
    vms = {ObjectRef(VIRTUAL_MACHINE, namespace, name): "" for namespace, _, name in names}
    return SealedCapture(
        ref=CaptureRef(maker=run.maker, name=run.name, started=run.started, location=run.location),
        keys=vms | {ref: key for ref, key in refs if ref is not None} if clusters.takes(seal.cluster_id) else {},
        vadp_job=seal.vadp.job,
        restore_point=seal.vadp.restore_point,
        not_restorable=frozenset(_not_restorable(seal)),
    )


def _not_restorable(seal: Seal) -> Iterator[ObjectRef]:
    kinds = {kind.name: kind for kind in CAPTURED_KINDS}
    for application in seal.applications or ():
        if application.verdict != Verdict.NOT_RESTORABLE:
            continue
        for part in application.objects:
            yield ObjectRef(kinds[part.kind], application.namespace, part.name)
        for finding in application.reasons:
            if finding.blocks and finding.kind == VIRTUAL_MACHINE.name:
                yield ObjectRef(VIRTUAL_MACHINE, application.namespace, finding.name)
