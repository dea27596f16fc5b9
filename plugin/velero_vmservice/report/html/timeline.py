"""What each object and VM waited for, and for how long: its timeline as parts of one bar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.report.html import badges
from velero_vmservice.report.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.report.html.badges import Look
    from velero_vmservice.report.model import EarlierEnd, Report, Result, VmResult

SCALE: Final = 1000
"""Length of the bar, in the units of its viewBox."""
_SHORTEST: Final = 3
"""A shorter part would be invisible."""
_WAITING: Final = badges.UNREADY.tone


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
    waited_for: str
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
        _row(axis, item, item.kind, badges.stage(item.stage), _Ends.of_object(item))
        for item in report.objects
        if item.timeline
    ]
    vms = [
        _row(axis, vm, VIRTUAL_MACHINE.name, badges.vm(vm), _Ends.of_vm(vm)) for vm in report.machines if vm.timeline
    ]
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
    """Return a duration in plain units."""
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


@dataclass(frozen=True, slots=True)
class _Ends:
    """The entries with which the waiting of an object or VM ended."""

    tones: Mapping[str, str]
    """Times of those entries, and how each looks."""
    last: str = ""
    """When an entry that is not such end is over; '' for the end of the restore."""

    @classmethod
    def of_object(cls, item: Result) -> _Ends:
        """An object ends in a final stage, once in each run of its restore."""
        tones = {end.ended: badges.stage(end.stage).tone for end in item.ends_before}
        if Stage(item.stage).final:
            tones[item.ended] = badges.stage(item.stage).tone
        return cls(tones, last=item.ended)

    @classmethod
    def of_vm(cls, vm: VmResult) -> _Ends:
        """A VM may have been ready more than once."""
        times = vm.ready_at or (vm.timeline[-1][:1] if vm.ready else ())
        return cls(dict.fromkeys(times, badges.READY.tone))


@dataclass(frozen=True, slots=True)
class _Span:
    """One entry as a part of the bar."""

    begin: float
    end: float
    tone: str
    text: str

    @property
    def length(self) -> float:
        return self.end - self.begin


def _row(axis: _Axis, item: Result | VmResult, kind: str, look: Look, ends: _Ends) -> Row:
    spans = list(_spans(axis, item.timeline, ends))
    waits = [span for span in spans if span.tone == _WAITING]
    longest = max(waits, key=lambda span: span.length, default=_Span(0, 0, "", ""))
    return Row(
        kind=kind,
        namespace=item.namespace,
        name=item.name or "VMs without an application",
        look=look,
        waited=sum(span.length for span in waits),
        longest=duration(longest.length) if longest.length >= 1 else "",
        waited_for=longest.text,
        stretches=tuple(_stretch(axis, span) for span in spans),
        entries=item.timeline,
    )


def _stretch(axis: _Axis, span: _Span) -> Stretch:
    begin, end = axis.at(span.begin), axis.at(span.end)
    return Stretch(x=min(begin, SCALE - _SHORTEST), width=max(end - begin, _SHORTEST), tone=span.tone)


def _spans(axis: _Axis, entries: Sequence[tuple[str, str]], ends: _Ends) -> Iterator[_Span]:
    """Yield each entry with its part of the bar; one that ends the waiting has no length."""
    times = [moment(at) for at, _ in entries]
    last = moment(ends.last) or axis.end
    for index, (begin, (at, text)) in enumerate(zip(times, entries, strict=True)):
        if begin is None:
            continue
        is_newest = at not in {later for later, _ in entries[index + 1 :]}
        if is_newest and at in ends.tones:
            yield _Span(begin, begin, ends.tones[at], text)
            continue
        following = next((time for time in times[index + 1 :] if time is not None), last)
        yield _Span(begin, max(following, begin), _WAITING, text)


def _longest_first(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (-row.waited, row.look.rank, row.namespace, row.name)))
