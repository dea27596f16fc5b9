"""`velero-vmservice captures show`: what one capture holds, application by application."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from velero_vmservice.captures.contents import read_contents
from velero_vmservice.captures.selection import Entry
from velero_vmservice.cli import access
from velero_vmservice.cli.captures import view
from velero_vmservice.cli.captures.naming import CaptureName, capture_names
from velero_vmservice.cli.exit_codes import ExitCode
from velero_vmservice.cli.options import examples, table_output
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.captures.contents import Contents
    from velero_vmservice.cli.views.table import Output

_COLUMNS: Final = (
    Column("APPLICATION"),
    Column("VERDICT"),
    Column("OBJECT"),
    Column("NEEDS", wide=True),
    Column("VERSION"),
    Column("FINDINGS"),
)


@click.command(
    epilog=examples(
        "captures show nightly-20261130t040000z",
        "captures show nightly/20261130T040000Z -o json",
    )
)
@click.argument("capture", type=CaptureName(), shell_complete=capture_names())
@view.location
@table_output
def show(capture: str, *, location: str, output: Output) -> None:
    """Show what CAPTURE holds: its applications with their verdicts, objects, VMs and findings.

    Every document is read and checked against the seal. Exits with 3 if the capture has no seal, or a damaged document.
    """
    _, plugin = access.connect()
    contents = read_contents(view.named_capture(plugin, capture, location=location))
    applications = contents.applications()
    for key, fault in sorted(contents.faults.items()):
        terminal.remark(f"not read: {key}: {fault.message}")
    Table(
        columns=_COLUMNS,
        rows=list(_rows(contents, applications)),
        document=_document(contents, applications),
        above=list(_above(contents)),
        below=list(_below(contents)),
    ).show(output)
    sys.exit(ExitCode.DONE if contents.seal and not contents.faults else ExitCode.BLOCKED)


def _above(contents: Contents) -> Iterator[str]:
    capture = contents.capture
    entry = Entry(capture=capture, seal=contents.seal)
    yield f"capture: {capture.ref} (made by {capture.run.maker.value})"
    yield f"where: {capture.where}"
    yield f"sealed: {contents.seal.sealed_at if contents.seal else 'no'}"
    yield f"namespaces: {enumerate_some(list(entry.namespaces)) or '-'}"
    yield f"cluster: {view.cluster(contents.seal) or '-'}"
    yield f"VADP job: {entry.job or '-'}, restore point: {entry.restore_point or '-'}"
    if entry.tags:
        yield f"tags: {', '.join(f'{key}={value}' for key, value in sorted(entry.tags.items()))}"


def _below(contents: Contents) -> Iterator[str]:
    seal = contents.seal
    if seal is None:
        yield "the capture has no usable seal, and is never restored without one by this command line"
        return
    for missed in seal.not_captured:
        yield f"not captured: {missed.kind} {missed.namespace}/{missed.name}, to which {', '.join(missed.vms)} belong"
    for resource, count in seal.withheld.items():
        about = "" if seal.withheld_complete else " at least"
        yield f"left to the Supervisor:{about} {count} {resource}"
    if seal.not_backed_up:
        yield f"nothing creates these again: {', '.join(seal.not_backed_up)}"
    for key in contents.unlisted:
        yield f"not in the seal: {key}"


def _rows(contents: Contents, applications: Sequence[ApplicationVerdict]) -> Iterator[Row]:
    for application in applications:
        for kind, name in _parts(application):
            yield _row(contents, application, kind, name)


def _parts(application: ApplicationVerdict) -> Sequence[tuple[str, str]]:
    """Return kind and name of its objects and VMs."""
    objects = [(part.kind, part.name) for part in application.objects]
    return [*objects, *((VIRTUAL_MACHINE.name, vm) for vm in application.vms)]


def _row(contents: Contents, application: ApplicationVerdict, kind: str, name: str) -> Row:
    namespace = application.namespace
    alone = application.kind == VIRTUAL_MACHINE.name
    return Row(
        name=f"{kind}/{namespace}/{name}",
        cells=(
            "" if alone else f"{namespace}/{application.name}",
            application.verdict,
            f"{kind} {namespace}/{name}",
            ",".join(_needs(contents, kind, namespace, name)),
            _version(contents, namespace, name) if kind == VIRTUAL_MACHINE.name else "",
            Sentences(*_findings(application, kind, name)),
        ),
    )


def _needs(contents: Contents, kind: str, namespace: str, name: str) -> Sequence[str]:
    for ref, capture in contents.objects.items():
        if (ref.kind.name, ref.namespace, ref.name) == (kind, namespace, name):
            return capture.topology.needs
    return ()


def _version(contents: Contents, namespace: str, name: str) -> str:
    sealed = contents.seal.vadp.machines.get(f"{namespace}/{name}", "") if contents.seal else ""
    facts = contents.namespaces.get(namespace)
    known = facts.by_name.get(name) if facts else None
    return sealed or (known.backup_version if known else "")


def _findings(application: ApplicationVerdict, kind: str, name: str) -> Iterator[str]:
    """Yield the reasons about one part; those about none of the parts stand at the application's own object."""
    parts = _parts(application)
    for finding in application.reasons:
        subject = (finding.kind, finding.name)
        if subject == (kind, name):
            yield finding.message
        elif subject not in parts and (application.kind, application.name) == (kind, name):
            yield finding.sentence(application.namespace)


def _document(contents: Contents, applications: Sequence[ApplicationVerdict]) -> Mapping[str, Any]:
    seal = contents.seal
    fault = contents.faults.get(contents.capture.run.seal_key)
    return {
        **view.described(contents.capture, seal, fault),
        "applications": [application.model_dump(mode="json") for application in applications],
        "objects": [
            {
                "kind": ref.kind.name,
                "namespace": ref.namespace,
                "name": ref.name,
                "vms": list(captured.topology.needs),
                "findings": [finding.model_dump(mode="json") for finding in captured.findings],
                "dropped": [change.model_dump(mode="json") for change in captured.dropped],
                "before": captured.observed.model_dump(mode="json"),
            }
            for ref, captured in contents.objects.items()
        ],
        "vms": dict(seal.vadp.machines) if seal else {},
        "without_application": list(seal.without_application) if seal else [],
        "not_captured": [missed.model_dump(mode="json") for missed in seal.not_captured] if seal else [],
        "left_to_the_supervisor": dict(seal.withheld) if seal else {},
        "not_backed_up": list(seal.not_backed_up) if seal else [],
        "unread": [
            {"key": key, "error": error.message, "hint": error.hint} for key, error in sorted(contents.faults.items())
        ],
        "not_in_the_seal": list(contents.unlisted),
    }
