"""The networks that VMs were on at the backup, as a person maps them with `--network-override`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.archive.networks import OF_ANOTHER_KIND
from velero_vmservice.text import enumerate_some
from velero_vmservice.vmoperator.virtual_machine import Subnet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from velero_vmservice.archive.networks import RecordedNetwork

_SHOWN_VMS: Final = 5
_DEFAULT: Final = Subnet(type="SUBNETSET").notation


def lines(networks: Sequence[RecordedNetwork]) -> Iterator[str]:
    """Yield a line for each network, below a heading; nothing where RegisterVM can map none of them."""
    if any(network.notation != OF_ANOTHER_KIND for network in networks):
        yield "networks at the backup, as --network-override names them:"
        for network in networks:
            yield f"  {network.namespace}  {_named(network)}: {enumerate_some(list(network.vms), most=_SHOWN_VMS)}"


def document(networks: Sequence[RecordedNetwork]) -> list[dict[str, Any]]:
    """Return the same for programs; null for a network that the capture does not tell."""
    return [
        {"namespace": network.namespace, "network": network.notation, "vms": list(network.vms)} for network in networks
    ]


def _named(network: RecordedNetwork) -> str:
    match network.notation:
        case None:
            return "not recorded"
        case "":
            return "another kind of network, which RegisterVM does not map"
        case notation:
            return f"{notation} (the default network)" if notation == _DEFAULT else notation
