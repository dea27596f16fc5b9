"""Which VM keeps RegisterVM from registering another one: the one that has its BIOS UUID (guide 7.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.supervisor.namespace_state import NamespaceState

REMEDY: Final = (
    "Decide which of the two VMs with one BIOS UUID is wanted: RegisterVM cannot register the restored one while the"
    " other is in the namespace."
)


def holders(names: Iterable[str], vms: Iterable[VmFacts], observed: NamespaceState) -> dict[str, str]:
    """Return, for each named VM that is not there, the other VM of the namespace that has its BIOS UUID.

    Args:
        names: the VMs that are waited for.
        vms: what they were at the backup, as far as known.
        observed: the namespace as it is.
    """
    expected = {vm.name: vm.bios_uuid.lower() for vm in vms if vm.bios_uuid}
    absent = (name for name in names if name in expected and name not in observed.machines)
    return {name: holder for name in absent if (holder := observed.bios_uuids.get(expected[name]))}


def reason(holder: str) -> str:
    """Return why such a VM is waited for in vain."""
    return f"{holder} has its BIOS UUID, and RegisterVM refuses a second VM with it in a namespace (guide 7.1.1)"
