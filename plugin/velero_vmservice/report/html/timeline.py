"""What each object and VM waited for, and how long: its timeline as stretches of one bar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from velero_vmservice.report.html import badges
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.report.html.badges import Look
    from velero_vmservice.report.model import EarlierEnd, Report, Result, VmResult

SCALE: Final = 1000
"""Length of the bar, in the units of its viewBox."""
_STAGES: Final = frozenset(Stage)
_SHORTEST: Final = 3
"""What is shorter would not be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One part of a bar."""

    x: int
    width: int
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The timeline of one object or VM."""

    kind: str
    namespace: str
    name: str
    look: Look
    waited: float
    """Seconds until the end, or until it was ready."""
    longest: str
    """Its longest wait; '' if it never waited."""
    words: str
    """What that was for."""
    stretches: tuple[Stretch, ...]
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Every row, the longest wait first."""

    objects: tuple[Row, ...]
    machines: tuple[Row, ...]
    start: str
    end: str

    @property
    def seconds(self) -> float:
        return max((moment(self.end) or 0) - (moment(self.start) or 0), 0)


def timeline(report: Report) -> Timeline:
    """Make the timeline of a report."""
    timelines = [*(item.timeline for item in report.objects), *(vm.timeline for vm in report.machines)]
    times = [at for entries in timelines for at, _ in entries if moment(at) is not None]
    start, end = report.started or min(times, default=""), report.ended or max(times, default="")
    axis = _Axis(moment(start) or 0.0, moment(end) or 0.0)
    objects = [
        _row(axis, item, item.kind, badges.stage(item.stage), item.ended) for item in report.objects if item.timeline
    ]
    vms = [_row(axis, vm, "VirtualMachine", badges.vm(vm), "") for vm in report.machines if vm.timeline]
    return Timeline(objects=_longest_first(objects), machines=_longest_first(vms), start=start, end=end)


def moment(text: str) -> float | None:
    """Return an ISO time in seconds, None if it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def date(time: str) -> str:
    """Return an ISO time for people; all times are UTC."""
    return f"{time[:10]} {time[11:19]} UTC" if moment(time) is not None else time or "unknown"


def before_resumed(end: EarlierEnd) -> str:
    """Say how an earlier run of the restore left an object."""
    when = f" ({date(end.ended)})" if end.ended else ""
    return f"before it was resumed{when}: {end.stage}: {end.reason}"


def duration(seconds: float) -> str:
    """Say a duration as a person would."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"


@dataclass(frozen=True, slots=True)
class _Axis:
    start: float
    end: float

    def at(self, second: float) -> int:
        length = self.end - self.start
        return round(min(max((second - self.start) / length, 0), 1) * SCALE) if length > 0 else 0


def _row(axis: _Axis, item: Result | VmResult, kind: str, look: Look, ended: str) -> Row:
    parts = list(_parts(axis, item.timeline, ended))
    waits = [(end - begin, words) for begin, end, tone, words in parts if tone == "warn"]
    waited, words = max(waits, default=(0.0, ""))
    stretches = tuple(_stretch(axis.at(begin), axis.at(end), tone) for begin, end, tone, _ in parts)
    return Row(
        kind=kind,
        namespace=item.namespace,
        name=item.name or "VMs without an application",
        look=look,
        waited=sum(length for length, _ in waits),
        longest=duration(waited) if waited >= 1 else "",
        words=_without_stage(words),
        stretches=stretches,
        entries=item.timeline,
    )


def _stretch(begin: int, end: int, tone: str) -> Stretch:
    return Stretch(x=min(begin, SCALE - _SHORTEST), width=max(end - begin, _SHORTEST), tone=tone)


def _without_stage(words: str) -> str:
    name, _, rest = words.partition(": ")
    return rest if name in _STAGES else words


def _parts(axis: _Axis, entries: Sequence[tuple[str, str]], ended: str) -> Iterator[tuple[float, float, str, str]]:
    """Yield begin, end, tone and words of each entry; the last one goes on until the end."""
    times = [moment(at) for at, _ in entries]
    last = moment(ended) or axis.end
    for index, (begin, (_, words)) in enumerate(zip(times, entries, strict=True)):
        if begin is None:
            continue
        tone, final = _tone(words)
        following = next((at for at in times[index + 1 :] if at is not None), last)
        yield begin, begin if final else max(following, begin), tone, words


def _tone(words: str) -> tuple[str, bool]:
    """Return the tone of an entry, and whether it ends the row; an object's entries begin with its stage."""
    name = words.partition(":")[0]
    if name in _STAGES:
        return badges.stage(name).tone, Stage(name).final
    return ("good", True) if words == badges.READY.word else ("warn", False)


def _longest_first(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.waited, row.look.rank, row.namespace, row.name)))
