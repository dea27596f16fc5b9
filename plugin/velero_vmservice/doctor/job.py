"""The Job that makes the checks of the cluster where no shell is: as Velero's service account, with its credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import mapping, sequence
from velero_vmservice.velero.deployment import VeleroDeployment, pod_spec, server_container
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.kube.manifest import Manifest

NAME: Final = "velero-vmservice-doctor"
_KEPT_SECONDS: Final = 3600
_GIVEN: Final = frozenset({"secret", "configMap", "projected"})
"""Kinds of volumes that another pod can mount too: those that hold credentials and settings."""


def manifest(deployment: Manifest, *, image: str = "") -> dict[str, Any]:
    """Return the Job, of the image that Velero's Deployment has the plugin from, or of `image`.

    Raises `InvalidSettings` where neither names one.
    """
    ours = VeleroDeployment.read(deployment).of_plugin(PLUGIN_NAME)
    chosen = image or next((container.image for container in ours), "")
    if not chosen:
        raise InvalidSettings(
            f"no container of Velero's Deployment is named after {PLUGIN_NAME}, so that its image is not known",
            hint="name the image: --image IMAGE",
        )
    pod, server = pod_spec(deployment), server_container(deployment)
    volumes = [volume for volume in map(mapping, sequence(pod.get("volumes"))) if _GIVEN & volume.keys()]
    names = {volume.get("name") for volume in volumes}
    mounts = [mount for mount in map(mapping, sequence(server.get("volumeMounts"))) if mount.get("name") in names]
    container = {
        "name": "doctor",
        "image": chosen,
        "args": ["doctor", "--cluster-only"],
        **_present(server, "env", "envFrom"),
        "volumeMounts": mounts,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "namespace": deployment.namespace},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    **_present(pod, "serviceAccountName", "imagePullSecrets", "securityContext"),
                    "containers": [container],
                    "volumes": volumes,
                }
            },
        },
    }


def _present(written: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: written[key] for key in keys if key in written}
