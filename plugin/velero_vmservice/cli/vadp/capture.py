"""`velero-vmservice capture`: the groups and services of namespaces, captured while a VADP job runs, without Velero."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any, Final

import click

from velero_vmservice.archive.findings import Verdict
from velero_vmservice.cli import access
from velero_vmservice.cli.access import NamespaceOption
from velero_vmservice.cli.captures.view import lack_document, location_option, remark_lacks, vadp_job_option
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import examples, pairs, table_output
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.errors import InvalidItem, VmServiceError
from velero_vmservice.kube.label_selector import label_selector
from velero_vmservice.text import enumerate_some
from velero_vmservice.vadp.capturing import CaptureRequest
from velero_vmservice.vadp.job_list import MAX_BYTES, compare, read_job_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.app import App
    from velero_vmservice.captures.matching.shortfall import Lack
    from velero_vmservice.cli.views.table import Output
    from velero_vmservice.vadp.capturing import JobVm, TakenCapture
    from velero_vmservice.vadp.job_list import JobComparison

_COLUMNS: Final = (Column("VM"), Column("BACKUP VERSION", wide=True), Column("IN JOB"), Column("APPLICATION"))


@click.command(
    epilog=examples(
        "capture -n shop --vadp-job nightly",
        "capture --all-namespaces --vadp-job nightly --restore-point 4711 -o json",
        "capture -n shop -l app=web --job-vms job-vms.txt",
    )
)
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    cls=NamespaceOption,
    multiple=True,
    metavar="NS",
    help="A namespace to capture; repeatable. That of the kubeconfig's context without it.",
)
@click.option("-A", "--all-namespaces", is_flag=True, help="Every namespace that has VMs, groups or services.")
@click.option("-l", "--selector", default="", metavar="SELECTOR", help="Only objects and VMs with these labels.")
@vadp_job_option("The VADP job that saves the VMs.")
@click.option("--restore-point", default="", metavar="ID", help="The restore point of that job, where it is known.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", callback=pairs("="), help="A note; repeatable.")
@location_option("The BackupStorageLocation to store in, where there is one.")
@click.option(
    "--allow-empty",
    is_flag=True,
    help="Seal a capture without VM, group and service too; without it, exit with 3.",
)
@click.option(
    "--job-vms",
    type=click.File("rb"),
    metavar="FILE",
    help="The VMs that the job saves, one name per line (- for standard input): exits with 3 if it lacks one.",
)
@table_output
def capture(
    namespaces: tuple[str, ...],
    *,
    all_namespaces: bool,
    selector: str,
    job: str,
    restore_point: str,
    tags: Mapping[str, str],
    location: str,
    allow_empty: bool,
    job_vms: IO[bytes] | None,
    output: Output,
) -> None:
    """Capture groups and services without Velero; print every VM that belongs in the same VADP job.

    Each object is stored durably, then all are sealed and read back. Repeating the command makes another capture; one
    that was stopped half-way is never restored. A note names what it lacks of the last sealed one of its name. Stores
    in the settings' bucket, else in Velero's default location.
    """
    namespaces = access.chosen_namespaces(namespaces, every=all_namespaces)
    request = CaptureRequest(
        namespaces=namespaces,
        selector=_selector(selector),
        selector_text=selector,
        job=job,
        restore_point=restore_point,
        tags=tags,
        location=location,
        allow_empty=allow_empty,
    )
    listed = None if job_vms is None else _listed(job_vms)
    _, plugin = access.connect()
    taken = plugin.capturing.take(request)
    comparison = None if listed is None else compare(taken.vms, listed)
    _remark(taken, comparison)
    lacks = _since_last(plugin, taken)
    Table(
        columns=_COLUMNS,
        rows=[_row(vm, comparison) for vm in taken.vms],
        document={**_document(taken, comparison), "lacks": None if lacks is None else list(map(lack_document, lacks))},
        above=list(_above(taken)),
        below=list(_below(taken, comparison)),
    ).show(output)
    sys.exit(ExitCode.BLOCKED if comparison and comparison.missing else ExitCode.DONE)


def _since_last(plugin: App, taken: TakenCapture) -> Sequence[Lack] | None:
    """Remark what the capture lacks of the last one; None where they cannot be compared, which fails no capture."""
    try:
        lacks = plugin.capture_choice.since_last(taken.ref)
    except VmServiceError as error:
        terminal.remark(f"the capture is not compared with the last one of its name: {error.message}")
        return None
    remark_lacks(taken.ref, lacks)
    return lacks


def _selector(written: str) -> Mapping[str, Any]:
    try:
        return label_selector(written)
    except InvalidItem as error:
        raise WrongUsage(error.message, hint=error.hint) from None


def _listed(job_vms: IO[bytes]) -> Sequence[str]:
    try:
        return read_job_list(job_vms.read(MAX_BYTES + 1))
    except InvalidItem as error:
        raise WrongUsage(f"the list of VMs in {job_vms.name}: {error.message}", hint=error.hint) from None
    except UnicodeDecodeError:
        raise WrongUsage(
            f"the list of VMs in {job_vms.name} is no text", hint="write one name a line, in UTF-8 or UTF-16"
        ) from None


def _above(taken: TakenCapture) -> Iterator[str]:
    for entry in taken.objects:
        count = len(entry.capture.topology.needs)
        yield f"captured: {entry.ref} ({count} VM{'s' * (count != 1)})"
    for left in taken.left_out:
        yield f"left out: {left.ref}: {left.reason}"
    yield f"sealed: {taken.ref} ({len(taken.objects)} objects): {taken.where}"


def _remark(taken: TakenCapture, comparison: JobComparison | None) -> None:
    for entry in taken.objects:
        for finding in entry.capture.findings:
            if finding.severity == "warning":
                terminal.remark(finding.sentence(entry.ref.namespace))
    for missed in taken.seal.not_captured:
        vms = ", ".join(missed.vms)
        terminal.remark(f"{missed.kind} {missed.namespace}/{missed.name} is not captured, though it has VMs: {vms}")
    for name in comparison.ambiguous if comparison else ():
        terminal.remark(f"the job lists {name}, a name that several VMs have: list it as NAMESPACE/NAME")
    if comparison and comparison.others:
        terminal.remark(f"the job also lists what this capture has no VM of: {enumerate_some(list(comparison.others))}")


def _below(taken: TakenCapture, comparison: JobComparison | None) -> Iterator[str]:
    alone = sum(not vm.applications for vm in taken.vms)
    if not taken.vms:
        yield "no VM belongs in the VADP job"
    elif alone:
        yield f"{alone} of {len(taken.vms)} VMs have no application, and belong in the VADP job all the same"
    for each in taken.seal.applications or ():
        if each.verdict == Verdict.NOT_RESTORABLE:
            yield f"not restorable: {each.namespace}/{each.name}: {each.blocking_reasons()}"
    if comparison and comparison.missing:
        names = ", ".join(map(str, comparison.missing))
        yield f"the job does not save {len(comparison.missing)} of {len(taken.vms)} VMs: {names}"


def _row(vm: JobVm, comparison: JobComparison | None) -> Row:
    saved = "-"
    if comparison is not None:
        saved = "no" if vm in comparison.missing else "yes"
    return Row(name=str(vm), cells=(str(vm), vm.backup_version, saved, Sentences(", ".join(vm.applications))))


def _document(taken: TakenCapture, comparison: JobComparison | None) -> Mapping[str, Any]:
    seal, ref = taken.seal, taken.ref
    return {
        "capture": str(ref),
        "name": ref.name,
        "started": ref.started,
        "location": ref.location,
        "where": taken.where,
        "namespaces": list(seal.taken.namespaces) if seal.taken else [],
        "tags": dict(seal.taken.tags) if seal.taken else {},
        "vadp": {"job": seal.vadp.job, "restore_point": seal.vadp.restore_point},
        "objects": [
            {
                "kind": entry.ref.kind.name,
                "namespace": entry.ref.namespace,
                "name": entry.ref.name,
                "vms": list(entry.capture.topology.needs),
                "findings": [finding.model_dump() for finding in entry.capture.findings],
            }
            for entry in taken.objects
        ],
        "left_out": [{"object": str(left.ref), "reason": left.reason} for left in taken.left_out],
        "applications": [each.model_dump(mode="json") for each in seal.applications or ()],
        "not_captured": [missed.model_dump(mode="json") for missed in seal.not_captured],
        "vms": [
            {
                "namespace": vm.namespace,
                "name": vm.name,
                "backup_version": vm.backup_version,
                "applications": list(vm.applications),
            }
            for vm in taken.vms
        ],
        "job_list": None
        if comparison is None
        else {
            "missing": [str(vm) for vm in comparison.missing],
            "ambiguous": list(comparison.ambiguous),
            "others": list(comparison.others),
        },
    }
