"""What a process remembers of a restore: to read it changes nothing, and each step that does is taken by name."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.clock import SettableClock
from tests.unit.builders import NAMESPACE, group, look, run, subject, vm
from velero_vmservice.archive.schema import SavedStatus
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.model import Source
from velero_vmservice.restore.replay.course import fail_twins, in_turn
from velero_vmservice.restore.replay.look import NamespaceLook, TargetNamespace
from velero_vmservice.restore.replay.operation import Cause, Reading
from velero_vmservice.restore.replay.session import Session
from velero_vmservice.supervisor.readiness import STABLE_SECONDS
from velero_vmservice.velero.runs import Replay, replay_id

if TYPE_CHECKING:
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.operation import ReplayOperation

TIER = subject(group("tier", ["web-1"]), vm("web-1", uid="old"))


def looked(at: float, *objects: dict[str, object]) -> NamespaceLook:
    return NamespaceLook(
        at=at,
        made=f"at {at}",
        observed=look(*objects, at=at),
        names=frozenset(),
        cycles={},
        registrations={},
        tally=Counter(),
    )


def of(session: Session, source: str, what: Subject) -> ReplayOperation:
    """Return the operation of an object of a namespace that is mapped into the builders' one."""
    replay = Replay(plural="virtualmachinegroups", namespace=source, target=NAMESPACE, name=what.ref.name)
    operation = session.operation(replay_id(replay), replay)
    read = Source(subject=what, before=SavedStatus(), captured_without=(), dropped=(), remarks=())
    operation.reading = Reading(source=read, current=True)
    return operation


@pytest.fixture(name="session")
def _session() -> Session:
    return Session(run(), SettableClock())


def test_reading_gates_neither_opens_one_nor_is_a_course() -> None:
    namespace = TargetNamespace(NAMESPACE)
    for at in (0, 10, 20):
        namespace.show(looked(at, vm("web-1", uid="new", group="tier")))
        assert namespace.gates(TIER)["web-1"].settling
    assert namespace.timelines == {}


def test_a_look_counts_once_it_is_noted() -> None:
    namespace, back = TargetNamespace(NAMESPACE), vm("web-1", uid="new", group="tier")
    for at in (0, STABLE_SECONDS):
        namespace.show(looked(at, back))
        namespace.note(TIER)
        namespace.note(TIER)
    assert namespace.gates(TIER)["web-1"].ready
    assert namespace.timelines["web-1"] == (
        ("at 0", "registered; looking once more whether it stays so"),
        (f"at {STABLE_SECONDS}", "ready"),
    )


def test_sorting_ends_nothing_and_twins_are_failed_by_their_own_step(session: Session) -> None:
    second, first = of(session, "b", TIER), of(session, "a", TIER)

    in_turn(session)
    assert {operation.stage for operation in (first, second)} == {Stage.WAITING}

    fail_twins(session)
    assert (first.stage, second.stage, second.standing.cause) == (Stage.WAITING, Stage.FAILED, Cause.TWIN)
    assert second.standing.reason == f"namespace a has one of that name, and both are mapped into {NAMESPACE}"
    assert in_turn(session) == [first]
