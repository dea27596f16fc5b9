"""Which VMs a Service leads to, by its Endpoints, and whether the addresses there are still theirs.

VM Operator writes one address for each selected VM that has one, with the VM's name and UID as its target
(virtualmachineservice_controller.go). A name alone proves nothing after a restore in place: the entry may be the lost
VM's.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.vmoperator.observed_vm import ObservedVm


def has_address(vm: ObservedVm, families: Sequence[str]) -> bool:
    """Say whether a VM has an address of the Service's families; an older cluster names none."""
    return any(not families or ("IPv6" if ":" in address else "IPv4") in families for address in vm.addresses)


def vms_behind(endpoints: Manifest | None, chosen: Iterable[ObservedVm]) -> Iterator[str]:
    """Yield the VM behind each ready address; by address where the entry has no target."""
    by_address = {_plain(address): vm.name for vm in chosen for address in vm.addresses}
    for entry in _ready(endpoints):
        address = str(entry.get("ip"))
        yield str(mapping(entry.get("targetRef")).get("name") or by_address.get(_plain(address), address))


def outdated(endpoints: Manifest | None, chosen: Iterable[ObservedVm]) -> Iterator[str]:
    """Say which ready addresses name a VM and are not its own now: those of the VM that was lost."""
    vms = {vm.name: vm for vm in chosen}
    for entry in _ready(endpoints):
        address, target = str(entry.get("ip")), mapping(entry.get("targetRef"))
        vm = vms.get(str(target.get("name")))
        if vm is None or target.get("kind", VIRTUAL_MACHINE.name) != VIRTUAL_MACHINE.name:
            continue  # no VM of that name is selected: the names differ, which is reported
        if _plain(address) not in map(_plain, vm.addresses):
            now = ", ".join(vm.addresses) or "none"
            yield f"endpoint {address} is not an address of {vm.name} now (it has {now})"
        elif target.get("uid") and vm.uid and target["uid"] != vm.uid:
            yield f"endpoint {address} is that of an earlier {vm.name} (UID {target['uid']}, now {vm.uid})"


def _ready(endpoints: Manifest | None) -> Iterator[Mapping[str, Any]]:
    for subset in sequence(endpoints.content.get("subsets")) if endpoints else ():
        yield from map(mapping, sequence(mapping(subset).get("addresses")))


def _plain(address: str) -> str:
    """Return an address in its shortest spelling, any other text unchanged."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address
