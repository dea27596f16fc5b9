"""The actions by the settings of the moment: a change of the ConfigMap needs no restart.

The ConfigMap is read again for each process that Velero launches. A backup is one process and keeps its first
settings. A waiting restore is polled by other processes, one for each round, and each poll uses the settings of its
time.

Unusable settings of the cluster stop nothing: the previous settings stay, at the start those of the process, and the
log of each backup and restore has a warning. The settings of the process have to be valid without the cluster's.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import structlog

from velero_vmservice import app, configured, logs, metrics
from velero_vmservice.errors import Forbidden, Unavailable, as_ours
from velero_vmservice.rpc.server import ActionTable
from velero_vmservice.settings import reading
from velero_vmservice.settings.access import AS_FOUND
from velero_vmservice.velero.actions import CALLER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from velero_vmservice.app import App
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.settings.access import Access
    from velero_vmservice.settings.reading import Settings

log = structlog.get_logger()

_REMEMBERED_CALLERS: Final = 256
_SUBJECT: Final = "the settings of the cluster"

Action = TypeVar("Action")


class LiveActions:
    """The actions by the settings at the start of the calling process; safe for many threads."""

    def __init__(
        self,
        load: Callable[[Cluster], Settings],
        connect: Callable[[Settings], App],
        settings: Settings,
        *,
        problem: VmServiceError | None = None,
    ) -> None:
        """Put the plugin together; `problem` is the reason if the settings of the cluster are not part of these.

        Raises what `connect` raises.
        """
        self._load = load
        self._connect = connect
        self._settings = settings
        self._app = connect(settings)
        self._replaced: list[App] = []
        """Plugins of earlier settings that are still used or owe results of restores."""
        self._leases = Counter[int]()
        """By the id of an App: the number of calls, looks and ends of callers that use it at this moment."""
        self._of_caller: dict[str, App] = {}
        self._lock = threading.Lock()
        """Held for a moment by every call, and never during a request."""
        self._renewal = threading.Lock()
        """Held during a load of settings, which may take seconds; only calls of new callers wait for it."""
        self._note(problem)

    @property
    def app(self) -> App:
        """The plugin of the newest usable settings."""
        return self._app

    @property
    def settings(self) -> Settings:
        """The newest usable settings."""
        return self._settings

    @property
    def problem(self) -> str:
        """The code of the problem with the cluster's settings; '' if there is none."""
        return self._problem

    def table(self) -> ActionTable:
        """Return actions that delegate to those of the calling process."""
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
        """Give the actions of the calling process; their plugin stays open until the block is left."""
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
        """Count one use less of each, and close earlier plugins that are not used and owe nothing."""
        with self._lock:
            self._leases -= Counter(map(id, plugins))  # leaves no count of zero behind
            used = {*self._leases, *map(id, self._of_caller.values())}
            kept = [plugin for plugin in self._replaced if id(plugin) in used or plugin.replays.owes_results()]
            unused = [plugin for plugin in self._replaced if all(plugin is not other for other in kept)]
            self._replaced = kept
        for plugin in unused:
            plugin.close()

    def _bound_anew(self, caller: str) -> App:
        """Bind a new caller to the plugin of the present settings, and return it, leased."""
        with self._renewal:
            with self._lock:
                bound = self._of_caller.get(caller)
                if bound is not None:  # bound by another call of the same process
                    return self._leased(bound)
            self._renew()
            with self._lock:
                if len(self._of_caller) >= _REMEMBERED_CALLERS:
                    del self._of_caller[next(iter(self._of_caller))]
                return self._leased(self._of_caller.setdefault(caller, self._app))

    def _renew(self) -> None:
        """Apply changed settings; if they cannot be used, the previous ones stay."""
        try:
            settings = self._load(self._app.cluster)
            if settings == self._settings:
                self._note(None)
                return
            plugin = self._connect(settings)
        except (Unavailable, Forbidden) as error:
            _log_unused("settings of the cluster not read", error)
            self._note(error)
        except Exception as raised:  # noqa: BLE001 - logged; a backup continues with any ConfigMap
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
        """Note the problem with the cluster's settings; an unreachable API server is none."""
        self._problem = problem.code if problem is not None and not problem.transient else ""
        metrics.SETTINGS_UNUSED.set(bool(self._problem))

    def _ended(self, caller: str) -> None:
        """Notify each plugin in use once; their remaining work may take minutes, and none is closed meanwhile."""
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
    """A table whose actions are looked up at each call; the names are the same for all settings."""

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
    """An action of the calling process's plugin; each call keeps that plugin open while it runs."""

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
    """Return a server's first actions, by this process's settings alone if the cluster's cannot be read or used.

    Raises `InvalidSettings` if this process's own cannot be used, or Velero's namespace is unknown.
    """
    own = reading.checked(access.written())
    renewed, connect = partial(configured.load, access=access), partial(app.connect, login=access.login)
    try:
        settings = renewed()
        if settings.velero_namespace:
            return LiveActions(renewed, connect, settings)
        problem = None
    except Exception as raised:  # noqa: BLE001 - logged; the plugin serves with any ConfigMap
        problem = as_ours(raised, _SUBJECT)
        _log_unused("settings of the cluster not used", problem)
    return LiveActions(renewed, connect, configured.with_namespace(own, access), problem=problem)


def _log_unused(event: str, error: VmServiceError) -> None:
    """Log the problem with settings, never as an error, which would make each backup PartiallyFailed."""
    write = log.info if isinstance(error, Unavailable) else log.warning
    write(
        event, cause=error.message, hint=error.hint, consequence="the settings of before, or those of the process, hold"
    )
