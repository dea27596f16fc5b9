"""`velero-vmservice preflight`: whether a backup made now could be restored, or a restore begin, by application."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from velero_vmservice.archive.findings import Verdict
from velero_vmservice.captures.matching.choosing import LATEST
from velero_vmservice.cli import access
from velero_vmservice.cli.access import NamespaceOption
from velero_vmservice.cli.captures.view import capture_option, location_of_capture, remark_lacks
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import OnceOption, examples, namespace_mapping, table_output
from velero_vmservice.cli.preflight.restoring import (
    chosen_applications,
    compared_table,
    mapping_into,
    read_state,
    restore_table,
    write_state,
)
from velero_vmservice.cli.preflight.view import checked_table
from velero_vmservice.cli.views import terminal
from velero_vmservice.preflight.checklist import CheckedNamespace, check, chosen
from velero_vmservice.preflight.choosing import named
from velero_vmservice.preflight.restoring import RestoreKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.cli.views.table import Output


@click.command(
    epilog=examples(
        "preflight -n shop",
        "preflight --all-namespaces -o wide",
        "preflight -n shop front -o json",
        "preflight --restore new --from nightly --into shop-test",
        "preflight --restore in-place --from latest shop --record before.json",
        "preflight --compare before.json",
    )
)
@click.argument("applications", nargs=-1, metavar="[APPLICATION]...")
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    cls=NamespaceOption,
    multiple=True,
    metavar="NS",
    help="A namespace to check; repeatable. That of the kubeconfig's context without it; all of a capture with --from.",
)
@click.option("-A", "--all-namespaces", is_flag=True, help="Every namespace that has VMs, groups or services.")
@click.option(
    "--restore",
    "kind",
    cls=OnceOption,
    type=click.Choice([kind.value for kind in RestoreKind]),
    help="Check instead what a restore of this kind requires.",
)
@capture_option(LATEST, help_text="What to restore: NAME, NAME/TIME or latest.")
@location_of_capture
@namespace_mapping
@click.option("--into", default="", metavar="NS", help="The namespace to restore into, for a capture of one namespace.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep the VMs and PVCs that a restore in place replaces in a new file.",
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Say after the restore what became of the PVCs that --record has kept.",
)
@table_output
def preflight(
    applications: tuple[str, ...],
    *,
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    kind: str | None,
    capture: str,
    location: str,
    mapping: Mapping[str, str],
    into: str,
    record: Path | None,
    compare: Path | None,
    output: Output,
) -> None:
    """Check whether a backup made now of each application could be restored, and why not; nothing is written.

    Checks that VMs are stable and recorded, PVCs bound, bootstrap objects there, members linked both ways and selectors
    matched; in vCenter, where the settings name one, that each record can be read. An APPLICATION is the name of one of
    its groups or services, or NAMESPACE/NAME. Exits with 3 if an application, or a VM in none, is not restorable.

    With --restore it checks before the VADP restore whether the capture could be restored in this way: release,
    namespace, VM classes, storage policies, names and BIOS UUIDs; in place, that the VMs are there and newer. Nothing
    is powered off.
    """
    restoring = bool(capture or location or mapping or into or record)
    if compare:
        if kind or restoring or applications or namespaces or all_namespaces:
            raise WrongUsage("--compare stands alone", hint="the file names the VMs and PVCs")
        state = read_state(compare)
        _, plugin = access.connect()
        compared_table(state, plugin.before_restore.compare(state)).show(output)
        return
    if kind is None:
        if restoring:
            raise WrongUsage("--restore is missing", hint="say how the VMs are to be restored: new, in-place, failover")
        namespaces = access.chosen_namespaces(namespaces, every=all_namespaces)
        sys.exit(_before_backup(applications, namespaces, output))
    if not capture:
        raise WrongUsage("--from is missing", hint="name the capture that is to be restored")
    if record and kind != RestoreKind.IN_PLACE:
        raise WrongUsage("--record keeps what a restore in place replaces", hint="leave it out")
    _, plugin = access.connect()
    chosen_capture = named(plugin.catalogue, plugin.capture_choice, capture, applications, location=location)
    captured = chosen_capture.captured
    for sentence in chosen_capture.remarks:
        terminal.remark(sentence)
    remark_lacks(captured.capture.ref, chosen_capture.lacks)
    chosen_kind = RestoreKind(kind)
    mapped = mapping_into(mapping, into, captured, chosen_kind)
    judged = chosen_applications(captured, applications, namespaces)
    if record:
        write_state(record, plugin.before_restore.record(str(captured.capture.ref), judged))
    restore_check = plugin.before_restore.check(
        chosen_kind, captured, judged, mapping=mapped, recorded=record is not None
    )
    restore_table(restore_check, captured, record).show(output)
    sys.exit(_code(restore_check.verdicts))


def _before_backup(applications: Sequence[str], namespaces: Sequence[str], output: Output) -> ExitCode:
    _, plugin = access.connect()
    looks = plugin.looks
    checked = _chosen([check(live) for live in looks.look(namespaces)], applications)
    checked_table(checked, asked_vcenter=looks.asks_vcenter).show(output)
    return _code([each for namespace in checked for each in (*namespace.applications, *namespace.alone)])


def _code(verdicts: Iterable[ApplicationVerdict]) -> ExitCode:
    worst = {each.verdict for each in verdicts}
    return ExitCode.BLOCKED if Verdict.NOT_RESTORABLE in worst else ExitCode.DONE


def _chosen(checked: Sequence[CheckedNamespace], names: Sequence[str]) -> Sequence[CheckedNamespace]:
    """Return what bears one of the names, or everything; raises `WrongUsage` for a name that nothing bears."""
    if not names:
        return checked
    known = sorted(f"{each.namespace}/{each.name}" for namespace in checked for each in namespace.applications)
    for name in names:
        if not any(chosen(namespace, [name]).applications or chosen(namespace, [name]).alone for namespace in checked):
            raise WrongUsage(
                f"there is no application {name}", hint=f"there are: {', '.join(known)}" if known else "there is none"
            )
    return [chosen(namespace, names) for namespace in checked]
