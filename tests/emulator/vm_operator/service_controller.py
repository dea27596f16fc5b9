"""VM Operator's VirtualMachineService controller, and the load balancer that gives a Service its address.

Source: controllers/virtualmachineservice/virtualmachineservice_controller.go: one Service without a selector and one
Endpoints for each VirtualMachineService, labels and annotations copied all the way down.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.emulator.kubernetes.cluster import edit
from tests.emulator.vm_operator import conditions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.emulator.kubernetes.cluster import Cluster, Object

FINALIZER: Final = "vmoperator.vmware.com/virtualmachineservice"
OLD_FINALIZER: Final = "virtualmachineservice.vmoperator.vmware.com"
TRAFFIC_POLICY: Final = "virtualmachineservice.vmoperator.vmware.com/service.externalTrafficPolicy"
HEALTH_PORT: Final = "virtualmachineservice.vmoperator.vmware.com/service.healthCheckNodePort"


class AlreadyOwnedError(Exception):
    """The Service of that name has another controller: every reconcile of ours ends here."""


@dataclass(slots=True, kw_only=True)
class ServiceController:
    """Reconciles services; `nsx` adds what NSX leaves behind, `vips` is where virtual addresses come from."""

    cluster: Cluster
    nsx: bool = False
    subnet: str = "192.0.2"
    _hosts: Iterator[int] = field(default_factory=lambda: itertools.count(10))

    def reconcile(self, item: Object, *, now: object = None) -> None:  # noqa: ARG002 - same shape as the others
        """Bring one VirtualMachineService a step further."""
        new = edit(item)
        finalizers = [other for other in new["metadata"].get("finalizers", []) if other != OLD_FINALIZER]
        if new["metadata"].get("deletionTimestamp"):
            if FINALIZER in finalizers:
                self._delete_generated(new)
            new["metadata"]["finalizers"] = [other for other in finalizers if other != FINALIZER]
        else:
            new["metadata"]["finalizers"] = finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]
            if new["spec"]["type"] == "LoadBalancer" and self.nsx:
                _leave_nsx_residue(new)
            generated = self._service(new)
            if new["spec"].get("selector"):
                self._endpoints(new, generated)
            if new["spec"]["type"] == "LoadBalancer":
                given = ((generated.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
                ingress = [{key: entry[key] for key in ("ip", "hostname") if key in entry} for entry in given]
                new["status"]["loadBalancer"] = {"ingress": ingress} if ingress else {}
        self.cluster.update(item, new)

    def _delete_generated(self, item: Object) -> None:
        for kind in ("Endpoints", "Service"):
            existing = self.cluster.get(kind, item["metadata"]["name"], item["metadata"]["namespace"])
            if existing is not None:
                self.cluster.delete(existing)

    def _service(self, item: Object) -> Object:
        existing = self.cluster.get("Service", item["metadata"]["name"], item["metadata"]["namespace"])
        if existing is not None and _is_anothers(existing, item):
            raise AlreadyOwnedError(item["metadata"]["name"])
        new = _generated(item, "Service", existing)
        spec = new["spec"]
        node_ports = {port["name"]: port.get("nodePort") for port in spec.get("ports") or ()}
        for name in ("type", "externalName", "loadBalancerIP", "loadBalancerSourceRanges"):
            if item["spec"].get(name):
                spec[name] = item["spec"][name]
        ports = [dict(port) for port in item["spec"].get("ports") or ()]
        spec["ports"] = [port | _node_port(node_ports.get(port["name"])) for port in ports]
        if spec["type"] == "LoadBalancer":
            spec["allocateLoadBalancerNodePorts"] = False
            spec["externalTrafficPolicy"] = new["metadata"]["annotations"].get(TRAFFIC_POLICY, "Cluster")
        if existing is None:
            if item["spec"].get("clusterIp"):
                spec["clusterIP"] = item["spec"]["clusterIp"]
            return self._with_address(self.cluster.create(new))
        return self._with_address(self.cluster.update(existing, new))

    def _with_address(self, generated: Object) -> Object:
        """Play the load balancer: it honours `loadBalancerIP`, which not every real one does."""
        if generated["spec"]["type"] != "LoadBalancer":
            return generated
        new = edit(generated)
        if not (new["status"].get("loadBalancer") or {}).get("ingress"):
            address = new["spec"].get("loadBalancerIP") or f"{self.subnet}.{next(self._hosts) % 250}"
            new["status"]["loadBalancer"] = {"ingress": [{"ip": address}]}
        return self.cluster.update(generated, new)

    def _endpoints(self, item: Object, generated: Object) -> None:
        namespace = item["metadata"]["namespace"]
        existing = self.cluster.get("Endpoints", item["metadata"]["name"], namespace)
        new = _generated(item, "Endpoints", existing)
        new["metadata"]["labels"] = generated["metadata"].get("labels") or {}
        new["metadata"]["annotations"] = generated["metadata"].get("annotations") or {}
        machines = self.cluster.list("VirtualMachine", namespace, labels=item["spec"]["selector"])
        before = {
            address["targetRef"]["uid"]
            for subset in (existing or {}).get("subsets") or ()
            for address in subset.get("addresses") or ()
        }
        new["subsets"] = _subsets(machines, generated["spec"].get("ports") or (), before)
        if existing is None:
            self.cluster.create(new)
        else:
            self.cluster.update(existing, new)


def _generated(item: Object, kind: str, existing: Object | None) -> Object:
    """Start a generated object: same name, owned by the VirtualMachineService, its labels and annotations."""
    metadata = item["metadata"]
    names = {"name": metadata["name"], "namespace": metadata["namespace"]}
    new: Object = edit(existing) if existing else {"apiVersion": "v1", "kind": kind, "metadata": names}
    new["metadata"]["labels"] = {**(new["metadata"].get("labels") or {}), **metadata["labels"]}
    new["metadata"]["annotations"] = {**(new["metadata"].get("annotations") or {}), **metadata["annotations"]}
    new["metadata"]["ownerReferences"] = [
        {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    if kind == "Service":
        new.setdefault("spec", {})
    else:
        new.pop("spec", None)
        new.pop("status", None)
    return new


def _is_anothers(existing: Object, item: Object) -> bool:
    """Say whether another controller has a Service; one without a controller is taken over."""
    return any(
        owner.get("controller") and (owner["kind"], owner["name"]) != (item["kind"], item["metadata"]["name"])
        for owner in existing["metadata"].get("ownerReferences") or ()
    )


def _leave_nsx_residue(item: Object) -> None:
    annotations, labels = item["metadata"]["annotations"], item["metadata"]["labels"]
    if annotations.get(TRAFFIC_POLICY) == "Local":
        labels["service.kubernetes.io/service-proxy-name"] = "nsx-t"
    if HEALTH_PORT in annotations:
        annotations["ncp/healthCheckNodePort"] = annotations[HEALTH_PORT]


def _node_port(number: int | None) -> dict[str, int]:
    return {"nodePort": number} if number else {}


def _subsets(machines: Sequence[Object], ports: Sequence[dict[str, Any]], before: set[str]) -> list[dict[str, Any]]:
    """List the VMs that have an address and are not being deleted; all share the same ports."""
    ready: list[dict[str, Any]] = []
    unready: list[dict[str, Any]] = []
    for machine in machines:
        status, metadata = machine.get("status") or {}, machine["metadata"]
        network = status.get("network") or {}
        address = network.get("primaryIP4") or network.get("primaryIP6")
        if metadata.get("deletionTimestamp") or not address:
            continue
        about = {
            "apiVersion": machine["apiVersion"],
            "kind": "VirtualMachine",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        into = ready if _is_ready(machine, metadata["uid"] in before) else unready
        into.append({"ip": address, "targetRef": about})
    if not (ready or unready):
        return []
    subset: dict[str, Any] = {
        "ports": [{"name": port["name"], "port": port["targetPort"], "protocol": port["protocol"]} for port in ports]
    }
    for name, addresses in (("addresses", ready), ("notReadyAddresses", unready)):
        if addresses:
            subset[name] = sorted(addresses, key=lambda entry: str(entry["ip"]))
    return [subset]


def _is_ready(machine: Object, before: bool) -> bool:  # noqa: FBT001 - the only caller is one line away
    probe = machine["spec"].get("readinessProbe") or {}
    if not any(probe.get(kind) for kind in ("tcpSocket", "guestHeartbeat", "guestInfo")):
        return True
    ready = conditions.find(machine.get("status") or {}, "Ready")
    return before if ready is None else ready["status"] == "True"
