"""A large application: three levels of groups, thirty VMs, six services whose selectors overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.emulator import machines
from tests.emulator.machines import Application

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.emulator.kubernetes.cluster import Object

TIERS: Final[Mapping[str, int]] = {"web": 10, "cache": 4, "app": 9, "db": 5}
"""VMs of each innermost group; one more is a direct member of the root, and one is in no group."""
BRANCHES: Final[Mapping[str, Sequence[str]]] = {"back": ("db", "app"), "front": ("cache", "web")}
"""The groups between the root and the tiers, in boot order."""
STATEFUL: Final = frozenset({"cache", "db"})


def three_levels(name: str, *, namespace: str) -> Application:
    """Return the application; every group but the root leaves its power to its parent."""
    members = list(_vms(name, namespace))
    claims = tuple(claim for machine in members for claim in machines.claims_of(machine))
    return Application(
        namespace=namespace,
        secrets=(machines.bootstrap_secret(f"{name}-bootstrap", namespace=namespace),),
        claims=claims,
        machines=members,
        groups=tuple(_groups(name, namespace)),
        services=tuple(_services(name, namespace)),
    )


def _vms(name: str, namespace: str) -> Iterator[Object]:
    for tier, count in TIERS.items():
        for number in range(1, count + 1):
            labels = {"app": name, "tier": tier}
            labels |= {"stateful": "true"} if tier in STATEFUL else {}
            labels |= {"track": "canary"} if number == 1 else {}
            yield machines.virtual_machine(
                f"{name}-{tier}-{number}",
                namespace=namespace,
                labels=labels,
                group=f"{name}-{tier}",
                volumes=("data",) if tier == "db" else (),
                secret=f"{name}-bootstrap" if tier == "web" else "",
            )
    admin = {"app": name, "tier": "admin"}
    yield machines.virtual_machine(f"{name}-gateway", namespace=namespace, labels=admin, group=name)
    yield machines.virtual_machine(f"{name}-console", namespace=namespace, labels=admin)


def _groups(name: str, namespace: str) -> Iterator[Object]:
    branches = [[("VirtualMachineGroup", f"{name}-{branch}")] for branch in BRANCHES]
    steps = [*branches, [("VirtualMachine", f"{name}-gateway")]]
    yield machines.group(name, namespace=namespace, order=steps, delay="10s", power="PoweredOn")
    for branch, tiers in BRANCHES.items():
        inner = [[("VirtualMachineGroup", f"{name}-{tier}")] for tier in tiers]
        yield machines.group(f"{name}-{branch}", namespace=namespace, order=inner, parent=name, delay="10s")
        for tier in tiers:
            members = [("VirtualMachine", f"{name}-{tier}-{number}") for number in range(1, TIERS[tier] + 1)]
            yield machines.group(f"{name}-{tier}", namespace=namespace, order=[members], parent=f"{name}-{branch}")


def _services(name: str, namespace: str) -> Iterator[Object]:
    everything, app = {"app": name}, f"{name}-app"
    yield machines.service(f"{name}-all", namespace=namespace, selector=everything, port=22, target=22)
    yield machines.service(f"{name}-web", namespace=namespace, selector=everything | {"tier": "web"})
    yield machines.service(app, namespace=namespace, selector=everything | {"tier": "app"}, kind="ClusterIP")
    yield machines.service(
        f"{name}-db",
        namespace=namespace,
        selector=everything | {"tier": "db"},
        port=5432,
        target=5432,
        kind="ClusterIP",
    )
    yield machines.service(
        f"{name}-state", namespace=namespace, selector={"stateful": "true"}, kind="ClusterIP", clusterIp="None"
    )
    yield machines.service(f"{name}-canary", namespace=namespace, selector={"track": "canary"}, port=8443, target=8443)
