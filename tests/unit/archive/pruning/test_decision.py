from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velero_vmservice.archive.pruning.decision import Known, Verdict, decide, newest_drills
from velero_vmservice.archive.pruning.stored_runs import Area, StoredRun, runs_of
from velero_vmservice.archive.pruning.unended import UnendedRestore
from velero_vmservice.archive.store import StoredDocument

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
NAMES = ("nightly", "hourly", "weekly")

names = st.frozensets(st.sampled_from(NAMES))
ages = st.timedeltas(min_value=timedelta(days=-1), max_value=timedelta(days=400))
unended = st.builds(
    lambda name, capture, age: UnendedRestore(
        name=name, started="20260101T000000Z", capture=capture, written=NOW - age, where=name
    ),
    st.sampled_from(NAMES),
    st.sampled_from(["", *(f"captures/{name}/20260101T000000Z/" for name in NAMES)]),
    ages,
)
known_sets = st.builds(
    Known,
    backups=names,
    archived=names,
    archive_read=st.booleans(),
    origin_known=st.booleans(),
    going_on=names,
    being_restored=names,
    unended=st.lists(unended, max_size=2),
    newest_drills=st.frozensets(st.tuples(st.sampled_from(NAMES), st.just("20260101T000000Z"))),
    read_only=st.booleans(),
)
runs = st.builds(
    lambda area, name, offsets: StoredRun(
        area=area,
        name=name,
        started="20260101T000000Z",
        documents=[document(f"{number}", age=offset) for number, offset in enumerate(offsets)],
    ),
    st.sampled_from(Area),
    st.sampled_from(NAMES),
    st.lists(ages, min_size=1, max_size=4),
)


def document(key: str, *, age: timedelta = timedelta(), size: int = 1) -> StoredDocument:
    return StoredDocument(key=key, size=size, written=NOW - age)


def known(**fields: object) -> Known:
    names_read = dict.fromkeys(("backups", "archived", "going_on", "being_restored"), frozenset[str]())
    return Known(**{**names_read, "archive_read": True, "origin_known": True, "read_only": False, **fields})


def capture(name: str = "nightly", age: timedelta = MONTH) -> StoredRun:
    (run,) = runs_of([document(f"captures/{name}/20260101T000000Z/capture.json", age=age)])
    return run


def results(name: str = "again", age: timedelta = MONTH) -> StoredRun:
    (run,) = runs_of([document(f"restores/{name}/20260101T000000Z/report.json", age=age)])
    return run


@pytest.mark.parametrize(
    ("run", "beside", "verdict"),
    [
        (capture(), known(), Verdict.ORPHANED),
        (capture(), known(backups=frozenset({"nightly"})), Verdict.BACKUP_EXISTS),
        (capture(), known(archived=frozenset({"nightly"})), Verdict.BACKUP_STORED),
        (capture(), known(archive_read=False), Verdict.ARCHIVE_UNREAD),
        (capture(), known(being_restored=frozenset({"nightly"})), Verdict.BEING_RESTORED),
        (capture(), known(going_on=frozenset({"nightly"})), Verdict.ORPHANED),
        (capture(), known(origin_known=False), Verdict.ORIGIN_UNKNOWN),
        (capture(), known(read_only=True), Verdict.READ_ONLY),
        (capture(), known(read_only=True, archive_read=False), Verdict.ARCHIVE_UNREAD),
        (capture(age=timedelta(hours=23)), known(), Verdict.RECENT),
        (capture(age=timedelta(hours=24)), known(), Verdict.ORPHANED),
        (results(), known(), Verdict.EXPIRED),
        (results(), known(archive_read=False, backups=frozenset({"again"})), Verdict.EXPIRED),
        (results(), known(origin_known=False, being_restored=frozenset({"again"})), Verdict.EXPIRED),
        (results(), known(read_only=True), Verdict.READ_ONLY),
        (results(), known(going_on=frozenset({"again"})), Verdict.RESTORE_GOES_ON),
        (results(age=MONTH - timedelta(seconds=1)), known(), Verdict.NOT_EXPIRED),
    ],
)
def test_each_run_has_its_verdict(run: StoredRun, beside: Known, verdict: Verdict) -> None:
    assert decide(run, beside, now=NOW, older_than=MONTH) is verdict


def test_results_of_the_last_day_stay_however_short_the_age_asked_for() -> None:
    young = results(age=timedelta(hours=2))
    assert decide(young, known(), now=NOW, older_than=timedelta(minutes=1)) is Verdict.RECENT


@given(run=runs, beside=known_sets, older_than=ages)
def test_a_run_is_removed_only_beside_whole_knowledge_and_a_day_after_its_last_write(
    run: StoredRun, beside: Known, older_than: timedelta
) -> None:
    if not decide(run, beside, now=NOW, older_than=older_than).removable:
        return
    assert not beside.read_only
    assert all(NOW - stored.written >= timedelta(days=1) for stored in run.documents)
    if run.area is Area.CAPTURE:
        assert run.name not in beside.backups | beside.archived | beside.being_restored
        assert not any(restore.reads(run.prefix) for restore in beside.unended)
        assert beside.archive_read
        assert beside.origin_known
    else:
        assert run.name not in beside.going_on
        assert all(NOW - stored.written >= older_than for stored in run.documents)


@given(run=runs, beside=known_sets, more=known_sets, older_than=ages)
def test_more_backups_and_restores_never_let_more_be_removed(
    run: StoredRun, beside: Known, more: Known, older_than: timedelta
) -> None:
    both = Known(
        backups=beside.backups | more.backups,
        archived=beside.archived | more.archived,
        archive_read=beside.archive_read and more.archive_read,
        origin_known=beside.origin_known and more.origin_known,
        going_on=beside.going_on | more.going_on,
        being_restored=beside.being_restored | more.being_restored,
        unended=[*beside.unended, *more.unended],
        newest_drills=beside.newest_drills | more.newest_drills,
        read_only=beside.read_only or more.read_only,
    )
    if decide(run, both, now=NOW, older_than=older_than).removable:
        assert decide(run, beside, now=NOW, older_than=older_than).removable


@pytest.mark.parametrize(
    ("verdict", "other"),
    [
        (Verdict.BACKUP_EXISTS, Verdict.ORPHANED),
        (Verdict.ARCHIVE_UNREAD, Verdict.READ_ONLY),
        (Verdict.ORPHANED, Verdict.READ_ONLY),
        (Verdict.EXPIRED, Verdict.READ_ONLY),
    ],
)
def test_of_two_verdicts_on_one_run_the_one_that_keeps_it_holds_unless_it_is_for_the_location(
    verdict: Verdict, other: Verdict
) -> None:
    assert verdict.prevails_over(other)
    assert not other.prevails_over(verdict)


def test_documents_are_grouped_by_run_and_foreign_keys_belong_to_none() -> None:
    keys = [
        "captures/nightly/20260101T000000Z/capture.json",
        "captures/nightly/20260101T000000Z/objects/virtualmachineservices/shop/front.json",
        "captures/nightly/20260102T000000Z/namespaces/shop.json",
        "restores/nightly/20260101T000000Z/report.json",
        "captures/loose.json",
        "captures/nightly/../capture.json",
        "captures/nightly/20260101T000000Z/\u202ejson",
        "other/nightly/20260101T000000Z/x.json",
    ]
    grouped = {run.prefix: len(run.documents) for run in runs_of(document(key) for key in keys)}
    assert grouped == {
        "captures/nightly/20260101T000000Z/": 2,
        "captures/nightly/20260102T000000Z/": 1,
        "restores/nightly/20260101T000000Z/": 1,
    }


def test_the_seal_goes_last() -> None:
    prefix = "captures/nightly/20260101T000000Z/"
    keys = [f"{prefix}{name}" for name in ("capture.json", "namespaces/shop.json", "objects/x/shop/a.json")]
    (run,) = runs_of(document(key, size=10) for key in keys)
    assert list(run.removal_order) == [*keys[1:], keys[0]]
    assert run.size == 30


def test_an_old_drill_may_be_removed_unless_it_is_the_newest_of_its_name() -> None:
    starts = ("20250101T000000Z", "20250201T000000Z")
    drills = runs_of(document(f"drills/gold/{started}/report.json", age=MONTH) for started in starts)
    assert {run.prefix for run in drills} == {f"drills/gold/{started}/" for started in starts}
    seen = known(newest_drills=newest_drills(drills), going_on=frozenset({"gold"}))
    verdicts = [decide(run, seen, now=NOW, older_than=MONTH) for run in drills]
    assert verdicts == [Verdict.EXPIRED, Verdict.NEWEST_DRILL]
    younger = runs_of([document(f"drills/gold/{starts[0]}/report.json", age=MONTH / 2)])
    assert decide(younger[0], known(), now=NOW, older_than=MONTH) is Verdict.NOT_EXPIRED
