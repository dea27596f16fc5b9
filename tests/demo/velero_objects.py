"""Velero's objects in the Kubernetes API, written as a Velero server and its command line write them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.demo.place import ACCESS_KEY, REGION, SECRET_KEY, VELERO_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes.dynamic import DynamicClient

    from tests.demo.place import Bucket

Json = dict[str, Any]

API: Final = "velero.io/v1"
LOCATION: Final = "default"
_CREDENTIALS: Final = "cloud-credentials"
_MERGE: Final = "application/merge-patch+json"


class VeleroObjects:
    """Creates Velero's objects and keeps their status."""

    def __init__(self, kubernetes: DynamicClient) -> None:
        self._kubernetes = kubernetes

    def install(self, bucket: Bucket) -> None:
        """Create what an administrator sets up: namespace, credentials, and the location of backups."""
        lines = f"[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": _metadata(_CREDENTIALS),
            "data": {"cloud": base64.b64encode(lines.encode()).decode()},
        }
        location = {
            "apiVersion": API,
            "kind": "BackupStorageLocation",
            "metadata": _metadata(LOCATION),
            "spec": {
                "provider": "aws",
                "default": True,
                "objectStorage": {"bucket": bucket.name},
                "credential": {"name": _CREDENTIALS, "key": "cloud"},
                "config": {"region": REGION, "s3ForcePathStyle": "true", "s3Url": bucket.url},
            },
            "status": {"phase": "Available"},
        }
        for manifest in ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": VELERO_NAMESPACE}}, secret):
            self.create(manifest)
        self.create(location)

    def start_backup(self, name: str, namespace: str, *, annotations: Mapping[str, str]) -> Json:
        """Create a Backup of one namespace and begin it."""
        spec = {
            "includedNamespaces": [namespace],
            "storageLocation": LOCATION,
            "ttl": "720h0m0s",
            "itemOperationTimeout": "4h0m0s",
        }
        labels = {"velero.io/storage-location": LOCATION}
        return self._start("Backup", name, spec, labels=labels, annotations=dict(annotations))

    def start_restore(self, name: str, backup: str) -> Json:
        """Create a Restore of a Backup and begin it."""
        spec = {
            "backupName": backup,
            "includedNamespaces": ["*"],
            "existingResourcePolicy": "none",
            "itemOperationTimeout": "3m0s",
        }
        return self._start("Restore", name, spec)

    def tell(self, run: Json, phase: str, **status: Any) -> Json:
        """Write the phase of a Backup or Restore and return it as it is now."""
        return self._patch(run, {"status": {"phase": phase, **status}})

    def end(self, run: Json, phase: str) -> Json:
        """Close a Backup or Restore."""
        return self.tell(run, phase, completionTimestamp=_stamp())

    def create(self, manifest: Json) -> Json:
        """Create any object."""
        made: Json = (
            self._resource(manifest).create(body=manifest, namespace=manifest["metadata"].get("namespace")).to_dict()
        )
        return made

    def _start(self, kind: str, name: str, spec: Json, **metadata: Any) -> Json:
        made = self.create({"apiVersion": API, "kind": kind, "metadata": _metadata(name) | metadata, "spec": spec})
        status: Json = {"startTimestamp": _stamp()}
        if kind == "Backup":
            status |= {"version": 1, "formatVersion": "1.1.0", "expiration": _stamp(timedelta(days=30))}
        return self.tell(made, "InProgress", **status)

    def _patch(self, about: Json, change: Json) -> Json:
        metadata = about["metadata"]
        patched: Json = (
            self._resource(about)
            .patch(body=change, name=metadata["name"], namespace=metadata["namespace"], content_type=_MERGE)
            .to_dict()
        )
        return patched

    def _resource(self, manifest: Json) -> Any:
        return self._kubernetes.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])


def _metadata(name: str) -> Json:
    return {"name": name, "namespace": VELERO_NAMESPACE}


def _stamp(later: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + later).strftime("%Y-%m-%dT%H:%M:%SZ")
