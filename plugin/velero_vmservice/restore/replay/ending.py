"""Have the store keep what has ended: now, or whenever it takes it.

An operation that has ended is held open for Velero while the store refuses its result, so that a restart of this
process costs nothing; but not for ever. After a while it ends and says what is not stored. What is owed stays in
memory and is offered again by every later poll, and whenever a process that Velero launched is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from velero_vmservice.errors import ReadOnlyStorage, VmServiceError
from velero_vmservice.incidents import reported
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP
from velero_vmservice.report.application import Application, components, merged, neighbours, part, related
from velero_vmservice.report.power_commands import power_on
from velero_vmservice.restore import order
from velero_vmservice.restore.replay import result_builder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from velero_vmservice.clock import Clock
    from velero_vmservice.report.application import Part
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.replay.results import Results
    from velero_vmservice.restore.replay.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun

log = structlog.get_logger()

LASTING_SECONDS: Final = 300.0
"""An ended operation is held open this long where the store refuses until a person acts: a bucket that is renamed, or
keys that were changed. A location that is ReadOnly, as Velero's guide to disaster recovery has it for a restore, is
meant to stay so: that is not waited for."""
OUTAGE_SECONDS: Final = 3600.0
"""The same where the store is away: that passes by itself."""
OFFER_SECONDS: Final = 30.0
"""What is owed is offered outside of a poll at most this often: a store that is away costs a time-out each time."""
RESULTS: Final = "results"
"""What a defect in storing is remembered under."""


class Keeping:
    """Stores results and the report, and decides for how long Velero waits for that."""

    def __init__(self, *, clock: Clock, results: Results) -> None:
        self._clock = clock
        self._results = results

    def keep(self, rounds: Rounds, task: ReplayOperation, run: RestoreRun) -> None:
        """Store what is owed, then what the operation that is asked about has come to, if it has ended."""
        if not rounds.results.lasts(self._clock.monotonic()):
            self.keep_owed(rounds, run)
        if not task.stage.final or task.stored:
            return
        if rounds.results.lasts(self._clock.monotonic()):
            task.not_stored = rounds.results.reason
        elif self._store(rounds, task, run):
            return
        if task.asked_again and self._has_waited(rounds):
            self._let_go(rounds, task, run)

    def keep_owed(self, rounds: Rounds, run: RestoreRun) -> None:
        """Store what Velero no longer asks about; a store that refuses one refuses the others and is asked once."""
        for task in rounds.owed():
            if not self._store(rounds, task, run):
                return

    def keep_owed_at_leisure(self, rounds: Rounds, run: RestoreRun) -> None:
        """Do the same outside of a poll, and not every time."""
        now = self._clock.monotonic()
        if rounds.owed() and now - rounds.offered_at >= OFFER_SECONDS:
            rounds.offered_at = now
            self.keep_owed(rounds, run)

    def _store(self, rounds: Rounds, task: ReplayOperation, run: RestoreRun) -> bool:
        """Store what one operation has come to; say whether the store took it."""
        try:
            self._results.keep(task, run, rounds)
        except VmServiceError as error:
            self._refused(rounds, task, error)
        except Exception as error:  # noqa: BLE001 - logged; a report that cannot be made keeps no operation open
            now = self._clock.monotonic()
            task.not_stored = str(rounds.incidents.met(RESULTS, f"the results of restore {run.name}", error, now=now))
        else:
            rounds.refused_since = None
            rounds.incidents.over(RESULTS)
            return True
        return False

    def _refused(self, rounds: Rounds, task: ReplayOperation, error: VmServiceError) -> None:
        now = self._clock.monotonic()
        if rounds.refused_since is None:
            rounds.refused_since = now
            log.warning(
                "result not stored",
                object=str(task.replay.destination),
                cause=error.message,
                hint=error.hint,
                consequence="it is kept in memory and offered to the store again",
            )
        rounds.patience = _patience(error)
        task.not_stored = str(error)
        rounds.results.begin(task.not_stored, now)

    def _has_waited(self, rounds: Rounds) -> bool:
        now, since = self._clock.monotonic(), rounds.refused_since
        refused = since is not None and now - since >= rounds.patience
        return refused or rounds.incidents.last(RESULTS, now=now)

    def _let_go(self, rounds: Rounds, task: ReplayOperation, run: RestoreRun) -> None:
        """End an operation for Velero though its result is not stored."""
        task.asked_again, task.go_on, task.shown_by = False, run.again, run.describe_command
        if not rounds.refusal_announced:
            rounds.refusal_announced = True
            message = f"{task.replay.destination} has ended and {task.kept()}"
            self._results.event(run, "NotStored", message, warning=True)


def _patience(error: VmServiceError) -> float:
    """Return for how long a refusal lets an operation that has ended be held open, in seconds."""
    if isinstance(error, ReadOnlyStorage):
        return 0.0
    return OUTAGE_SECONDS if error.transient else LASTING_SECONDS


def conclude(rounds: Rounds, run: RestoreRun) -> None:
    """Give the last object of each application that has ended the commands that power the application on.

    None where the restore powers VMs on itself. What is not known yet may belong to any of them.
    """
    ending = frozenset(key for key, task in rounds.tasks.items() if task.stage.final and not task.published)
    if rounds.policy.power != "leave" or ending <= rounds.concluded or not rounds.known() or rounds.earlier is None:
        return
    rounds.concluded |= ending
    for parts in components(neighbours(_connections(rounds))):
        inside = [task for task in rounds.tasks.values() if _part(task) in parts]
        last = [task for task in inside if task.operation_id in ending]
        if not last or not all(task.stage.final for task in inside):
            continue
        try:
            _give(last, _application(inside, parts, rounds, run))
        except Exception as error:  # noqa: BLE001 - logged; the operations end all the same, and the report has its own
            reported(error, f"the power commands of {last[0].replay.destination}")


def _give(last: Iterable[ReplayOperation], application: Application) -> None:
    """Give the commands to the outermost of the groups that end now, or to a service where there is none."""
    by_ref = {task.subject.ref: task for task in last if task.subject is not None and not task.stage.broken}
    in_order = order.in_order(task.subject for task in by_ref.values() if task.subject is not None)
    if in_order:
        by_ref[in_order[0].ref].commands = power_on(application)


def _application(
    inside: Iterable[ReplayOperation], parts: Collection[Part], rounds: Rounds, run: RestoreRun
) -> Application:
    current = {
        _part(task): result_builder.result(task, run, rounds.namespaces.get(task.replay.target)) for task in inside
    }
    before = {key: result for key, result in (rounds.earlier or {}).items() if key in parts}
    objects = tuple((before | current).values())
    return Application(objects=objects, machines=merged(objects))


def _connections(rounds: Rounds) -> Iterator[tuple[Part, Iterable[Part]]]:
    yield from ((part(result), related(result)) for result in (rounds.earlier or {}).values())
    for task in rounds.tasks.values():
        yield _part(task), _related(task.subject) if task.subject else ()


def _part(task: ReplayOperation) -> Part:
    return (task.replay.kind.name, task.replay.target, task.replay.name)


def _related(subject: Subject) -> Iterator[Part]:
    """Yield what connects an object that is still to be replayed, as `application.related` does for a result."""
    namespace, connected = subject.ref.namespace, subject.topology
    yield from ((member.kind, namespace, member.name) for member in connected.members)
    yield from ((VIRTUAL_MACHINE.name, namespace, name) for name in connected.needs)
    if connected.parent:
        yield (VIRTUAL_MACHINE_GROUP.name, namespace, connected.parent)
