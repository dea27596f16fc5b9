"""The settings of registration: the sources, their addresses, and whether RegisterVM is called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticKnownError

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.registervm.policy import TriggerPolicy
from velero_vmservice.registration.model import Role, Source
from velero_vmservice.settings_section import Section

_TARGET: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65535
_NAMEABLE: Final = tuple(source for source in Source if source.role is not Role.CALLER)
"""The sources that settings can name; the plugin's own calls are always followed."""


def _named(value: object) -> Source:
    if source := next((source for source in _NAMEABLE if source == value), None):
        return source
    *first, last = (f"'{source}'" for source in _NAMEABLE)
    raise PydanticKnownError("literal_error", {"expected": f"{', '.join(first)} or {last}"})


AskedSource = Annotated[Source, BeforeValidator(_named), WithJsonSchema({"enum": list(_NAMEABLE), "type": "string"})]


class RegistrationSettings(TriggerPolicy):
    """By default only Kubernetes is asked, and nothing is called."""

    sources: tuple[AskedSource, ...] = Field(
        default=(Source.KUBERNETES,),
        description="Sources that say whether a VM is registered; the worst answer that one is certain of counts.",
        examples=["[kubernetes, vcenter, engine]"],
    )

    @field_validator("sources")
    @classmethod
    def _sound(cls, value: tuple[Source, ...]) -> tuple[Source, ...]:
        if Source.KUBERNETES not in value:
            raise ValueError("needs kubernetes: no other source sees whether VM Operator has taken a VM over")
        if len(set(value)) < len(value):
            raise ValueError("names a source twice")
        return value


class VCenterSettings(Section):
    """One vCenter and the account that looks at it, and calls RegisterVM where that is asked for.

    Reading needs System.View and System.Read on the namespace's folder, RegisterVM the privilege Namespaces.Configure.
    """

    server: str = Field(
        min_length=1,
        description="Host name or address, with `:port` where it is not 443.",
        examples=["vcenter.example.com", "[2001:db8::1]:8443"],
    )
    user: str = Field(
        min_length=1,
        description="Account that reads the inventory, and calls RegisterVM where that is asked for.",
        examples=["velero@vsphere.local"],
    )
    password: SecretStr | None = Field(
        default=None, description="The account's password; prefer `password_file`.", examples=["s3cret"]
    )
    password_file: Path | None = Field(
        default=None,
        description="A mounted Secret, read at each login, so that a rotated password is taken over.",
        examples=["/etc/velero-vmservice/vcenter/password"],
    )
    ca_file: Path | None = Field(
        default=None,
        description="Authorities to trust instead of the public ones, in PEM.",
        examples=["/etc/velero-vmservice/vcenter/ca.crt"],
    )
    insecure_skip_tls_verify: bool = Field(default=False, description="Accepts any certificate; the log says so.")
    connect_timeout_seconds: float = Field(default=5.0, gt=0, description="Seconds to connect.", examples=["2"])
    timeout_seconds: float = Field(
        default=15.0, gt=0, description="Seconds for each answer, its last byte included.", examples=["60"]
    )

    @field_validator("server")
    @classmethod
    def _host(cls, value: str) -> str:
        if any(sign in "/@" or sign.isspace() or not sign.isprintable() for sign in value):
            raise ValueError("is a host name or address with an optional :port, without https:// and path")
        host, colon, port = value.rpartition(":")
        if colon and not value.endswith("]") and not (host and port.isdecimal() and 0 < int(port) <= 65535):  # noqa: PLR2004 - the last port
            raise ValueError("has a port that is none; an IPv6 address goes into brackets")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("needs either password or password_file")
        if self.ca_file and self.insecure_skip_tls_verify:
            raise ValueError("has ca_file and insecure_skip_tls_verify, which contradict each other")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port."""
        host, colon, port = self.server.rpartition(":")
        if not colon or self.server.endswith("]"):
            return self.server.strip("[]"), 443
        return host.strip("[]"), int(port)

    def read_password(self) -> str:
        """Return the present password; raises `InvalidSettings` without it."""
        if self.password_file is None:
            return self.password.get_secret_value() if self.password else ""
        try:
            password = self.password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InvalidSettings(
                f"the password of vCenter cannot be read from {self.password_file} ({why})",
                hint="mount the Secret there, or correct vcenter.password_file",
            ) from None
        if not password:
            raise InvalidSettings(
                f"the password of vCenter in {self.password_file} is empty", hint="put it into the mounted Secret"
            )
        return password

    def __str__(self) -> str:
        return f"vCenter {self.server}"

    def __repr_args__(self) -> Any:
        """Leave out useless and secret fields."""
        return [("server", self.server), ("user", self.user)]


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
        """Return host and port separately, an IPv6 address without its brackets."""
        host, _, port = self.target.rpartition(":")
        return host.strip("[]"), int(port)


class SourceSections(Section):
    """The sections of sources that have one, by the name of the source."""

    vcenter: VCenterSettings | None = None
    engine: EngineSettings | None = None

    def lacking(self, sources: tuple[Source, ...]) -> Source | None:
        """Return the first of these sources with a missing section."""
        return next((source for source in sources if getattr(self, source, self) is None), None)
