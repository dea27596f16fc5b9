"""`velero-vmservice restore`: the replay of a restore in the foreground, without Velero's polls.

For a restore that Velero gave up (its itemOperationTimeout passed, its plugin was away too long), and for one that
Velero never made. It is the same step that Velero's polls take, in a loop: stop it, and run it again.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from velero_vmservice.cli import named_restore
from velero_vmservice.cli.options import namespace_mapping, policy_option
from velero_vmservice.core.errors import VmServiceError
from velero_vmservice.core.manifest import compact_time
from velero_vmservice.core.operation import RestoreRun, replay_id
from velero_vmservice.core.plan import Stage
from velero_vmservice.flows.planning import resumed
from velero_vmservice.flows.reporting import where_reported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice import app
    from velero_vmservice.core.manifest import Manifest
    from velero_vmservice.flows.task import Task

POLL_SECONDS = 5.0
EXIT_FAILED = 2
_BAD = (Stage.FAILED, Stage.CANCELLED)


@click.command()
@click.argument("backup", required=False)
@click.option("--resume", metavar="RESTORE", help="Go on with a Velero restore: its backup, mapping and policies.")
@namespace_mapping
@policy_option
def restore(backup: str | None, resume: str | None, mapping: Mapping[str, str], policy: Mapping[str, str]) -> None:
    """Replay the captured objects of BACKUP, or of the restore named with --resume, once their VMs are registered.

    Waits until every object is verified, retained or failed, and says what it waits for. Stopped at any point,
    repeating it goes on. Exits with 2 if an object failed.
    """
    plugin, wanted = named_restore.connect(backup, resume, mapping, option="--resume")
    run = resumed(RestoreRun.read(wanted), now=compact_time(plugin.clock.now().isoformat()))
    run = replace(run, annotations={**run.annotations, **policy})
    effective = plugin.replays.policy(run)
    click.echo(f"policy: {', '.join(f'{key}={value}' for key, value in effective.printed().items())}")
    tasks = _follow(plugin, run, wanted)
    click.echo(f"report: {where_reported(run)}")
    if any(task.stage in _BAD for task in tasks):
        sys.exit(EXIT_FAILED)


def _follow(plugin: app.App, run: RestoreRun, wanted: Manifest) -> Sequence[Task]:
    """Go round until every object has ended, showing where each stands."""
    for one in plugin.planning.replayed(run, wanted.spec):
        plugin.replays.announce(replay_id(one), one, run)
    console, said = Console(soft_wrap=True), dict[str, str]()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            try:
                tasks = plugin.replays.advance(run)
            except VmServiceError as error:
                if not error.transient:
                    raise
                console.print(f"waiting: {error}", markup=False, highlight=False)
                tasks = ()
            if console.is_terminal:
                live.update(_table(tasks), refresh=True)
            else:
                _say_changes(console, tasks, said)
            if tasks and all(task.stage.final and task.stored for task in tasks):
                return tasks
            time.sleep(POLL_SECONDS)


def _table(tasks: Sequence[Task]) -> Table:
    table = Table("object", "VMs", "stage", "", box=None, header_style="bold")
    for task in tasks:
        machines = f"{task.ready}/{task.total}" if task.total else "-"
        table.add_row(str(task.replay.destination), machines, str(task.stage), task.description())
    return table


def _say_changes(console: Console, tasks: Sequence[Task], said: dict[str, str]) -> None:
    """Print one line where an object's state has changed: a pipe is read later, or by a program."""
    for task in tasks:
        words = f"{task.replay.destination}: {task.description()}"
        if said.get(task.operation_id) != words:
            said[task.operation_id] = words
            console.print(words, markup=False, highlight=False)
