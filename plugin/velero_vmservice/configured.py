"""The settings as they are now, and the plugin as they make it.

Settings come from the environment, the file below it, and the ConfigMap in Velero's namespace below both. The ConfigMap
is read again for each process that Velero launches: a backup or restore that begins after a change has the new
settings, one that runs keeps those it began with. No restart is needed, and settings that cannot be used stop nothing.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from velero_vmservice import app, logs
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.velero.installation import PluginConfig, find_namespace
from velero_vmservice.errors import Forbidden, InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.rpc.server import ActionTable
from velero_vmservice.settings import reading
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.settings.reading import Settings

log = structlog.get_logger()

_TIMEOUT_SECONDS: Final = 5.0
_REMEMBERED_CALLERS: Final = 256

Action = TypeVar("Action")


def load(cluster: Cluster | None = None) -> Settings:
    """Return the settings of this process and of the cluster, with Velero's namespace.

    Raises `InvalidSettings`, and what the cluster raises. Those of the process have to be right by themselves.
    """
    written = reading.written()
    reading.checked(written)
    reached = cluster or kubernetes.connect(timeout_seconds=_TIMEOUT_SECONDS, clock=SystemClock())
    namespace = str(written.values.get("velero_namespace") or "") or find_namespace(reached, os.environ)
    config = PluginConfig(reached, namespace, directory=_private_directory())
    return reading.checked(written.over(config.read())).model_copy(update={"velero_namespace": namespace})


@cache
def _private_directory() -> Path:
    """Return the directory for what Secrets hold; it lives as long as the process does."""
    try:
        directory = tempfile.TemporaryDirectory(prefix="vmservice-", ignore_cleanup_errors=True)
    except OSError as error:
        raise InvalidSettings(
            "there is no directory for temporary files that can be written",
            hint="mount an emptyDir volume at /tmp, or set TMPDIR",
        ) from error
    _directories.append(directory)
    return Path(directory.name)


_directories: Final[list[tempfile.TemporaryDirectory[str]]] = []


class LiveActions:
    """The actions of the settings as they were when the process that calls them began; safe for many threads."""

    def __init__(
        self, load: Callable[[Cluster], Settings], connect: Callable[[Settings], app.App], settings: Settings
    ) -> None:
        self._load = load
        self._connect = connect
        self._settings = settings
        self._app = connect(settings)
        self._replaced: app.App | None = None
        """What the settings of before made: it may still owe results of restores."""
        self._of_caller: dict[str, app.App] = {}
        self._lock = threading.Lock()

    @property
    def app(self) -> app.App:
        """The plugin as the newest settings that could be used make it."""
        return self._app

    def table(self) -> ActionTable:
        """Return actions that stand for whichever belong to the process that calls them."""
        return ActionTable(
            backup=_Live(lambda: self._actions().backup),
            restore=_Live(lambda: self._actions().restore),
            delete=_Live(lambda: self._actions().delete),
            ended=self._ended,
        )

    def _actions(self) -> ActionTable:
        caller = CALLER.get()
        with self._lock:
            if caller not in self._of_caller:
                self._renew()
                if len(self._of_caller) >= _REMEMBERED_CALLERS:
                    del self._of_caller[next(iter(self._of_caller))]
                self._of_caller[caller] = self._app
            return self._of_caller[caller].actions

    def _renew(self) -> None:
        """Take the settings over where they have changed; keep those of before where they cannot be used."""
        try:
            settings = self._load(self._app.cluster)
            if settings == self._settings:
                return
            self._app, self._replaced, self._settings = self._connect(settings), self._app, settings
        except (Unavailable, Forbidden) as error:
            log.info("settings of the cluster not read", cause=error.message)
        except VmServiceError as error:
            log.error(
                "settings not taken over",
                cause=error.message,
                hint=error.hint,
                consequence="the settings of before, or the defaults, hold",
            )
        else:
            logs.configure(settings.log_level)
            log.info("settings taken over")

    def _ended(self, caller: str) -> None:
        with self._lock:
            self._of_caller.pop(caller, None)
            plugins = [self._app, *([self._replaced] if self._replaced else [])]
        for plugin in plugins:
            plugin.actions.ended(caller)


class _Live(Mapping[str, Action]):
    """A table that is looked up anew at each call."""

    def __init__(self, current: Callable[[], Mapping[str, Action]]) -> None:
        self._current = current

    def __getitem__(self, name: str) -> Action:
        return self._current()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())


def first_settings() -> Settings:
    """Return what a server begins with: those of this process alone where the cluster's cannot be read or used.

    Raises `InvalidSettings` where this process's own are wrong, or Velero's namespace is not known.
    """
    own = reading.load()
    try:
        return load()
    except VmServiceError as error:
        log.warning("settings of the cluster not used", cause=error.message, hint=error.hint)
    if own.velero_namespace:
        return own
    cluster = kubernetes.connect(timeout_seconds=_TIMEOUT_SECONDS, clock=SystemClock())
    return own.model_copy(update={"velero_namespace": find_namespace(cluster, os.environ)})
