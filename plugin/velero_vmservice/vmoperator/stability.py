"""Reasons why a VM is not stable; a VADP backup of a stable VM can be restored (guide 5.1, 7.2.1)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import Manifest, is_true
from velero_vmservice.vmoperator import virtual_machine

if TYPE_CHECKING:
    from collections.abc import Iterator


class Unsettled(StrEnum):
    """Changes that are under way or still to be made; stored with the facts of a VM."""

    NOT_CREATED = "not-created"
    """VM Operator has not created or found its vSphere VM, so a VADP job has nothing to save."""
    NOT_RECONCILED = "not-reconciled"
    CHANGED = "changed"
    """Its spec is newer than what VM Operator last reconciled."""
    PAUSED = "paused"
    DELETING = "deleting"
    REVERTING = "reverting"
    """The VM is being reverted to a snapshot."""
    POWER_CHANGING = "power-changing"
    RESTORED = "restored"
    """The VM was restored, but not registered since, so VM Operator records nothing (vm-service 4.5)."""


def unsettled(vm: Manifest) -> tuple[Unsettled, ...]:
    """Return the reasons why a VirtualMachine of any served version is not stable."""
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
    """Say whether VM Operator has seen only an older generation, if it shows which."""
    conditions = (vm.condition(kind) or {} for kind in ("VirtualMachineReconcileReady", "VirtualMachineCreated"))
    seen = [entry.get("observedGeneration") for entry in (vm.status, *conditions)]
    newest = max((number for number in seen if isinstance(number, int)), default=0)
    generation = vm.metadata.get("generation")
    return bool(newest) and isinstance(generation, int) and newest < generation


def _power_is_changing(vm: Manifest) -> bool:
    """Say whether a requested power change has not been made; older releases have no condition for it."""
    if (synced := vm.condition("VirtualMachinePowerStateSynced")) is not None:
        return not is_true(synced)
    wanted = str(vm.spec.get("powerState", ""))
    current = virtual_machine.power_state(vm)
    return bool(wanted and current) and wanted.lower() != current.lower()
