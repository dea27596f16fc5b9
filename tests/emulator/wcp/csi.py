"""The CSI driver: claims get their volumes, restored disks become claims.

Sources: the guide, 2.4 and 8.3, and the CnsRegisterVolume CRD. A cluster with kube-controller-manager binds claims
itself once the volume exists; writing the same phase twice is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulator.kubernetes.cluster import Cluster, Object


def bind(cluster: Cluster, claim: Object) -> None:
    """Provide the volume of a claim and bind both."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = spec.get("volumeName") or f"pv-{metadata['namespace']}-{metadata['name']}"
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    reference |= {key: metadata[key] for key in ("namespace", "name", "uid")}
    volume = cluster.get("PersistentVolume", name) or cluster.ensure(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "accessModes": spec["accessModes"],
                "capacity": spec["resources"]["requests"],
                "claimRef": reference,
                "csi": {"driver": "csi.vsphere.vmware.com", "volumeHandle": f"fcd-{metadata['uid']}"},
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": spec["storageClassName"],
            },
        }
    )
    cluster.patch(volume, {"status": {"phase": "Bound"}}, subresource="status")
    cluster.patch(claim, {"spec": {"volumeName": name}})
    cluster.patch(
        claim,
        {"status": {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["resources"]["requests"]}},
        subresource="status",
    )


def bind_all(cluster: Cluster, namespace: str = "") -> None:
    """Bind every pending claim that nothing registers right now."""
    registering = {
        (volume["metadata"]["namespace"], volume["spec"]["pvcName"])
        for volume in cluster.list("CnsRegisterVolume", namespace)
        if not (volume.get("status") or {}).get("registered")
    }
    for claim in cluster.list("PersistentVolumeClaim", namespace):
        where = claim["metadata"]["namespace"], claim["metadata"]["name"]
        if (claim.get("status") or {}).get("phase", "Pending") == "Pending" and where not in registering:
            bind(cluster, claim)
