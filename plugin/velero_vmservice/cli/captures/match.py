"""`velero-vmservice match`: the captures, ranked by how well they fit the VMs that a VADP product has brought back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.archive.schema import moment
from velero_vmservice.captures.matching import ranking
from velero_vmservice.captures.matching.choosing import MatchRequest
from velero_vmservice.captures.matching.evidence import Fit, Presence, counted
from velero_vmservice.cli import access
from velero_vmservice.cli.captures.view import lack_clause, lack_document, location, vadp_job_option
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import (
    examples,
    from_cluster,
    namespace_mapping,
    namespaces_option,
    read_time,
    table_output,
)
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.progress import progress_of
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.vmoperator.backup_version import recorded_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.captures.matching.choosing import Ranking
    from velero_vmservice.captures.matching.evidence import VmEvidence
    from velero_vmservice.captures.matching.ranking import Match
    from velero_vmservice.cli.views.table import Output

_COLUMNS: Final = (
    Column("FIT"),
    Column("CAPTURE"),
    Column("VADP JOB"),
    Column("RESTORE POINT"),
    Column("MADE BY", wide=True),
    Column("VMS"),
    Column("EVIDENCE"),
)
_STYLES: Final = {Fit.EXACT: "green", Fit.OLDER: "green", Fit.PARTIAL: "green", Fit.NEWER: "yellow"}
_MOST_VMS: Final = 20
"""VMs of the best capture that are listed below the table; the JSON has all of them."""


@click.command(
    epilog=examples(
        "match -n shop",
        "match -n shop --application web -o wide",
        "match --restore-point 4711 --vadp-job nightly",
        "match --time 2026-11-30T04:00:00Z -o name",
    )
)
@namespaces_option("A namespace of the captures; repeatable. All namespaces without it.")
@click.option("--application", default="", metavar="NAME", help="Compare only the VMs of this application.")
@click.option("--restore-point", default="", metavar="ID", help="Rank by this restore point of the VADP job.")
@vadp_job_option("The VADP job of the --restore-point.")
@click.option(
    "--time", default="", callback=read_time, metavar="TIME", help="Rank by the time of the restore point, UTC."
)
@namespace_mapping
@from_cluster
@location
@table_output
def match(
    namespaces: tuple[str, ...],
    *,
    application: str,
    restore_point: str,
    job: str,
    time: str,
    mapping: Mapping[str, str],
    from_cluster: str,
    location: str,
    output: Output,
) -> None:
    """Rank the captures by how well they fit the VMs that are registered now, the best first.

    A capture is exact where every VM has the backup version that the capture has, older where a VM was recorded since,
    newer where a VM comes from an older restore point, and unrelated where the VMs of its names have other UUIDs. What
    cannot be compared is unknown. With --restore-point or --time the VMs are not looked at. Exits with 3 if no capture
    is known to fit.
    """
    if restore_point and time:
        raise WrongUsage("name a --restore-point or a --time, not both")
    if job and not restore_point:
        raise WrongUsage("--vadp-job says whose --restore-point is meant, and none is named")
    _, plugin = access.connect()
    request = MatchRequest(
        namespaces=namespaces,
        application=application,
        mapping=mapping,
        restore_point=restore_point,
        job=job,
        time=moment(time) if time else None,
        from_cluster=from_cluster,
        location=location,
    )
    with progress_of("reading captures") as reached:
        ranked = plugin.capture_choice.ranked(request, read=reached)
    for problem in ranked.problems:
        terminal.remark(problem)
    best = ranking.best(ranked.matches)
    Table(
        columns=_COLUMNS,
        rows=[_row(entry) for entry in ranked.matches],
        document={
            "best": str(best.candidate.ref) if best else None,
            "captures": list(map(_described, ranked.matches)),
            "not_compared": ranked.unread,
        },
        below=list(_below(ranked, best, location)),
    ).show(output)
    sys.exit(ExitCode.DONE if best else ExitCode.BLOCKED)


def _row(entry: Match) -> Row:
    candidate = entry.candidate
    return Row(
        name=str(candidate.ref),
        cells=(
            (str(entry.fit), _STYLES.get(entry.fit, "")),
            str(candidate.ref),
            candidate.job,
            candidate.restore_point,
            str(candidate.ref.maker),
            f"{entry.compared}/{len(entry.captured)}" if entry.vms else "",
            Sentences(*_evidence(entry)),
        ),
    )


def _evidence(entry: Match) -> Iterator[str]:
    clauses = (counted(entry.vms), str(entry.timing or ""), lack_clause(entry.lacks))
    yield from filter(None, clauses)


def _below(ranked: Ranking, best: Match | None, location: str) -> Iterator[str]:
    shown = best or ranked.matches[0]
    for vm in shown.vms[:_MOST_VMS]:
        yield f"{shown.candidate.ref}: {evidence_sentence(vm)}"
    if len(shown.vms) > _MOST_VMS:
        yield f"{len(shown.vms) - _MOST_VMS} more VMs: repeat the command with -o json"
    if ranked.unread:
        yield f"not compared: {ranked.unread} older captures"
    if best is None:
        yield "no capture is known to fit; name the one to restore: velero-vmservice restore --from CAPTURE"
    else:
        ref = best.candidate.ref
        is_alone = sum(str(entry.candidate.ref) == str(ref) for entry in ranked.matches) == 1
        where = f" --location {ref.location}" if ref.location and (location or not is_alone) else ""
        yield f"restore the best: velero-vmservice restore --from {ref}{where}"


def evidence_sentence(vm: VmEvidence) -> str:
    """Return what one VM says about a capture."""
    name = "/".join(vm.name)
    if vm.presence is Presence.MISSING:
        return f"{name} is not registered; the capture has {_version(vm.captured)}"
    if vm.presence is Presence.UNCAPTURED:
        return f"{name} has {_version(vm.live)}, and was not there when the capture was taken"
    uuids = f"UUIDs {vm.uuids}"
    return f"{name} has {_version(vm.live)}, the capture {_version(vm.captured)}; {uuids}"


def _version(version: str) -> str:
    if not version:
        return "no backup version"
    time = recorded_at(version)
    return f"backup version {version} ({time})" if time else f"backup version {version}"


def _described(entry: Match) -> dict[str, Any]:
    candidate = entry.candidate
    return {
        "capture": str(candidate.ref),
        "maker": candidate.ref.maker,
        "location": candidate.ref.location,
        "fit": entry.fit,
        "vadp": {"job": candidate.job, "restore_point": candidate.restore_point},
        "timing": entry.timing,
        "lacks": list(map(lack_document, entry.lacks)),
        "vms": [
            {
                "namespace": vm.name[0],
                "name": vm.name[1],
                "fit": vm.fit,
                "presence": vm.presence,
                "captured_version": vm.captured,
                "live_version": vm.live,
                "uuids": vm.uuids,
            }
            for vm in entry.vms
        ],
    }
