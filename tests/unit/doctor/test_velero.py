from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.doctor.deployments import deployment
from velero_vmservice.doctor import velero
from velero_vmservice.doctor.checks import CheckState
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.restore.policy import RestorePolicy
from velero_vmservice.velero.deployment import VeleroDeployment

OURS = {"name": "ours", "image": "registry.example:5000/velero-plugin-for-vmservice:0.1.0"}


def read(**changes: Any) -> VeleroDeployment:
    return VeleroDeployment.read(Manifest(deployment(**changes)))


@pytest.mark.parametrize(
    ("image", "state", "established"),
    [
        ("velero/velero:v1.18.2", CheckState.OK, "Velero 1.18.2"),
        (
            "registry.example:5000/velero:v1.19.0-rc.1",
            CheckState.WARNING,
            "Velero 1.19.0, which the plugin is not",
        ),
        ("velero/velero:v1.15.2@sha256:abc", CheckState.OK, "Velero 1.15.2; it stores what is left to the Supervisor"),
        ("velero/velero:v1.13.2", CheckState.OK, "Velero 1.13.2; it stores what is left"),
        ("velero/velero:v1.18.0", CheckState.OK, "Velero 1.18.0; it stores what is left"),
        ("velero/velero:v1.12.4", CheckState.WARNING, "Velero 1.12.4, which the plugin is not tested with; it stores"),
        ("registry.example:5000/velero", CheckState.UNKNOWN, 'is "registry.example:5000/velero", which does not tell'),
        ("velero:main", CheckState.UNKNOWN, "does not tell its version"),
    ],
)
def test_what_follows_from_veleros_version(image: str, state: CheckState, established: str) -> None:
    check = velero.version_check(read(image=image))
    assert (check.state, established in check.established) == (state, True), check


def test_a_deployment_without_veleros_container_has_no_version() -> None:
    check = velero.version_check(read(name="manager"))
    assert check.state is CheckState.UNKNOWN


@pytest.mark.parametrize(
    ("containers", "state", "established"),
    [
        ([OURS], CheckState.OK, "ours is an init container of the self-contained plugin"),
        ([{**OURS, "restartPolicy": "Always"}], CheckState.OK, "ours is a sidecar"),
        ([], CheckState.WARNING, "no container of Velero's Deployment is named after velero-plugin-for-vmservice"),
        ([OURS, {**OURS, "name": "again"}], CheckState.WARNING, "has the plugin more than once: ours, again"),
        (
            [{**OURS, "image": "velero-plugin-for-vmservice:v9.0.0"}],
            CheckState.WARNING,
            "this command is of version 0.1.0",
        ),
    ],
)
def test_how_the_plugin_is_installed(containers: list[dict[str, Any]], state: CheckState, established: str) -> None:
    check = velero.plugin_check(read(inits=containers), own_version="0.1.0")
    assert (check.state, established in check.established) == (state, True), check


def test_the_plugin_beside_is_named() -> None:
    beside = velero.beside_check(read(inits=[OURS, {"name": "x", "image": "vmware/velero-plugin-for-vsphere:1.7.0"}]))
    assert beside.established == "x installs vmware/velero-plugin-for-vsphere:1.7.0"
    assert velero.beside_check(read(inits=[OURS])).established == "not installed by Velero's Deployment"


@pytest.mark.parametrize(
    ("arguments", "policy", "state", "established"),
    [
        ([], {}, CheckState.OK, "an operation may take 4h, Velero's default, waiting for"),
        (["--default-item-operation-timeout=30m"], {}, CheckState.WARNING, "an operation may take 30m, waiting for"),
        (["--default-item-operation-timeout", "24h"], {"registered_within": "12h"}, CheckState.OK, "over in 12h30m"),
        ([], {"registered_within": "12h"}, CheckState.WARNING, "gives an operation up after 4h, Velero's default, and"),
        (["--default-item-operation-timeout=12h45m"], {"registered_within": "12h"}, CheckState.OK, "over in 12h30m"),
        (
            ["--default-item-operation-timeout=12h45m"],
            {"registered_within": "12h", "power": "on"},
            CheckState.WARNING,
            "the deadlines of the settings are over in 13h",
        ),
        (
            ["--default-item-operation-timeout=24h", "--default-item-operation-timeout=1h"],
            {},
            CheckState.WARNING,
            "an operation may take 1h",
        ),
        (["--default-item-operation-timeout=soon"], {}, CheckState.UNKNOWN, 'is "soon", which is not a duration'),
    ],
)
def test_the_operation_timeout_is_compared_with_the_deadlines(
    arguments: list[str], policy: dict[str, str], state: CheckState, established: str
) -> None:
    check = velero.timeout_check(read(args=["server", *arguments]), RestorePolicy.model_validate(policy))
    assert (check.state, established in check.established) == (state, True), check


def test_a_policy_without_deadlines_needs_veleros_default() -> None:
    policy = RestorePolicy(registered_within=None, verified_within=timedelta(hours=9))
    assert velero.timeout_check(read(), policy).state is CheckState.OK
