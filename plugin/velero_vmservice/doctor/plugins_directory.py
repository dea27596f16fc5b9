"""Whether Velero finds the launcher, and the launcher finds its server, in the plugins directory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Final

from velero_vmservice.doctor import checks
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.doctor.checks import Check

COMMAND: Final = "kubectl -n NAMESPACE exec deploy/velero -c velero -- /plugins/velero-plugin-for-vmservice run doctor"
_LAUNCHER, _SERVER, _ORDER = "launcher", "daemon or sidecar", "order of plugins"
_REPLACE: Final = "delete Velero's pod, so that its init container or the sidecar installs the launcher anew"


class LauncherState(Enum):
    """The launcher's file, compared with the one of this installation."""

    ABSENT = auto()
    NOT_EXECUTABLE = auto()
    OTHER = auto()
    SAME = auto()


class Answer(StrEnum):
    """The result of a launch on the control socket."""

    HANDSHAKE = "it answered a launch"
    NO_SOCKET = "there is no control socket"
    NOT_SERVED = "the control socket is there, and no process serves it"
    DENIED = "the control socket may not be used by this user"
    SILENT = "the control socket took the launch and did not answer it"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginsDirectory:
    """The content of Velero's plugins directory."""

    path: str
    executables: Sequence[str]
    """Names of the files that Velero takes for plugins."""
    launcher: LauncherState
    runtime: str
    """The runtime that the launcher would start; '' if it has none and waits for a sidecar."""
    own_runtime: str
    """The runtime of this process; '' if it is not in this directory."""
    answer: Answer


def directory_checks(looked_at: PluginsDirectory | None, *, path: str) -> Iterator[Check]:
    """Say what follows from the plugins directory; None where there is no such directory."""
    if looked_at is None:
        for name in (_LAUNCHER, _SERVER, _ORDER):
            yield checks.unknown(
                name, f"{path} is not a directory here: only Velero's pod has its plugins volume", f"run {COMMAND}"
            )
        return
    yield _launcher_check(looked_at)
    yield _server_check(looked_at)
    yield order_check(looked_at.executables)


def _launcher_check(looked_at: PluginsDirectory) -> Check:
    file = f"{looked_at.path}/{PLUGIN_NAME}"
    match looked_at.launcher:
        case LauncherState.ABSENT:
            return checks.failed(
                _LAUNCHER, f"{file} does not exist", "install the plugin: velero plugin add IMAGE, or run the sidecar"
            )
        case LauncherState.NOT_EXECUTABLE:
            return checks.failed(_LAUNCHER, f"{file} has no execute bit, so Velero ignores it", _REPLACE)
        case LauncherState.OTHER:
            return checks.failed(_LAUNCHER, f"{file} is not the launcher of this version", _REPLACE)
        case LauncherState.SAME:
            pass
    if looked_at.own_runtime and looked_at.runtime != looked_at.own_runtime:
        return checks.failed(
            _LAUNCHER,
            f"the launcher starts runtime {looked_at.runtime or '(none)'}, and this command runs from"
            f" {looked_at.own_runtime}",
            _REPLACE,
        )
    runtime = f"starts runtime {looked_at.runtime}" if looked_at.runtime else "has no runtime, and waits for a sidecar"
    return checks.ok(_LAUNCHER, f"{file} is the launcher of this version and {runtime}")


def _server_check(looked_at: PluginsDirectory) -> Check:
    match looked_at.answer:
        case Answer.HANDSHAKE:
            return checks.ok(_SERVER, str(looked_at.answer))
        case Answer.DENIED:
            hint = "run this command as the user of Velero's container; give Velero and the sidecar the same runAsUser"
            return checks.unknown(_SERVER, str(looked_at.answer), hint)
        case Answer.NO_SOCKET | Answer.NOT_SERVED | Answer.SILENT:
            hint = (
                f"read {looked_at.path}/{PLUGIN_NAME}.log; the next launch starts the daemon again"
                if looked_at.runtime
                else "read the log of the sidecar: kubectl logs, with --previous where it was restarted"
            )
            return checks.failed(_SERVER, str(looked_at.answer), hint)


def order_check(executables: Sequence[str]) -> Check:
    """Say whether Velero calls this plugin's actions before those of velero-plugin-for-vsphere: by file name."""
    theirs = sorted(name for name in executables if "vsphere" in name)
    ours = sorted(name for name in executables if "vmservice" in name)
    if not theirs:
        return checks.ok(_ORDER, "velero-plugin-for-vsphere has no file here")
    if not ours:
        return checks.failed(_ORDER, "this plugin has no file that may be executed", _REPLACE)
    if ours[0] < theirs[0]:
        return checks.ok(_ORDER, f"{ours[0]} comes before {theirs[0]}")
    return checks.failed(
        _ORDER,
        f"{theirs[0]} comes before {ours[0]}, so its errors come before this plugin can skip an item",
        f"leave the launcher the name {PLUGIN_NAME}",
    )
