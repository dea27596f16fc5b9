"""`velero-vmservice doctor`: whether the plugin can do its work here, one check after the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from velero_vmservice import __version__, app, configured
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.cli import access
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import examples, table_output
from velero_vmservice.cli.views import terminal
from velero_vmservice.cli.views.table import Column, Output, Row, Table
from velero_vmservice.doctor import checks, job
from velero_vmservice.doctor.checks import CheckState, Examiner
from velero_vmservice.doctor.plugins_directory import directory_checks
from velero_vmservice.errors import InvalidSettings, VmServiceError
from velero_vmservice.kube.manifest import DEPLOYMENT, ObjectRef
from velero_vmservice.rpc import plugins_directory
from velero_vmservice.settings import reading
from velero_vmservice.settings.reading import Settings
from velero_vmservice.velero.deployment import VELERO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.doctor.checks import Check

_OWN: Final = "settings of this process"
_OF_CLUSTER: Final = "settings of the cluster"
_STYLES: Final = {
    CheckState.OK: "green",
    CheckState.WARNING: "yellow",
    CheckState.FAILED: "red",
    CheckState.UNKNOWN: "magenta",
}


@click.command(epilog=examples("doctor", "doctor --cluster-only -o json", "doctor --job | kubectl create -f -"))
@click.option(
    "--plugins-dir",
    type=click.Path(path_type=Path),
    default=Path("/plugins"),
    show_default=True,
    help="Velero's plugins volume, where the command runs in Velero's pod.",
)
@click.option("--cluster-only", is_flag=True, help="Leave out what only Velero's own pod can tell.")
@click.option("--job", "as_job", is_flag=True, help="Print a Job that makes the checks in the cluster, on one line.")
@click.option("--image", default="", metavar="IMAGE", help="Image of the Job; by default the one that Velero has.")
@table_output
def doctor(plugins_dir: Path, *, cluster_only: bool, as_job: bool, image: str, output: Output) -> None:
    """Check all that the plugin needs, and say what to do about what is missing.

    Kubernetes rights one by one, Velero's version and plugins, storage, settings, the launcher and what serves it. Of
    each bucket that is not ReadOnly it asks what a backup asks: a document is written below the plugin's own prefix,
    and deleted. Exits with 5 if a check failed, with 1 if none did and one could not be made.
    """
    if image and not as_job:
        raise WrongUsage("--image is the image of the Job", hint="give --job as well")
    if as_job:
        _print_job(image)
        return
    made = list(_checks(plugins_dir, cluster_only=cluster_only))
    _table(made).show(output)
    states = {check.state for check in made}
    if CheckState.FAILED in states:
        sys.exit(ExitCode.FAILED)
    if CheckState.UNKNOWN in states:
        sys.exit(ExitCode.NO_ANSWER)


def _checks(plugins_dir: Path, *, cluster_only: bool) -> Iterator[Check]:
    examiner = Examiner()
    settings, of_settings = _settings()
    yield from of_settings
    if settings is not None:
        plugin, of_connections = _connected(settings)
        yield from of_connections
        yield from plugin.examination.checks(examiner)
    if not cluster_only:
        yield from examiner.make(
            "plugins directory",
            lambda: directory_checks(plugins_directory.look(plugins_dir), path=str(plugins_dir)),
            cluster=False,
        )


def _settings() -> tuple[Settings | None, Sequence[Check]]:
    """Return the settings that can be used, and what was found of all; None where there is no login to a cluster."""
    chosen = access.current()
    try:
        own, made = reading.checked(chosen.written()), [checks.ok(_OWN, "they are valid")]
    except VmServiceError as error:
        own, made = Settings(), [checks.failed(_OWN, error.message, error.hint)]
    try:
        cluster = kubernetes.connect(
            timeout_seconds=own.kubernetes_timeout_seconds, clock=SystemClock(), login=chosen.login
        )
    except VmServiceError as error:
        return None, [*made, checks.failed("login to Kubernetes", error.message, error.hint)]
    try:
        return configured.load(cluster, chosen), [*made, checks.ok(_OF_CLUSTER, "they are valid, or there are none")]
    except InvalidSettings as error:
        of_cluster = checks.failed(_OF_CLUSTER, error.message, error.hint)
    except VmServiceError as error:
        of_cluster = checks.unknown(_OF_CLUSTER, error.message, error.hint)
    if made[0].state is CheckState.FAILED:
        of_cluster = checks.unknown(_OF_CLUSTER, "not read, as those of this process are wrong")
    return _with_namespace(own), [*made, of_cluster]


def _connected(settings: Settings) -> tuple[app.App, Sequence[Check]]:
    """Return the plugin, without vCenter and engine where they cannot be set up; the login to the cluster is sound."""
    login = access.current().login
    try:
        return app.connect(settings, login=login), []
    except VmServiceError as error:
        alone = settings.model_copy(update={"vcenter": None, "engine": None})
        return app.connect(alone, login=login), [checks.failed("connections", error.message, error.hint)]


def _with_namespace(own: Settings) -> Settings:
    try:
        return configured.with_namespace(own, access.current())
    except VmServiceError:
        return own


def _table(made: Sequence[Check]) -> Table:
    listed = [
        {"name": check.name, "state": check.state, "established": check.established, "hint": check.hint}
        for check in made
    ]
    return Table(
        columns=(Column("STATE"), Column("CHECK"), Column("HINT", wide=True), Column("ESTABLISHED")),
        rows=[
            Row(
                name=check.name,
                cells=((str(check.state), _STYLES[check.state]), check.name, check.hint, check.established),
            )
            for check in made
        ],
        document={"version": __version__, "checks": listed},
        below=list(_below(made)),
    )


def _below(made: Sequence[Check]) -> Iterator[str]:
    """Yield each hint once with the checks that have it, and how many checks came to what."""
    for hint in dict.fromkeys(check.hint for check in made if check.hint):
        names = "; ".join(check.name for check in made if check.hint == hint)
        yield f"to do: {names}: {hint}"
    counts = {state: sum(check.state is state for check in made) for state in CheckState}
    yield ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _print_job(image: str) -> None:
    settings, plugin = access.connect()
    made = job.of_deployment(plugin.cluster.get(ObjectRef(DEPLOYMENT, settings.velero_namespace, VELERO)), image=image)
    if made.left_out:
        names = ", ".join(made.left_out)
        terminal.remark(f"the Job lacks variables that may hold secrets or that the plugin does not read: {names}")
    terminal.write(json.dumps(made.manifest))
