"""`velero-vmservice drill`: rehearse a restore on a working day, and show the drills that are stored."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from velero_vmservice import app
from velero_vmservice.captures.matching.choosing import LATEST, MATCH
from velero_vmservice.cli import access
from velero_vmservice.cli.captures.naming import CaptureName
from velero_vmservice.cli.captures.view import capture_option, location_of_capture, remark_lacks
from velero_vmservice.cli.drill.view import drill_table, list_table
from velero_vmservice.cli.exit_codes import ExitCode, worst
from velero_vmservice.cli.options import (
    by_default,
    examples,
    namespace_mapping,
    table_or_page,
    table_output,
)
from velero_vmservice.cli.preflight.restoring import chosen_applications, mapping_into
from velero_vmservice.cli.views import buckets, terminal
from velero_vmservice.cli.views.progress import progress_of
from velero_vmservice.drill.model import DrillVerdict
from velero_vmservice.drill.rehearsal import DrillRequest
from velero_vmservice.errors import NotFound, VmServiceError
from velero_vmservice.preflight.choosing import matching, named
from velero_vmservice.preflight.restoring import RestoreKind
from velero_vmservice.settings.access import LoginChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.cli.views.table import Output
    from velero_vmservice.preflight.captured import CapturedApplications

CODES: Final[Mapping[str, ExitCode]] = {
    DrillVerdict.READY: ExitCode.DONE,
    DrillVerdict.WITH_WARNINGS: ExitCode.DONE,
    DrillVerdict.INCOMPLETE: ExitCode.NO_ANSWER,
    DrillVerdict.NOT_READY: ExitCode.BLOCKED,
}


@click.group(cls=by_default("run"))
def drill() -> None:
    """Rehearse a restore (drill run), or show the drills that are stored (drill list, drill show)."""


@drill.command(
    epilog=examples(
        "drill run",
        "drill shop/front --into shop-drill",
        "drill run --from match --into shop-drill -o wide",
        "drill run --from nightly --target-context other-supervisor",
    )
)
@click.argument("applications", nargs=-1, metavar="[APPLICATION]...")
@capture_option(
    LATEST,
    MATCH,
    default=LATEST,
    help_text="What to restore: NAME, NAME/TIME, latest (sealed, with the applications), or match (fits the live VMs"
    " best).",
)
@location_of_capture
@namespace_mapping
@click.option("--into", default="", metavar="NS", help="The namespace to try in, for a capture of one namespace.")
@click.option("--target-context", default="", metavar="NAME", help="Drill against the Supervisor of this context.")
@click.option("--target-kubeconfig", default="", metavar="FILE", help="The kubeconfig that this context is in.")
@table_or_page
def run(
    applications: tuple[str, ...],
    *,
    capture: str,
    location: str,
    mapping: Mapping[str, str],
    into: str,
    target_context: str,
    target_kubeconfig: str,
    output: Output,
) -> None:
    """Rehearse a restore of a capture, or of its APPLICATIONS; nothing is created, nothing is powered on.

    Plans the restore, tries every group and service by a server-side dry run, checks the target as preflight --restore
    new does, looks at the VMs' records in vCenter where the settings name one, and stores a report. Without a mapping
    it tries in the namespaces of the capture, where the objects may still live; the namespace has to exist.

    Exits with 3 if a restore would not succeed, with 1 if a part could not be tried.
    """
    settings, plugin = access.connect()
    captured = _captured(plugin, capture, applications, location)
    chosen = chosen_applications(captured, applications, ())
    request = DrillRequest(
        captured=captured,
        applications=chosen,
        chosen=applications,
        mapping=mapping_into(mapping, into, captured, RestoreKind.NEW),
    )
    if target_context or target_kubeconfig:
        login = LoginChoice(kubeconfig=target_kubeconfig or access.current().login.kubeconfig, context=target_context)
        site = app.towards(plugin, settings, login=login).drill_site(other=True)
    else:
        site = plugin.drill_site()
    with progress_of("trying objects") as reached:
        report = plugin.rehearsing.rehearse(request, site, tried=reached)
    stored, page, code = "", "", CODES[report.verdict]
    try:
        drill = plugin.drills.keep(report, captured.capture.store)
        stored, page = drill.where, drill.page
    except VmServiceError as error:
        terminal.remark(f"the report is not stored: {error.message}")
        code = worst(code, ExitCode.NO_ANSWER)
    drill_table(report, where=stored, page=page).show(output)
    sys.exit(code)


def _captured(plugin: app.App, capture: str, applications: tuple[str, ...], location: str) -> CapturedApplications:
    """Return the capture that is named, or the one that a word stands for, which is printed."""
    if capture != MATCH:
        chosen = named(plugin.catalogue, plugin.capture_choice, capture, applications, location=location)
    else:
        chosen = matching(plugin.capture_choice, applications, location=location)
    for sentence in chosen.remarks:
        terminal.remark(sentence)
    ref = chosen.captured.capture.ref
    if capture in (LATEST, MATCH):
        terminal.remark(f"the capture is {ref}")
    remark_lacks(ref, chosen.lacks)
    return chosen.captured


@drill.command("list", epilog=examples("drill list", "drill list nightly -o wide"))
@click.argument("name", default="", type=CaptureName(""))
@table_output
def list_(name: str, *, output: Output) -> None:
    """List the drills in the buckets, the newest first, or those of the capture NAME."""
    _, plugin = access.connect()
    stored = plugin.drills.list(name)
    buckets.remark_unread(stored.unread)
    if not stored.drills and output.tabular:
        if stored.unread:
            raise stored.unread[0]
        raise NotFound(
            f"no drill of {name} is stored" if name else "no drill is stored",
            hint="make one: velero-vmservice drill run",
        )
    list_table(stored.drills).show(output)


@drill.command(epilog=examples("drill show nightly", "drill show nightly/20261130T040000Z -o html > drill.html"))
@click.argument("reference", metavar="DRILL", type=CaptureName())
@table_or_page
def show(reference: str, *, output: Output) -> None:
    """Show DRILL again, NAME or NAME/TIME: what was tried, and the result."""
    _, plugin = access.connect()
    stored = plugin.drills.find(reference)
    drill_table(stored.read(), where=stored.where, page=stored.page).show(output)
