"""Whether RegisterVM is called by this product at all, and with what: `registration:` in the settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from velero_vmservice.settings_section import Section
from velero_vmservice.vsphere.network_override import NetworkOverride


class TriggerPolicy(Section):
    """By default registration is watched and nothing is called."""

    mode: Literal["observe", "trigger"] = Field(
        default="observe",
        description="`trigger` calls RegisterVM once for each restored VM that passes the preflight; needs `vcenter`.",
    )
    subnet_mappings: NetworkOverride = Field(
        default=(),
        description="Network override of each call: VCF 9.0 and later with NSX-VPC networking only.",
        examples=["[{current: {type: SUBNET, name: a}, new: {type: SUBNETSET, name: b}}]"],
    )
