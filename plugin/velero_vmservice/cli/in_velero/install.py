"""`velero-vmservice install DIR` and `install-launcher DIR`: what a container of Velero's pod puts into its volume."""

from __future__ import annotations

from pathlib import Path

import click

from velero_vmservice.cli.options import examples
from velero_vmservice.cli.views import terminal
from velero_vmservice.rpc.bundle import install_bundle
from velero_vmservice.rpc.launcher import install_launcher
from velero_vmservice.vmoperator.marks import PLUGIN_NAME


@click.command(epilog=examples("install /target"))
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def install(directory: Path) -> None:
    """Install the plugin with all that it needs into DIRECTORY, Velero's plugins volume; repeatable."""
    outcome = install_bundle(directory)
    terminal.say(f"{directory / PLUGIN_NAME}: {outcome}")


@click.command("install-launcher", epilog=examples("install-launcher /plugins"))
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def install_launcher_command(directory: Path) -> None:
    """Install the launcher for this processor into DIRECTORY; an identical one is left alone."""
    outcome = install_launcher(directory)
    terminal.say(f"{directory / PLUGIN_NAME}: {outcome}")
