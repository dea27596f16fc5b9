"""`velero-vmservice serve`: the sidecar."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from velero_vmservice import __version__, live_actions, logs
from velero_vmservice.adapters import heap
from velero_vmservice.adapters.private_directory import remove_left_behind
from velero_vmservice.cli import access
from velero_vmservice.cli.exit_codes import of_error
from velero_vmservice.cli.options import examples
from velero_vmservice.errors import VmServiceError
from velero_vmservice.monitoring import endpoint
from velero_vmservice.monitoring.health import Health
from velero_vmservice.monitoring.surveying import show_drills, surveying
from velero_vmservice.reachability import STORES
from velero_vmservice.rpc.control import PluginServer
from velero_vmservice.rpc.launcher import install_launcher
from velero_vmservice.supervisor import startup_checks

if TYPE_CHECKING:
    from velero_vmservice.captures.survey import View
    from velero_vmservice.settings import reading

log = structlog.get_logger()

_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(epilog=examples("serve", "serve --plugins-dir /plugins --no-install"))
@click.option(
    "--plugins-dir", type=_DIRECTORY, default=Path("/plugins"), show_default=True, help="The volume shared with Velero."
)
@click.option("--install/--no-install", default=True, show_default=True, help="Install the launcher there first.")
@click.option("--claim", type=int, hidden=True, help="The plugins directory's descriptor that the launcher locked.")
def serve(plugins_dir: Path, *, install: bool, claim: int | None) -> None:
    """Serve Velero from the plugins volume until SIGTERM."""
    heap.keep_few_arenas()
    remove_left_behind()
    if claim is None:
        _serve(plugins_dir, install=install)
        return
    logs.configure()
    try:
        _serve(plugins_dir, install=install, claim=claim)
    except VmServiceError as error:  # whose reader is Velero's log
        log.error("cannot serve", cause=error.message, hint=error.hint, code=error.code)
        sys.exit(of_error(error))


def _serve(plugins_dir: Path, *, install: bool, claim: int | None = None) -> None:
    live = live_actions.first_actions(access.current())
    chosen = live.settings
    logs.configure(chosen.log_level)
    with PluginServer(
        plugins_dir,
        live.table(),
        group_access=chosen.socket_group_access,
        drain_seconds=chosen.drain_seconds,
        claim=claim,
    ) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        if install:
            install_launcher(plugins_dir)
        log.info("serving", plugin_version=__version__, directory=str(plugins_dir))
        threading.Thread(target=_preflight, args=(live, chosen), name="preflight", daemon=True).start()
        health = Health(plugins_dir, settings_problem=lambda: live.problem, stores=STORES)
        with endpoint.serving(chosen.metrics.address, health) as served, contextlib.ExitStack() as while_serving:
            if served:
                while_serving.enter_context(surveying(partial(_look, live)))
            server.serve()
        log.info("stopping")


def _preflight(live: live_actions.LiveActions, chosen: reading.Settings) -> None:
    with live.newest() as plugin:
        startup_checks.check_cluster(plugin.supervisor)
        if chosen.bucket is not None:
            startup_checks.check_own_bucket(plugin.locations)


def _look(live: live_actions.LiveActions) -> View:
    with live.newest() as plugin:
        show_drills(plugin.drills.look())
        return plugin.survey.look()
