"""The HTML page of a report: self-contained, without script, safe whatever names and values it has to show.

Everything is escaped by the template engine; control characters and those that reorder text are spelled out; a content
security policy allows the page its own style sheet and nothing else. The report itself is embedded as compressed JSON,
and what is as expected has one short row, so that the page of 1,000 VMs can be sent by mail.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from velero_vmservice import documents
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.report.html import badges
from velero_vmservice.report.html.diagram import WIDTH, draw
from velero_vmservice.report.html.graph import applications
from velero_vmservice.report.html.timeline import SCALE, before_resumed, date, duration, moment, timeline
from velero_vmservice.text import spelled_out
from velero_vmservice.vmoperator.backup_version import recorded_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice.report.html.badges import Look
    from velero_vmservice.report.model import Report, Result, VmResult

_PICTURES: Final = 6
"""Applications that are drawn: those that are open from the start."""


def render(report: Report) -> str:
    """Return the page."""
    apps = [
        (application, draw(application) if at < _PICTURES else None)
        for at, application in enumerate(applications(report))
    ]
    return render_page(
        "report.html.j2",
        report=report,
        outcome=badges.OUTCOMES[report.outcome],
        apps=apps,
        objects=_by_look((badges.stage(item.stage), item) for item in report.objects),
        vms=_by_look((badges.vm(vm), vm) for vm in report.machines),
        timeline=timeline(report),
        elapsed=_elapsed(report),
        labels=_labels(report),
        calm=all(app.calm for app, _ in apps),
        embedded=_embedded(report),
    )


def render_page(template: str, **values: Any) -> str:
    """Return a page of one of our templates, with the style sheet and its digest."""
    environment = _environment()
    style = Markup(environment.get_template("style.css").render().strip())  # noqa: S704 - our own file, no value in it
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(template).render(style=style, style_hash=digest, **values)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("velero_vmservice.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {
        "duration": duration,
        "clock": _clock,
        "date": date,
        "before_resumed": before_resumed,
        "version": _version,
        "anchor": _anchor,
        "field_values": lambda row, *names: [getattr(row, name) for name in names],
        "only": lambda value: [value],
        "shared_notes": _shared_notes,
    }
    environment.globals |= {
        "look_of_stage": badges.stage,
        "look_of_vm": badges.vm,
        "power_of": badges.power,
        "picture_width": WIDTH,
        "scale": SCALE,
    }
    return environment


def _embedded(report: Report) -> str:
    return base64.b64encode(gzip.compress(documents.canonical(report), mtime=0)).decode()


def _labels(report: Report) -> Mapping[str, str]:
    """Return the name of each row that a next step may lead to, by its key."""
    vms = {vm.key: f"{VIRTUAL_MACHINE.name} {vm.namespace}/{vm.name}" for vm in report.machines}
    return vms | {item.key: item.label for item in report.objects}


def _anchor(key: str) -> str:
    """Return a row's id: a key without the blanks that an id must not have."""
    return quote(key, safe="/@")


def _visible(value: Any) -> Any:
    """Spell out characters that are invisible, or that reorder the visible ones."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return spelled_out(value)


def _by_look(pairs: Iterable[tuple[Look, Any]]) -> Sequence[tuple[Look, Sequence[Result | VmResult]]]:
    """Group by state, the most urgent first."""
    grouped: dict[Look, list[Any]] = {}
    for look, item in pairs:
        grouped.setdefault(look, []).append(item)
    return sorted(grouped.items(), key=lambda pair: pair[0].rank)


def _shared_notes(rows: Sequence[Result | VmResult]) -> Sequence[str]:
    """Return the notes that every row has: they appear once, above a long table."""
    first, *others = rows
    return [note for note in first.notes if others and all(note in row.notes for row in others)]


def _elapsed(report: Report) -> str:
    start, end = moment(report.started), moment(report.ended)
    return duration(end - start) if start is not None and end is not None else ""


def _clock(time: str) -> str:
    """Return the clock's part of an ISO time."""
    return time[11:19] or time


def _version(version: str) -> str:
    """Return a backup version as a time; one that is not a time, unchanged."""
    return date(recorded_at(version)) if recorded_at(version) else version or "none"
