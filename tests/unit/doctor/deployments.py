"""Velero's Deployment, as `velero install` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.builders import obj
from velero_vmservice import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGE = f"registry.example:5000/velero-plugin-for-vmservice:{__version__}"


def deployment(
    *,
    name: str = "velero",
    image: str = "velero/velero:v1.18.2",
    args: Sequence[str] = ("server",),
    inits: Sequence[dict[str, Any]] = ({"name": "velero-plugin-for-vmservice", "image": IMAGE},),
    **pod: Any,
) -> dict[str, Any]:
    server = {
        "name": name,
        "image": image,
        "command": ["/velero"],
        "args": list(args),
        "env": [{"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"}],
        "volumeMounts": [
            {"name": "plugins", "mountPath": "/plugins"},
            {"name": "cloud-credentials", "mountPath": "/credentials"},
        ],
    }
    spec = {
        "serviceAccountName": "velero",
        "initContainers": list(inits),
        "containers": [server],
        "volumes": [
            {"name": "plugins", "emptyDir": {}},
            {"name": "cloud-credentials", "secret": {"secretName": "cloud-credentials"}},
        ],
        **pod,
    }
    return obj("Deployment", "velero", api="apps/v1", namespace="velero", spec={"template": {"spec": spec}})
