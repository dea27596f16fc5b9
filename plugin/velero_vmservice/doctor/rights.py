"""The one list of rights on the Kubernetes API that the plugin uses, each with its purpose.

The list was measured by the API server's audit log of the end-to-end tests, and completed from the code. A
ServiceAccount with these rights is enough; the plugin needs no watch, update or delete, and writes no status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.doctor import checks
from velero_vmservice.kube.manifest import (
    BACKUP,
    BACKUP_STORAGE_LOCATION,
    CAPABILITIES,
    CAPTURED_KINDS,
    CNS_REGISTER_VOLUME,
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINTS,
    NAMESPACE,
    NETWORK,
    NETWORK_SETTINGS,
    PERSISTENT_VOLUME_CLAIM,
    RESOURCE_QUOTA,
    RESTORE,
    SCHEDULE,
    SECRET,
    SERVICE,
    STORAGE_CLASS,
    SUBNET,
    SUBNET_SET,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_CLASS,
    VIRTUAL_MACHINE_SET_RESOURCE_POLICY,
    VIRTUAL_NETWORK,
    Kind,
)
from velero_vmservice.supervisor.vsphere_plugin import BLOCKED_RESOURCES
from velero_vmservice.velero.deployment import VELERO
from velero_vmservice.vmoperator.releases import OLDER_CAPABILITIES_OBJECT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.doctor.checks import Check

EVENT: Final = Kind("", "events", "Event")


class Scope(StrEnum):
    """The namespaces of a right."""

    EVERYWHERE = "all namespaces"
    """Every namespace in a backup or restore, and objects without one."""
    VELERO = "Velero's namespace"


class Need(StrEnum):
    """The effect of a missing right."""

    REQUIRED = "required"
    """Backups or restores fail."""
    OPTIONAL = "optional"
    """A part is unknown, or not done."""
    REGISTER_VM = "register-vm"
    """RegisterVM is not called on request."""
    TAKE_OVER = "take-over"
    """The list of velero-plugin-for-vsphere stays as it is."""
    POWER = "power"
    """VMs in no group are not powered on."""


ON_REQUEST: Final = frozenset({Need.REGISTER_VM, Need.TAKE_OVER, Need.POWER})
"""Needs that depend on the settings or on a user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Verbs on one resource."""

    kind: Kind
    verbs: tuple[str, ...]
    scope: Scope
    purpose: str
    need: Need = Need.REQUIRED
    name: str = ""
    """The only object that needs it; '' for all."""
    by_name: bool = False
    """Whether the right for the named objects of locations and settings is enough."""

    @property
    def title(self) -> str:
        """Return the name of its check."""
        what = f"{self.kind.resource} {self.name}".rstrip()
        return f"right to {', '.join(self.verbs)} {what} in {self.scope}"


_READ_NETWORKS: Final = "networks that a target lacks"
_LIST: Final = ("list",)

RIGHTS: Final = (
    Right(
        kind=NAMESPACE,
        verbs=("get",),
        scope=Scope.EVERYWHERE,
        purpose="whether a namespace is a vSphere Namespace, and which cluster this is",
    ),
    Right(kind=SERVICE, verbs=_LIST, scope=Scope.EVERYWHERE, purpose="verifying replayed services"),
    Right(kind=ENDPOINTS, verbs=_LIST, scope=Scope.EVERYWHERE, purpose="verifying replayed services"),
    Right(kind=PERSISTENT_VOLUME_CLAIM, verbs=_LIST, scope=Scope.EVERYWHERE, purpose="disks of VMs"),
    Right(kind=STORAGE_CLASS, verbs=_LIST, scope=Scope.EVERYWHERE, purpose="storage classes that a target lacks"),
    *(
        Right(
            kind=kind,
            verbs=("get", "list", "create", "patch"),
            scope=Scope.EVERYWHERE,
            purpose="capture, replay and verification",
        )
        for kind in CAPTURED_KINDS
    ),
    Right(kind=VIRTUAL_MACHINE, verbs=_LIST, scope=Scope.EVERYWHERE, purpose="topology, facts and readiness of VMs"),
    Right(
        kind=VIRTUAL_MACHINE,
        verbs=("get", "patch"),
        scope=Scope.EVERYWHERE,
        purpose="powering on VMs that are in no group",
        need=Need.POWER,
    ),
    Right(kind=VIRTUAL_MACHINE_CLASS, verbs=_LIST, scope=Scope.EVERYWHERE, purpose="VM classes that a target lacks"),
    Right(
        kind=VIRTUAL_MACHINE_SET_RESOURCE_POLICY,
        verbs=_LIST,
        scope=Scope.EVERYWHERE,
        purpose="resource policies that a target lacks",
    ),
    Right(
        kind=CAPABILITIES,
        verbs=("get",),
        scope=Scope.EVERYWHERE,
        purpose="what the Supervisor can do",
        need=Need.OPTIONAL,
    ),
    Right(
        kind=CONFIG_MAP,
        name=OLDER_CAPABILITIES_OBJECT.name,
        verbs=("get",),
        scope=Scope.EVERYWHERE,
        purpose="what an older Supervisor can do",
        need=Need.OPTIONAL,
    ),
    Right(
        kind=CONFIG_MAP,
        verbs=_LIST,
        scope=Scope.EVERYWHERE,
        purpose="whether bootstrap objects are back",
        need=Need.OPTIONAL,
    ),
    Right(
        kind=SECRET,
        verbs=_LIST,
        scope=Scope.EVERYWHERE,
        purpose="whether bootstrap objects are back; only names are asked for",
        need=Need.OPTIONAL,
    ),
    Right(
        kind=CNS_REGISTER_VOLUME,
        verbs=_LIST,
        scope=Scope.EVERYWHERE,
        purpose="how far the disks of restored VMs are",
        need=Need.OPTIONAL,
    ),
    Right(
        kind=RESOURCE_QUOTA,
        verbs=_LIST,
        scope=Scope.EVERYWHERE,
        purpose="which storage policies are assigned to a target",
        need=Need.OPTIONAL,
    ),
    *(
        Right(kind=kind, verbs=_LIST, scope=Scope.EVERYWHERE, purpose=_READ_NETWORKS, need=Need.OPTIONAL)
        for kind in (SUBNET, SUBNET_SET, VIRTUAL_NETWORK, NETWORK, NETWORK_SETTINGS)
    ),
    Right(kind=BACKUP, verbs=("get",), scope=Scope.VELERO, purpose="the backup of a restore"),
    Right(kind=RESTORE, verbs=("get",), scope=Scope.VELERO, purpose="the restore that goes on"),
    Right(kind=BACKUP_STORAGE_LOCATION, verbs=("get",), scope=Scope.VELERO, purpose="where captures lie"),
    *(
        Right(
            kind=kind,
            verbs=_LIST,
            scope=Scope.VELERO,
            purpose="finding captures of deleted backups, prune, and this command",
            need=Need.OPTIONAL,
        )
        for kind in (BACKUP, RESTORE, BACKUP_STORAGE_LOCATION)
    ),
    Right(
        kind=SCHEDULE,
        verbs=_LIST,
        scope=Scope.VELERO,
        purpose="when the next capture of an application is due, for metrics",
        need=Need.OPTIONAL,
    ),
    Right(
        kind=SECRET,
        verbs=("get",),
        scope=Scope.VELERO,
        purpose="credentials of locations, and files of the settings; of these Secrets alone is enough",
        need=Need.OPTIONAL,
        by_name=True,
    ),
    Right(kind=CONFIG_MAP, verbs=("get", "list"), scope=Scope.VELERO, purpose="settings, and the blocked kinds"),
    Right(
        kind=CONFIG_MAP,
        name=BLOCKED_RESOURCES,
        verbs=("patch",),
        scope=Scope.VELERO,
        purpose="taking the list of velero-plugin-for-vsphere over",
        need=Need.TAKE_OVER,
    ),
    Right(
        kind=CONFIG_MAP,
        verbs=("create", "patch"),
        scope=Scope.VELERO,
        purpose="the record of each call of RegisterVM",
        need=Need.REGISTER_VM,
    ),
    Right(
        kind=DEPLOYMENT,
        name=VELERO,
        verbs=("get",),
        scope=Scope.VELERO,
        purpose="Velero's version in reports, and this command",
        need=Need.OPTIONAL,
    ),
    Right(kind=EVENT, verbs=("create",), scope=Scope.VELERO, purpose="Events about restores", need=Need.OPTIONAL),
)


def judge(right: Right, allowed: Mapping[str, bool], *, velero_namespace: str, asked_for: Collection[Need]) -> Check:
    """Return the check by the API server's answers for each verb; `asked_for` are the needs of the settings."""
    denied = [verb for verb in right.verbs if not allowed[verb]]
    if not denied:
        return checks.ok(right.title, f"allowed, for {right.purpose}")
    where = f" in namespace {velero_namespace}" if right.scope is Scope.VELERO else ""
    if right.need in ON_REQUEST and right.need not in asked_for:
        return checks.ok(
            right.title, f"{', '.join(denied)} denied{where}; the settings do not ask for it: {right.purpose}"
        )
    established = f"{', '.join(denied)} denied{where}: needed for {right.purpose}"
    what = f"{right.kind.resource} {right.name}".rstrip()
    hint = f"allow the plugin's service account to {', '.join(denied)} {what}{where}"
    judged = checks.failed if right.need is Need.REQUIRED else checks.warning
    return judged(right.title, established, hint)


def judge_named(right: Right, allowed: Mapping[str, bool], *, velero_namespace: str) -> Check:
    """Return the check of a right without a grant for every object, by the answers for the named ones."""
    denied = ", ".join(name for name, is_allowed in allowed.items() if not is_allowed)
    verbs, what = ", ".join(right.verbs), right.kind.resource
    if not allowed:
        return checks.ok(right.title, f"denied, and no location and no setting names one: {right.purpose}")
    if not denied:
        return checks.ok(right.title, f"allowed for {', '.join(allowed)}, which is every one that is named")
    established = f"{verbs} of {denied} denied in namespace {velero_namespace}: needed for {right.purpose}"
    hint = f"allow the plugin's service account to {verbs} {what} {denied} in namespace {velero_namespace}"
    return checks.warning(right.title, established, f"{hint}; the chart's value is rbac.secretNames")
