"""Whether RegisterVM is called by this product at all, and with what: `registration:` in the settings."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from velero_vmservice.core.network_override import NetworkOverride


class TriggerPolicy(BaseModel):
    """By default registration is watched and nothing is called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["observe", "trigger"] = "observe"
    """`trigger` calls RegisterVM once for each restored machine that passes the preflight; it needs `vcenter`."""
    subnet_mappings: NetworkOverride = ()
    """Network override of each call (guide 9.3): VCF 9.0+ with NSX-VPC networking only."""
