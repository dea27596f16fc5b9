"""The end of operations: give the commands that power an application on, and have the store keep the results.

An operation that has ended is held open for Velero while the store refuses its result, so that a restart of this
process costs nothing; but not for ever. After a while it ends and says what is not stored. What is owed stays in memory
and is offered again by every later poll, and whenever a process that Velero launched is over.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog
from structlog.contextvars import bound_contextvars

from velero_vmservice.errors import CODES, ReadOnlyStorage, VmServiceError, reported
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP
from velero_vmservice.metrics import RESULTS_REFUSED
from velero_vmservice.metrics.now import OPEN_RESTORES, OpenRestore
from velero_vmservice.report.application import Application, components, merged, neighbours, part, related
from velero_vmservice.report.power_commands import power_on
from velero_vmservice.report.stage import Stage
from velero_vmservice.report.store import prefix
from velero_vmservice.restore import order
from velero_vmservice.restore.replay import result_builder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from velero_vmservice.report.application import Part
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.results import Results
    from velero_vmservice.restore.replay.session import Session

log = structlog.get_logger()

LASTING_SECONDS: Final = 300.0
"""An ended operation is held open this long where the store refuses until a person acts: a bucket that is renamed, or
keys that were changed. A location that is ReadOnly, as Velero's guide to disaster recovery has it for a restore, is
meant to stay so: that is not waited for."""
OUTAGE_SECONDS: Final = 3600.0
"""The same where the store is away: that passes by itself."""
OFFER_SECONDS: Final = 30.0
"""What is owed is offered outside of a poll at most this often: a store that is away costs a time-out each time."""
STORING: Final = "storing"
"""The stage, for Prometheus, of an operation that has ended and that Velero asks about until its result is stored."""
RESULTS: Final = "results"
"""The key under which a defect in storing is remembered."""

for _code in CODES:
    RESULTS_REFUSED.labels(_code)


class Keeping:
    """Stores results and the report, and decides for how long Velero waits for them."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def keep(self, session: Session, operation: ReplayOperation) -> None:
        """Store the results that are owed, then that of the operation that is asked about, if it has ended."""
        self._keep(session, operation)
        measure(session)

    def _keep(self, session: Session, operation: ReplayOperation) -> None:
        absence, clock = session.results.absence, session.clock
        if not absence.lasts(clock.monotonic()):
            self.keep_owed(session)
        if not operation.stage.final or operation.kept.whole:
            return
        if absence.lasts(clock.monotonic()):
            operation.kept = replace(operation.kept, refusal=absence.reason)
        elif self._store(session, operation):
            return
        if operation.asked_again and _has_waited(session):
            self._let_go(session, operation)

    def cancel(self, session: Session, operations: Sequence[ReplayOperation]) -> None:
        """End operations that Velero asks about no more, with what they were waiting for, and store their results."""
        for operation in operations:
            if not operation.stage.final:
                over = "Velero's time for the operation is over (itemOperationTimeout)"
                reason = f"{over}; it was {operation.description()}. Repeat the restore to go on"
                operation.tell(reason, stage=Stage.CANCELLED)
        session.log_news()
        for operation in operations:
            operation.asked_again = False
        self.keep_owed(session)

    def keep_owed(self, session: Session) -> None:
        """Store the results that Velero no longer asks about; a store that refuses one is not asked for the others."""
        for operation in session.owed():
            if not self._store(session, operation):
                break
        measure(session)

    def keep_owed_at_leisure(self, session: Session) -> None:
        """Do the same outside of a poll, and not every time."""
        now = session.clock.monotonic()
        if session.owed() and now - session.results.offered_at >= OFFER_SECONDS:
            session.results.offered_at = now
            with bound_contextvars(run=prefix(session.run).rstrip("/")):
                self.keep_owed(session)

    def _store(self, session: Session, operation: ReplayOperation) -> bool:
        """Store the result of one operation; say whether the store took it."""
        try:
            self._results.keep(session, operation)
        except VmServiceError as error:
            RESULTS_REFUSED.labels(error.code).inc()
            _refused(session, operation, error)
        except Exception as error:  # noqa: BLE001 - logged; a report that cannot be made keeps no operation open
            subject, now = f"the results of restore {session.run.name}", session.clock.monotonic()
            defect = session.incidents.met(RESULTS, subject, error, now=now)
            operation.kept = replace(operation.kept, refusal=str(defect))
        else:
            session.results.refused_since = None
            session.incidents.over(RESULTS)
            return True
        return False

    def _let_go(self, session: Session, operation: ReplayOperation) -> None:
        """End an operation for Velero though its result is not stored."""
        run = session.run
        operation.asked_again = False
        operation.kept = replace(operation.kept, go_on=run.again, shown_by=run.describe_command)
        if not session.results.refusal_announced:
            session.results.refusal_announced = True
            message = f"{operation.replay.destination} has ended and {operation.kept}"
            self._results.event(run, "NotStored", message, warning=True)


def measure(session: Session) -> None:
    """Show Prometheus where the restore stands."""
    standing = [operation for operation in session.operations.values() if not operation.over]
    waiting = (operation.started.timestamp() for operation in standing if operation.stage is Stage.WAITING)
    looks = (namespace.look for namespace in session.namespaces.values() if standing)
    OPEN_RESTORES.update(
        session.run.key,
        OpenRestore(
            stages=Counter(STORING if operation.stage.final else operation.stage for operation in standing),
            waiting_since=min(waiting, default=None),
            registrations=sum((look.tally for look in looks if look is not None), Counter()),
        ),
    )


def _refused(session: Session, operation: ReplayOperation, error: VmServiceError) -> None:
    store, now = session.results, session.clock.monotonic()
    if store.refused_since is None:
        store.refused_since = now
        log.warning(
            "result not stored",
            object=str(operation.replay.destination),
            cause=error.message,
            hint=error.hint,
            consequence="it is kept in memory and offered to the store again",
        )
    store.patience = _patience(error)
    operation.kept = replace(operation.kept, refusal=str(error))
    store.absence.begin(str(error), now)


def _has_waited(session: Session) -> bool:
    now, since = session.clock.monotonic(), session.results.refused_since
    refused = since is not None and now - since >= session.results.patience
    return refused or session.incidents.last(RESULTS, now=now)


def _patience(error: VmServiceError) -> float:
    """Return for how long a refusal lets an operation that has ended be held open, in seconds."""
    if isinstance(error, ReadOnlyStorage):
        return 0.0
    return OUTAGE_SECONDS if error.transient else LASTING_SECONDS


def conclude(session: Session) -> None:
    """Give the last object of each application that has ended the commands that power the application on.

    None where the restore powers VMs on itself. What is not known yet may belong to any of them.
    """
    operations = session.operations
    ending = frozenset(key for key, each in operations.items() if each.stage.final and not each.kept.published)
    if session.policy.power != "leave" or ending <= session.concluded:
        return
    if not session.known() or session.earlier is None:
        return
    session.concluded |= ending
    for parts in components(neighbours(_connections(session))):
        inside = [operation for operation in operations.values() if _part(operation) in parts]
        last = [operation for operation in inside if operation.operation_id in ending]
        if not last or not all(operation.stage.final for operation in inside):
            continue
        try:
            _give(last, _application(session, inside, parts))
        except Exception as error:  # noqa: BLE001 - logged; the operations end all the same, and the report has its own
            reported(error, f"the power commands of {last[0].replay.destination}")


def _give(last: Iterable[ReplayOperation], application: Application) -> None:
    """Give the commands to the outermost of the groups that end now, or to a service where there is none."""
    whole = ((operation.subject, operation) for operation in last if not operation.stage.broken)
    by_ref = {subject.ref: (subject, operation) for subject, operation in whole if subject is not None}
    if in_order := order.in_order(subject for subject, _ in by_ref.values()):
        _, outermost = by_ref[in_order[0].ref]
        outermost.verified = replace(outermost.verified, commands=power_on(application))


def _application(session: Session, inside: Iterable[ReplayOperation], parts: Collection[Part]) -> Application:
    current = {
        _part(operation): result_builder.result(operation, session.run, session.namespace(operation))
        for operation in inside
    }
    before = {key: result for key, result in (session.earlier or {}).items() if key in parts}
    objects = tuple((before | current).values())
    return Application(objects=objects, machines=merged(objects))


def _connections(session: Session) -> Iterator[tuple[Part, Iterable[Part]]]:
    yield from ((part(result), related(result)) for result in (session.earlier or {}).values())
    for operation in session.operations.values():
        yield _part(operation), _related(operation.subject) if operation.subject else ()


def _part(operation: ReplayOperation) -> Part:
    return (operation.replay.kind.name, operation.replay.target, operation.replay.name)


def _related(subject: Subject) -> Iterator[Part]:
    """Yield what connects an object that is still to be replayed, as `application.related` does for a result."""
    namespace, connected = subject.ref.namespace, subject.topology
    yield from ((member.kind, namespace, member.name) for member in connected.members)
    yield from ((VIRTUAL_MACHINE.name, namespace, name) for name in connected.needs)
    if connected.parent:
        yield (VIRTUAL_MACHINE_GROUP.name, namespace, connected.parent)
