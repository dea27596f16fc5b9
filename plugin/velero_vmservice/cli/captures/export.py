"""`velero-vmservice captures export`: a capture as YAML for kustomize and GitOps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from velero_vmservice.captures.contents import read_contents
from velero_vmservice.captures.inspection import export as exporting
from velero_vmservice.cli import access
from velero_vmservice.cli.captures import view
from velero_vmservice.cli.captures.naming import CaptureName, capture_names
from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.options import examples, namespace_mapping
from velero_vmservice.cli.views import terminal
from velero_vmservice.errors import NotRestorable
from velero_vmservice.text import enumerate_some, on_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.captures.inspection.export import ExportedFile

_STANDARD_OUTPUT = "-"


@click.command(
    epilog=examples(
        "captures export nightly application/",
        "captures export nightly/20261130T040000Z - --namespace-mapping shop:shop-test",
    )
)
@click.argument("capture", type=CaptureName(), shell_complete=capture_names())
@click.argument("directory", metavar="DIR|-")
@namespace_mapping
@click.option("--power-state", is_flag=True, help="Give groups their captured power state: applying them powers VMs.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@view.location
def export(
    capture: str, directory: str, mapping: Mapping[str, str], *, power_state: bool, force: bool, location: str
) -> None:
    """Write the objects of CAPTURE as plain YAML into DIR, with a kustomization.yaml, or to standard output with -.

    The objects are what a restore would create, without status, owners and power state, parent groups first and
    services last. The file and standard error say what kubectl and GitOps do not wait for.
    """
    _, plugin = access.connect()
    contents = read_contents(view.named_capture(plugin, capture, location=location))
    contents.demand_whole()
    if unknown := sorted(mapping.keys() - {ref.namespace for ref in contents.objects}):
        raise WrongUsage(f"the capture holds no object of namespace {', '.join(unknown)}")
    if not contents.objects:
        raise NotRestorable(f"{contents.capture.run} holds no group and no service")
    manifests = exporting.exported(contents.objects, mapping=mapping, power_state=power_state)
    title = on_one_line(f"Exported from {contents.capture.run}: {contents.capture.where}")
    if directory == _STANDARD_OUTPUT:
        click.echo(exporting.stream(manifests, title=title, power_state=power_state), nl=False)
    else:
        written = exporting.files(manifests, title=title, power_state=power_state)
        _write(Path(directory), written, force=force)
        terminal.say(f"written: {len(manifests)} objects and {exporting.KUSTOMIZATION} in {directory}")
    for warning in (*exporting.WARNINGS, exporting.POWERED if power_state else exporting.UNPOWERED):
        terminal.remark(warning)


def _write(directory: Path, written: Sequence[ExportedFile], *, force: bool) -> None:
    """Write files; raises `WrongUsage`, with nothing written, where one is there and may not be overwritten."""
    there = [each.name for each in written if (directory / each.name).exists()]
    if there and not force:
        raise WrongUsage(
            f"{directory} has {enumerate_some(there, most=3)} already", hint="name another directory, or give --force"
        )
    try:
        for each in written:
            path = directory / each.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(each.text, encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"{error.filename} cannot be written: {error.strerror}") from None
