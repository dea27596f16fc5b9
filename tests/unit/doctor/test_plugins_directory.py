from __future__ import annotations

from dataclasses import replace

import pytest

from velero_vmservice.doctor.checks import CheckState
from velero_vmservice.doctor.plugins_directory import (
    Answer,
    LauncherState,
    PluginsDirectory,
    directory_checks,
    order_check,
)

SOUND = PluginsDirectory(
    path="/plugins",
    executables=("velero-plugin-for-aws", "velero-plugin-for-vmservice", "velero-plugin-for-vsphere"),
    launcher=LauncherState.SAME,
    runtime="aaaa",
    own_runtime="aaaa",
    answer=Answer.HANDSHAKE,
)


def states(directory: PluginsDirectory | None) -> dict[str, CheckState]:
    return {check.name: check.state for check in directory_checks(directory, path="/plugins")}


def test_all_is_well_where_launcher_and_daemon_are_of_this_version() -> None:
    assert set(states(SOUND).values()) == {CheckState.OK}


def test_nothing_is_known_outside_of_veleros_pod() -> None:
    checks = list(directory_checks(None, path="/plugins"))
    assert {check.state for check in checks} == {CheckState.UNKNOWN}
    assert "exec deploy/velero -c velero -- /plugins/velero-plugin-for-vmservice run doctor" in checks[0].hint


@pytest.mark.parametrize(
    ("changes", "failed", "established"),
    [
        ({"launcher": LauncherState.ABSENT}, "launcher", "/plugins/velero-plugin-for-vmservice does not exist"),
        ({"launcher": LauncherState.NOT_EXECUTABLE}, "launcher", "has no execute bit"),
        ({"launcher": LauncherState.OTHER}, "launcher", "is not the launcher of this version"),
        ({"runtime": "bbbb"}, "launcher", "the launcher starts runtime bbbb, and this command runs from aaaa"),
        ({"runtime": ""}, "launcher", "the launcher starts runtime (none)"),
        ({"answer": Answer.NO_SOCKET}, "daemon or sidecar", "there is no control socket"),
        ({"answer": Answer.NOT_SERVED}, "daemon or sidecar", "no process serves it"),
        ({"answer": Answer.SILENT}, "daemon or sidecar", "did not answer it"),
    ],
)
def test_a_fault_fails_its_own_check_alone(changes: dict[str, object], failed: str, established: str) -> None:
    checks = list(directory_checks(replace(SOUND, **changes), path="/plugins"))
    (wrong,) = [check for check in checks if check.state is not CheckState.OK]
    assert (wrong.name, wrong.state) == (failed, CheckState.FAILED)
    assert established in wrong.established
    assert wrong.hint


def test_a_socket_of_another_user_tells_nothing() -> None:
    assert states(replace(SOUND, answer=Answer.DENIED))["daemon or sidecar"] is CheckState.UNKNOWN


@pytest.mark.parametrize(
    ("executables", "state"),
    [
        (["velero-plugin-for-aws"], CheckState.OK),
        (["velero-plugin-for-vmservice", "velero-plugin-for-vsphere"], CheckState.OK),
        (["zz-velero-plugin-for-vmservice", "velero-plugin-for-vsphere"], CheckState.FAILED),
        (["velero-plugin-for-vsphere"], CheckState.FAILED),
    ],
)
def test_the_launcher_comes_before_the_plugin_for_vsphere(executables: list[str], state: CheckState) -> None:
    assert order_check(executables).state is state
