"""`velero-vmservice registration status`: how far the VMs of a restore are, as every source sees them."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

import click
from rich.live import Live

from velero_vmservice.captures.matching.choosing import LATEST, MATCH
from velero_vmservice.cli import options, restore_target
from velero_vmservice.cli.access import NamespaceOption, live
from velero_vmservice.cli.captures.choice import Chosen, demand_capture
from velero_vmservice.cli.captures.view import capture_option, location
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import examples, from_cluster, namespace_mapping, object_option, table_output
from velero_vmservice.cli.views import standard_streams, terminal
from velero_vmservice.cli.views.registration import Status, document, table
from velero_vmservice.cli.views.table import Form, Output
from velero_vmservice.errors import NotFound
from velero_vmservice.kube.manifest import BACKUP, RESTORE
from velero_vmservice.registration.model import State
from velero_vmservice.restore.policy import for_restore
from velero_vmservice.restore.source.backup_objects import identified
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from rich.console import Console

    from velero_vmservice import app
    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.restore.dry_run import Needed


@click.command(
    epilog=examples(
        "registration status nightly-20261130",
        "registration status --restore nightly-20261130-1 --watch --timeout 2h",
        "registration status nightly-20261130 -n shop --vm web-1 -o wide",
        "registration status --from nightly --watch",
    )
)
@click.argument("backup", required=False, shell_complete=live(BACKUP))
@object_option("--restore", RESTORE, "Of this Velero restore: its backup, mapping and selection.")
@capture_option(LATEST, MATCH, argument="source", help_text="Of this capture instead of a backup.")
@from_cluster
@location
@namespace_mapping
@click.option("-n", "--namespace", cls=NamespaceOption, help="Only VMs that come back there; all without it.")
@click.option("--vm", "vms", multiple=True, metavar="NAME", help="Only this VM; repeatable.")
@click.option("-w", "--watch", is_flag=True, help="Look again until all VMs are ready, or until interrupted.")
@click.option("--interval", type=click.FloatRange(min=1), default=5.0, show_default=True, help="Seconds between looks.")
@options.timeout
@table_output
def status(
    backup: str | None,
    restore: str | None,
    mapping: Mapping[str, str],
    namespace: str | None,
    vms: tuple[str, ...],
    *,
    source: str,
    from_cluster: str,
    location: str,
    watch: bool,
    interval: float,
    timeout: float | None,
    output: Output,
) -> None:
    """Show the registration of the VMs that the captured objects of BACKUP wait for.

    Every source of the settings is asked; RegisterVM is not called. With --watch there is one document for each change:
    of JSON one a line, of YAML one after each ---. Exits with 4 if a VM is not ready, with 3 or 5 if waiting does not
    help one of them: 3 where it is blocked or cannot be restored, 5 where its registration failed.
    """
    if timeout and not watch:
        raise WrongUsage("--timeout is how long to watch", hint="give --watch as well")
    if source:
        choice = Chosen(capture=source, only_reads=True, from_cluster=from_cluster, location=location)
        chosen = restore_target.target(backup, restore, mapping, choice, {})
        plugin, manifest, run = chosen.plugin, chosen.manifest, chosen.run
    else:
        demand_capture(location=location)
        plugin, manifest = restore_target.connect(backup, restore, mapping, option="--restore")
        run = RestoreRun.read(manifest)
    needed = read_needed(plugin, manifest, mapping, run)
    machines = select(needed, manifest, namespace=namespace, vms=vms)
    vadp = plugin.restore_points.seal(run).vadp
    first_looks: list[datetime] = []

    def look() -> Status:
        registrations = [
            (vm_namespace, registration)
            for vm_namespace, expected in machines.items()
            for registration in look_at(plugin, vm_namespace, expected, run)
        ]
        if not first_looks:
            first_looks.append(plugin.clock.now())
        return Status(
            backup=run.backup,
            restore=restore or "",
            sources=plugin.registering.sources,
            at=plugin.clock.now(),
            machines=sorted(registrations, key=_urgency),
            unread=needed.unread,
            vadp=vadp,
            watched_from=first_looks[0],
        )

    if watch:
        last = _Watch(look, plugin.clock, output, interval=interval, timeout=timeout).followed()
    else:
        last = look()
        table(last).show(output)
    sys.exit(last.exit_code)


def read_needed(plugin: app.App, restore: Manifest, mapping: Mapping[str, str], run: RestoreRun) -> Needed:
    """Return the VMs that the objects of a restore wait for; `mapping` is that of the command line."""
    replays = plugin.backup_objects.replayed(run, restore.spec)
    restore_target.demand_known(mapping, replays)
    return plugin.planning.needed(replays, run, plugin.replays.policy(run))


def select(
    needed: Needed, restore: Manifest, *, namespace: str | None, vms: Collection[str]
) -> Mapping[str, Sequence[ExpectedVm]]:
    """Return the VMs that are asked for; raises `NotFound` for a name that no captured object needs."""
    in_question = {where: expected for where, expected in needed.machines.items() if namespace in (None, where)}
    known = sorted({vm.name for expected in in_question.values() for vm in expected})
    if not known and namespace is not None:
        others = [where for where, expected in needed.machines.items() if expected]
        raise _unknown(needed, restore, f"any VM in namespace {namespace}", others)
    if unknown := [name for name in dict.fromkeys(vms) if name not in known]:
        where = f" in namespace {namespace}" if namespace else ""
        raise _unknown(needed, restore, f"a VM {enumerate_some(unknown)}{where}", known)
    return {where: [vm for vm in expected if not vms or vm.name in vms] for where, expected in in_question.items()}


def look_at(plugin: app.App, namespace: str, vms: Sequence[ExpectedVm], run: RestoreRun) -> Collection[Registration]:
    """Ask every source, and follow a restore's calls; without VMs no source is asked."""
    restore = for_restore(identified(run), plugin.replays.policy(run))
    return plugin.registering.look(namespace, vms, restore=restore).values() if vms else ()


def _unknown(needed: Needed, restore: Manifest, what: str, known: Sequence[str]) -> NotFound:
    none = "check the name of the backup: no object that it captured needs a VM"
    hint = f"name one of: {enumerate_some(list(known))}" if known else none
    return NotFound(
        f"no captured object of backup {RestoreRun.read(restore).backup} waits for {what}",
        hint="; ".join((hint, *(f"not read: {text}" for text in needed.unread))),
    )


def _urgency(entry: tuple[str, Registration]) -> tuple[bool, bool, str, str]:
    namespace, registration = entry
    return registration.state is State.READY, registration.can_wait, namespace, registration.name


class _Watch:
    """Looks until all are ready, the time is over, or an interrupt comes."""

    def __init__(
        self,
        look: Callable[[], Status],
        clock: Clock,
        output: Output,
        *,
        interval: float,
        timeout: float | None,
    ) -> None:
        self._look = look
        self._clock = clock
        self._output = output
        self._interval = interval
        self._deadline = clock.monotonic() + timeout if timeout else math.inf

    def followed(self) -> Status:
        """Show each look, and return the last one."""
        console = terminal.console()
        if not self._output.tabular:
            return self._as_documents()
        return self._as_screen(console) if console.is_terminal else self._as_news(console)

    def _as_news(self, console: Console) -> Status:
        """Print the lines that the look before did not have: a pipe is read later, or by a program."""
        printed: frozenset[str] = frozenset()
        for status in self._looks():
            lines = list(table(status).lines(self._output))
            for line in lines:
                if line not in printed:
                    terminal.say(line, to=console)
            printed = frozenset(lines)
        return status

    def _as_documents(self) -> Status:
        """Print a look if anything but its time has changed."""
        known: dict[str, object] = {}
        for status in self._looks():
            seen = {key: value for key, value in document(status).items() if key != "at"}
            if seen != known:
                self._print(status)
            known = seen
        return status

    def _print(self, status: Status) -> None:
        match self._output.form:
            case Form.JSON:
                terminal.write_json(document(status), indent=None)
            case Form.YAML:
                terminal.say("---")
                terminal.write_yaml(document(status))
            case _:
                table(status).show(self._output)

    def _as_screen(self, console: Console) -> Status:
        """Redraw a table; the lines below it can be copied, and are printed once, at the end."""
        last: Status | None = None
        try:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                for last in self._looks():
                    live.update(table(last).drawn(self._output, width=console.width), refresh=True)
        finally:
            if last is not None:
                table(last).print(self._output, console)
        assert last is not None  # noqa: S101 - the first look is there, or has raised
        return last

    def _looks(self) -> Iterator[Status]:
        while True:
            status = self._look()
            yield status
            left = self._deadline - self._clock.monotonic()
            if status.all_ready or left <= 0:
                return
            if standard_streams.unread():
                sys.exit(ExitCode.UNREAD)
            time.sleep(min(self._interval, left))
