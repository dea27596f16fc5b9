"""Which machines a Service leads to, by its Endpoints, and whether the addresses there are still theirs.

VM Operator writes one address for each selected machine that has one, with the machine's name and UID as its target
(virtualmachineservice_controller.go). A name alone proves nothing after a restore in place: the entry may be the lost
machine's.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.vmoperator.observed_vm import ObservedVm


def has_address(machine: ObservedVm, families: Sequence[str]) -> bool:
    """Say whether a machine has an address of the Service's families; an older cluster names none."""
    return any(not families or ("IPv6" if ":" in one else "IPv4") in families for one in machine.addresses)


def machines_behind(endpoints: Manifest | None, chosen: Iterable[ObservedVm]) -> Iterator[str]:
    """Yield the machine behind each ready address; by address where the entry has no target."""
    by_address = {_plain(address): one.name for one in chosen for address in one.addresses}
    for entry in _ready(endpoints):
        address = str(entry.get("ip"))
        yield str(mapping(entry.get("targetRef")).get("name") or by_address.get(_plain(address), address))


def outdated(endpoints: Manifest | None, chosen: Iterable[ObservedVm]) -> Iterator[str]:
    """Say which ready addresses name a machine and are not its own now: those of the machine that was lost."""
    machines = {one.name: one for one in chosen}
    for entry in _ready(endpoints):
        address, target = str(entry.get("ip")), mapping(entry.get("targetRef"))
        machine = machines.get(str(target.get("name")))
        if machine is None or target.get("kind", VIRTUAL_MACHINE.name) != VIRTUAL_MACHINE.name:
            continue  # no machine of that name is selected: the names differ, and that is said
        if _plain(address) not in map(_plain, machine.addresses):
            now = ", ".join(machine.addresses) or "none"
            yield f"endpoint {address} is not an address of {machine.name} now (it has {now})"
        elif target.get("uid") and machine.uid and target["uid"] != machine.uid:
            yield f"endpoint {address} is that of an earlier {machine.name} (UID {target['uid']}, now {machine.uid})"


def _ready(endpoints: Manifest | None) -> Iterator[Mapping[str, Any]]:
    for subset in sequence(endpoints.content.get("subsets")) if endpoints else ():
        yield from map(mapping, sequence(mapping(subset).get("addresses")))


def _plain(address: str) -> str:
    """Return an address in its shortest spelling; what is none as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address
