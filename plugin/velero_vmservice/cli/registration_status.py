"""`velero-vmservice registration status`: how far the machines of a restore are, as every source sees them."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from velero_vmservice.cli import named_restore
from velero_vmservice.cli.options import namespace_mapping, output
from velero_vmservice.cli.registration_view import Status, below, document, drawn, rows
from velero_vmservice.core.errors import NotFound
from velero_vmservice.core.foreign_text import spelled_out
from velero_vmservice.core.operation import RestoreRun, enumerate_some
from velero_vmservice.core.registration import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from velero_vmservice import app
    from velero_vmservice.core.manifest import Manifest
    from velero_vmservice.core.registration import Registration, Wanted
    from velero_vmservice.flows.planning import Needed

EXIT_NOT_READY: Final = 2


@click.command()
@click.argument("backup", required=False)
@click.option("--restore", metavar="RESTORE", help="Of this Velero restore: its backup, mapping and selection.")
@namespace_mapping
@click.option("-n", "--namespace", help="Only machines that come back in this namespace.")
@click.option("--vm", "vms", multiple=True, metavar="NAME", help="Only this machine; repeatable.")
@click.option("-w", "--watch", is_flag=True, help="Look again and again until all are ready, or until interrupted.")
@click.option("--interval", type=click.FloatRange(min=1), default=5.0, show_default=True, help="Seconds between looks.")
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
    form: str,
) -> None:
    """Show how far the registration of the machines is that the captured objects of BACKUP wait for.

    Every source of the settings is asked; RegisterVM is not called. With --watch and -o json there is one document a
    line, whenever something has changed. Exits with 2 if a machine is not ready.
    """
    plugin, asked = named_restore.connect(backup, restore, mapping, option="--restore")
    needed = read_needed(plugin, asked)
    machines = select(needed, asked, namespace=namespace, vms=vms)

    run = RestoreRun.read(asked)

    def look() -> Status:
        found = [(where, one) for where, some in machines.items() for one in look_at(plugin, where, some, run)]
        return Status(
            backup=run.backup,
            restore=restore or "",
            sources=plugin.registering.sources,
            at=plugin.clock.now(),
            machines=sorted(found, key=_urgency),
            unread=needed.unread,
        )

    found = _watch(look, interval, form) if watch else _show(look(), form)
    if not found.all_ready:
        sys.exit(EXIT_NOT_READY)


def read_needed(plugin: app.App, restore: Manifest) -> Needed:
    """Return the machines that what a restore replays waits for."""
    run = RestoreRun.read(restore)
    return plugin.planning.needed(plugin.planning.replayed(run, restore.spec), run, plugin.replays.policy(run))


def select(
    needed: Needed, restore: Manifest, *, namespace: str | None, vms: Collection[str]
) -> Mapping[str, Sequence[Wanted]]:
    """Return the machines that are asked for; raises `NotFound` for a name that no captured object needs."""
    here = {where: some for where, some in needed.machines.items() if namespace in (None, where)}
    known = sorted({one.name for some in here.values() for one in some})
    if not known and namespace is not None:
        others = [where for where, some in needed.machines.items() if some]
        raise _unknown(needed, restore, f"any machine in namespace {namespace}", others)
    if unknown := [name for name in dict.fromkeys(vms) if name not in known]:
        where = f" in namespace {namespace}" if namespace else ""
        raise _unknown(needed, restore, f"a machine {enumerate_some(unknown)}{where}", known)
    return {where: [one for one in some if not vms or one.name in vms] for where, some in here.items()}


def look_at(plugin: app.App, namespace: str, machines: Sequence[Wanted], run: RestoreRun) -> Collection[Registration]:
    """Ask every source, and follow what was called for a restore's sake; nobody is asked about nobody."""
    return plugin.registering.look(namespace, machines, restore_uid=run.uid).values() if machines else ()


def say(console: Console, line: str) -> None:
    """Print one line as it is: nothing in it is markup, and what is not seen is spelled out."""
    console.print(Text(spelled_out(line.replace("\n", " "))), soft_wrap=True)


def _unknown(needed: Needed, restore: Manifest, what: str, known: Sequence[str]) -> NotFound:
    hint = f"known: {enumerate_some(list(known))}" if known else "no captured object needs a machine"
    return NotFound(
        f"no captured object of backup {RestoreRun.read(restore).backup} waits for {what}",
        hint="; ".join((hint, *(f"not read: {one}" for one in needed.unread))),
    )


def _urgency(one: tuple[str, Registration]) -> tuple[bool, bool, str, str]:
    namespace, found = one
    return found.state is State.READY, found.can_wait, namespace, found.name


def _show(found: Status, form: str) -> Status:
    console = Console()
    if form == "json":
        click.echo(json.dumps(document(found), indent=2, ensure_ascii=False))
    elif console.is_terminal:
        console.print(drawn(found))
    else:
        for line in (*rows(found), *below(found)):
            say(console, line)
    return found


def _watch(look: Callable[[], Status], interval: float, form: str) -> Status:
    """Look until all are ready or somebody interrupts; return the last look."""
    console = Console()
    found = look()
    try:
        if form == "json" or not console.is_terminal:
            said = _say_news(console, found, set(), form)
            while not found.all_ready:
                time.sleep(interval)
                found = look()
                said = _say_news(console, found, said, form)
            return found
        with Live(drawn(found), console=console, auto_refresh=False) as live:
            live.refresh()
            while not found.all_ready:
                time.sleep(interval)
                found = look()
                live.update(drawn(found), refresh=True)
    except KeyboardInterrupt:
        return found
    return found


def _say_news(console: Console, found: Status, said: set[str], form: str) -> set[str]:
    """Print what the look before did not say: a pipe is read later, or by a program; return what is said now."""
    if form == "json":
        told = document(found)
        known = json.dumps({key: value for key, value in told.items() if key != "at"})
        if known not in said:
            click.echo(json.dumps(told, ensure_ascii=False))
        return {known}
    lines = [*rows(found, aligned=False), *below(found)]
    for line in lines:
        if line not in said:
            say(console, line)
    return set(lines)
