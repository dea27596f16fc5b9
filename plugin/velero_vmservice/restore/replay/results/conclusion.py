"""What follows once an application has ended: its last object says how the VMs are powered on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.incidents import reported
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP
from velero_vmservice.report.application import Application, components, merged, neighbours, part, related
from velero_vmservice.report.power_commands import power_on
from velero_vmservice.restore import order
from velero_vmservice.restore.replay.results import builder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from velero_vmservice.report.application import Part
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.restore.replay.state.session import Rounds
    from velero_vmservice.velero.runs import RestoreRun


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
    current = {_part(task): builder.result(task, run, rounds.namespaces.get(task.replay.target)) for task in inside}
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
