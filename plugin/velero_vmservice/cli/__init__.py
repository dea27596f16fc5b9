"""The command `velero-vmservice`: one module per command, errors as sentences."""

from __future__ import annotations

import sys

import click

from velero_vmservice import __version__, logs
from velero_vmservice.cli.install_launcher import install_launcher_command
from velero_vmservice.cli.plan import plan
from velero_vmservice.cli.registration import registration
from velero_vmservice.cli.report import report
from velero_vmservice.cli.restore import restore
from velero_vmservice.cli.serve import serve
from velero_vmservice.core.errors import VmServiceError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="velero-plugin-for-vmservice")
def commands() -> None:
    """Back up and restore the application around vSphere VM Service machines."""
    logs.configure("warning")  # for a person; `serve` tells more


commands.add_command(serve)
commands.add_command(install_launcher_command)
commands.add_command(plan)
commands.add_command(restore)
commands.add_command(report)
commands.add_command(registration)


def main() -> None:
    """Run a command; a known error is one sentence on standard error and exit code 1."""
    try:
        commands()
    except VmServiceError as error:
        click.echo(f"velero-vmservice: {error}", err=True)
        sys.exit(1)


__all__ = ["commands", "main"]
