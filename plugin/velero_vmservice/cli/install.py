"""`velero-vmservice install DIR`: what the image does as an init container of Velero's pod."""

from __future__ import annotations

from pathlib import Path

import click

from velero_vmservice.cli.views import terminal
from velero_vmservice.rpc.bundle import install_bundle
from velero_vmservice.vmoperator.marks import PLUGIN_NAME


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def install(directory: Path) -> None:
    """Install the plugin with all that it needs into DIRECTORY, Velero's plugins volume; repeatable."""
    outcome = install_bundle(directory)
    terminal.say(f"{directory / PLUGIN_NAME}: {outcome}")
