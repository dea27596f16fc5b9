"""How a look at the registration of VMs is shown, as a table and as a document."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.cli.exit_codes import ExitCode, worst
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.cli.views.vadp import vadp_document, with_vadp
from velero_vmservice.registration.explain import topic
from velero_vmservice.registration.model import State
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from velero_vmservice.archive.schema import Vadp
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
    """Each with its namespace, those that need a person first and those that are ready last."""
    unread: tuple[str, ...]
    watched_from: datetime
    """When the command first looked: it does not know when the states that it found then began."""
    vadp: Vadp
    """The VADP job and restore point of the capture."""

    def since(self, registration: Registration) -> str:
        """Return when a VM's state began; '' where no source says and this command did not see it begin."""
        known = registration.since is not None and not (
            registration.first_seen and registration.since <= self.watched_from
        )
        return _time(registration.since) if registration.since is not None and known else ""

    @property
    def ready(self) -> int:
        """How many VMs are ready."""
        return sum(registration.state is State.READY for _, registration in self.machines)

    @property
    def all_ready(self) -> bool:
        """Whether no VM is waited for and everything could be read."""
        return self.ready == len(self.machines) and not self.unread

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a command whose last look this is."""
        return worst(
            ExitCode.BLOCKED if self.unread else ExitCode.DONE,
            *(exit_code(registration) for _, registration in self.machines),
        )


def exit_code(registration: Registration) -> ExitCode:
    """Return the exit code of a command that leaves a VM in this state."""
    if registration.state is State.READY:
        return ExitCode.DONE
    if registration.state is State.FAILED:
        return ExitCode.FAILED
    return ExitCode.NOT_READY if registration.can_wait else ExitCode.BLOCKED


def document(status: Status) -> dict[str, Any]:
    """Return the look as documented in docs/registration.md."""
    return {
        "backup": status.backup,
        "restore": status.restore,
        "at": _time(status.at),
        "sources": list(status.sources),
        "ready": status.ready,
        "total": len(status.machines),
        "machines": [
            {
                "namespace": namespace,
                "name": registration.name,
                "state": str(registration.state),
                "percent": registration.percent,
                "stage": registration.doing,
                "since": status.since(registration) or None,
                "source": registration.told_by,
                "reason": registration.reason,
                "code": registration.code,
                "can_wait": registration.can_wait,
                "certain": registration.certain,
                "notes": list(registration.notes),
            }
            for namespace, registration in status.machines
        ],
        "unread": list(status.unread),
        "vadp": vadp_document(status.vadp),
    }


_COLUMNS: Final = (
    Column("VM"),
    Column("STATE"),
    Column("PROGRESS"),
    Column("SINCE"),
    Column("SOURCE"),
    Column("CODE", wide=True),
    Column("CERTAIN", wide=True),
    Column("WAITING HELPS", wide=True),
    Column("REASON"),
)


def table(status: Status) -> Table:
    """Return the VMs as a table, with notes, checks and the sum below it."""
    shown = Table(
        columns=_COLUMNS,
        rows=[_row(status, namespace, registration) for namespace, registration in status.machines],
        document=document(status),
        below=list(_below(status)),
    )
    return with_vadp(shown, status.vadp)


def _row(status: Status, namespace: str, registration: Registration) -> Row:
    name = f"{namespace}/{registration.name}"
    return Row(
        name=name,
        cells=(
            name,
            (str(registration.state), _colour(registration)),
            registration.progress,
            status.since(registration),
            registration.told_by,
            registration.code,
            _yes_or_no(registration.certain),
            "" if registration.state is State.READY else _yes_or_no(registration.can_wait),
            Sentences(registration.reason),
        ),
    )


def _yes_or_no(holds: bool) -> str:  # noqa: FBT001 - it is the value that is shown
    return "yes" if holds else "no"


def _colour(registration: Registration) -> str:
    if registration.state is State.READY:
        return "green"
    return "yellow" if registration.can_wait else "red"


def _below(status: Status) -> Iterator[str]:
    """Yield the lines below: notes with the VMs that they concern, what was not read, and the sum."""
    noted: dict[str, dict[str, None]] = {}
    for namespace, registration in status.machines:
        for note in registration.notes:
            noted.setdefault(note, {})[f"{namespace}/{registration.name}"] = None
    for note, concerned in noted.items():
        whose = "" if len(concerned) == len(status.machines) else f" ({enumerate_some(list(concerned), most=3)})"
        yield f"note{whose}: {note}"
    yield from _checks(status)
    yield from (f"not looked at, as it cannot be read: {text}" for text in status.unread)
    stuck = sum(
        not registration.can_wait for _, registration in status.machines if registration.state is not State.READY
    )
    yield f"{status.ready} of {len(status.machines)} VMs are ready" + (
        f"; waiting does not help {stuck} of them" if stuck else ""
    )


def _checks(status: Status) -> Iterator[str]:
    """Yield the command that shows the guide's checks, once for each topic, for the first VM that it concerns."""
    topics: dict[str, list[tuple[str, str]]] = {}
    for namespace, registration in status.machines:
        if topic_name := topic(registration):
            topics.setdefault(topic_name, []).append((namespace, registration.name))
    for topic_name, ((namespace, name), *others) in topics.items():
        more = f" ({len(others)} more likewise)" if others else ""
        names = f"-n {shlex.quote(namespace)} --vm {shlex.quote(name)}"
        yield f"to check: velero-vmservice registration explain {topic_name} {names}{more}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
