"""Whatever dies, and whenever: every restore of an application ends alike, in order, and nothing too early."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.applications import Application, applications
from tests.properties.runs import READS, WRITES, Fate, Run, fates

if TYPE_CHECKING:
    from tests.unit.builders import Json

LABELS = {"velero.io/backup-name": "nightly", "velero.io/restore-name": "again"}
CALM = Fate()


def wanted(manifest: Json) -> Json:
    """Return the spec that a fresh object gets."""
    return {key: value for key, value in manifest["spec"].items() if key != "powerState"}


@settings(max_examples=100)
@given(applications(fresh=True), fates())
def test_every_run_brings_back_what_was_captured(application: Application, fate: Fate) -> None:
    run = Run(application, fate).finish()
    assert run.errors == []
    live_objects = run.objects()
    assert {
        name: (_unpowered(spec), labels, annotations) for name, (spec, labels, annotations) in live_objects.items()
    } == {manifest["metadata"]["name"]: (wanted(manifest), LABELS, {}) for manifest in application.objects()}
    assert Counter(run.created) == Counter(
        f"{manifest['kind']} shop/{manifest['metadata']['name']}" for manifest in application.objects()
    )
    assert run.running() == {name for name in application.grouped if application.runs_at_the_end(name)}
    assert run.report()["outcome"] == ("verified" if application.objects() else "empty")


@settings(max_examples=60)
@given(applications(), fates())
def test_every_run_ends_as_the_calm_one_does(application: Application, fate: Fate) -> None:
    calm, run = Run(application, CALM).finish(), Run(application, fate).finish()
    assert run.objects() == calm.objects()
    assert run.running() == calm.running()
    assert run.stages() == calm.stages()
    assert run.report()["outcome"] == calm.report()["outcome"]
    assert (run.errors, calm.errors) == ([], [])


@settings(max_examples=60)
@given(applications(), fates(processes=2))
def test_two_processes_at_once_end_as_one_does(application: Application, fate: Fate) -> None:
    alone, run = Run(application, CALM).finish(), Run(application, fate).finish()
    assert run.objects() == alone.objects()
    assert sorted(run.running()) == sorted(alone.running())
    assert run.errors == []


@settings(max_examples=40)
@given(applications(), fates(processes=2))
def test_nothing_is_ever_deleted_nor_a_power_state_taken_back(application: Application, fate: Fate) -> None:
    run = Run(application, fate)
    before = run.objects()
    run.watching = True
    run.finish()
    after = run.objects()
    assert run.methods() <= {*READS, *WRITES}
    assert before.keys() <= after.keys()
    for name, (spec, _, _) in before.items():
        assert after[name][0].get("powerState") in {spec.get("powerState"), "PoweredOn"}
    assert application.ran & application.kept <= run.running()


@settings(max_examples=30)
@given(applications(fresh=True), fates(), st.integers(1, 4))
def test_the_same_restore_again_changes_nothing(application: Application, fate: Fate, crash: int) -> None:
    run = Run(application, fate).finish()
    before, writes = run.objects(), len(run.world.writes())
    second = {"name": "second", **application.spec}
    run.world.clock.advance(60)
    operations = run.world.replay_all(run.items, **second)
    for number in range(8):
        if number == crash:
            run.world.restart()
        polled = run.world.round(operations, **second)
    assert all(progress.completed and not progress.error for progress in polled.values())
    assert run.objects() == before
    assert run.world.writes()[writes:] == []


def _unpowered(spec: Json) -> Json:
    return {key: value for key, value in spec.items() if key != "powerState"}
