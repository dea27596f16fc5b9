"""What keeps a VM from being in a stable state, in which a VADP backup of it can be restored (guide 5.1, 7.2.1)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import Manifest, is_true
from velero_vmservice.vmoperator import virtual_machine

if TYPE_CHECKING:
    from collections.abc import Iterator


class Unsettled(StrEnum):
    """What is under way, or has not been done yet; stored with the facts of a VM."""

    NOT_CREATED = "not-created"
    """VM Operator has not made or found its vSphere VM: there is nothing that a VADP job could save."""
    NOT_RECONCILED = "not-reconciled"
    CHANGED = "changed"
    """Its spec is newer than what VM Operator last reconciled."""
    PAUSED = "paused"
    DELETING = "deleting"
    REVERTING = "reverting"
    """To a snapshot."""
    POWER_CHANGING = "power-changing"
    RESTORED = "restored"
    """And not registered since, so that VM Operator records nothing (vm-service 4.5)."""


def unsettled(vm: Manifest) -> tuple[Unsettled, ...]:
    """Return all that keeps a VirtualMachine of any served version from being stable."""
    return tuple(_unsettled(vm))


def _unsettled(vm: Manifest) -> Iterator[Unsettled]:
    paused = virtual_machine.paused_by(vm)
    created = virtual_machine.is_created(vm)
    reconciled = vm.condition("VirtualMachineReconcileReady") or {}
    if not created and not vm.status.get("uniqueID"):
        yield Unsettled.NOT_CREATED
    elif not created or (reconciled.get("status") == "False" and not paused):
        yield Unsettled.NOT_RECONCILED
    elif _is_behind(vm):
        yield Unsettled.CHANGED
    if paused:
        yield Unsettled.PAUSED
    if vm.deleting:
        yield Unsettled.DELETING
    if virtual_machine.is_reverting(vm):
        yield Unsettled.REVERTING
    if _power_is_changing(vm):
        yield Unsettled.POWER_CHANGING
    if virtual_machine.is_backup_paused(vm):
        yield Unsettled.RESTORED


def _is_behind(vm: Manifest) -> bool:
    """Say whether VM Operator has seen an older generation only, where it says which it has seen."""
    conditions = (vm.condition(kind) or {} for kind in ("VirtualMachineReconcileReady", "VirtualMachineCreated"))
    seen = [entry.get("observedGeneration") for entry in (vm.status, *conditions)]
    newest = max((number for number in seen if isinstance(number, int)), default=0)
    generation = vm.metadata.get("generation")
    return bool(newest) and isinstance(generation, int) and newest < generation


def _power_is_changing(vm: Manifest) -> bool:
    """Say whether a power change was wanted for and not made; older releases have no condition for it."""
    if (synced := vm.condition("VirtualMachinePowerStateSynced")) is not None:
        return not is_true(synced)
    wanted = str(vm.spec.get("powerState", ""))
    current = virtual_machine.power_state(vm)
    return bool(wanted and current) and wanted.lower() != current.lower()
