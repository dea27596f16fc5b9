"""Objects that the cluster's contract creates."""

from __future__ import annotations

from velero_vmservice.kube.manifest import VM_OPERATOR_GROUP, Manifest


def secret(namespace: str, name: str, *, tier: str = "web", **data: str) -> Manifest:
    """Return an object of a kind that the API server itself defines."""
    return Manifest(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": {"made-by": "contract", "tier": tier}},
            "type": "Opaque",
            "data": data,
        }
    )


def vm_service(namespace: str, name: str, version: str) -> Manifest:
    """Return an object of a kind that a CRD defines, with a status that no client may write."""
    return Manifest(
        {
            "apiVersion": f"{VM_OPERATOR_GROUP}/{version}",
            "kind": "VirtualMachineService",
            "metadata": {"name": name, "namespace": namespace, "annotations": {"note": "kept"}},
            "spec": {
                "type": "LoadBalancer",
                "selector": {"app": "web", "tier": "front"},
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
        }
    )
