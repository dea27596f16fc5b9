"""Which generation of Supervisor a cluster is, and which kinds of restore it can do.

Nothing in the API says the release. What VM Operator serves does, by the definitions of its release branches
(config/crd/bases; VirtualMachine, VirtualMachineGroup): vc-8.0.2 v1alpha1, none; vc-8.0.3 to v1alpha2, none;
vc-9.0.0 to v1alpha3, none; vc-9.0.1 to v1alpha4, v1alpha4; vc-9.1.0 to v1alpha5, v1alpha2 to v1alpha5; main to
v1alpha6. The Supervisor counts, not its vCenter: an older Supervisor under a newer vCenter restores as the older.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from velero_vmservice.vmoperator.releases import api_versions
from velero_vmservice.vmoperator.releases.capabilities import OBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.vmoperator.releases.capabilities import Capabilities


class Generation(StrEnum):
    """The columns of the guide's feature matrix (1.3)."""

    VSPHERE_8_U3 = "vSphere 8.0 U3"
    VCF_9 = "VCF 9.0+"
    UNKNOWN = "unknown"


class Feature(StrEnum):
    """Its rows."""

    RESTORE_TO_NEW_VM = "restore to new VM"
    IN_PLACE_RESTORE = "in-place restore"
    DISK_ONLY_RESTORE = "disk-only restore"
    CROSS_VCENTER_FAILOVER = "cross-vCenter failover"
    NETWORK_OVERRIDE = "network override"


MATRIX: Final[Mapping[Feature, frozenset[Generation]]] = MappingProxyType(
    {
        Feature.RESTORE_TO_NEW_VM: frozenset({Generation.VSPHERE_8_U3, Generation.VCF_9}),
        Feature.IN_PLACE_RESTORE: frozenset({Generation.VCF_9}),
        Feature.DISK_ONLY_RESTORE: frozenset({Generation.VCF_9}),
        Feature.CROSS_VCENTER_FAILOVER: frozenset({Generation.VCF_9}),
        Feature.NETWORK_OVERRIDE: frozenset({Generation.VCF_9}),
    }
)
"""Which generations have a feature (guide 1.3)."""

_FIRST: Final = {Generation.VSPHERE_8_U3: "v1alpha2", Generation.VCF_9: "v1alpha3"}
"""The newest VirtualMachine version of the first release of each generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The generation, and the evidence for it as a clause."""

    generation: Generation
    evidence: str

    def supports(self, feature: Feature) -> bool | None:
        """Say whether the guide grants the feature, None if the generation is unknown."""
        return None if self.generation is Generation.UNKNOWN else self.generation in MATRIX[feature]


def tell(vms: Sequence[str], groups: Sequence[str], capabilities: Capabilities) -> Told:
    """Tell the generation from the served versions of VirtualMachine and VirtualMachineGroup, and the capabilities."""
    newest = api_versions.newest(vms)
    if groups:
        served = f"serves VirtualMachineGroup at {', '.join(groups)}, as VCF 9.0.1 and later do"
        return Told(generation=Generation.VCF_9, evidence=served)
    if newest is None:
        return Told(generation=Generation.UNKNOWN, evidence="serves no version of VirtualMachine just now")
    served = f"serves VirtualMachine up to {newest}"
    if api_versions.rank(newest) >= api_versions.rank(_FIRST[Generation.VCF_9]):
        return Told(generation=Generation.VCF_9, evidence=f"{served}, which came with VCF 9.0")
    if api_versions.rank(newest) < api_versions.rank(_FIRST[Generation.VSPHERE_8_U3]):
        return Told(
            generation=Generation.UNKNOWN,
            evidence=f"{served}: older than vSphere 8.0 U3, the first that the guide restores to (1.3)",
        )
    upgraded = f", though it has {OBJECT} as VCF 9.0 does" if capabilities.source == str(OBJECT) else ""
    return Told(generation=Generation.VSPHERE_8_U3, evidence=f"{served}, as vSphere 8.0 U3 does{upgraded}")
