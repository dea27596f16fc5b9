"""What an administrator can set, from a YAML file, `VMSERVICE_*` environment variables and mounted secrets.

Unknown keys are errors: a typo that silently keeps a default would be found on the day of the restore.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError, YamlConfigSettingsSource

from velero_vmservice.adapters.vcenter_settings import VCenterSettings  # noqa: TC001 - pydantic reads it
from velero_vmservice.core.errors import InvalidSettings
from velero_vmservice.core.restore_policy import RestorePolicy
from velero_vmservice.engine_settings import EngineSettings  # noqa: TC001 - pydantic reads it
from velero_vmservice.registration_settings import RegistrationSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_settings import PydanticBaseSettingsSource

DEFAULT_FILE = Path("/etc/velero-vmservice/settings.yaml")
FILE_VARIABLE: Final = "VMSERVICE_SETTINGS"
PREFIX: Final = "VMSERVICE_"
NESTED: Final = "__"

_SERVICE_LINK: Final = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$"
)
"""What Kubernetes puts into every container for a Service of the namespace, one named vmservice… included."""


class Section(BaseModel):
    """A group of settings; closed, so that a misspelt key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BucketSettings(Section):
    """A bucket of our own, used instead of the backup's BackupStorageLocation."""

    name: str = Field(min_length=1)
    prefix: str = ""
    region: str = "us-east-1"
    url: str = Field(default="", description="Endpoint of an S3-compatible server; empty for AWS.")
    path_style: bool = True
    ca_file: Path | None = None
    insecure_skip_tls_verify: bool = False
    server_side_encryption: str = ""
    kms_key_id: str = ""


class RestrictedSettings(Section):
    """Which resources are left to the Supervisor; `resource.group` names, as Velero spells them."""

    supervisor: Literal["detect", "yes", "no"] = "detect"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Settings(BaseSettings):
    """All settings, with their defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=NESTED, extra="forbid", frozen=True)

    velero_namespace: str = "velero"
    bucket: BucketSettings | None = None
    restricted: RestrictedSettings = RestrictedSettings()
    restore: RestorePolicy = RestorePolicy()
    registration: RegistrationSettings = RegistrationSettings()
    vcenter: VCenterSettings | None = None
    engine: EngineSettings | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    kubernetes_timeout_seconds: float = Field(default=5.0, gt=0)
    s3_timeout_seconds: float = Field(default=10.0, gt=0)
    drain_seconds: float = Field(default=20.0, ge=0)
    socket_group_access: bool = Field(
        default=False, description="Sockets get mode 0660 instead of 0600, for a Velero under another UID."
    )

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        for name, told in (("vcenter", self.vcenter), ("engine", self.engine)):
            if name in self.registration.sources and told is None:
                raise ValueError(f"registration.sources names {name}, and {name} does not say where that is")
        if self.registration.mode == "trigger" and self.vcenter is None:
            raise ValueError("registration.mode is trigger, and vcenter does not say whom to call")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then the YAML file."""
        del dotenv_settings, file_secret_settings
        file = Path(os.environ.get(FILE_VARIABLE, DEFAULT_FILE))
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file))


def load() -> Settings:
    """Read the settings; raises `InvalidSettings` that names each wrong key and what is accepted."""
    _check_file()
    _check_variables()
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'settings'}: {one['msg'].lower()}"
            for one in error.errors()
        )
        known = ", ".join(sorted(Settings.model_fields))
        raise InvalidSettings(f"the settings are not valid ({wrong})", hint=f"known keys: {known}") from error
    except SettingsError as error:
        raise _no_json(error) from error
    except (yaml.YAMLError, OSError, ValueError) as error:
        file = os.environ.get(FILE_VARIABLE, DEFAULT_FILE)
        where = " ".join(str(error).split())
        raise InvalidSettings(
            f"the settings file {file} cannot be read ({where})", hint="it has to be YAML: a mapping of keys to values"
        ) from error


def _no_json(error: SettingsError) -> InvalidSettings:
    """Name the variable, never its value: pydantic-settings names only the first part of its key."""
    cause = error.__cause__
    value = cause.doc if isinstance(cause, json.JSONDecodeError) else None
    known = set(_variables())
    named = [name for name, one in sorted(os.environ.items()) if one == value and name.upper() in known]
    return InvalidSettings(
        f"{' or '.join(named) or 'a variable'} in the environment is no JSON ({cause or error})",
        hint='a list is written as ["kubernetes", "vcenter"], and what has keys as {"name": "captures"}',
    )


def _check_file() -> None:
    """Raise where a file is asked for that is not there: its settings would be missed on the day of the restore."""
    named = os.environ.get(FILE_VARIABLE)
    if named is not None and not Path(named).expanduser().is_file():
        raise InvalidSettings(
            f'{FILE_VARIABLE} names no file: "{named}"',
            hint=f"mount the file there, or unset the variable to use {DEFAULT_FILE} or the defaults",
        )


def _check_variables() -> None:
    """Raise for variables that start as ours do and are none: pydantic-settings passes over them in silence."""
    known = {FILE_VARIABLE, *_variables()}
    unknown = [
        name
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _SERVICE_LINK.search(name)
    ]
    if unknown:
        raise InvalidSettings(
            f"the environment sets what is no setting: {', '.join(unknown)}",
            hint=f"known variables: {', '.join(sorted(known))}",
        )


def _variables() -> Iterator[str]:
    """Yield the names that settings have in the environment."""
    for name, field in Settings.model_fields.items():
        variable = f"{PREFIX}{name}".upper()
        yield variable
        for one in (field.annotation, *get_args(field.annotation)):
            if isinstance(one, type) and issubclass(one, BaseModel):
                yield from (f"{variable}{NESTED}{part}".upper() for part in one.model_fields)
