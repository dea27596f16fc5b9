from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import NAMESPACE, m, vm, vsphere_namespace
from velero_vmservice.kube.manifest import PERSISTENT_VOLUME_CLAIM
from velero_vmservice.preflight.state import ClaimFate, RecordedNamespace, changes
from velero_vmservice.supervisor.namespace_state import observe
from velero_vmservice.vmoperator.virtual_machine import read_vm


def with_volume(name: str, claim: str) -> dict[str, Any]:
    return vm(name, spec={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]})


CASES: dict[str, tuple[list[dict[str, Any]], list[str], bool, ClaimFate]] = {
    "the VM still has it": ([with_volume("db", "old")], ["old"], True, ClaimFate.KEPT),
    "a new one, and the old one is gone": ([with_volume("db", "new")], ["new"], True, ClaimFate.REPLACED),
    "a new one, and the old one is there": ([with_volume("db", "new")], ["new", "old"], True, ClaimFate.LEFT_OVER),
    "another VM has it": ([with_volume("db", "new"), with_volume("spy", "old")], ["old"], True, ClaimFate.MOVED),
    "nothing is left": ([vm("db")], [], True, ClaimFate.GONE),
    "the VM is gone, and it is there": ([], ["old"], True, ClaimFate.LEFT_OVER),
    "PVCs may not be listed": ([with_volume("db", "new")], [], False, ClaimFate.UNKNOWN),
}


@pytest.mark.parametrize(("live", "claims", "known", "fate"), CASES.values(), ids=CASES)
def test_what_became_of_a_claim(live: list[dict[str, Any]], claims: list[str], *, known: bool, fate: ClaimFate) -> None:
    recorded = RecordedNamespace(namespace=NAMESPACE, vms=(with_volume("db", "old"),))
    now = observe(
        m(vsphere_namespace()),
        {},
        machines=[read_vm(m(content)) for content in live],
        claims=[(claim, "Bound") for claim in claims],
        name=NAMESPACE,
        at=0.0,
        present={},
        unseen={} if known else {PERSISTENT_VOLUME_CLAIM: "denied"},
    )
    (change,) = changes(recorded, now)
    assert (change.vm, change.volume, change.claim, change.fate) == ("db", "data", "old", fate)
