"""The settings of an administrator, from a YAML file and `VMSERVICE_*` environment variables.

Unknown keys are errors, because a typo that silently keeps a default would only show at a restore. The keys of
docs/configuration.md are generated from the descriptions and examples of the fields (`make docs`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.restore.policy import RestoreDefaults
from velero_vmservice.settings import sources
from velero_vmservice.settings.registration import RegistrationSettings, SourceSections
from velero_vmservice.settings.restricted_names import checked_addition, checked_removal
from velero_vmservice.settings_faults import FAULT_OF_KEY, faults_in
from velero_vmservice.settings_section import Section

if TYPE_CHECKING:
    from velero_vmservice.settings.sources import Given

DEFAULT_FILE = Path("/etc/velero-vmservice/settings.yaml")
FILE_VARIABLE: Final = "VMSERVICE_SETTINGS"
FILE_OPTION: Final = "--settings"

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class BucketSettings(Section):
    """A bucket of the plugin's own, used instead of the backup's BackupStorageLocation, which may not be S3."""

    name: str = Field(min_length=1, description="The bucket's name.", examples=["captures"])
    prefix: str = Field(
        default="", description="Prefix of every key; each Supervisor needs its own.", examples=["supervisor-1"]
    )
    region: str = Field(default="us-east-1", description="The bucket's region.", examples=["eu-central-1"])
    url: str = Field(
        default="",
        description="Endpoint of an S3-compatible server; AWS without it.",
        examples=["https://s3.example.com:9000"],
    )
    path_style: bool = Field(default=True, description="Puts the bucket's name into the path, not the host name.")
    ca_file: Path | None = Field(
        default=None,
        description="Authorities to trust instead of the public ones, in PEM.",
        examples=["/etc/velero-vmservice/bucket/ca.crt"],
    )
    insecure_skip_tls_verify: bool = Field(default=False, description="Accepts any certificate.")
    server_side_encryption: str = Field(
        default="", description="Encryption that the server applies to each object.", examples=["AES256", "aws:kms"]
    )
    kms_key_id: str = Field(default="", description="Key for `aws:kms`.", examples=["1234"])

    @field_validator("name", "region")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if any(sign.isspace() or not sign.isprintable() for sign in value):
            raise ValueError("has a blank or another character that no name has")
        return value

    @field_validator("url")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            sound = False
        if not sound or parts.username or parts.query or parts.fragment or value != value.strip():
            raise ValueError("has to be https://host or http://host, with an optional :port and no user")
        return value


class RestrictedSettings(Section):
    """Which resources are left to the Supervisor: `plural.group`, as `kubectl api-resources -o name` spells them."""

    supervisor: Literal["detect", "yes", "no"] = Field(
        default="detect", description="Whether the cluster is a Supervisor."
    )
    add: tuple[Annotated[str, AfterValidator(checked_addition)], ...] = Field(
        default=(), description="More resources to leave to the Supervisor.", examples=["[widgets.example.com]"]
    )
    remove: tuple[Annotated[str, AfterValidator(checked_removal)], ...] = Field(
        default=(),
        description="Resources of the built-in list that are backed up and restored after all.",
        examples=["[certificates.cert-manager.io]"],
    )


_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT: Final = 65535


class MetricsSettings(Section):
    """Where metrics and health are served over HTTP: see [observability](observability.md)."""

    address: str = Field(
        default=":8086",
        description="`host:port` of `/metrics`, `/healthz` and `/readyz`; without a host every address of the pod, "
        "empty for none. A port that is taken is a warning.",
        examples=["127.0.0.1:9090", "localhost:8086"],
    )

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = _ADDRESS.fullmatch(value)
        if value and not (parts and int(parts["port"]) <= _HIGHEST_PORT):
            raise ValueError("has to be host:port, :port, or empty")
        return value


class WorkSettings(Section):
    """What is left to the Supervisor, kept, replayed and asked for, and where."""

    velero_namespace: str = Field(
        default="",
        description="Namespace of Velero's own objects; without it, [it is found](#veleros-namespace).",
        examples=["openshift-adp"],
    )
    bucket: BucketSettings | None = None
    restricted: RestrictedSettings = RestrictedSettings()
    vsphere_plugin: Literal["detect", "take-over", "leave"] = Field(
        default="detect",
        description="What becomes of the keys with which velero-plugin-for-vsphere refuses what this plugin captures, "
        "withholds or leaves: `take-over` removes them when a backup or restore begins, `detect` does so on a "
        "Supervisor ([how](compatibility.md#beside-velero-plugin-for-vsphere)).",
    )
    restore: RestoreDefaults = RestoreDefaults()
    registration: RegistrationSettings = RegistrationSettings()

    @field_validator("velero_namespace")
    @classmethod
    def _is_namespace(cls, value: str) -> str:
        if not _NAMESPACE.fullmatch(value):
            raise ValueError("has to be the name of a namespace: lower-case letters, digits and hyphens")
        return value


class Settings(SourceSections, WorkSettings):
    """Settings of the whole plugin."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe level that the sidecar logs."
    )
    kubernetes_timeout_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Seconds for one request to the API server, its repetitions included.",
        examples=["2.5"],
    )
    s3_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds for one answer of the object store, its last byte included ([storage](storage.md)).",
        examples=["30"],
    )
    drain_seconds: float = Field(
        default=20.0, ge=0, description="Seconds that running calls have once the sidecar is stopped.", examples=["0"]
    )
    socket_group_access: bool = Field(
        default=False,
        description="Opens the sockets to the group of the plugins volume, for a Velero that runs under another user: "
        "see [below](#two-users).",
    )

    metrics: MetricsSettings = MetricsSettings()

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if name := self.lacking(self.registration.sources):
            sentence = f"names {name}, and {name} does not say where that is"
            raise PydanticCustomError(FAULT_OF_KEY, sentence, {"at": "registration.sources"})
        if self.registration.mode == "trigger" and self.vcenter is None:
            sentence = "is trigger, but vcenter names no server to call"
            raise PydanticCustomError(FAULT_OF_KEY, sentence, {"at": "registration.mode"})
        return self


def load() -> Settings:
    """Read the settings of this process alone, as `configured.load` does with those of the cluster; see `checked`."""
    return checked(written())


def written(file: str = "") -> Given:
    """Return the values of the environment and, below it, of the file; raises `InvalidSettings` if it cannot be read.

    `file` comes before the one that the environment names; '' for none.
    """
    environment = sources.from_environment(os.environ, Settings, besides=FILE_VARIABLE)
    return environment.over(sources.from_file(_file(file)))


def checked(given: Given) -> Settings:
    """Return the settings; raises `InvalidSettings` with each wrong key and the accepted values, never a value."""
    try:
        return Settings.model_validate(given.values)
    except ValidationError as error:
        faults = list(faults_in(error, Settings, given.values))
    sentences = [": ".join(filter(None, (given.place(fault.path), fault.sentence))) for fault in faults]
    hints = dict.fromkeys(fault.hint for fault in faults if fault.hint)
    raise InvalidSettings(
        "; ".join(sentences), hint="; ".join(hints) or "look the key and its values up in docs/configuration.md"
    )


def _file(chosen: str) -> Path:
    """Return the file; raises if a named file does not exist, which would otherwise only show at a restore."""
    named = chosen or os.environ.get(FILE_VARIABLE)
    if named is None:
        return DEFAULT_FILE
    file = os.path.expanduser(named)  # noqa: PTH111 - unlike Path's, it does not raise for an unknown user
    if not os.path.isfile(file):  # noqa: PTH113 - likewise, for a directory that cannot be entered
        raise InvalidSettings(
            f'{FILE_OPTION if chosen else FILE_VARIABLE} names no file: "{named}"',
            hint=f"leave it out to use {DEFAULT_FILE} or the defaults"
            if chosen
            else f"mount the file there, or unset the variable to use {DEFAULT_FILE} or the defaults",
        )
    return Path(file)
