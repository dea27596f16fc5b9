"""A BackupStorageLocation's fields, read as Velero and velero-plugin-for-aws read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from velero_vmservice.adapters.s3.location import S3Location
from velero_vmservice.adapters.velero import authorities, location_secrets
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import mapping
from velero_vmservice.kube.names import boolean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.settings.reading import BucketSettings

_CUSTOMER_KEY_BYTES: Final = 32
_ENCRYPTIONS: Final = ("kmsKeyId", "customerKeyEncryptionFile", "customerKeyEncryptionSecret")
_MOST_PORTS: Final = 65535
_HINT_URL: Final = "write it like https://s3.example.com:9000"


def of_location(location: Manifest, source: str, cluster: Cluster) -> S3Location:
    """Return the bucket of the location; raises `InvalidSettings` if it cannot be used."""
    storage, config = mapping(location.spec.get("objectStorage")), mapping(location.spec.get("config"))
    bucket = str(storage.get("bucket", "")).strip("/")
    if not bucket or "/" in bucket:
        raise InvalidSettings(
            f'{source} has no usable bucket: "{bucket}"',
            hint="put the bucket's name into objectStorage.bucket and any path into objectStorage.prefix",
        )
    secrets = _Secrets(cluster, location.namespace, source)
    credentials, credentials_of = secrets.credentials(location.spec.get("credential"))
    return S3Location(
        bucket=bucket,
        source=source,
        prefix=str(storage.get("prefix", "")).strip("/"),
        region=config.get("region", ""),
        url=address(config.get("s3Url", ""), source),
        path_style=_flag(config, "s3ForcePathStyle", source),
        verify_tls=not _flag(config, "insecureSkipTLSVerify", source),
        authorities=secrets.authorities(storage),
        credentials=credentials,
        credentials_of=credentials_of,
        profile=config.get("profile", ""),
        server_side_encryption=config.get("serverSideEncryption", ""),
        kms_key_id=config.get("kmsKeyId", ""),
        customer_key=secrets.customer_key(config),
        tagging=config.get("tagging", ""),
        # An empty algorithm means that the server rejects checksum headers.
        checksums=config.get("checksumAlgorithm") != "",
        read_only=location.spec.get("accessMode") == "ReadOnly",
    )


def of_settings(bucket: BucketSettings) -> S3Location:
    """Return the settings' own bucket."""
    source = "the setting bucket"
    ca_data = location_secrets.of_file(bucket.ca_file, "bucket.ca_file") if bucket.ca_file else b""
    return S3Location(
        bucket=bucket.name,
        source=source,
        of_settings=True,
        prefix=bucket.prefix.strip("/"),
        region=bucket.region,
        url=address(bucket.url, source),
        path_style=bucket.path_style,
        verify_tls=not bucket.insecure_skip_tls_verify,
        authorities=authorities.certificates(ca_data, "bucket.ca_file") if bucket.ca_file else "",
        credentials=location_secrets.default_credentials(),
        credentials_of=location_secrets.CREDENTIALS_FILE,
        server_side_encryption=bucket.server_side_encryption,
        kms_key_id=bucket.kms_key_id,
    )


def address(value: str, source: str) -> str:
    """Return the S3 URL without slashes at the end; raises `InvalidSettings` if it is not valid."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) <= _MOST_PORTS
    except ValueError:  # a port that is not a number, half an IPv6 address
        raise InvalidSettings(f"the S3 URL of {source} is not valid", hint=_HINT_URL) from None
    if not usable or any(character.isspace() or not character.isprintable() for character in value):
        raise InvalidSettings(
            f"the S3 URL of {source} does not start with http:// or https:// and a host", hint=_HINT_URL
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidSettings(
            f"the S3 URL of {source} holds more than an address",
            hint="put the keys into spec.credential and leave scheme, host, port and path",
        )
    return value.rstrip("/")


class _Secrets:
    """The Secrets and files of one location."""

    def __init__(self, cluster: Cluster, namespace: str, source: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._source = source

    def authorities(self, storage: Mapping[str, Any]) -> str:
        if reference := mapping(storage.get("caCertRef")):
            what = f"objectStorage.caCertRef of {self._source}"
            return authorities.certificates(self._secret(reference, what), what)
        what = f"objectStorage.caCert of {self._source}"
        ca_data = location_secrets.decoded(storage.get("caCert") or "", what)
        return authorities.certificates(ca_data, what) if ca_data else ""

    def credentials(self, reference: object) -> tuple[str, str]:
        """Return the text and its source."""
        if reference is None:
            return location_secrets.default_credentials(), location_secrets.CREDENTIALS_FILE
        what = f"spec.credential of {self._source}"
        return location_secrets.text(self._secret(mapping(reference), what)), what

    def customer_key(self, config: Mapping[str, Any]) -> bytes:
        """Return the first 32 bytes of the key; velero-plugin-for-aws reads no more of a file."""
        chosen = [f"config.{name}" for name in _ENCRYPTIONS if config.get(name)]
        if len(chosen) > 1:
            raise InvalidSettings(
                f"{self._source} asks for more than one encryption: {', '.join(chosen)}", hint="leave one of them"
            )
        if reference := config.get("customerKeyEncryptionSecret", ""):
            what = f"config.customerKeyEncryptionSecret of {self._source}"
            name, _, key = reference.partition("/")
            if not name or not key or "/" in key:
                raise InvalidSettings(
                    f"{what} is not NAME/KEY", hint="name the Secret and its key, with a slash between"
                )
            key_data = self._secret({"name": name, "key": key}, what)
        elif file := config.get("customerKeyEncryptionFile", ""):
            what = f"config.customerKeyEncryptionFile of {self._source}"
            key_data = location_secrets.of_file(Path(file), what, _CUSTOMER_KEY_BYTES)
        else:
            return b""
        if len(key_data) < _CUSTOMER_KEY_BYTES:
            raise InvalidSettings(
                f"{what} holds {len(key_data)} bytes, and a customer key has {_CUSTOMER_KEY_BYTES}",
                hint="store the same key that velero-plugin-for-aws uses",
            )
        return key_data[:_CUSTOMER_KEY_BYTES]

    def _secret(self, reference: Mapping[str, Any], what: str) -> bytes:
        return location_secrets.of_secret(self._cluster, self._namespace, reference, what)


def _flag(config: Mapping[str, Any], key: str, source: str) -> bool:
    """Read a flag as Go's ParseBool does."""
    value = str(config.get(key, ""))
    flag = boolean(value) if value else False
    if flag is None:
        raise InvalidSettings(f'config.{key} of {source} is "{value}"', hint='write "true" or "false"')
    return flag
