"""The Job that makes the checks in the cluster, with the account and the credentials of the plugin.

A literal value of a variable may be a secret, and the Job is printed and stored. So only variables that are known to
hold no secret are copied. A reference (`valueFrom`, `envFrom`) shows no value and is always copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import mapping, sequence
from velero_vmservice.velero.deployment import VeleroDeployment, pod_spec, server_container, sidecar_container
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.kube.manifest import Manifest

NAME: Final = "velero-vmservice-doctor"
_KEPT_SECONDS: Final = 3600
_GIVEN: Final = frozenset({"secret", "configMap", "projected"})
"""Kinds of volumes that another pod can mount too, with credentials and settings."""

_COPIED: Final = re.compile(
    r"AWS_\w+_FILE|AWS_(DEFAULT_)?REGION|AWS_ROLE_ARN|AWS_PROFILE|AWS_CA_BUNDLE|AWS_STS_REGIONAL_ENDPOINTS"
    r"|SSL_CERT_(FILE|DIR)|VELERO_NAMESPACE|VMSERVICE_\w+|(?i:(https?|no|all)_proxy)"
)
_SECRET_NAME: Final = re.compile(r"PASSWORD(?!_FILE$)", re.IGNORECASE)
_SECRET_VALUE: Final = re.compile(r"""password["']?\s*:|@|\\""", re.IGNORECASE)
"""A section of the settings as JSON, or the address of a proxy, may have a password."""
_USER: Final = re.compile(r"VMSERVICE_\w+__USER", re.IGNORECASE)
"""Has an @ and is not an address: velero@vsphere.local."""
_OF_SIDECAR: Final = ("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile")
"""Whom the mounted files may be read by; the root stays writable, as the Job has no volume for temporary files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorJob:
    """The Job, and the variables that it lacks."""

    manifest: Mapping[str, Any]
    left_out: Sequence[str]
    """Names of the variables whose values may be secret or that the plugin does not read."""


def of_deployment(deployment: Manifest, *, image: str = "") -> DoctorJob:
    """Return the Job, of the image that Velero's Deployment has the plugin from, or of `image`.

    Its environment is that of the plugin's sidecar, or of Velero's container if the plugin runs in it. Raises
    `InvalidSettings` if neither names an image.
    """
    ours = VeleroDeployment.read(deployment).of_plugin(PLUGIN_NAME)
    chosen = image or next((container.image for container in ours), "")
    if not chosen:
        raise InvalidSettings(
            f"no container of Velero's Deployment is named after {PLUGIN_NAME}, so its image is unknown",
            hint="name the image: --image IMAGE",
        )
    pod, sidecar = pod_spec(deployment), sidecar_container(deployment, PLUGIN_NAME)
    surroundings = sidecar or server_container(deployment)
    volumes = [volume for volume in map(mapping, sequence(pod.get("volumes"))) if _GIVEN & volume.keys()]
    names = {volume.get("name") for volume in volumes}
    mounts = [mount for mount in map(mapping, sequence(surroundings.get("volumeMounts"))) if mount.get("name") in names]
    mounted = {mount.get("name") for mount in mounts}
    variables = [mapping(variable) for variable in sequence(surroundings.get("env"))]
    container = {
        "name": "doctor",
        "image": chosen,
        "args": ["doctor", "--cluster-only"],
        **_present(surroundings, "envFrom"),
        "env": [variable for variable in variables if _is_copied(variable)],
        "volumeMounts": mounts,
        "securityContext": {
            **_present(mapping(sidecar.get("securityContext")), *_OF_SIDECAR),
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": f"{NAME}-", "namespace": deployment.namespace},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    **_present(pod, "serviceAccountName", "imagePullSecrets", "securityContext"),
                    "containers": [container],
                    "volumes": [volume for volume in volumes if volume.get("name") in mounted],
                }
            },
        },
    }
    left_out = [str(variable.get("name", "")) for variable in variables if not _is_copied(variable)]
    return DoctorJob(manifest=manifest, left_out=left_out)


def _is_copied(variable: Mapping[str, Any]) -> bool:
    if "valueFrom" in variable:
        return True
    name, value = str(variable.get("name", "")), str(variable.get("value", ""))
    if not _COPIED.fullmatch(name) or _SECRET_NAME.search(name):
        return False
    return bool(_USER.fullmatch(name)) or not _SECRET_VALUE.search(value)


def _present(written: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: written[key] for key in keys if key in written}
