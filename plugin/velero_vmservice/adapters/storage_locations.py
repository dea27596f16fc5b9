"""Which bucket belongs to a backup: its BackupStorageLocation, read as Velero and its AWS plugin read it.

Captures lie beside the backup they belong to, with the same credentials and the same authority, so that nobody
sets up a second bucket. A location is looked at again every few seconds, and a client is made anew only when
something in it changed. A location is never written, and an outage of the Kubernetes API does not take away a
store that was open before.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog
from cachetools import TTLCache

from velero_vmservice.adapters import s3_location
from velero_vmservice.adapters.s3 import S3Store
from velero_vmservice.adapters.s3_location import S3Location
from velero_vmservice.core import archive
from velero_vmservice.core.errors import InvalidSettings, NotFound, Unavailable
from velero_vmservice.core.manifest import BACKUP_STORAGE_LOCATION, SECRET, ObjectRef, mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.core.manifest import Manifest
    from velero_vmservice.core.ports import Clock, Cluster
    from velero_vmservice.settings import BucketSettings, Settings

_log = structlog.get_logger()

_PROVIDERS: Final = frozenset({"aws", "velero.io/aws"})
_LOOK_AGAIN_SECONDS: Final = 5.0
_CUSTOMER_KEY_BYTES: Final = 32
_HINT_OWN_BUCKET: Final = "or set bucket.name in the plugin's settings to use an S3 bucket of its own"


class BackupStorageLocations:
    """Opens the S3 store of a BackupStorageLocation, or of the settings' own bucket; safe for many threads."""

    def __init__(self, cluster: Cluster, settings: Settings, *, clock: Clock) -> None:
        self._cluster = cluster
        self._namespace = settings.velero_namespace
        self._bucket = settings.bucket
        self._timeout_seconds = settings.s3_timeout_seconds
        self._directory = _private_directory()
        self._fresh: TTLCache[str, S3Store] = TTLCache(64, _LOOK_AGAIN_SECONDS, timer=clock.monotonic)
        self._known: dict[str, tuple[S3Location, S3Store]] = {}
        self._lock = threading.Lock()

    def open(self, location: str) -> S3Store:
        """Return the store of the location; see the port."""
        with self._lock:
            store = self._fresh.get(location)
        if store is None:
            # Outside the lock: two threads that look at once do no harm, one that waits for the API server would.
            store = self._look(location)
            with self._lock:
                self._fresh[location] = store
        return store

    def close(self) -> None:
        """Remove the certificate files; the stores must no longer be used."""
        self._directory.cleanup()

    def _look(self, location: str) -> S3Store:
        known = self._known.get(location)
        try:
            found = self._resolve(location)
        except Unavailable as error:
            if known is None:
                raise
            _log.warning("storage location not read again", location=location, reason=error.message)
            return known[1]
        if known is not None and known[0] == found:
            return known[1]
        client = s3_location.connect(found, timeout_seconds=self._timeout_seconds, directory=Path(self._directory.name))
        store = S3Store(client, found, prefix=f"{found.prefix}/{archive.SUBDIRECTORY}")
        self._known[location] = (found, store)
        _log.info("storage location opened", location=location, bucket=found.bucket, changed=known is not None)
        return store

    def _resolve(self, location: str) -> S3Location:
        if self._bucket is not None:
            return _own_bucket(self._bucket)
        source = f"BackupStorageLocation {self._namespace}/{location}"
        if not location:
            raise InvalidSettings("the backup names no BackupStorageLocation", hint=f"name one, {_HINT_OWN_BUCKET}")
        try:
            found = self._cluster.get(ObjectRef(BACKUP_STORAGE_LOCATION, self._namespace, location))
        except NotFound as error:
            raise InvalidSettings(f"{source} does not exist", hint=f"create it again, {_HINT_OWN_BUCKET}") from error
        provider = found.spec.get("provider", "")
        if provider not in _PROVIDERS:
            raise InvalidSettings(
                f'{source} is not S3: its provider is "{provider}"',
                hint=f"use a location with provider velero.io/aws, {_HINT_OWN_BUCKET}",
            )
        return self._from_location(found, source)

    def _from_location(self, found: Manifest, source: str) -> S3Location:
        storage, config = mapping(found.spec.get("objectStorage")), mapping(found.spec.get("config"))
        bucket = str(storage.get("bucket", "")).strip("/")
        if not bucket or "/" in bucket:
            raise InvalidSettings(
                f'{source} has no usable bucket: "{bucket}"',
                hint="put the bucket's name into objectStorage.bucket and any path into objectStorage.prefix",
            )
        return S3Location(
            bucket=bucket,
            source=source,
            prefix=str(storage.get("prefix", "")).strip("/"),
            region=config.get("region", ""),
            url=_url(config.get("s3Url", ""), source),
            path_style=_flag(config, "s3ForcePathStyle", source),
            verify_tls=not _flag(config, "insecureSkipTLSVerify", source),
            authorities=self._authority(storage, source),
            credentials=self._credentials(found.spec.get("credential"), source),
            profile=config.get("profile", ""),
            server_side_encryption=config.get("serverSideEncryption", ""),
            kms_key_id=config.get("kmsKeyId", ""),
            customer_key=self._customer_key(config, source),
            tagging=config.get("tagging", ""),
            # An empty algorithm is the administrator's way to say that the server rejects checksum headers.
            checksums=config.get("checksumAlgorithm") != "",
            read_only=found.spec.get("accessMode") == "ReadOnly",
        )

    def _authority(self, storage: Mapping[str, Any], source: str) -> str:
        if reference := mapping(storage.get("caCertRef")):
            return self._secret(reference, f"objectStorage.caCertRef of {source}")
        what = f"objectStorage.caCert of {source}"
        return _text(_decoded(storage.get("caCert", ""), what), what)

    def _credentials(self, reference: object, source: str) -> str:
        if reference:
            return self._secret(mapping(reference), f"spec.credential of {source}")
        return _default_credentials()

    def _customer_key(self, config: Mapping[str, Any], source: str) -> str:
        if reference := config.get("customerKeyEncryptionSecret", ""):
            name, _, key = reference.partition("/")
            found = self._secret({"name": name, "key": key}, f"config.customerKeyEncryptionSecret of {source}")
        elif file := config.get("customerKeyEncryptionFile", ""):
            found = _read_file(Path(file), f"config.customerKeyEncryptionFile of {source}")
        else:
            return ""
        if len(found.encode()) != _CUSTOMER_KEY_BYTES:
            raise InvalidSettings(
                f"the customer key of {source} is not {_CUSTOMER_KEY_BYTES} bytes long",
                hint="store the same key that velero-plugin-for-aws uses",
            )
        return found

    def _secret(self, reference: Mapping[str, Any], what: str) -> str:
        name, key = reference.get("name", ""), reference.get("key", "")
        ref = ObjectRef(SECRET, self._namespace, name)
        try:
            data = mapping(self._cluster.get(ref).content.get("data"))
        except NotFound as error:
            raise InvalidSettings(f"{what} names {ref}, which does not exist", hint="create the Secret") from error
        if key not in data:
            raise InvalidSettings(f'{what} names key "{key}", which {ref} does not have', hint="correct the key")
        return _text(_decoded(data[key], f"{ref}, key {key},"), f"{ref}, key {key},")


def _private_directory() -> tempfile.TemporaryDirectory[str]:
    """Make the directory for certificate authorities and, for a moment each, credentials."""
    try:
        return tempfile.TemporaryDirectory(prefix="vmservice-", ignore_cleanup_errors=True)
    except OSError as error:
        raise InvalidSettings(
            "there is no directory for temporary files that can be written",
            hint="mount an emptyDir volume at /tmp, or set TMPDIR",
        ) from error


def _own_bucket(bucket: BucketSettings) -> S3Location:
    source = "the setting bucket"
    return S3Location(
        bucket=bucket.name,
        source=source,
        prefix=bucket.prefix.strip("/"),
        region=bucket.region,
        url=_url(bucket.url, source),
        path_style=bucket.path_style,
        verify_tls=not bucket.insecure_skip_tls_verify,
        authorities=_read_file(bucket.ca_file, "bucket.ca_file") if bucket.ca_file else "",
        credentials=_default_credentials(),
        server_side_encryption=bucket.server_side_encryption,
        kms_key_id=bucket.kms_key_id,
    )


def _default_credentials() -> str:
    """Return Velero's own credentials file where it is mounted; '' leaves it to boto3's default chain.

    Like velero-plugin-for-aws it comes before the roles of the environment, and it is read each time, because a
    mounted Secret changes under us.
    """
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    return _read_file(Path(file), "AWS_SHARED_CREDENTIALS_FILE") if file and Path(file).is_file() else ""


def _read_file(file: Path, what: str) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InvalidSettings(
            f"{what} names {file}, which cannot be read", hint="mount it into this container, readable for its user"
        ) from error


def _decoded(value: object, what: str) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise InvalidSettings(f"{what} is not base64", hint="write it again with kubectl or velero") from None


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidSettings(f"{what} is not text", hint="store the file's content as it is") from None


def _flag(config: Mapping[str, Any], key: str, source: str) -> bool:
    """Read a flag as Go's ParseBool does."""
    value = str(config.get(key, ""))
    if value in {"", "0", "f", "F", "false", "False", "FALSE"}:
        return False
    if value in {"1", "t", "T", "true", "True", "TRUE"}:
        return True
    raise InvalidSettings(f'config.{key} of {source} is "{value}"', hint='write "true" or "false"')


def _url(value: str, source: str) -> str:
    parts = urlsplit(value)
    if not value:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidSettings(
            f"the S3 URL of {source} does not start with http:// or https:// and a host",
            hint="write it like https://s3.example.com:9000",
        )
    if parts.username or parts.password or parts.query:
        raise InvalidSettings(
            f"the S3 URL of {source} holds more than an address",
            hint="put the keys into spec.credential and leave scheme, host, port and path",
        )
    return value.rstrip("/")
