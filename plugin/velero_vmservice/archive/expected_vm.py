"""A VM that a restore expects, with what the capture knows of it."""

from __future__ import annotations

from dataclasses import dataclass

from velero_vmservice.archive.facts import VmFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedVm:
    """A VM to ask for: by name, and by UUIDs where they were captured."""

    name: str
    instance_uuid: str = ""
    bios_uuid: str = ""
    facts: VmFacts | None = None
    """All that the capture knows of it; a source that can compare more than UUIDs does."""
    captured_at: str = ""
    """When the backup saw it, RFC 3339; '' if not known."""

    @property
    def is_node(self) -> bool:
        """Whether it is a guest cluster's node without a record; no VADP job and no restore point changes that."""
        return self.facts is not None and not self.facts.recorded

    @property
    def expected(self) -> VmFacts | None:
        """What it was at the backup, as far as that is known; None if nothing but its name is."""
        if self.facts is not None or not (self.instance_uuid or self.bios_uuid):
            return self.facts
        return VmFacts(name=self.name, instance_uuid=self.instance_uuid, bios_uuid=self.bios_uuid)
