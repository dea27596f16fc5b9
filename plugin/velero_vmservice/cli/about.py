"""`velero-vmservice version` and `completion`: what is installed where, and how a shell completes what is typed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import get_completion_class

from velero_vmservice import __version__
from velero_vmservice.cli import access
from velero_vmservice.cli.exit_codes import ExitCode
from velero_vmservice.cli.options import examples, table_output
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.table import Column, Output, Row, Table
from velero_vmservice.errors import NotFound, VmServiceError
from velero_vmservice.kube.manifest import DEPLOYMENT, ObjectRef
from velero_vmservice.velero.deployment import VELERO, VeleroDeployment
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from velero_vmservice.velero.deployment import Container

_NOT_FOUND: Final = "not found"
_UNKNOWN: Final = "unknown"
_COMPLETE: Final = "_VELERO_VMSERVICE_COMPLETE"
"""The variable with which a shell asks click for completions of `velero-vmservice`."""


@click.command(epilog=examples("version", "version -o json"))
@table_output
def version(*, output: Output) -> None:
    """Show the versions of this command, of the plugin in the cluster and of Velero.

    Those of the cluster are the tags of the images in Velero's Deployment. Exits with 1 if the cluster cannot be asked.
    """
    code, installed = ExitCode.DONE, (_NOT_FOUND, _NOT_FOUND)
    try:
        installed = _of_cluster()
    except NotFound:
        pass
    except VmServiceError as error:
        terminal.remark(f"the cluster's versions are unknown: {error}")
        code, installed = ExitCode.NO_ANSWER, (_UNKNOWN, _UNKNOWN)
    versions = dict(zip(("client", "plugin", "velero"), (__version__, *installed), strict=True))
    Table(
        columns=(Column("COMPONENT"), Column("VERSION")),
        rows=[Row(component, (component, shown)) for component, shown in versions.items()],
        document=versions,
    ).show(output)
    sys.exit(code)


def _of_cluster() -> tuple[str, str]:
    """Return the versions of the plugin and of Velero; raises what the cluster raises."""
    settings, plugin = access.connect()
    if not settings.velero_namespace:
        return _NOT_FOUND, _NOT_FOUND
    ref = ObjectRef(DEPLOYMENT, settings.velero_namespace, VELERO)
    deployment = VeleroDeployment.read(plugin.cluster.get(ref))
    of_plugin = next((container for container in deployment.containers if container.is_of(PLUGIN_NAME)), None)
    return _version(of_plugin), _version(deployment.server)


def _version(container: Container | None) -> str:
    if container is None:
        return _NOT_FOUND
    return container.tag or f"{_UNKNOWN}: {container.image}"


@click.command(
    epilog=examples(
        "completion bash > ~/.local/share/bash-completion/completions/velero-vmservice",
        "completion zsh > ~/.zfunc/_velero-vmservice",
        "completion fish > ~/.config/fish/completions/velero-vmservice.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets SHELL complete commands, options and their values, and names as they are now.

    Those of captures, VADP jobs, backups, restores, locations, namespaces and contexts. What does not answer within two
    seconds completes nothing.
    """
    known = get_completion_class(shell)
    assert known is not None  # noqa: S101 - click brings the three
    terminal.write(known(click.get_current_context().find_root().command, {}, terminal.PROGRAM, _COMPLETE).source())
