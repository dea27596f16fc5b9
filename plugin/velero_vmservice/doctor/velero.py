"""Checks of Velero's Deployment: its version, its plugins, and its time limit for operations."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import durationpy

from velero_vmservice.doctor import checks
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from velero_vmservice.doctor.checks import Check
    from velero_vmservice.restore.policy import RestoreDefaults
    from velero_vmservice.velero.deployment import VeleroDeployment

VSPHERE_PLUGIN: Final = "velero-plugin-for-vsphere"

_TESTED: Final = ((1, 13), (1, 15), (1, 18))
_SKIPS_FROM_BACKUP: Final = (1, 18, 1)
"""The first release that honours `velero.io/skip-from-backup`."""
_STORES_ALL: Final = "; it stores what is left to the Supervisor in its archive, and the plugin skips that at restore"
_TIMEOUT_FLAG: Final = "--default-item-operation-timeout"
_DEFAULT_TIMEOUT: Final = timedelta(hours=4)
"""Velero's default (pkg/cmd/server/config/config.go, defaultItemOperationTimeout)."""


def version_check(deployment: VeleroDeployment) -> Check:
    """Return the check of Velero's version."""
    name, server = "Velero's version", deployment.server
    image = server.image if server else ""
    version = server.release if server else None
    if version is None:
        why = f'the image of Velero\'s server is "{image}", which does not tell its version'
        return checks.unknown(name, why, "ask velero version, and compare it with docs/compatibility.md")
    shown = ".".join(map(str, version))
    follows = "" if version >= _SKIPS_FROM_BACKUP else _STORES_ALL
    if version[:2] in _TESTED:
        return checks.ok(name, f"Velero {shown}{follows}")
    tested = ", ".join(f"{major}.{minor}" for major, minor in _TESTED)
    return checks.warning(
        name,
        f"Velero {shown}, which the plugin is not tested with{follows}",
        f"use one of the tested releases: {tested}",
    )


def plugin_check(deployment: VeleroDeployment, *, own_version: str) -> Check:
    """Return the check of the plugin's installation in Velero's Deployment."""
    name = "installation"
    ours = deployment.of_plugin(PLUGIN_NAME)
    if not ours:
        return checks.warning(
            name,
            f"no container of Velero's Deployment is named after {PLUGIN_NAME}",
            "install it: velero plugin add IMAGE; an image that was renamed is not recognised",
        )
    if len(ours) > 1:
        names = ", ".join(container.name for container in ours)
        return checks.warning(
            name,
            f"Velero's Deployment has the plugin more than once: {names}",
            "keep one: the init container of the self-contained plugin, or the sidecar",
        )
    (container,) = ours
    way = "a sidecar" if container.stays else "an init container of the self-contained plugin"
    if container.release and container.tag not in {own_version, f"v{own_version}"}:
        return checks.warning(
            name,
            f"the image of {container.name} is {container.image}, and this command is of version {own_version}",
            "run the command in Velero's pod, or from the same image",
        )
    return checks.ok(name, f"{container.name} is {way}, {container.image}")


def beside_check(deployment: VeleroDeployment) -> Check:
    """Return the check for velero-plugin-for-vsphere."""
    theirs = next(iter(deployment.of_plugin(VSPHERE_PLUGIN)), None)
    return checks.ok(
        VSPHERE_PLUGIN, f"{theirs.name} installs {theirs.image}" if theirs else "not installed by Velero's Deployment"
    )


def timeout_check(deployment: VeleroDeployment, policy: RestoreDefaults) -> Check:
    """Compare Velero's time limit for operations with the deadlines of the settings."""
    name = "operation timeout"
    written = deployment.argument(_TIMEOUT_FLAG)
    try:
        timeout = durationpy.from_str(written) if written else _DEFAULT_TIMEOUT
    except durationpy.DurationError:
        return checks.unknown(name, f'{_TIMEOUT_FLAG} of Velero\'s server is "{written}", which is not a duration')
    shown = written or "4h, Velero's default"
    stages = [policy.registered_within, policy.verified_within]
    if policy.power != "leave":
        stages.append(policy.powered_within)
    needed = sum((stage for stage in stages if stage is not None), timedelta())
    if policy.registered_within is None:
        established = f"an operation may take {shown}, waiting for the registration of its VMs included"
        if timeout >= _DEFAULT_TIMEOUT:
            return checks.ok(name, established)
        return checks.warning(name, established, f"raise {_TIMEOUT_FLAG} to what the restore of all VMs may take")
    within = durationpy.to_str(needed)
    if timeout >= needed:
        return checks.ok(name, f"an operation may take {shown}, and the deadlines of the settings are over in {within}")
    return checks.warning(
        name,
        f"Velero gives an operation up after {shown}, and the deadlines of the settings are over in {within} only",
        f"raise {_TIMEOUT_FLAG} to {within} or more, or shorten restore.registered_within",
    )
