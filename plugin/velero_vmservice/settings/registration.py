"""Which sources say whether VMs are registered, and whether RegisterVM is called: `registration:` in the settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from velero_vmservice.registervm.policy import TriggerPolicy

SourceName = Literal["kubernetes", "vcenter", "engine"]


class RegistrationSettings(TriggerPolicy):
    """By default only Kubernetes is asked, and nothing is called."""

    sources: tuple[SourceName, ...] = Field(
        default=("kubernetes",),
        description="Sources that say whether a VM is registered; the worst that one of them is certain of counts.",
        examples=["[kubernetes, vcenter, engine]"],
    )

    @field_validator("sources")
    @classmethod
    def _sound(cls, value: tuple[SourceName, ...]) -> tuple[SourceName, ...]:
        if "kubernetes" not in value:
            raise ValueError("needs kubernetes: no other source sees whether VM Operator has taken a VM over")
        if len(set(value)) < len(value):
            raise ValueError("names a source twice")
        return value
