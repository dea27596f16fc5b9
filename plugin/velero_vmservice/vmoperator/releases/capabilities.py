"""What the target Supervisor has switched on, and what that means for an object to be replayed.

VM Operator switches its own features by the activated capabilities of the cluster-scoped object
`supervisor-capabilities`; older Supervisors have a ConfigMap instead (pkg/config/capabilities/capabilities.go,
external/capabilities/api/v1alpha1). What is missing there is unknown, and then the served API versions decide
alone. In-place restores have no key of their own: their switch is in VM Operator's environment
(FSS_WCP_VMSERVICE_INCREMENTAL_RESTORE), so they follow from the Supervisor's generation (`generation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.documents import Dropped
from velero_vmservice.kube.manifest import (
    CAPABILITIES,
    CONFIG_MAP,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    Manifest,
    ObjectRef,
    mapping,
)
from velero_vmservice.kube.names import boolean
from velero_vmservice.vmoperator.releases import api_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OBJECT: Final = ObjectRef(CAPABILITIES, "", "supervisor-capabilities")
OLDER_OBJECT: Final = ObjectRef(CONFIG_MAP, "kube-system", "wcp-cluster-capabilities")

GROUPS: Final = "supports_VM_service_VM_groups"
TELCO: Final = "supports_telco_vm_service_api"
IPV6: Final = "supports_workload_ipv6"

_GATED: Final = {
    (VIRTUAL_MACHINE_GROUP.name, "powerOffDelay"): TELCO,
    (VIRTUAL_MACHINE_SERVICE.name, "ipFamilies"): IPV6,
    (VIRTUAL_MACHINE_SERVICE.name, "ipFamilyPolicy"): IPV6,
}
"""Fields that a webhook forbids while the capability is off (validatePowerOffDelay; validateSpec of services)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a Supervisor says of itself; None is unknown."""

    groups: bool | None = None
    telco: bool | None = None
    ipv6: bool | None = None
    source: str = ""
    """The object that says so, as a sentence names it; '' if nothing could be read."""
    note: str = ""
    """Why something is unknown, for the person on call; '' if everything is known."""

    def activated(self, key: str) -> bool | None:
        """Return the state of a capability by its key, None if unknown."""
        return {GROUPS: self.groups, TELCO: self.telco, IPV6: self.ipv6}.get(key)


def unknown(why: str) -> Capabilities:
    """Return the capabilities of a Supervisor that could not be asked."""
    return Capabilities(note=f"{why}; what the target can do is judged by the API versions it serves")


def read(manifest: Manifest) -> Capabilities:
    """Read the `supervisor-capabilities` object, or the older ConfigMap."""
    if manifest.kind_name == CAPABILITIES.name:
        source, state = OBJECT, _of_object(manifest)
    else:
        source, state = OLDER_OBJECT, _of_config_map(manifest)
    missing = [key for key in (GROUPS, TELCO, IPV6) if state(key) is None]
    return Capabilities(
        groups=state(GROUPS),
        telco=state(TELCO),
        ipv6=state(IPV6),
        source=str(source),
        note=unknown(f"{source} says nothing of {', '.join(missing)}").note if missing else "",
    )


def _of_object(manifest: Manifest) -> Callable[[str], bool | None]:
    entries = mapping(manifest.status.get("supervisor"))

    def state(key: str) -> bool | None:
        activated = mapping(entries.get(key)).get("activated")
        return activated if isinstance(activated, bool) else None

    return state


def _of_config_map(manifest: Manifest) -> Callable[[str], bool | None]:
    """VM Operator reads the ConfigMap with Go's ParseBool."""
    data = mapping(manifest.content.get("data"))
    return lambda key: boolean(data.get(key))


def groups_blocked(served: Sequence[str], capabilities: Capabilities) -> str:
    """Say why the target cannot have groups, or '' if it can as far as is known.

    Without the capability VM Operator runs neither webhook nor controller for groups: one could be created and would
    never be linked (webhooks.go, controllers.go). It then refuses a VM that names a group as well
    (virtualmachine_validator.go).

    Args:
        served: the versions of VirtualMachineGroup that the target serves.
        capabilities: what the target says of itself.
    """
    without = "services are restored without it, and a VM whose spec.groupName names it may be refused"
    if not served:
        return f"this Supervisor does not serve {VIRTUAL_MACHINE_GROUP.resource} (VCF 9.0.1 and later do); {without}"
    if capabilities.groups is False:
        return f"this Supervisor does not link groups: {_off(GROUPS, capabilities)}; {without}"
    return ""


def unsupported_fields(kind: str, version: str, capabilities: Capabilities) -> Mapping[str, str]:
    """Return the fields that the target does not take at the version it is written at, each with the reason."""
    reasons = dict.fromkeys(api_versions.unknown_fields(kind, version), f"{version} does not know it")
    for (owner, field), key in _GATED.items():
        if owner == kind and field not in reasons and capabilities.activated(key) is False:
            reasons[field] = f"refused there: {_off(key, capabilities)}"
    return reasons


def fit(manifest: Manifest, capabilities: Capabilities) -> tuple[Manifest, tuple[Dropped, ...]]:
    """Return the object without the fields that the target does not take, and what was taken off.

    The object already has the apiVersion that it is written at.
    """
    reasons = unsupported_fields(manifest.kind_name, manifest.version, capabilities)
    content = manifest.editable()
    paths = sorted(api_versions.trim(content.get("spec"), frozenset(reasons), "spec"))
    return Manifest(content), tuple(Dropped(path=path, reason=reasons[path.rpartition(".")[2]]) for path in paths)


def _off(key: str, capabilities: Capabilities) -> str:
    return f"{key} is not activated in {capabilities.source}"
