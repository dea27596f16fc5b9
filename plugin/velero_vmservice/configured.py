"""The settings as they are now, and the plugin as they make it.

Settings come from the environment, the file below it, and the ConfigMap in Velero's namespace below both. The ConfigMap
is read again for each process that Velero launches, so that no restart is needed. A backup is one process and keeps the
settings that it began with. A restore that waits is polled by other processes, one for each round of polls, and each
poll goes by the settings as they are then.

Settings of the cluster that cannot be used stop nothing: those of before hold, at the start those of the process, and
the log of each backup and restore has a warning. Those of the process itself have to be right without the cluster's.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections import Counter
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import structlog

from velero_vmservice import app, logs, metrics
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.private_directory import private_directory
from velero_vmservice.adapters.velero.installation import PluginConfig, find_namespace
from velero_vmservice.errors import Forbidden, Unavailable, as_ours
from velero_vmservice.rpc.server import ActionTable
from velero_vmservice.settings import reading
from velero_vmservice.settings.access import AS_FOUND, VELERO_NAMESPACE
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from velero_vmservice.app import App
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.settings.access import Access
    from velero_vmservice.settings.reading import Settings

log = structlog.get_logger()

_TIMEOUT_SECONDS: Final = 5.0
_REMEMBERED_CALLERS: Final = 256
_SUBJECT: Final = "the settings of the cluster"

Action = TypeVar("Action")


def load(cluster: Cluster | None = None, access: Access = AS_FOUND) -> Settings:
    """Return the settings of this process and of the cluster, with Velero's namespace.

    Where the process has a bucket of its own, the cluster may have no Velero: the namespace is then ''.
    Raises `InvalidSettings`, and what the cluster raises. Those of the process have to be right by themselves.
    """
    written = access.written()
    reading.checked(written)
    reached = cluster or _connected(access)
    namespace = str(written.values.get(VELERO_NAMESPACE) or "") or find_namespace(
        reached, os.environ, required="bucket" not in written.values
    )
    if not namespace:
        return reading.checked(written)
    config = PluginConfig(reached, namespace, directory=_private_directory)
    return reading.checked(written.over(config.read())).model_copy(update={VELERO_NAMESPACE: namespace})


def _connected(access: Access) -> Cluster:
    return kubernetes.connect(timeout_seconds=_TIMEOUT_SECONDS, clock=SystemClock(), login=access.login)


@cache
def _private_directory() -> Path:
    """Return the directory for what Secrets hold, made when the first is kept and removed when the process exits."""
    directory = private_directory()
    atexit.register(directory.cleanup)
    return Path(directory.name)


class LiveActions:
    """The actions of the settings as they were when the process that calls them began; safe for many threads."""

    def __init__(
        self,
        load: Callable[[Cluster], Settings],
        connect: Callable[[Settings], App],
        settings: Settings,
        *,
        problem: VmServiceError | None = None,
    ) -> None:
        """Put the plugin together; `problem` is why the settings of the cluster are not part of these, if they are not.

        Raises what `connect` raises.
        """
        self._load = load
        self._connect = connect
        self._settings = settings
        self._app = connect(settings)
        self._replaced: list[App] = []
        """What the settings of before made, for as long as it is used or it owes results of restores."""
        self._leases = Counter[int]()
        """By the id of an App: how many calls, looks and ends of callers use it at this moment."""
        self._of_caller: dict[str, App] = {}
        self._lock = threading.Lock()
        """Held for a moment by every call, and never while anything is asked for."""
        self._renewal = threading.Lock()
        """Held while settings are loaded, which may take seconds; only calls of new callers wait for it."""
        self._note(problem)

    @property
    def app(self) -> App:
        """The plugin as the newest settings that could be used make it."""
        return self._app

    @property
    def settings(self) -> Settings:
        """The newest settings that could be used."""
        return self._settings

    @property
    def problem(self) -> str:
        """The code of what keeps the settings of the cluster from being used; '' where nothing does."""
        return self._problem

    def table(self) -> ActionTable:
        """Return actions that stand for whichever belong to the process that calls them."""
        return ActionTable(
            backup=_Live(self, lambda actions: actions.backup),
            restore=_Live(self, lambda actions: actions.restore),
            delete=_Live(self, lambda actions: actions.delete),
            ended=self._ended,
        )

    @contextlib.contextmanager
    def newest(self) -> Iterator[App]:
        """Give the plugin of the newest settings, which stays open until the block is left."""
        with self._lock:
            plugin = self._leased(self._app)
        try:
            yield plugin
        finally:
            self._release(plugin)

    @contextlib.contextmanager
    def of_caller(self) -> Iterator[ActionTable]:
        """Give the actions that the calling process belongs to; their plugin stays open until the block is left."""
        caller = CALLER.get()
        with self._lock:
            bound = self._of_caller.get(caller)
            plugin = self._leased(bound) if bound is not None else None
        plugin = plugin or self._bound_anew(caller)
        try:
            yield plugin.actions
        finally:
            self._release(plugin)

    def _leased(self, plugin: App) -> App:
        """Count one more use of a plugin; the caller has the lock."""
        self._leases[id(plugin)] += 1
        return plugin

    def _release(self, *plugins: App) -> None:
        """Count one use less of each, and close the plugins of before that are not used and owe nothing."""
        with self._lock:
            self._leases -= Counter(map(id, plugins))  # leaves no count of zero behind
            used = {*self._leases, *map(id, self._of_caller.values())}
            kept = [plugin for plugin in self._replaced if id(plugin) in used or plugin.replays.owes_results()]
            unused = [plugin for plugin in self._replaced if all(plugin is not other for other in kept)]
            self._replaced = kept
        for plugin in unused:
            plugin.close()

    def _bound_anew(self, caller: str) -> App:
        """Return what a new caller belongs to from now on, leased: the plugin of the settings as they are."""
        with self._renewal:
            with self._lock:
                bound = self._of_caller.get(caller)
                if bound is not None:  # by another call of the same process, which this one waited for
                    return self._leased(bound)
            self._renew()
            with self._lock:
                if len(self._of_caller) >= _REMEMBERED_CALLERS:
                    del self._of_caller[next(iter(self._of_caller))]
                return self._leased(self._of_caller.setdefault(caller, self._app))

    def _renew(self) -> None:
        """Take the settings over where they have changed; whatever keeps them from being used, those of before hold."""
        try:
            settings = self._load(self._app.cluster)
            if settings == self._settings:
                self._note(None)
                return
            plugin = self._connect(settings)
        except (Unavailable, Forbidden) as error:
            _log_unused("settings of the cluster not read", error)
            self._note(error)
        except Exception as raised:  # noqa: BLE001 - logged; a backup goes on, whatever lies in the cluster
            problem = as_ours(raised, _SUBJECT)
            _log_unused("settings not taken over", problem)
            self._note(problem)
        else:
            self._note(None)
            with self._lock:
                self._replaced.append(self._app)
                self._app, self._settings = plugin, settings
            logs.configure(settings.log_level)
            log.info("settings taken over")

    def _note(self, problem: VmServiceError | None) -> None:
        """Note what keeps the settings of the cluster from being used; an API server that is away keeps none."""
        self._problem = problem.code if problem is not None and not problem.transient else ""
        metrics.SETTINGS_UNUSED.set(bool(self._problem))

    def _ended(self, caller: str) -> None:
        """Tell each plugin in use once; what that leaves to do may take minutes, and none is closed meanwhile."""
        with self._lock:
            used = [self._leased(plugin) for plugin in (self._app, *self._replaced)]
        try:
            for plugin in used:
                plugin.actions.ended(caller)
        finally:
            with self._lock:
                self._of_caller.pop(caller, None)
            self._release(*used)


class _Live(Mapping[str, Action]):
    """A table whose actions are looked up anew at each call; the names are the same whatever the settings are."""

    def __init__(self, live: LiveActions, kind: Callable[[ActionTable], Mapping[str, Action]]) -> None:
        self._live = live
        self._kind = kind

    def __getitem__(self, name: str) -> Action:
        if name not in self._newest():
            raise KeyError(name)
        return cast("Action", _LiveAction(self._live, lambda actions: self._kind(actions)[name]))

    def _newest(self) -> Mapping[str, Action]:
        return self._kind(self._live.app.actions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._newest())

    def __len__(self) -> int:
        return len(self._newest())


class _LiveAction:
    """An action of whichever plugin the calling process belongs to; each call keeps that plugin open while it runs."""

    def __init__(self, live: LiveActions, action: Callable[[ActionTable], Any]) -> None:
        self._live = live
        self._action = action

    def applies_to(self) -> Any:
        with self._live.of_caller() as actions:
            return self._action(actions).applies_to()

    def execute(self, *arguments: Any) -> Any:
        with self._live.of_caller() as actions:
            return self._action(actions).execute(*arguments)

    def progress(self, *arguments: Any) -> Any:
        with self._live.of_caller() as actions:
            return self._action(actions).progress(*arguments)

    def cancel(self, *arguments: Any) -> None:
        with self._live.of_caller() as actions:
            self._action(actions).cancel(*arguments)


def first_actions(access: Access = AS_FOUND) -> LiveActions:
    """Return what a server begins with: of this process's settings alone where the cluster's cannot be read or used.

    Raises `InvalidSettings` where this process's own are wrong or cannot be used, or Velero's namespace is not known.
    """
    own = reading.checked(access.written())
    renewed, connect = partial(load, access=access), partial(app.connect, login=access.login)
    try:
        settings = renewed()
        if settings.velero_namespace:
            return LiveActions(renewed, connect, settings)
        problem = None
    except Exception as raised:  # noqa: BLE001 - logged; whatever lies in the cluster, the plugin serves
        problem = as_ours(raised, _SUBJECT)
        _log_unused("settings of the cluster not used", problem)
    return LiveActions(renewed, connect, with_namespace(own, access), problem=problem)


def with_namespace(own: Settings, access: Access = AS_FOUND) -> Settings:
    """Return settings of this process with Velero's namespace; raises `InvalidSettings` where it is not known."""
    if own.velero_namespace:
        return own
    return own.model_copy(update={VELERO_NAMESPACE: find_namespace(_connected(access), os.environ)})


def _log_unused(event: str, error: VmServiceError) -> None:
    """Log what keeps settings from being used: never as an error, which would make each backup PartiallyFailed."""
    write = log.info if isinstance(error, Unavailable) else log.warning
    write(
        event, cause=error.message, hint=error.hint, consequence="the settings of before, or those of the process, hold"
    )
