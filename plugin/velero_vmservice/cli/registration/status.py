"""`velero-vmservice registration status`: how far the VMs of a restore are, as every source sees them."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import TYPE_CHECKING

import click
from rich.live import Live

from velero_vmservice.cli import options, restore_target
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.options import namespace_mapping, output
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.registration import Status, below, document, drawn, rows
from velero_vmservice.errors import NotFound
from velero_vmservice.registration.model import State
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from rich.console import Console

    from velero_vmservice import app
    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.restore.replay.dry_run import Needed


@click.command()
@click.argument("backup", required=False)
@click.option("--restore", metavar="RESTORE", help="Of this Velero restore: its backup, mapping and selection.")
@namespace_mapping
@click.option("-n", "--namespace", help="Only VMs that come back in this namespace.")
@click.option("--vm", "vms", multiple=True, metavar="NAME", help="Only this VM; repeatable.")
@click.option("-w", "--watch", is_flag=True, help="Look again and again until all are ready, or until interrupted.")
@click.option("--interval", type=click.FloatRange(min=1), default=5.0, show_default=True, help="Seconds between looks.")
@options.timeout
@output("table", "json")
def status(
    backup: str | None,
    restore: str | None,
    mapping: Mapping[str, str],
    namespace: str | None,
    vms: tuple[str, ...],
    *,
    watch: bool,
    interval: float,
    timeout: float | None,
    form: str,
) -> None:
    """Show how far the registration of the VMs is that the captured objects of BACKUP wait for.

    Every source of the settings is asked; RegisterVM is not called. With --watch and -o json there is one document a
    line, whenever something has changed. Exits with 4 if a VM is not ready, with 3 or 5 if waiting does not help one of
    them: 3 where it is blocked or cannot be restored, 5 where its registration failed.
    """
    if timeout and not watch:
        raise WrongUsage("--timeout is how long to watch", hint="give --watch as well")
    plugin, asked = restore_target.connect(backup, restore, mapping, option="--restore")
    needed = read_needed(plugin, asked, mapping)
    machines = select(needed, asked, namespace=namespace, vms=vms)

    run = RestoreRun.read(asked)

    first_looks: list[datetime] = []

    def look() -> Status:
        found = [(where, one) for where, some in machines.items() for one in look_at(plugin, where, some, run)]
        if not first_looks:
            first_looks.append(plugin.clock.now())
        return Status(
            backup=run.backup,
            restore=restore or "",
            sources=plugin.registering.sources,
            at=plugin.clock.now(),
            machines=sorted(found, key=_urgency),
            unread=needed.unread,
            watched_from=first_looks[0],
        )

    if not watch:
        found = _show(look(), form)
    else:
        console, watching = terminal.console(), _Watch(look, plugin.clock, interval=interval, timeout=timeout)
        drawing = form != "json" and console.is_terminal
        found = watching.as_screen(console) if drawing else watching.as_news(form)
    sys.exit(found.exit_code)


def read_needed(plugin: app.App, restore: Manifest, mapping: Mapping[str, str]) -> Needed:
    """Return the VMs that what a restore replays waits for; `mapping` is that of the command line."""
    run = RestoreRun.read(restore)
    replays = plugin.planning.replayed(run, restore.spec)
    restore_target.demand_known(mapping, replays)
    return plugin.planning.needed(replays, run, plugin.replays.policy(run))


def select(
    needed: Needed, restore: Manifest, *, namespace: str | None, vms: Collection[str]
) -> Mapping[str, Sequence[ExpectedVm]]:
    """Return the VMs that are asked for; raises `NotFound` for a name that no captured object needs."""
    here = {where: some for where, some in needed.machines.items() if namespace in (None, where)}
    known = sorted({one.name for some in here.values() for one in some})
    if not known and namespace is not None:
        others = [where for where, some in needed.machines.items() if some]
        raise _unknown(needed, restore, f"any VM in namespace {namespace}", others)
    if unknown := [name for name in dict.fromkeys(vms) if name not in known]:
        where = f" in namespace {namespace}" if namespace else ""
        raise _unknown(needed, restore, f"a VM {enumerate_some(unknown)}{where}", known)
    return {where: [one for one in some if not vms or one.name in vms] for where, some in here.items()}


def look_at(plugin: app.App, namespace: str, vms: Sequence[ExpectedVm], run: RestoreRun) -> Collection[Registration]:
    """Ask every source, and follow what was called for a restore's sake; nobody is asked about nobody."""
    return plugin.registering.look(namespace, vms, restore_uid=run.uid).values() if vms else ()


def _unknown(needed: Needed, restore: Manifest, what: str, known: Sequence[str]) -> NotFound:
    hint = f"known: {enumerate_some(list(known))}" if known else "no captured object needs a VM"
    return NotFound(
        f"no captured object of backup {RestoreRun.read(restore).backup} waits for {what}",
        hint="; ".join((hint, *(f"not read: {one}" for one in needed.unread))),
    )


def _urgency(one: tuple[str, Registration]) -> tuple[bool, bool, str, str]:
    namespace, found = one
    return found.state is State.READY, found.can_wait, namespace, found.name


def _show(found: Status, form: str) -> Status:
    if form == "json":
        terminal.write_json(document(found))
        return found
    console = terminal.console()
    if console.is_terminal:
        _draw(console, found)
    else:
        for line in (*rows(found), *below(found)):
            terminal.say(line, to=console)
    return found


def _draw(console: Console, found: Status) -> None:
    console.print(drawn(found, width=console.width))
    for line in below(found):
        terminal.say(line, to=console)


class _Watch:
    """Looks until all are ready, or the time is over; an interrupt ends it where it is."""

    def __init__(self, look: Callable[[], Status], clock: Clock, *, interval: float, timeout: float | None) -> None:
        self._look = look
        self._clock = clock
        self._interval = interval
        self._deadline = clock.monotonic() + timeout if timeout else math.inf

    def as_news(self, form: str) -> Status:
        """Print what the look before did not say: a pipe is read later, or by a program."""
        console, said = terminal.console(), frozenset[str]()
        for found in self._looks():
            said = _say_news(console, found, said, form)
        return found

    def as_screen(self, console: Console) -> Status:
        """Redraw a table; what stands below it can be copied, and is printed once, at the end."""
        last: Status | None = None
        try:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                for last in self._looks():
                    live.update(drawn(last, width=console.width), refresh=True)
        finally:
            if last is not None:
                _draw(console, last)
        assert last is not None  # noqa: S101 - the first look is there, or has raised
        return last

    def _looks(self) -> Iterator[Status]:
        while True:
            found = self._look()
            yield found
            left = self._deadline - self._clock.monotonic()
            if found.all_ready or left <= 0:
                return
            time.sleep(min(self._interval, left))


def _say_news(console: Console, found: Status, said: frozenset[str], form: str) -> frozenset[str]:
    """Print what is new in a look; return what it says."""
    if form == "json":
        told = document(found)
        known = json.dumps({key: value for key, value in told.items() if key != "at"})
        if known not in said:
            terminal.write_json(told, indent=None)
        return frozenset({known})
    lines = [*rows(found, aligned=False), *below(found)]
    for line in lines:
        if line not in said:
            terminal.say(line, to=console)
    return frozenset(lines)
