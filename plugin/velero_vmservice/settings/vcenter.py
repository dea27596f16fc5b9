"""How to reach vCenter: `vcenter:` in the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.settings_section import Section


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
        """Return the password as it is now; raises `InvalidSettings`, never naming it."""
        if self.password_file is None:
            return self.password.get_secret_value() if self.password else ""
        try:
            password = self.password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
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
        """Leave out what does not help and what may not be seen."""
        return [("server", self.server), ("user", self.user)]
