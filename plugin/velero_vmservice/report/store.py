"""The report of a restore, made of its stored results by the process that sees every operation ended.

Results are written once; the report is made of them as often as one more is found, so that it does not matter which
process ends the last operation, nor what that process knows of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice import documents
from velero_vmservice.archive.pruning.marker import MARKER
from velero_vmservice.archive.store import read_document
from velero_vmservice.errors import AlreadyExists, Corrupt, NotFound
from velero_vmservice.report.model import Report, Result
from velero_vmservice.report.reached import reached
from velero_vmservice.report.summary import compose, continued

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.velero.runs import Replay, RestoreRun

log = structlog.get_logger()

REPORT: Final = "report.json"
PAGE: Final = "report.html"
UNDRAWN: Final = f"<!doctype html><title>Report</title><p>This page could not be drawn. Read {REPORT} beside it."


class Reporting:
    """Makes the report, and makes it again where the stored one lacks an object."""

    def __init__(self, *, cluster: Cluster, clock: Clock, page: Callable[[Report], str]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._page = page

    def report(
        self,
        store: ObjectStore,
        run: RestoreRun,
        own: Mapping[str, Result],
        policy: Mapping[str, str],
        *,
        seal: Seal | None,
        watched: Mapping[str, tuple[str, ...]],
    ) -> Report | None:
        """Store the report of every stored result; return it if it is new.

        Args:
            store: where the restore's results lie.
            run: the restore.
            own: results of this process as they are now, by key; they may say more than what was stored.
            policy: the effective policy, setting to value.
            seal: the seal of the backup, which has what the backup left out.
            watched: the VMs without an application that a result should be of, by namespace.
        """
        made: Report | None = None
        earlier = _earlier_runs(store, run)
        while True:
            stored = _all_results(store, run, own, earlier)
            report = self._composed(run, stored, policy, seal, watched)
            if _create(store, f"{prefix(run)}{REPORT}", documents.canonical(report)):
                self._draw(store, run, report)
                return report
            try:
                before = read_document(store, f"{prefix(run)}{REPORT}", Report)
            except NotFound:
                continue  # it was removed meanwhile
            known = {_name(item) for item in before.objects}
            missing = [result for result in stored.results if _name(result) not in known]
            if not missing:
                self._draw(store, run, before, anew=made is not None and made != before)
                return made
            whole = replace(stored, results=(*_objects(before), *missing))
            made = self._composed(run, whole, before.policy, seal, watched)
            self._draw(store, run, made, anew=True)  # the report says that all is done: it comes last
            _replace(store, f"{prefix(run)}{REPORT}", documents.canonical(made))
            # Another process may have replaced it meanwhile by what it knew: look again.

    def _composed(
        self,
        run: RestoreRun,
        stored: _StoredResults,
        policy: Mapping[str, str],
        seal: Seal | None,
        watched: Mapping[str, tuple[str, ...]],
    ) -> Report:
        ended = max((result.ended for result in stored.results), default="") or self._clock.now().isoformat()
        return compose(
            run,
            stored.results,
            policy=policy,
            ended=ended,
            seal=seal,
            watched=watched,
            unread=stored.unread,
            cluster=reached(self._cluster, run.namespace),
            resumes=stored.resumes,
        )

    def _draw(self, store: ObjectStore, run: RestoreRun, report: Report, *, anew: bool = False) -> None:
        key = f"{prefix(run)}{PAGE}"
        if anew:
            _replace(store, key, self._drawn(report).encode())
        elif not store.exists(key):
            _create(store, key, self._drawn(report).encode())

    def _drawn(self, report: Report) -> str:
        try:
            return self._page(report)
        except Exception:  # a page that cannot be drawn must not keep a restore from ending
            log.exception("page of the report not drawn", consequence=f"{REPORT} beside it has all of it")
            return UNDRAWN


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredResults:
    """The stored results that a report is made of."""

    results: Sequence[Result]
    unread: Sequence[str]
    """Why results cannot be read."""
    resumes: Sequence[str]
    """Start times of the runs between Velero's own and this one."""


def prefix(run: RestoreRun) -> str:
    """Everything that a restore leaves in the bucket lies below."""
    return results_of(run.name, run.started)


def results_of(restore: str, started: str) -> str:
    """Return the prefix of a run's results and its report."""
    return f"restores/{restore}/{started}/"


def marker_key(run: RestoreRun) -> str:
    """Return where the marker of a restore that has begun lies."""
    return f"{prefix(run)}{MARKER}"


def where_reported(store: ObjectStore, run: RestoreRun) -> str:
    """Say where the report lies."""
    return store.where(f"{prefix(run)}{PAGE}")


def result_key(run: RestoreRun, replay: Replay, *, twin: bool) -> str:
    """Return where a result lies; one whose name another object of the restore has names its own namespace too."""
    of = f"@{replay.namespace}" if twin else ""
    name = replay.name or "without-application"
    return f"{prefix(run)}{replay.plural}/{replay.target}/{name}{of}.json"


def result_keys(store: ObjectStore, run: RestoreRun) -> Iterator[str]:
    """Yield the key of every stored result."""
    beside = {f"{prefix(run)}{REPORT}", marker_key(run)}
    return (key for key in store.list(prefix(run)) if key.endswith(".json") and key not in beside)


def _results(store: ObjectStore, run: RestoreRun, own: Mapping[str, Result]) -> tuple[list[Result], list[str]]:
    """Return every result, and of those that cannot be read why: one that is damaged hides none of the others."""
    results, unread = list[Result](), list[str]()
    for key in result_keys(store, run):
        try:
            results.append(own.get(key) or read_document(store, key, Result))
        except (Corrupt, NotFound) as error:
            unread.append(f"the result {key} cannot be read, so that its object is missing here: {error}")
    return results, unread


def _all_results(
    store: ObjectStore, run: RestoreRun, own: Mapping[str, Result], earlier: Mapping[str, Sequence[Result]]
) -> _StoredResults:
    results, unread = _results(store, run, own)
    resumes = [started for started in earlier if started != run.began]
    return _StoredResults(results=continued(*earlier.values(), results), unread=unread, resumes=resumes)


def _earlier_runs(store: ObjectStore, run: RestoreRun) -> Mapping[str, Sequence[Result]]:
    """Return what the runs that this one goes on with have ended with, by start time: Velero's own, then resumed ones.

    Under the restore's name there may also be runs of another Restore that had it, and of a backup that has it.
    """
    if not run.began:
        return {}
    starts = {key.split("/")[2] for key in store.list(f"restores/{run.name}/")}
    runs: dict[str, Sequence[Result]] = {}
    for started in sorted(start for start in starts if run.began <= start < run.started):
        results, _ = _results(store, replace(run, started=started), {})
        ours = [result for result in results if (result.restore, result.backup) == (run.name, run.backup)]
        resumed = [our for our in ours if our.restore_uid == run.uid]
        if continued_results := ours if started == run.began else resumed:
            runs[started] = continued_results
    return runs


def _create(store: ObjectStore, key: str, body: bytes) -> bool:
    """Store a document unless there is another one; say whether it is stored."""
    try:
        store.put(key, body, sha256=documents.digest(body))
    except AlreadyExists:
        return False
    return True


def _replace(store: ObjectStore, key: str, body: bytes) -> None:
    store.replace(key, body, sha256=documents.digest(body))


def _name(result: Result) -> tuple[str, str, str, str]:
    return (result.kind, result.namespace, result.name, result.source_namespace)


def _objects(report: Report) -> list[Result]:
    """Return a report's objects as results; the VMs, which it lists once, go with the one that ended last."""
    last = max(report.objects, key=lambda item: item.ended, default=None)
    return [item.model_copy(update={"machines": report.machines}) if item is last else item for item in report.objects]
