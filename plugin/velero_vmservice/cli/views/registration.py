"""How a look at the registration of VMs is shown: as a table, as lines that grep finds, and as JSON."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from velero_vmservice.cli.exit_codes import ExitCode, worst
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.once import said_once
from velero_vmservice.registration.explain import topic
from velero_vmservice.registration.model import State
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from velero_vmservice.registration.model import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One look at the VMs of a restore."""

    backup: str
    restore: str
    """Name of the Restore, '' where only a backup was named."""
    sources: tuple[str, ...]
    at: datetime
    machines: Sequence[tuple[str, Registration]]
    """Each with its namespace, those that need somebody first and those that are ready last."""
    unread: tuple[str, ...]
    watched_from: datetime
    """When the command had looked for the first time: of what it found then it does not know when that began."""

    def since(self, one: Registration) -> str:
        """Return since when a VM is as it is; '' where nobody tells and this command did not see it begin."""
        known = one.since is not None and not (one.first_seen and one.since <= self.watched_from)
        return _time(one.since) if one.since is not None and known else ""

    @property
    def ready(self) -> int:
        """How many VMs are ready."""
        return sum(one.state is State.READY for _, one in self.machines)

    @property
    def all_ready(self) -> bool:
        """Whether nothing is waited for, as far as everything could be read."""
        return self.ready == len(self.machines) and not self.unread

    @property
    def exit_code(self) -> ExitCode:
        """How a command ends that saw this last."""
        return worst(ExitCode.BLOCKED if self.unread else ExitCode.DONE, *(exit_code(one) for _, one in self.machines))


def exit_code(registration: Registration) -> ExitCode:
    """Return how a command ends that leaves a VM so."""
    if registration.state is State.READY:
        return ExitCode.DONE
    if registration.state is State.FAILED:
        return ExitCode.FAILED
    return ExitCode.NOT_READY if registration.can_wait else ExitCode.BLOCKED


def document(found: Status) -> dict[str, Any]:
    """Return the look as documented in docs/registration.md."""
    return {
        "backup": found.backup,
        "restore": found.restore,
        "at": _time(found.at),
        "sources": list(found.sources),
        "ready": found.ready,
        "total": len(found.machines),
        "machines": [
            {
                "namespace": namespace,
                "name": one.name,
                "state": str(one.state),
                "percent": one.percent,
                "stage": one.doing,
                "since": found.since(one) or None,
                "source": one.source,
                "reason": one.reason,
                "code": one.code,
                "can_wait": one.can_wait,
                "certain": one.certain,
                "notes": list(one.notes),
            }
            for namespace, one in found.machines
        ],
        "unread": list(found.unread),
    }


def drawn(found: Status, *, width: int) -> RenderableType:
    """Draw the VMs for a terminal; what is said of several of them goes below."""
    cells = [(row, _colour(one)) for row, (_, one) in zip(_cells(found)[0], found.machines, strict=True)]
    return terminal.table(
        ("VM", "state", "progress", "since", "source", "reason"),
        [(name, (state, colour), *rest) for (name, state, *rest), colour in cells],
        width=width,
    )


def _colour(one: Registration) -> str:
    if one.state is State.READY:
        return "green"
    return "yellow" if one.can_wait else "red"


def rows(found: Status, *, aligned: bool = True) -> Iterator[str]:
    """Yield one line for each VM."""
    cells, _ = _cells(found)
    widths = [max(map(len, column)) if aligned else 0 for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join((cell or "-").ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(found: Status) -> tuple[Sequence[tuple[str, ...]], Sequence[str]]:
    """Return a row for each VM, and the reasons that several of them share."""
    shared = said_once([one.reason] for _, one in found.machines)
    cells = [
        (
            f"{namespace}/{one.name}",
            str(one.state),
            one.progress,
            found.since(one),
            one.source,
            why,
        )
        for (namespace, one), why in zip(found.machines, shared.rows, strict=True)
    ]
    return cells, shared.below


def below(found: Status) -> Iterator[str]:
    """Yield what is said once: shared reasons, notes with those whom they concern, what was not read, and the sum."""
    yield from _cells(found)[1]
    noted: dict[str, dict[str, None]] = {}
    for namespace, one in found.machines:
        for note in one.notes:
            noted.setdefault(note, {})[f"{namespace}/{one.name}"] = None
    for note, concerned in noted.items():
        whose = "" if len(concerned) == len(found.machines) else f" ({enumerate_some(list(concerned), most=3)})"
        yield f"note{whose}: {note}"
    yield from _checks(found)
    yield from (f"not looked at, as it cannot be read: {one}" for one in found.unread)
    stuck = sum(not one.can_wait for _, one in found.machines if one.state is not State.READY)
    yield f"{found.ready} of {len(found.machines)} VMs are ready" + (
        f"; waiting does not help {stuck} of them" if stuck else ""
    )


def _checks(found: Status) -> Iterator[str]:
    """Yield the command that shows the guide's checks, once for each topic, for the first VM that it concerns."""
    topics: dict[str, list[tuple[str, str]]] = {}
    for namespace, one in found.machines:
        if asked := topic(one):
            topics.setdefault(asked, []).append((namespace, one.name))
    for asked, ((namespace, name), *others) in topics.items():
        more = f" ({len(others)} more likewise)" if others else ""
        names = f"-n {shlex.quote(namespace)} --vm {shlex.quote(name)}"
        yield f"to check: velero-vmservice registration explain {asked} {names}{more}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
