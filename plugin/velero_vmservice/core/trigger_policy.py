"""Whether RegisterVM is called by this product at all, and with what: `registration:` in the settings."""

from __future__ import annotations

from typing import Literal

from velero_vmservice.core.network_override import NetworkOverride
from velero_vmservice.core.settings_section import Section


class TriggerPolicy(Section):
    """By default registration is watched and nothing is called."""

    mode: Literal["observe", "trigger"] = "observe"
    """`trigger` calls RegisterVM once for each restored machine that passes the preflight; it needs `vcenter`."""
    subnet_mappings: NetworkOverride = ()
    """Network override of each call (guide 9.3): VCF 9.0+ with NSX-VPC networking only."""
