"""The address of a bucket and the login to it, as one value.

The value compares by content, so a comparison shows any change, such as a rotated secret or authority. Its
representation has no secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from velero_vmservice.adapters.s3.errors import Place
from velero_vmservice.adapters.transport.proxies import proxy_shown

_AMAZON: Final = "s3.amazonaws.com"
_HEADER_SETTINGS: Final = (
    ("tagging", "x-amz-tagging", ("config.tagging", "")),
    ("kms_key_id", "x-amz-server-side-encryption", ("config.kmsKeyId", "bucket.kms_key_id")),
    (
        "server_side_encryption",
        "x-amz-server-side-encryption",
        ("config.serverSideEncryption", "bucket.server_side_encryption"),
    ),
    ("customer_key", "x-amz-server-side-encryption-customer", ("config.customerKeyEncryption…", "")),
)
"""Fields that become headers: the beginning of the headers, and the fields' names in a location and the settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Location:
    """A bucket, the way to it, and its requirements for writers.

    `credentials` is the text of an AWS credentials file, '' for boto3's default chain. `prefix` has no slash at
    either end. `source` names the location or setting to edit, for messages.
    """

    bucket: str
    source: str
    prefix: str = ""
    region: str = ""
    url: str = ""
    path_style: bool = False
    verify_tls: bool = True
    authorities: str = field(default="", repr=False)
    credentials: str = field(default="", repr=False)
    credentials_of: str = "the credential"
    """The field or variable with the credentials, for messages."""
    profile: str = ""
    server_side_encryption: str = ""
    kms_key_id: str = ""
    customer_key: bytes = field(default=b"", repr=False)
    tagging: str = ""
    checksums: bool = True
    read_only: bool = False
    of_settings: bool = False
    """Whether it is the settings' own bucket; its fields have other names than a location's."""

    @property
    def place(self) -> Place:
        """Name the bucket, its server and the way there."""
        return Place(
            bucket=self.bucket,
            endpoint=self.url or "Amazon S3",
            source=self.source,
            proxy=proxy_shown(self.url or f"https://{self.bucket}.{_AMAZON}"),
            header_settings=tuple(
                (header, names[self.of_settings]) for field, header, names in _HEADER_SETTINGS if getattr(self, field)
            ),
        )
