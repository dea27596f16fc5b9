"""Where drills lie: `drills/<capture>/<start time>/report.json`, written once, beside the capture's own bucket."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.archive.schema import is_time, moment
from velero_vmservice.archive.store import read_document, write_once
from velero_vmservice.captures.naming import Reference
from velero_vmservice.documents import digest
from velero_vmservice.drill.model import PAGE, REPORT, ROOT, DrillReport
from velero_vmservice.drill.page import render
from velero_vmservice.errors import AlreadyExists, ForeignStorage, InvalidItem, NotFound, VmServiceError, as_ours
from velero_vmservice.kube.manifest import compact_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.store import ObjectStore, StorageLocations
    from velero_vmservice.captures.catalogue import Catalogue

log = structlog.get_logger()

MOST_READ: Final = 20
"""Drills whose verdict is a metric: the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDrill:
    """The report of one drill in a bucket."""

    name: str
    started: str
    """UTC, compact."""
    store: ObjectStore

    @property
    def key(self) -> str:
        return f"{ROOT}/{self.name}/{self.started}/{REPORT}"

    @property
    def where(self) -> str:
        """Where it lies, as a person reads it."""
        return self.store.where(self.key)

    @property
    def page_key(self) -> str:
        return f"{ROOT}/{self.name}/{self.started}/{PAGE}"

    @property
    def page(self) -> str:
        """Where its page lies, as a person reads it; '' if it has none."""
        return self.store.where(self.page_key) if any(self.store.list(self.page_key)) else ""

    def read(self) -> DrillReport:
        """Return the report; raises `NotFound` or `Corrupt`, and as stores do."""
        return read_document(self.store, self.key, DrillReport)

    def __str__(self) -> str:
        return f"{self.name}/{self.started}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDrills:
    """The drills in the buckets that could be listed."""

    drills: Sequence[StoredDrill] = ()
    """The newest first."""
    unread: Sequence[VmServiceError] = ()
    """Why buckets could not be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillLook:
    """What metrics tell of drills."""

    count: int | None = None
    """None where the buckets could not be listed."""
    newest: Mapping[str, datetime] = field(default_factory=dict)
    """Start of the newest of each verdict."""


class Drills:
    """Keeps and finds the reports of drills."""

    def __init__(self, *, catalogue: Catalogue, locations: StorageLocations) -> None:
        self._catalogue = catalogue
        self._locations = locations
        self._verdicts: dict[str, str] = {}
        """By the place of the report."""

    def keep(self, report: DrillReport, store: ObjectStore) -> StoredDrill:
        """Store a report, and then its page, beside its capture; raises what the store raises."""
        drill = StoredDrill(name=report.drill, started=compact_time(report.started), store=store)
        write_once(store, drill.key, report)
        page = render(report).encode()
        with contextlib.suppress(AlreadyExists):  # another release has drawn the same report
            store.put(drill.page_key, page, sha256=digest(page))
        return drill

    def list(self, name: str = "") -> StoredDrills:
        """Return the drills, or those of one name; two locations that are one bucket show each once.

        Raises `InvalidSettings` where there is no bucket to look in, and what the cluster raises.
        """
        drills, unread = dict[tuple[str, str], StoredDrill](), list[VmServiceError]()
        for location in self._catalogue.buckets():
            try:
                store = self._locations.open(location)
                for drill in _listed(store, name):
                    drills.setdefault((store.endpoint, drill.where), drill)
            except ForeignStorage:
                continue
            except VmServiceError as error:
                unread.append(error)
        newest_first = sorted(drills.values(), key=lambda drill: (drill.started, drill.name), reverse=True)
        return StoredDrills(drills=newest_first, unread=unread)

    def look(self) -> DrillLook:
        """Return the newest drill of each verdict, for metrics; each report is read once. Never raises."""
        try:
            stored = self.list()
        except Exception as raised:  # noqa: BLE001 - logged; the next look may do better
            return _unknown(as_ours(raised, "the list of drills"))
        if stored.unread:
            return _unknown(stored.unread[0])
        newest = stored.drills[:MOST_READ]
        self._verdicts = {drill.where: self._verdicts.get(drill.where, "") or _verdict(drill) for drill in newest}
        started = {self._verdicts[drill.where]: moment(drill.started) for drill in reversed(newest)}
        return DrillLook(
            count=len(stored.drills), newest={verdict: when for verdict, when in started.items() if verdict}
        )

    def find(self, reference: str) -> StoredDrill:
        """Return the drill that a person names NAME, the newest of that name, or NAME/TIME.

        Raises `NotFound` if there is none, `InvalidItem` if several buckets have it, and the error of a bucket that
        could not be listed where it may lie there.
        """
        wanted = Reference.read(reference)
        stored = self.list(wanted.name)
        named = wanted.among(stored.drills, lambda _: None).meant
        if len(named) == 1:
            return named[0]
        if named:
            places = ", ".join(drill.where for drill in named)
            raise InvalidItem(f"several buckets have the drill {reference}: {places}", hint="read it in its bucket")
        if stored.unread:
            raise stored.unread[0]
        raise NotFound(f"no drill {reference} is stored", hint="list them: velero-vmservice drill list")


def _unknown(error: VmServiceError) -> DrillLook:
    log.info("drills not known", cause=error.message, hint=error.hint, code=error.code)
    return DrillLook()


def _verdict(drill: StoredDrill) -> str:
    """Return what a drill came to; '' where its report cannot be read now."""
    try:
        return drill.read().verdict
    except VmServiceError as error:
        _unknown(error)
        return ""


def _listed(store: ObjectStore, name: str) -> Iterator[StoredDrill]:
    for folder in [name] if name else store.folders(f"{ROOT}/"):
        for started in store.folders(f"{ROOT}/{folder}/"):
            if is_time(started):
                yield StoredDrill(name=folder, started=started, store=store)
