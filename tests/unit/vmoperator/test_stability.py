from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import condition, m, vm
from velero_vmservice.vmoperator.stability import Unsettled, unsettled

CREATED = condition("VirtualMachineCreated")


def seen_at(generation: int) -> dict[str, Any]:
    return {**CREATED, "observedGeneration": generation}


CASES: dict[str, tuple[dict[str, Any], tuple[Unsettled, ...]]] = {
    "stable": ({}, ()),
    "created at v1alpha1": ({"created": False, "status": {"phase": "Created"}}, ()),
    "not created": ({"created": False, "status": {"uniqueID": ""}}, (Unsettled.NOT_CREATED,)),
    "not read yet": ({"created": False}, (Unsettled.NOT_RECONCILED,)),
    "reconciliation fails": (
        {"status": {"conditions": [CREATED, condition("VirtualMachineReconcileReady", "False")]}},
        (Unsettled.NOT_RECONCILED,),
    ),
    "paused, so that nothing is reconciled": (
        {
            "meta": {"labels": {"vmoperator.vmware.com/paused": "admin"}},
            "status": {"conditions": [CREATED, condition("VirtualMachineReconcileReady", "False")]},
        },
        (Unsettled.PAUSED,),
    ),
    "an older generation observed": (
        {"meta": {"generation": 7}, "status": {"conditions": [seen_at(6)]}},
        (Unsettled.CHANGED,),
    ),
    "this generation observed": ({"meta": {"generation": 7}, "status": {"conditions": [seen_at(7)]}}, ()),
    "no generation observed, as most releases do not say": ({"meta": {"generation": 7}}, ()),
    "power out of step": (
        {
            "spec": {"powerState": "PoweredOff"},
            "status": {"conditions": [CREATED, condition("VirtualMachinePowerStateSynced", "False")]},
        },
        (Unsettled.POWER_CHANGING,),
    ),
    "being deleted while it is reverted": (
        {"meta": {"deletionTimestamp": "2026-03-01T11:00:00Z"}, "spec": {"currentSnapshot": {"name": "before"}}},
        (Unsettled.DELETING, Unsettled.REVERTING),
    ),
}


@pytest.mark.parametrize(("given", "want"), CASES.values(), ids=CASES)
def test_what_keeps_a_vm_from_being_stable(given: dict[str, Any], want: tuple[Unsettled, ...]) -> None:
    assert unsettled(m(vm("web-1", **given))) == want
