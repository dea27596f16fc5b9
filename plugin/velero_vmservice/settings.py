"""What an administrator can set, from a YAML file, `VMSERVICE_*` environment variables and mounted secrets.

Unknown keys are errors: a typo that silently keeps a default would be found on the day of the restore.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, YamlConfigSettingsSource

from velero_vmservice.core.errors import InvalidSettings

if TYPE_CHECKING:
    from pydantic_settings import PydanticBaseSettingsSource

DEFAULT_FILE = Path("/etc/velero-vmservice/settings.yaml")


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

    model_config = SettingsConfigDict(env_prefix="VMSERVICE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    velero_namespace: str = "velero"
    bucket: BucketSettings | None = None
    restricted: RestrictedSettings = RestrictedSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    kubernetes_timeout_seconds: float = Field(default=5.0, gt=0)
    s3_timeout_seconds: float = Field(default=10.0, gt=0)
    drain_seconds: float = Field(default=20.0, ge=0)
    socket_group_access: bool = Field(
        default=False, description="Sockets get mode 0660 instead of 0600, for a Velero under another UID."
    )

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
        file = Path(os.environ.get("VMSERVICE_SETTINGS", DEFAULT_FILE))
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file))


def load() -> Settings:
    """Read the settings; raises `InvalidSettings` that names each wrong key and what is accepted."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'settings'}: {one['msg'].lower()}"
            for one in error.errors()
        )
        known = ", ".join(sorted(Settings.model_fields))
        raise InvalidSettings(f"the settings are not valid ({wrong})", hint=f"known keys: {known}") from error
