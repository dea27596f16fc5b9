"""A drill as a page: self-contained, in the style of a restore's report, with what is in the way first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.findings import Verdict
from velero_vmservice.drill.judging import would_fail
from velero_vmservice.drill.model import IN_WORDS, DrillVerdict, Trial
from velero_vmservice.report.html.badges import Look
from velero_vmservice.report.html.page import render_page
from velero_vmservice.report.html.timeline import duration, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.drill.model import DrilledObject, DrillReport

OUTCOMES: Final[Mapping[str, Look]] = {
    DrillVerdict.NOT_READY: Look(word="not ready", icon="cross", tone="bad", rank=0),
    DrillVerdict.INCOMPLETE: Look(word="incomplete", icon="warn", tone="warn", rank=2),
    DrillVerdict.WITH_WARNINGS: Look(word="ready, with warnings", icon="warn", tone="warn", rank=3),
    DrillVerdict.READY: Look(word="ready", icon="check", tone="good", rank=5),
}
_VERDICTS: Final[Mapping[str, Look]] = {
    Verdict.NOT_RESTORABLE: Look(word="not restorable", icon="cross", tone="bad", rank=0),
    Verdict.WITH_WARNINGS: Look(word="with warnings", icon="warn", tone="warn", rank=3),
    Verdict.RESTORABLE: Look(word="restorable", icon="check", tone="good", rank=5),
}
_TRIALS: Final[Mapping[str, Look]] = {
    Trial.ACCEPTED: Look(word="accepted", icon="check", tone="good", rank=5),
    Trial.NAME_TAKEN: Look(word="lives there", icon="equal", tone="kept", rank=5),
    Trial.NO_NAMESPACE: Look(word="not tried", icon="warn", tone="warn", rank=2),
    Trial.NOT_ASKED: Look(word="not tried", icon="warn", tone="warn", rank=2),
}
_UNKNOWN: Final = Look(word="not known", icon="warn", tone="warn", rank=2)
_IN_THE_WAY: Final[Mapping[str, str]] = {
    Trial.NAME_TAKEN: "name taken",
    Trial.ACCEPTED: "in conflict",
    Trial.REFUSED: "refused",
    Trial.UNREADABLE: "unreadable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRow:
    """One group or service, as the page shows it."""

    kind: str
    name: str
    target: str
    look: Look
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationPart:
    """One application, or a VM without one, as the page shows it."""

    name: str
    namespace: str
    target: str
    look: Look
    vms: Sequence[str]
    reasons: Sequence[str]
    rows: Sequence[ObjectRow]

    @property
    def rank(self) -> int:
        """How urgent the worst of it is."""
        return min((self.look.rank, *(row.look.rank for row in self.rows)))

    @property
    def calm(self) -> bool:
        """Whether a reader may skip it."""
        return self.look.calm and all(row.look.calm for row in self.rows)


def render(report: DrillReport) -> str:
    """Return the page."""
    parts = [_application(each, report) for each in report.applications]
    start, end = moment(report.started), moment(report.ended)
    return render_page(
        "drill.html.j2",
        report=report,
        outcome=OUTCOMES.get(report.verdict, _UNKNOWN),
        meaning=IN_WORDS.get(report.verdict, ""),
        took=duration(end - start) if start is not None and end is not None else "",
        tally=_tally(parts),
        applications=sorted(parts, key=lambda part: (part.rank, part.namespace, part.name)),
    )


def _tally(parts: Sequence[ApplicationPart]) -> Sequence[tuple[str, Sequence[tuple[Look, int]]]]:
    return [
        (noun, _counted(looks))
        for noun, looks in (
            ("applications", [part.look for part in parts]),
            ("objects", [row.look for part in parts for row in part.rows]),
        )
        if looks
    ]


def _counted(looks: Iterable[Look]) -> Sequence[tuple[Look, int]]:
    counts = Counter((look.rank, look.word, look.icon, look.tone) for look in looks)
    return [
        (Look(word=word, icon=icon, tone=tone, rank=rank), count)
        for (rank, word, icon, tone), count in sorted(counts.items())
    ]


def _application(application: ApplicationVerdict, report: DrillReport) -> ApplicationPart:
    objects = [each for each in report.objects if each.belongs_to(application)]
    fails = any(would_fail(each, other=report.target.other) for each in objects)
    rows = [_object(each, report) for each in objects]
    return ApplicationPart(
        name=application.name,
        namespace=application.namespace,
        target=report.namespace_mapping.get(application.namespace, application.namespace),
        look=_VERDICTS.get(Verdict.NOT_RESTORABLE if fails else application.verdict, _UNKNOWN),
        vms=application.vms,
        reasons=[finding.sentence(application.namespace) for finding in application.reasons],
        rows=sorted(rows, key=lambda row: (row.look.rank, row.kind, row.name)),
    )


def _object(drilled_object: DrilledObject, report: DrillReport) -> ObjectRow:
    look = _TRIALS.get(drilled_object.trial, _UNKNOWN)
    if would_fail(drilled_object, other=report.target.other):
        look = Look(word=_IN_THE_WAY.get(drilled_object.trial, drilled_object.trial), icon="cross", tone="bad", rank=0)
    plan = f"{drilled_object.action}: {drilled_object.reason}" if drilled_object.reason else drilled_object.action
    return ObjectRow(
        kind=drilled_object.kind,
        name=drilled_object.name,
        target=drilled_object.target,
        look=look,
        sentences=list(filter(None, (drilled_object.message, plan and f"a restore now: {plan}"))),
    )
