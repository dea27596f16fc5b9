"""`velero-vmservice plan`: what a restore would do, object by object, before it starts."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.archive.networks import recorded_networks
from velero_vmservice.cli.access import live
from velero_vmservice.cli.captures.choice import choice_of_capture
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import examples, namespace_mapping, restore_policies, table_output
from velero_vmservice.cli.registration.override import demand_supported, remark_unmatched
from velero_vmservice.cli.restore_target import beyond_words, demand_known, target
from velero_vmservice.cli.views import networks, terminal
from velero_vmservice.cli.views.table import Column, Output, Row, Sentences, Table
from velero_vmservice.cli.views.vadp import with_vadp
from velero_vmservice.kube.manifest import BACKUP
from velero_vmservice.restore.dry_run import planned_vms
from velero_vmservice.restore.model import Action
from velero_vmservice.restore.policy import for_restore
from velero_vmservice.vmoperator.releases import Feature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice.archive.networks import RecordedNetwork
    from velero_vmservice.cli.captures.choice import Chosen
    from velero_vmservice.cli.restore_target import Target
    from velero_vmservice.documents import Dropped
    from velero_vmservice.restore.dry_run import Planned
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.vmoperator.releases import SupervisorRelease

REFUSED: Final = (Action.CONFLICT, Action.BLOCKED)
_COLUMNS: Final = (
    Column("ACTION"),
    Column("OBJECT"),
    Column("VMS"),
    Column("DIFFERENCES", wide=True),
    Column("DROPPED", wide=True),
    Column("WHY"),
)


@click.command(
    epilog=examples(
        "plan nightly",
        "plan --from match -n shop",
        "plan nightly --namespace-mapping shop:shop-dr --policy mode=strict -o wide",
        "plan nightly --register --network-override subnet/prod-a=subnet/dr-a",
    )
)
@click.argument("backup", required=False, shell_complete=live(BACKUP))
@choice_of_capture
@namespace_mapping
@restore_policies
@table_output
def plan(
    backup: str | None,
    mapping: Mapping[str, str],
    policy: Mapping[str, str],
    choice: Chosen,
    *,
    output: Output,
) -> None:
    """Show what a restore of BACKUP, or of another capture with --from, would do now; nothing is written.

    Every object gets one of create, skip-identical, update, retain, wait, conflict, blocked, with the reason; what
    would be written is tried against the API server and its webhooks without consequences. Exits with 3 if anything is
    in conflict or blocked. The networks that the VMs were on are shown as --network-override names them.
    """
    if backup is None and not choice.capture:
        raise WrongUsage("name a BACKUP, or a capture with --from", hint="velero-vmservice plan --help")
    only_read = replace(choice, only_reads=True)
    sys.exit(show_plan(target(backup, None, mapping, only_read, policy), mapping, output))


def show_plan(target: Target, mapping: Mapping[str, str], output: Output) -> ExitCode:
    """Print the plan of a restore; `mapping` is that of the command line. Raises what reading the capture raises."""
    plugin, run = target.plugin, target.run
    effective = plugin.replays.policy(run)
    replays = plugin.backup_objects.captured(run, target.manifest.spec)
    demand_known(mapping, replays)
    if beyond := plugin.backup_objects.beyond(run, replays):
        terminal.remark(beyond_words(plugin.restore_points.backup(run), beyond))
    restore_choice = for_restore(run, effective)
    demand_supported(plugin, restore_choice, {replay.target for replay in replays})
    planned, release = plugin.planning.plan(replays, run, effective), plugin.capabilities.generation()
    left_out = plugin.backup_objects.not_in_backup(replays, run)
    recorded = recorded_networks(planned_vms(planned))
    remark_unmatched(plugin, restore_choice, recorded)
    table = _table(planned, effective, release, left_out, recorded)
    with_vadp(table, plugin.restore_points.seal(run).vadp).show(output)
    return ExitCode.BLOCKED if any(entry.step.action in REFUSED for entry in planned) else ExitCode.DONE


def _table(
    planned: Sequence[Planned],
    policy: RestorePolicy,
    target: SupervisorRelease,
    left_out: Sequence[str],
    recorded: Sequence[RecordedNetwork],
) -> Table:
    return Table(
        columns=_COLUMNS,
        rows=[_row(entry) for entry in planned],
        document={**_document(planned, policy, target, left_out), "networks": networks.document(recorded)},
        above=(
            f"target: {target.generation} ({target.evidence})",
            f"policy: {', '.join(f'{key}={value}' for key, value in policy.printed().items())}",
        ),
        below=[*(f"left out: {text}" for text in left_out), *networks.lines(recorded)],
    )


def _row(entry: Planned) -> Row:
    ref, step = entry.ref, entry.step
    return Row(
        name=f"{ref.kind.name}/{ref.namespace}/{ref.name}".rstrip("/"),
        cells=(
            str(step.action),
            str(ref),
            f"{step.ready}/{step.total}" if step.total else "",
            ",".join(difference.path for difference in step.differences),
            ",".join(change.path for change in _dropped(entry)),
            Sentences(*_sentences(entry)),
        ),
    )


def _document(
    planned: Iterable[Planned], policy: RestorePolicy, target: SupervisorRelease, left_out: Sequence[str]
) -> Mapping[str, Any]:
    features = {str(feature): target.supports(feature) for feature in Feature}
    objects = [
        {
            "kind": entry.ref.kind.name,
            "namespace": entry.ref.namespace,
            "name": entry.ref.name,
            "action": entry.step.action,
            "reason": entry.step.reason,
            "remedy": entry.step.remedy.sentence,
            "warnings": _warnings(entry),
            "machines": {"ready": entry.step.ready, "total": entry.step.total},
            "differences": [
                {"path": difference.path, "captured": difference.wanted, "live": difference.live}
                for difference in entry.step.differences
            ],
            "dropped": [{"path": change.path, "reason": change.reason} for change in _dropped(entry)],
        }
        for entry in planned
    ]
    supervisor = {"generation": target.generation, "evidence": target.evidence, "features": features}
    return {
        "target": supervisor,
        "policy": policy.printed(),
        "objects": objects,
        "not_in_backup": list(left_out),
    }


def _dropped(planned: Planned) -> Sequence[Dropped]:
    return planned.source.dropped if planned.source else ()


def _sentences(planned: Planned) -> tuple[str, ...]:
    refused = planned.step.action in REFUSED
    why = planned.step.remedy.after(planned.step.reason) if refused else planned.step.reason
    return (why, *(f"note: {warning}" for warning in _warnings(planned)))


def _warnings(planned: Planned) -> list[str]:
    return [*(planned.source.remarks if planned.source else ()), *planned.step.mind]
