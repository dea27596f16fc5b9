"""A Supervisor's release: the API versions that it serves, its generation and its capabilities.

VM Operator keeps fields that an older version cannot express in a conversion annotation, which overrides later edits
(utilconversion). So a capture is always read at the newest served version. Capabilities in the cluster-scoped object
`supervisor-capabilities` switch VM Operator's features; older Supervisors have a ConfigMap instead
(pkg/config/capabilities/capabilities.go, external/capabilities/api/v1alpha1). A capability that is missing there is
unknown, and then the served API versions decide alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_VERSION: Final = re.compile(r"^v(\d+)(?:(alpha|beta)(\d+))?$")
_STAGES: Final = {"alpha": 0, "beta": 1, None: 2}

_INTRODUCED: Final = {
    ("VirtualMachineGroup", "powerOffDelay"): "v1alpha6",
    ("VirtualMachineService", "ipFamilies"): "v1alpha6",
    ("VirtualMachineService", "ipFamilyPolicy"): "v1alpha6",
}
"""The only differences between the served versions (vm-service 4.7)."""

SUPPORTED: Final = ("v1alpha2", "v1alpha3", "v1alpha4", "v1alpha5")
"""The versions that the guide supports (7.1.2); later ones are not in the guide."""
TOO_OLD: Final = "VCenterWcpWorkloadRegisterVMConvertUnstructuredToVMTypeFailed"
"""RegisterVM's error code for a VM whose backup has an older version (guide 7.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChoice:
    """The version in which to write one object, or the reason why it cannot be written."""

    version: str
    """'' if the target serves no supported version."""
    refused: str = ""
    notes: tuple[str, ...] = ()


def rank(version: str) -> tuple[int, int, int]:
    """Return a sort key in Kubernetes' version order: v1alpha1 < v1alpha2 < v1beta1 < v1; unknown forms first."""
    match = _VERSION.match(version)
    if match is None:
        return (-1, 0, 0)
    return (_STAGES[match[2]], int(match[1]), int(match[3] or 0))


def newest(versions: Iterable[str]) -> str | None:
    """Return the newest of the versions, or None if there are none."""
    return max(versions, key=rank, default=None)


def choose(kind: str, captured: str, served: Sequence[str]) -> VersionChoice:
    """Choose the version in which to replay a captured object, never newer than necessary.

    There is no choice while no version is served, which is transient during an upgrade of VM Operator's definitions.
    """
    version = captured if captured in served else newest(served)
    refused = ""
    if not version:
        refused = f"the target serves no version of {kind}: enable VM Service there, or wait for its upgrade to end"
    elif rank(captured) < rank(SUPPORTED[0]):
        refused = f"the {kind} was captured at {captured}: {_too_old()}; back it up again at a newer version"
    elif rank(version) < rank(SUPPORTED[0]):
        served_only = f"the target serves {kind} at {', '.join(served)} only"
        refused = f"{served_only}: {_too_old()}; restore to vSphere 8.0 U3 or later"
    if refused or not version:
        return VersionChoice(version="", refused=refused)
    if rank(version) > rank(SUPPORTED[-1]):
        silent = (
            f"replayed at {version}: the guide names {', '.join(SUPPORTED)} as supported and says nothing"
            " of later versions; check the result"
        )
        return VersionChoice(version=version, notes=(silent,))
    return VersionChoice(version=version)


def _too_old() -> str:
    return (
        f"API versions older than {SUPPORTED[0]} cannot be restored (guide 7.1.2; supported are {', '.join(SUPPORTED)};"
        f" RegisterVM fails with {TOO_OLD})"
    )


def unknown_fields(kind: str, version: str) -> frozenset[str]:
    """Return the fields of the kind that are newer than the version."""
    return frozenset(
        field for (owner, field), since in _INTRODUCED.items() if owner == kind and rank(version) < rank(since)
    )


def trim(tree: Any, fields: frozenset[str], path: str) -> Iterator[str]:
    """Delete the fields anywhere in the tree, in place; yield the path of each."""
    if isinstance(tree, list):
        for index, entry in enumerate(tree):
            yield from trim(entry, fields, f"{path}[{index}]")
    elif isinstance(tree, dict):
        for key in list(tree):
            if key in fields:
                del tree[key]
                yield f"{path}.{key}"
            else:
                yield from trim(tree[key], fields, f"{path}.{key}")


class Generation(StrEnum):
    """The columns of the guide's feature matrix (1.3)."""

    VSPHERE_8_U3 = "vSphere 8.0 U3"
    VCF_9 = "VCF 9.0+"
    UNKNOWN = "unknown"


class Feature(StrEnum):
    """The rows of the matrix."""

    RESTORE_TO_NEW_VM = "restore to new VM"
    IN_PLACE_RESTORE = "in-place restore"
    DISK_ONLY_RESTORE = "disk-only restore"
    CROSS_VCENTER_FAILOVER = "cross-vCenter failover"
    NETWORK_OVERRIDE = "network override"


MATRIX: Final[Mapping[Feature, frozenset[Generation]]] = {
    **dict.fromkeys(Feature, frozenset({Generation.VCF_9})),
    Feature.RESTORE_TO_NEW_VM: frozenset({Generation.VSPHERE_8_U3, Generation.VCF_9}),
}
"""The generations that have a feature (guide 1.3)."""

_FIRST: Final = {Generation.VSPHERE_8_U3: "v1alpha2", Generation.VCF_9: "v1alpha3"}
"""The newest VirtualMachine version of the first release of each generation.

The API does not name the release, but the served versions show it. VM Operator's release branches (config/crd/bases)
have these versions of VirtualMachine, VirtualMachineGroup: vc-8.0.2 v1alpha1, none; vc-8.0.3 to v1alpha2, none;
vc-9.0.0 to v1alpha3, none; vc-9.0.1 to v1alpha4, v1alpha4; vc-9.1.0 to v1alpha5, v1alpha2 to v1alpha5; main to
v1alpha6.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorRelease:
    """The generation of a Supervisor, with the evidence as a clause."""

    generation: Generation
    evidence: str

    def supports(self, feature: Feature) -> bool | None:
        """Say whether the guide supports the feature, None if the generation is unknown."""
        return None if self.generation is Generation.UNKNOWN else self.generation in MATRIX[feature]


def inferred_release(vms: Sequence[str], groups: Sequence[str], capabilities: Capabilities) -> SupervisorRelease:
    """Infer the generation from the served versions of VirtualMachine and VirtualMachineGroup, and the capabilities.

    The Supervisor counts, not its vCenter: an older Supervisor under a newer vCenter restores like the older.
    """
    version = newest(vms)
    if groups:
        served = f"serves VirtualMachineGroup at {', '.join(groups)}, as VCF 9.0.1 and later do"
        return SupervisorRelease(generation=Generation.VCF_9, evidence=served)
    if version is None:
        return SupervisorRelease(generation=Generation.UNKNOWN, evidence="serves no version of VirtualMachine just now")
    served = f"serves VirtualMachine up to {version}"
    if rank(version) >= rank(_FIRST[Generation.VCF_9]):
        return SupervisorRelease(generation=Generation.VCF_9, evidence=f"{served}, which came with VCF 9.0")
    if rank(version) < rank(_FIRST[Generation.VSPHERE_8_U3]):
        return SupervisorRelease(
            generation=Generation.UNKNOWN,
            evidence=f"{served}: older than vSphere 8.0 U3, the first that the guide restores to (1.3)",
        )
    has_object = capabilities.source == str(CAPABILITIES_OBJECT)
    upgraded = f", though it has {CAPABILITIES_OBJECT} as VCF 9.0 does" if has_object else ""
    return SupervisorRelease(generation=Generation.VSPHERE_8_U3, evidence=f"{served}, as vSphere 8.0 U3 does{upgraded}")


CAPABILITIES_OBJECT: Final = ObjectRef(CAPABILITIES, "", "supervisor-capabilities")
OLDER_CAPABILITIES_OBJECT: Final = ObjectRef(CONFIG_MAP, "kube-system", "wcp-cluster-capabilities")

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
    """The capabilities of a Supervisor; None is unknown."""

    groups: bool | None = None
    telco: bool | None = None
    ipv6: bool | None = None
    source: str = ""
    """The object that they were read from, for a sentence; '' if none could be read."""
    note: str = ""
    """Why a capability is unknown, for the person on call; '' if all are known."""

    def activated(self, key: str) -> bool | None:
        """Return the state of a capability by its key, None if unknown."""
        return {GROUPS: self.groups, TELCO: self.telco, IPV6: self.ipv6}.get(key)


def unknown_capabilities(why: str) -> Capabilities:
    """Return the capabilities of a Supervisor that did not answer."""
    return Capabilities(note=f"{why}; the served API versions decide what the target can do")


def read_capabilities(manifest: Manifest) -> Capabilities:
    """Read the `supervisor-capabilities` object, or the older ConfigMap."""
    if manifest.kind_name == CAPABILITIES.name:
        source, state = CAPABILITIES_OBJECT, _of_object(manifest)
    else:
        source, state = OLDER_CAPABILITIES_OBJECT, _of_config_map(manifest)
    missing = [key for key in (GROUPS, TELCO, IPV6) if state(key) is None]
    return Capabilities(
        groups=state(GROUPS),
        telco=state(TELCO),
        ipv6=state(IPV6),
        source=str(source),
        note=unknown_capabilities(f"{source} does not list {', '.join(missing)}").note if missing else "",
    )


def _of_object(manifest: Manifest) -> Callable[[str], bool | None]:
    entries = mapping(manifest.status.get("supervisor"))

    def state(key: str) -> bool | None:
        activated = mapping(entries.get(key)).get("activated")
        return activated if isinstance(activated, bool) else None

    return state


def _of_config_map(manifest: Manifest) -> Callable[[str], bool | None]:
    data = mapping(manifest.content.get("data"))
    return lambda key: boolean(data.get(key))  # as VM Operator reads it


def groups_blocked(served: Sequence[str], capabilities: Capabilities) -> str:
    """Say why the target cannot have groups; '' if it can, or if that is unknown.

    Without the capability VM Operator runs neither webhook nor controller for groups: a group could be created, but
    would never be linked (webhooks.go, controllers.go). VM Operator then also refuses a VM that names a group
    (virtualmachine_validator.go). `served` are the versions of VirtualMachineGroup.
    """
    without = "services are restored without it, and a VM whose spec.groupName names it may be refused"
    if not served:
        return f"this Supervisor does not serve {VIRTUAL_MACHINE_GROUP.resource} (VCF 9.0.1 and later do); {without}"
    if capabilities.groups is False:
        return f"this Supervisor does not link groups: {_off(GROUPS, capabilities)}; {without}"
    return ""


def unsupported_fields(kind: str, version: str, capabilities: Capabilities) -> Mapping[str, str]:
    """Return the fields that the target does not accept in the given version, each with the reason."""
    reasons = dict.fromkeys(unknown_fields(kind, version), f"{version} does not know it")
    for (owner, field), key in _GATED.items():
        if owner == kind and field not in reasons and capabilities.activated(key) is False:
            reasons[field] = f"refused there: {_off(key, capabilities)}"
    return reasons


def fit(manifest: Manifest, capabilities: Capabilities) -> tuple[Manifest, tuple[Dropped, ...]]:
    """Return the object without the fields that the target does not accept, and the removed paths.

    The object already has the apiVersion in which it is written.
    """
    reasons = unsupported_fields(manifest.kind_name, manifest.version, capabilities)
    content = manifest.editable()
    paths = sorted(trim(content.get("spec"), frozenset(reasons), "spec"))
    return Manifest(content), tuple(Dropped(path=path, reason=reasons[path.rpartition(".")[2]]) for path in paths)


def _off(key: str, capabilities: Capabilities) -> str:
    return f"{key} is not activated in {capabilities.source}"
