"""Expectations: the guide's conditions of each restore (6.2, 6.4, 7.1.1, 7.2.2, 9.1, 9.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import NAMESPACE, m, obj, vm, vsphere_namespace
from velero_vmservice.archive.facts import vm_facts
from velero_vmservice.archive.findings import ApplicationVerdict, Finding
from velero_vmservice.kube.manifest import STORAGE_CLASS, VIRTUAL_MACHINE_CLASS
from velero_vmservice.preflight.restoring import RestoreKind, judge
from velero_vmservice.preflight.target import Target
from velero_vmservice.supervisor.namespace_state import NamespaceState, observe
from velero_vmservice.vmoperator.releases import Generation, SupervisorRelease
from velero_vmservice.vmoperator.virtual_machine import read_vm

VERSION = "vmoperator.vmware.com/backup-version"
NEW, IN_PLACE, FAILOVER = RestoreKind.NEW, RestoreKind.IN_PLACE, RestoreKind.FAILOVER


def web(version: str = "1000", **rest: Any) -> dict[str, Any]:
    meta = rest.pop("meta", {})
    annotations = {VERSION: version, **meta.pop("annotations", {})} if version else {}
    return vm("web-1", meta={"annotations": annotations, **meta}, **rest)


def state(*vms: dict[str, Any], namespace: dict[str, Any] | None = None) -> NamespaceState:
    made = vsphere_namespace() if namespace is None else namespace
    return observe(
        m(made) if made else None,
        {},
        machines=[read_vm(m(content)) for content in vms],
        claims=(),
        name=NAMESPACE,
        at=0.0,
        present={},
    )


def codes(kind: RestoreKind, captured: dict[str, Any], *live: dict[str, Any], **target: Any) -> tuple[str, list[str]]:
    """Judge the restore of one VM; return the verdict with the codes of its reasons, sorted."""
    generation = target.pop("generation", Generation.VCF_9)
    application = target.pop("application", None) or ApplicationVerdict(
        verdict="restorable", kind="VirtualMachine", namespace=NAMESPACE, name="web-1", vms=("web-1",)
    )
    judged = judge(
        kind,
        application,
        [vm_facts(m(captured))],
        Target(
            state=state(*live, namespace=target.pop("namespace", None)),
            release=SupervisorRelease(generation=generation, evidence="serves it so"),
            **target,
        ),
        recorded=target.pop("recorded", True),
    )
    assert all(finding.hint and finding.sentence() for finding in judged.reasons)
    return judged.verdict, sorted(finding.code for finding in judged.reasons)


CASES: dict[str, tuple[RestoreKind, dict[str, Any], list[dict[str, Any]], dict[str, Any], str, list[str]]] = {
    "new: nothing in the way": (NEW, web(), [], {}, "restorable", []),
    "new: the name is taken": (NEW, web(), [web()], {}, "not-restorable", ["name-taken"]),
    "new: another VM has its BIOS UUID": (
        NEW,
        web(),
        [vm("copy", status={"biosUUID": "BIOS-OF-web-1"})],
        {},
        "not-restorable",
        ["bios-uuid-taken"],
    ),
    "new: no such namespace": (NEW, web(), [], {"namespace": {}}, "not-restorable", ["target-missing"]),
    "new: a plain namespace": (
        NEW,
        web(),
        [],
        {"namespace": obj("Namespace", NAMESPACE, api="v1", namespace="")},
        "not-restorable",
        ["target-not-of-vsphere"],
    ),
    "new: 8.0 U3 has it": (NEW, web(), [], {"generation": Generation.VSPHERE_8_U3}, "restorable", []),
    "new: an unknown release": (
        NEW,
        web(),
        [],
        {"generation": Generation.UNKNOWN},
        "with-warnings",
        ["release-unknown"],
    ),
    "new: its class and storage class are missing": (
        NEW,
        web(spec={"className": "small", "storageClass": "gold"}),
        [],
        {"present": {VIRTUAL_MACHINE_CLASS: {"large"}, STORAGE_CLASS: {"silver"}}},
        "with-warnings",
        ["reference-missing", "reference-missing"],
    ),
    "new: what may not be listed is not missing": (NEW, web(spec={"className": "small"}), [], {}, "restorable", []),
    "new: its storage policy is not assigned": (
        NEW,
        web(spec={"storageClass": "gold"}),
        [],
        {"present": {STORAGE_CLASS: {"gold"}}, "assigned_storage": frozenset({"silver"})},
        "with-warnings",
        ["storage-not-assigned"],
    ),
    "new: a member, and no groups": (
        NEW,
        web(group="tier"),
        [],
        {"without_groups": "this Supervisor does not link groups"},
        "with-warnings",
        ["target-without-groups"],
    ),
    "in place: an older backup of a VM that is off": (IN_PLACE, web("999"), [web()], {}, "restorable", []),
    "in place: the same version": (IN_PLACE, web(), [web()], {}, "not-restorable", ["backup-not-older"]),
    "in place: a newer version": (IN_PLACE, web("1001"), [web()], {}, "not-restorable", ["backup-not-older"]),
    "in place: no version": (IN_PLACE, web(""), [web()], {}, "with-warnings", ["backup-age-unknown"]),
    "in place: it is not there": (IN_PLACE, web(), [], {}, "not-restorable", ["vm-absent"]),
    "in place: another VM of that name": (
        IN_PLACE,
        web("999"),
        [web(spec={"instanceUUID": "x"}, status={"biosUUID": "y"})],
        {},
        "not-restorable",
        ["name-taken"],
    ),
    "in place: on 8.0 U3": (
        IN_PLACE,
        web("999"),
        [web()],
        {"generation": Generation.VSPHERE_8_U3},
        "not-restorable",
        ["release-lacks-feature"],
    ),
    "in place: it runs": (IN_PLACE, web("999"), [web(power="PoweredOn")], {}, "with-warnings", ["vm-powered-on"]),
    "in place: it is being reverted": (
        IN_PLACE,
        web("999"),
        [web(spec={"currentSnapshotName": "before"})],
        {},
        "with-warnings",
        ["vm-reverting"],
    ),
    "failover: from another vCenter": (
        FAILOVER,
        web(meta={"annotations": {"vmoperator.vmware.com/manager-id": "vc-a"}}),
        [],
        {"vcenters": frozenset({"vc-b"})},
        "restorable",
        [],
    ),
    "failover: from the same vCenter": (
        FAILOVER,
        web(meta={"annotations": {"vmoperator.vmware.com/manager-id": "vc-a"}}),
        [],
        {"vcenters": frozenset({"vc-a"})},
        "not-restorable",
        ["same-vcenter"],
    ),
    "failover: no VM says of which vCenter it is": (FAILOVER, web(), [], {}, "restorable", ["vcenter-not-compared"]),
    "failover: the image is cleared": (
        FAILOVER,
        web(
            meta={"annotations": {"vmoperator.vmware.com/manager-id": "vc-a"}},
            spec={"image": {"name": "vmi-0123"}},
        ),
        [],
        {"vcenters": frozenset({"vc-b"})},
        "restorable",
        ["image-cleared"],
    ),
    "failover: on 8.0 U3": (
        FAILOVER,
        web(),
        [],
        {"generation": Generation.VSPHERE_8_U3},
        "not-restorable",
        ["release-lacks-feature", "vcenter-not-compared"],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_a_restore_asks_beforehand(
    case: tuple[RestoreKind, dict[str, Any], list[dict[str, Any]], dict[str, Any], str, list[str]],
) -> None:
    kind, captured, live, target, verdict, want = case
    assert codes(kind, captured, *live, **dict(target)) == (verdict, want)


def test_in_place_the_state_has_to_be_kept() -> None:
    application = ApplicationVerdict(
        verdict="restorable", kind="VirtualMachine", namespace=NAMESPACE, name="web-1", vms=("web-1",)
    )
    target = Target(state=state(web()), release=SupervisorRelease(generation=Generation.VCF_9, evidence=""))
    judged = judge(IN_PLACE, application, [vm_facts(m(web("999")))], target, recorded=False)
    assert [finding.code for finding in judged.reasons] == ["state-not-recorded"]


def test_what_was_wrong_at_the_capture_is_a_reason_still() -> None:
    blocking = Finding(code="group-cycle", severity="warning", message="contains itself").about(
        "VirtualMachineGroup", "tier"
    )
    note = Finding(code="selector-empty", severity="note", message="has no selector")
    application = ApplicationVerdict(
        verdict="not-restorable",
        kind="VirtualMachineGroup",
        namespace=NAMESPACE,
        name="tier",
        vms=("web-1",),
        reasons=(blocking, note),
    )
    assert codes(NEW, web(), application=application) == ("not-restorable", ["group-cycle"])


def test_a_guest_clusters_node_is_not_asked_after() -> None:
    node = vm("web-1", labels={"capv.vmware.com/cluster.role": "worker"})
    assert codes(IN_PLACE, node) == ("restorable", [])
