"""`velero-vmservice restore`: the replay of a restore in the foreground, without Velero's polls.

For a restore that Velero gave up (its itemOperationTimeout passed, its plugin was away too long), and for one that
Velero never made. It is the same step that Velero's polls take, in a loop: stop it, and run it again.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from velero_vmservice.archive.networks import recorded_networks
from velero_vmservice.archive.store import read_document
from velero_vmservice.cli import options, restore_target
from velero_vmservice.cli.access import live
from velero_vmservice.cli.captures.choice import choice_of_capture
from velero_vmservice.cli.exit_codes import ExitCode, of_error
from velero_vmservice.cli.options import as_options, examples, namespace_mapping, object_option, restore_policies
from velero_vmservice.cli.plan import show_plan
from velero_vmservice.cli.registration.override import demand_rights, demand_supported, remark_unmatched
from velero_vmservice.cli.views import networks, terminal
from velero_vmservice.cli.views.restore import follow
from velero_vmservice.cli.views.table import Output
from velero_vmservice.cli.views.vadp import vadp_line
from velero_vmservice.errors import NotRestorable, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, RESTORE, compact_time
from velero_vmservice.report.model import Report
from velero_vmservice.report.store import REPORT, prefix
from velero_vmservice.restore.policy import for_restore
from velero_vmservice.restore.source.backup_objects import resumed
from velero_vmservice.velero.runs import replay_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice import app
    from velero_vmservice.cli.captures.choice import Chosen
    from velero_vmservice.cli.restore_target import Target
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.velero.runs import Replay, RestoreRun


@click.command(
    epilog=examples(
        "restore nightly",
        "restore nightly --namespace-mapping shop:shop-dr --policy power=captured",
        "restore nightly --register --network-override subnet/prod-a=subnet/dr-a --timeout 4h",
        "restore --from match -n shop",
        "restore --from nightly/20261130T040000Z --application web --dry-run",
        "restore --resume nightly-2",
    )
)
@click.argument("backup", required=False, shell_complete=live(BACKUP))
@object_option("--resume", RESTORE, "Go on with a Velero restore: its backup, mapping and policies.")
@choice_of_capture
@namespace_mapping
@restore_policies
@click.option("--dry-run", is_flag=True, help="Print the plan of this restore, as `plan` does, and write nothing.")
@options.timeout
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the restore begins.")
def restore(
    backup: str | None,
    resume: str | None,
    mapping: Mapping[str, str],
    policy: Mapping[str, str],
    choice: Chosen,
    *,
    dry_run: bool,
    timeout: float | None,
    yes: bool,
) -> None:
    """Replay the captured objects of BACKUP, of a capture, or of a Velero restore, once their VMs are registered.

    Waits until every object has ended, and says what it waits for. Stopped at any point, repeating it goes on. --from
    needs no Velero and no object of it; `match` takes no capture that is newer than its VMs. --object and --application
    restore what belongs together, which is shown and asked about first. With --register RegisterVM is called once for
    each restored VM, after its checks, and the networks of the VMs are shown first. Where the seal of a backup lists
    objects of namespaces that the Backup does not include, it asks first. Exits with 5 if an object failed or is
    incomplete, with 4 if one had not ended when the --timeout passed, with 1 where a right is missing that it needs.
    """
    target = restore_target.target(backup, resume, mapping, replace(choice, only_reads=dry_run), policy)
    if dry_run:
        sys.exit(show_plan(target, mapping, Output()))
    plugin, manifest = target.plugin, target.manifest
    run = resumed(target.run, now=compact_time(plugin.clock.now().isoformat()))
    run = replace(run, options=(*run.options, *as_options(policy)))
    effective = plugin.replays.policy(run)
    terminal.say(f"policy: {', '.join(f'{key}={value}' for key, value in effective.printed().items())}")
    replays = plugin.backup_objects.replayed(run, manifest.spec)
    restore_target.demand_known(mapping, replays)
    if vadp := vadp_line(plugin.restore_points.seal(run).vadp):
        terminal.say(vadp)
    _confirm(target, run, replays, yes=yes)
    _prepare_registration(plugin, run, effective, replays)
    if plugin.restore_points.store(run).read_only:
        terminal.remark(
            "the location is ReadOnly: no report is stored, and prune does not know what this restore needs"
        )
    for replay in replays:
        plugin.replays.announce(replay_id(replay), replay, run)
    again = run.again if choice.may_change else terminal.invocation()
    tasks = _followed(plugin, run, again, timeout=timeout)
    if unfinished := len(replays) - sum(task.over for task in tasks):
        terminal.complain(
            f"{unfinished} of {len(replays)} objects have not ended within the --timeout",
            f"repeat the command to go on: {again}",
        )
        sys.exit(max(_exit_code(tasks), ExitCode.NOT_READY))
    _say_next_steps(plugin, run)
    terminal.say(_kept(tasks))
    sys.exit(_exit_code(tasks))


def _followed(plugin: app.App, run: RestoreRun, again: str, *, timeout: float | None) -> Sequence[ReplayOperation]:
    """Follow the restore to its end; stopped or denied, the process ends with the command that goes on."""
    try:
        return follow(lambda: plugin.replays.advance(run), plugin.clock, timeout=timeout)
    except KeyboardInterrupt:
        terminal.complain("stopped before the end", f"repeat the command to go on: {again}")
        sys.exit(ExitCode.INTERRUPTED)
    except VmServiceError as error:
        if not error.mendable:
            raise
        remedy = f"{error.hint}; then " if error.hint else ""
        terminal.complain(error.message, f"{remedy}repeat the command to go on: {again}")
        sys.exit(of_error(error))


def _confirm(target: Target, run: RestoreRun, replays: Sequence[Replay], *, yes: bool) -> None:
    """Ask about objects beyond the Backup's namespaces, and about a part that was chosen by name."""
    backup_objects = target.plugin.backup_objects
    if beyond := backup_objects.beyond(run, replays):
        terminal.remark(restore_target.beyond_words(target.plugin.restore_points.backup(run), beyond))
        if not yes:
            _ask(f"Restore {', '.join(beyond)} too?")
    if target.applications and not yes:
        _ask(f"Restore {len(replays)} object{'s' * (len(replays) != 1)}?")


def _prepare_registration(plugin: app.App, run: RestoreRun, policy: RestorePolicy, replays: Sequence[Replay]) -> None:
    """Show the networks of the VMs before RegisterVM is called for them; raises where it cannot be called so."""
    restore_choice, trigger = for_restore(run, policy), plugin.registering.trigger
    demand_supported(plugin, restore_choice, {replay.target for replay in replays})
    if trigger is not None and trigger.calls_for(restore_choice):
        demand_rights(plugin, run.namespace)
        recorded = recorded_networks(plugin.planning.needed(replays, run, policy).machines)
        for line in networks.lines(recorded):
            terminal.say(line)
        remark_unmatched(plugin, restore_choice, recorded)


def _kept(tasks: Sequence[ReplayOperation]) -> str:
    """Return where the report is, or which result or report is not stored and why."""
    return str(next((task.kept for task in tasks if not task.kept.whole), tasks[-1].kept))


def _ask(question: str) -> None:
    """Ask for confirmation; raises `click.Abort` without it, `NotRestorable` where the input is not a terminal."""
    try:
        agreed = terminal.agreed(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise NotRestorable(
            "nothing is restored: the question was not answered, as the input is not a terminal",
            hint="look at the objects with `velero-vmservice plan`, then repeat the command with --yes",
        ) from None
    if not agreed:
        raise click.Abort


def _exit_code(tasks: Sequence[ReplayOperation]) -> ExitCode:
    if any(task.stage.broken for task in tasks):
        return ExitCode.FAILED
    return ExitCode.DONE


def _say_next_steps(plugin: app.App, run: RestoreRun) -> None:
    """Print the report's next steps, each command once and on a line of its own."""
    try:
        report = read_document(plugin.restore_points.store(run), f"{prefix(run)}{REPORT}", Report)
    except VmServiceError:
        return  # it is not stored, which the report's own line tells
    for step in report.to_do:
        terminal.say(f"next step: {step.words}")
        for command in step.commands:
            terminal.say(f"  {command}")
