"""The bucket of a backup: its BackupStorageLocation, read as Velero and its AWS plugin read it.

Captures are in the same location as their backup, with the same credentials and authority, so no second bucket has to
be set up. A location is read again every few seconds, and a new client is made only after a change. A location is never
written. An outage of the Kubernetes API does not close a store that was open before.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.adapters.private_directory import PrivateDirectory, private_directory
from velero_vmservice.adapters.s3 import client as s3_client
from velero_vmservice.adapters.s3.store import S3Store
from velero_vmservice.adapters.velero import backup_storage_location
from velero_vmservice.archive import schema
from velero_vmservice.errors import ForeignStorage, InvalidSettings, NotFound, Unavailable
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION, ObjectRef

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from velero_vmservice.adapters.s3.location import S3Location
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.settings.reading import Settings

_log = structlog.get_logger()

_PROVIDERS: Final = frozenset({"aws", "velero.io/aws"})
_LOOK_AGAIN_SECONDS: Final = 5.0
_HINT_OWN_BUCKET: Final = "or set bucket.name in the plugin's settings to use an S3 bucket of its own"


class BackupStorageLocations:
    """Opens the S3 store of a BackupStorageLocation, or of the settings' own bucket; safe for many threads."""

    def __init__(self, cluster: Cluster, settings: Settings, *, clock: Clock) -> None:
        self._cluster = cluster
        self._namespace = settings.velero_namespace
        self._bucket = settings.bucket
        self._timeout_seconds = settings.s3_timeout_seconds
        self._directory: PrivateDirectory | None = None
        self._fresh: TTLCache[str, S3Store] = TTLCache(64, _LOOK_AGAIN_SECONDS, timer=clock.monotonic)
        self._known: dict[str, tuple[S3Location, S3Store]] = {}
        self._lock = threading.Lock()

    def open(self, location: str, *, namespace: str = "") -> S3Store:
        """Return the store of the location; see the port."""
        if self._bucket is None and namespace not in {"", self._namespace}:
            raise InvalidSettings(
                f"the backup is in namespace {namespace}, and the setting velero_namespace names {self._namespace}",
                hint=f"set velero_namespace to {namespace}, the namespace of the Velero that runs this plugin",
            )
        with self._lock:
            store = self._fresh.get(location)
        if store is None:
            # Outside the lock: two threads that look at once do no harm, one that waits for the API server would.
            store = self._look(location)
            with self._lock:
                self._fresh[location] = store
        return store

    def stored_backups(self, location: str) -> frozenset[str]:
        """Return the names of backups in Velero's own archive; see the port."""
        resolved = self._of_velero(location)
        return frozenset(S3Store(self._client(resolved), resolved, prefix=resolved.prefix).folders("backups/"))

    def close(self) -> None:
        """Close the connections and remove the certificate files; opening a location again makes new ones."""
        with self._lock:
            stores = [store for _, store in self._known.values()]
            directory, self._directory = self._directory, None
            self._known.clear()
            self._fresh.clear()
        for store in stores:
            store.close()
        if directory is not None:
            directory.cleanup()

    def _look(self, location: str) -> S3Store:
        known = self._known.get(location)
        try:
            resolved = self._resolve(location)
        except Unavailable as error:
            if known is None:
                raise
            _log.warning("storage location not read again", location=location, cause=error.message)
            return known[1]
        if known is not None and known[0] == resolved:
            return known[1]
        store = S3Store(self._client(resolved), resolved, prefix=f"{resolved.prefix}/{schema.SUBDIRECTORY}")
        self._known[location] = (resolved, store)
        _log.info("storage location opened", location=location, bucket=resolved.bucket, changed=known is not None)
        return store

    def _client(self, resolved: S3Location) -> S3Client:
        return s3_client.connect(resolved, timeout_seconds=self._timeout_seconds, directory=self._certificate_directory)

    def _certificate_directory(self) -> Path:
        """Return the directory for certificate authorities, made on first use, because most locations need none."""
        with self._lock:
            if self._directory is None:
                self._directory = private_directory()
            return Path(self._directory.name)

    def _resolve(self, location: str) -> S3Location:
        if self._bucket is not None:
            return backup_storage_location.of_settings(self._bucket)
        return self._of_velero(location)

    def _of_velero(self, location: str) -> S3Location:
        """Return the bucket of Velero's own archive; raises `ForeignStorage` if it is not S3."""
        source = f"BackupStorageLocation {self._namespace}/{location}"
        if not location:
            raise ForeignStorage("the backup names no BackupStorageLocation", hint=f"name one, {_HINT_OWN_BUCKET}")
        try:
            manifest = self._cluster.get(ObjectRef(BACKUP_STORAGE_LOCATION, self._namespace, location))
        except NotFound as error:
            raise InvalidSettings(f"{source} does not exist", hint=f"create it again, {_HINT_OWN_BUCKET}") from error
        provider = manifest.spec.get("provider", "")
        if provider not in _PROVIDERS:
            raise ForeignStorage(
                f'{source} is not S3: its provider is "{provider}"',
                hint=f"use a location with provider velero.io/aws, {_HINT_OWN_BUCKET}",
            )
        return backup_storage_location.of_location(manifest, source, self._cluster)
