"""Whether RegisterVM is called, and with which networks, as the settings say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from velero_vmservice.settings_section import Section
from velero_vmservice.vsphere.network_override import NetworkOverride


class TriggerPolicy(Section):
    """By default registration is only watched."""

    mode: Literal["observe", "trigger"] = Field(
        default="observe",
        description="`trigger` calls RegisterVM once for each restored VM that passes the preflight; needs `vcenter`. "
        "A restore may [choose for itself](registration.md#for-one-restore).",
    )
    subnet_mappings: NetworkOverride = Field(
        default=(),
        description="Network override of each call: VCF 9.0 and later with NSX-VPC networking only. A restore's own "
        "replaces it.",
        examples=["[{current: {type: SUBNET, name: a}, new: {type: SUBNETSET, name: b}}]"],
    )
