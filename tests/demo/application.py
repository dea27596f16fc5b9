"""The application of the demo: deployed, looked at, lost; and what it looked like before, to be compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.emulator import machines
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.emulator.kubernetes.cluster import Cluster
    from tests.emulator.supervisor import Supervisor

Json = dict[str, Any]

NAMESPACE: Final = "shop"
_COMING_UP_SECONDS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The objects of the namespace at one moment, by name."""

    machines: Mapping[str, Json]
    groups: Mapping[str, Json]
    services: Mapping[str, Json]
    endpoints: Mapping[str, Json]
    claims: Mapping[str, Json]

    @property
    def replayable(self) -> Sequence[Json]:
        """What the plugin is there for."""
        return (*self.groups.values(), *self.services.values())

    def address(self, service: str) -> str:
        """The address a service's load balancer gave it, or ''."""
        balancer = status(self.services.get(service, {})).get("loadBalancer") or {}
        return ", ".join(entry["ip"] for entry in balancer.get("ingress") or ())

    def needed(self, item: Json) -> Sequence[str]:
        """The VMs an object cannot do without: members, or those selected."""
        spec = item["spec"]
        if item["kind"] == "VirtualMachineGroup":
            listed = [member for step in spec["bootOrder"] for member in step["members"]]
            return [member["name"] for member in listed if member["kind"] == "VirtualMachine"]
        wanted = spec["selector"].items()
        return [name for name, machine in self.machines.items() if wanted <= machine["metadata"]["labels"].items()]


def look(cluster: Cluster) -> Snapshot:
    """Read the namespace."""

    def named(kind: str) -> Mapping[str, Json]:
        return {item["metadata"]["name"]: item for item in cluster.list(kind, NAMESPACE)}

    return Snapshot(
        machines=named("VirtualMachine"),
        groups=named("VirtualMachineGroup"),
        services=named("VirtualMachineService"),
        endpoints=named("Endpoints"),
        claims=named("PersistentVolumeClaim"),
    )


def deploy(supervisor: Supervisor) -> Snapshot:
    """Deploy two tiers, a group for each inside the application's own, and two services; wait until all is up."""
    application = machines.two_tier("shop", namespace=NAMESPACE)
    application.deploy(supervisor.cluster)

    def up() -> Snapshot | None:
        snapshot = look(supervisor.cluster)
        return snapshot if _runs(snapshot, len(application.machines), len(application.services)) else None

    snapshot = wait_until(up, _COMING_UP_SECONDS, "the application runs")
    assert snapshot is not None
    return snapshot


def status(item: Json) -> Json:
    """What the controllers say of an object; empty before they have."""
    content: Json = item.get("status") or {}
    return content


def is_true(about: Json, kind: str) -> bool:
    """Say whether a condition holds; of an object's status, or of a group's member."""
    return any(
        condition["type"] == kind and condition["status"] == "True" for condition in about.get("conditions") or ()
    )


def addresses(endpoints: Json) -> Sequence[str]:
    """The VMs behind a service's ready addresses."""
    subsets = endpoints.get("subsets") or ()
    return [entry["targetRef"]["name"] for subset in subsets for entry in subset.get("addresses") or ()]


def _runs(snapshot: Snapshot, vm_count: int, service_count: int) -> bool:
    served = [len(addresses(snapshot.endpoints.get(name, {}))) for name in snapshot.services]
    recorded = [vm for vm in snapshot.machines.values() if is_true(status(vm), "VirtualMachineBackupUpToDate")]
    return (
        len(recorded) == vm_count
        and sum(served) == vm_count
        and len(served) == service_count
        and all(is_true(status(group), "Ready") for group in snapshot.groups.values())
        and bool(snapshot.address("shop-web"))
    )
