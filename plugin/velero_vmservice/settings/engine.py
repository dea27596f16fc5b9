"""Where the registration engine is and how to reach it: one section of the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Self

from pydantic import Field, field_validator, model_validator

from velero_vmservice.settings_section import Section

_TARGET: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65535


class EngineSettings(Section):
    """A registration engine that speaks `protos/registration/v1`; TLS unless `insecure` says otherwise."""

    target: str = Field(
        description="Host and port of a registration engine; no URL.", examples=["engine.registration.svc:8443"]
    )
    ca_file: Path | None = Field(
        default=None,
        description="Authorities to trust instead of the public ones, in PEM.",
        examples=["/etc/velero-vmservice/engine/ca.crt"],
    )
    certificate_file: Path | None = Field(
        default=None,
        description="Client certificate with its chain, in PEM; needs `key_file`.",
        examples=["/etc/velero-vmservice/engine/tls.crt"],
    )
    key_file: Path | None = Field(
        default=None,
        description="The client certificate's key, in PEM, not encrypted.",
        examples=["/etc/velero-vmservice/engine/tls.key"],
    )
    insecure: bool = Field(
        default=False, description="Does without TLS: a process on the network path can claim that VMs are ready."
    )
    timeout_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds for one look, whatever the number of VMs; at most 60.",
        examples=["60"],
    )

    @field_validator("target")
    @classmethod
    def _names_host_and_port(cls, target: str) -> str:
        if not (parts := _TARGET.fullmatch(target)) or not 0 < int(parts["port"]) <= _HIGHEST_PORT:
            raise ValueError("has to be host:port, without https:// and path")
        return target

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.insecure and (self.ca_file or self.certificate_file or self.key_file):
            raise ValueError(
                "contradicts itself, insecure does without TLS: leave it out, or ca_file, certificate_file and key_file"
            )
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("needs certificate_file and key_file given together, or neither")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port apart, an IPv6 address without its brackets."""
        host, _, port = self.target.rpartition(":")
        return host.strip("[]"), int(port)
