"""Manifests of an application on VM Service VMs, as an owner writes them.

Specs only: what VM Operator adds (finalizers, owner references, status, its annotations) it adds itself, see
`vm_operator`. Fields are v1alpha5's.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tests.emulator.kubernetes.cluster import VM_OPERATOR_API

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.emulator.kubernetes.cluster import Cluster, Object

STORAGE_CLASS: Final = "vsan-default"
VM_CLASS: Final = "best-effort-small"


def assigned(name: str) -> Sequence[Object]:
    """What an administrator assigns to a vSphere Namespace, and vCenter makes: the VM class, the storage policy."""
    hardware = {"cpus": 2, "memory": "4Gi"}
    return (
        {
            "apiVersion": VM_OPERATOR_API,
            "kind": "VirtualMachineClass",
            "metadata": {"name": VM_CLASS, "namespace": name},
            "spec": {"hardware": hardware},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": STORAGE_CLASS},
            "provisioner": "csi.vsphere.vmware.com",
        },
    )


def namespace(name: str) -> Object:
    """A vSphere Namespace, with the marks WCP leaves on one."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/metadata.name": name, "vSphereClusterID": "domain-c8"},
            "annotations": {
                "vmware-system-resource-pool": "resgroup-71",
                "vmware-system-vm-folder": "group-v72",
            },
        },
    }


def virtual_machine(
    name: str,
    *,
    namespace: str,
    labels: Mapping[str, str] | None = None,
    group: str = "",
    volumes: Sequence[str] = (),
    power: str = "PoweredOn",
    secret: str = "",
    probe_port: int = 0,
) -> Object:
    """A VirtualMachine whose volumes are claims named `<VM>-<volume>`."""
    spec: dict[str, Any] = {
        "className": VM_CLASS,
        "imageName": "vmi-0a0044d7c690bcbea",
        "image": {"kind": "VirtualMachineImage", "name": "vmi-0a0044d7c690bcbea"},
        "storageClass": STORAGE_CLASS,
        "powerState": power,
        "biosUUID": str(uuid.uuid4()),
        "instanceUUID": str(uuid.uuid4()),
        "network": {"interfaces": [{"name": "eth0", "dhcp4": True, "network": {"name": "workload"}}]},
        "volumes": [{"name": volume, "persistentVolumeClaim": {"claimName": f"{name}-{volume}"}} for volume in volumes],
    }
    if group:
        spec["groupName"] = group
    if secret:
        raw = {"name": secret, "key": "user-data"}
        spec["bootstrap"] = {"cloudInit": {"instanceID": str(uuid.uuid4()), "rawCloudConfig": raw}}
    if probe_port:
        spec["readinessProbe"] = {"tcpSocket": {"port": probe_port}, "periodSeconds": 10}
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    return {"apiVersion": VM_OPERATOR_API, "kind": "VirtualMachine", "metadata": metadata, "spec": spec}


def claim(name: str, *, namespace: str, size: str = "1Gi") -> Object:
    """A claim as an owner, or a registration, makes it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
            "storageClassName": STORAGE_CLASS,
            "volumeMode": "Filesystem",
        },
    }


def claims_of(machine: Object) -> Sequence[Object]:
    """The claims a VM's volumes need."""
    volumes = machine["spec"].get("volumes") or ()
    where = machine["metadata"]["namespace"]
    return [claim(volume["persistentVolumeClaim"]["claimName"], namespace=where) for volume in volumes]


def service(
    name: str,
    *,
    namespace: str,
    selector: Mapping[str, str],
    port: int = 80,
    target: int = 8080,
    kind: str = "LoadBalancer",
    **spec: Any,
) -> Object:
    """A VirtualMachineService with one TCP port."""
    return {
        "apiVersion": VM_OPERATOR_API,
        "kind": "VirtualMachineService",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "shop"}},
        "spec": {
            "type": kind,
            "selector": dict(selector),
            "ports": [{"name": "tcp", "protocol": "TCP", "port": port, "targetPort": target}],
            **spec,
        },
    }


def group(
    name: str,
    *,
    namespace: str,
    order: Sequence[Sequence[tuple[str, str]]],
    parent: str = "",
    delay: str = "",
    power: str = "",
) -> Object:
    """A VirtualMachineGroup; `order` lists its boot steps as (kind, name), `delay` stands before all but the first."""
    steps: list[dict[str, Any]] = []
    for members in order:
        step: dict[str, Any] = {"members": [{"kind": kind, "name": member} for kind, member in members]}
        if delay and steps:
            step["powerOnDelay"] = delay
        steps.append(step)
    spec: dict[str, Any] = {"bootOrder": steps}
    spec |= {"groupName": parent} if parent else {}
    spec |= {"powerState": power} if power else {}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": VM_OPERATOR_API, "kind": "VirtualMachineGroup", "metadata": metadata, "spec": spec}


def bootstrap_secret(name: str, *, namespace: str) -> Object:
    """A cloud-init Secret."""
    user_data = base64.b64encode(b"#cloud-config\nssh_pwauth: false\n").decode()
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {"user-data": user_data},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Everything an owner deploys into one namespace."""

    namespace: str
    secrets: Sequence[Object]
    claims: Sequence[Object]
    machines: Sequence[Object]
    groups: Sequence[Object]
    services: Sequence[Object]

    @property
    def vm_names(self) -> Sequence[str]:
        return tuple(machine["metadata"]["name"] for machine in self.machines)

    def without_groups(self) -> Application:
        """Return what an owner deploys where there are no groups."""
        machines = tuple(
            {**machine, "spec": {key: value for key, value in machine["spec"].items() if key != "groupName"}}
            for machine in self.machines
        )
        return replace(self, machines=machines, groups=())

    def deploy(self, cluster: Cluster) -> None:
        """Create the namespace and all objects; VM Operator and CSI do the rest, see `VmOperator`."""
        if cluster.get("Namespace", self.namespace) is None:
            cluster.create(namespace(self.namespace))
        for manifest in assigned(self.namespace):
            cluster.ensure(manifest)
        for manifest in (*self.secrets, *self.claims, *self.groups, *self.machines, *self.services):
            cluster.create(manifest)


def two_tier(
    name: str = "shop",
    *,
    namespace: str = "",
    web: int = 2,
    database: int = 1,
    root: str = "",
    power: str = "PoweredOn",
    grouped: bool = True,
) -> Application:
    """A web and a database tier: a group for each inside the application's group, a load balancer and an inner service.

    Args:
        name: Prefix of every name.
        namespace: Where it lives; `name` when empty.
        web: Number of web VMs.
        database: Number of database VMs, each with a data volume.
        root: One more group around the application's, for three levels.
        power: The root group's powerState; "" leaves the groups without and only sets the VMs'.
        grouped: Whether there are groups at all; 8.0 U3 has none.
    """
    where = namespace or name
    tiers = {"db": database, "web": web}
    secret = f"{name}-bootstrap"
    machines = [
        virtual_machine(
            f"{name}-{tier}-{number}",
            namespace=where,
            labels={"app": name, "tier": tier},
            group=f"{name}-{tier}",
            volumes=("data",) if tier == "db" else (),
            power=power or "PoweredOn",
            secret=secret,
        )
        for tier, count in tiers.items()
        for number in range(1, count + 1)
    ]
    groups = [
        group(
            f"{name}-{tier}",
            namespace=where,
            parent=name,
            order=[[("VirtualMachine", f"{name}-{tier}-{number}") for number in range(1, count + 1)]],
        )
        for tier, count in tiers.items()
    ]
    steps = [[("VirtualMachineGroup", f"{name}-{tier}")] for tier in tiers]
    own_power = "" if root else power
    groups.insert(0, group(name, namespace=where, order=steps, parent=root, delay="30s", power=own_power))
    if root:
        groups.insert(0, group(root, namespace=where, order=[[("VirtualMachineGroup", name)]], power=power))
    services = [
        service(f"{name}-web", namespace=where, selector={"app": name, "tier": "web"}),
        service(
            f"{name}-db",
            namespace=where,
            selector={"app": name, "tier": "db"},
            port=5432,
            target=5432,
            kind="ClusterIP",
        ),
    ]
    application = Application(
        namespace=where,
        secrets=(bootstrap_secret(secret, namespace=where),),
        claims=tuple(claim for machine in machines for claim in claims_of(machine)),
        machines=tuple(machines),
        groups=tuple(groups),
        services=tuple(services),
    )
    return application if grouped else application.without_groups()
