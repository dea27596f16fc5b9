"""The coverage as a page: self-contained, in the style of a restore's report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from velero_vmservice.captures.coverage import IN_WORDS, MADE_BY, State
from velero_vmservice.report.html.badges import Look
from velero_vmservice.report.html.page import render_page
from velero_vmservice.text import age

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.captures.coverage import Coverage, Covered

LOOKS: Final[Mapping[State, Look]] = {
    State.UNPROTECTED: Look(word="not protected", icon="cross", tone="bad", rank=0),
    State.UNKNOWN: Look(word="not known", icon="warn", tone="warn", rank=2),
    State.PROTECTED: Look(word="protected", icon="check", tone="good", rank=5),
}
_ALL: Final = Look(word="all protected", icon="check", tone="good", rank=5)
_NONE: Final = Look(word="nothing to protect", icon="equal", tone="idle", rank=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """One object, as the page shows it."""

    name: str
    kind: str
    look: Look
    reasons: Sequence[str]
    maker: str
    capture: str
    age: str
    job: str
    restore_point: str


def render(covered: Coverage, *, cluster: str) -> str:
    """Return the page."""
    by_namespace = groupby(covered.entries, key=lambda entry: entry.live.ref.namespace)
    return render_page(
        "coverage.html.j2",
        cluster=cluster,
        outcome=_outcome(covered),
        now=covered.now.isoformat(),
        since=covered.since.isoformat(),
        nodes=covered.nodes,
        unread=[str(error) for error in covered.unread],
        tally=_tally(covered),
        namespaces=[(namespace, _applications(list(entries), covered)) for namespace, entries in by_namespace],
    )


def _outcome(covered: Coverage) -> Look:
    states = {entry.state for entry in covered.entries}
    for state in (State.UNPROTECTED, State.UNKNOWN):
        if state in states:
            count = covered.of_state(state)
            look = LOOKS[state]
            return Look(word=f"{count} {look.word}", icon=look.icon, tone=look.tone, rank=look.rank)
    return _ALL if states else _NONE


def _tally(covered: Coverage) -> Sequence[tuple[str, Sequence[tuple[Look, int]]]]:
    counts = Counter((entry.live.ref.kind.name, entry.state) for entry in covered.entries)
    return [
        (f"{kind}s", [(look, counts[kind, state]) for state, look in LOOKS.items() if counts[kind, state]])
        for kind in sorted({kind for kind, _ in counts})
    ]


def _applications(entries: Sequence[Covered], covered: Coverage) -> Sequence[tuple[str, Sequence[PageRow]]]:
    by_application = groupby(entries, key=lambda entry: entry.live.application)
    return [(str(name or ""), [_row(entry, covered) for entry in members]) for name, members in by_application]


def _row(entry: Covered, covered: Coverage) -> PageRow:
    ref, capture = entry.live.ref, entry.capture
    return PageRow(
        name=ref.name,
        kind=ref.kind.name,
        look=LOOKS[entry.state],
        reasons=[IN_WORDS[gap] for gap in entry.gaps],
        maker=MADE_BY[capture.ref.maker] if capture else "",
        capture=str(capture.ref) if capture else "",
        age=age(covered.now - capture.started) if capture else "",
        job=capture.vadp_job if capture else "",
        restore_point=capture.restore_point if capture else "",
    )
