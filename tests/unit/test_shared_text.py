from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.unit.builders import m, vm
from velero_vmservice import documents
from velero_vmservice.archive.facts import NamespaceFacts, VmFacts, vm_facts
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from velero_vmservice.kube.manifest import Manifest

LABELS = {"app": "shop", "tier": "web front"}
CREATED = "vmoperator.vmware.com/created-at-build-version"


def machine(name: str, *, labels: dict[str, str] | None = None) -> Manifest:
    """Return a VM as it comes from the API: every string and mapping is its own."""
    meta = {"annotations": {CREATED: "v1.10.0", "owner": "me"}}
    return m(json.loads(json.dumps(vm(name, labels=labels or LABELS, meta=meta, spec={"className": "small"}))))


def test_vms_that_look_alike_share_what_is_alike() -> None:
    first, other = read_vm(machine("web-1")), read_vm(machine("web-2"))
    assert first.labels == LABELS
    assert first.labels is other.labels
    assert first.lifecycle_annotations is other.lifecycle_annotations
    assert first.user_annotations is other.user_annotations
    assert read_vm(machine("web-3", labels={**LABELS, "tier": "db"})).labels == {"app": "shop", "tier": "db"}


def test_facts_that_are_read_back_share_with_each_other_and_with_live_vms() -> None:
    written = NamespaceFacts(
        namespace="shop",
        observed_at="2026-01-02T03:04:05+00:00",
        machines=tuple(vm_facts(machine(name)) for name in ("web-1", "web-2")),
    )
    stored = documents.canonical(written)
    first, other = documents.parse(NamespaceFacts, stored, key="facts").machines

    assert (first, other) == written.machines
    assert first.labels is other.labels
    assert first.references is other.references
    assert first.user_annotations is other.user_annotations
    live = read_vm(machine("web-1"))
    assert first.labels is live.labels
    assert first.name is live.name


def test_facts_without_anything_stay_empty() -> None:
    assert VmFacts(name="web-1") == VmFacts(name="web-1", labels={}, references={}, bootstrap=())
