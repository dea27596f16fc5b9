from __future__ import annotations

from typing import Any

from tests.unit.builders import NAMESPACE, facts, group, m, service, vm
from velero_vmservice.archive.backup_scope import NotCaptured
from velero_vmservice.archive.findings import ApplicationVerdict, Finding
from velero_vmservice.archive.restorability import namespace_findings, object_findings
from velero_vmservice.archive.topology import topology
from velero_vmservice.backup.assessment import Assessed, assessed, verdicts
from velero_vmservice.kube.manifest import CAPTURED_KINDS, ObjectRef

KINDS = {kind.name: kind for kind in CAPTURED_KINDS}
NODE = {"capv.vmware.com/cluster.role": "worker"}


def judged(*objects: dict[str, Any], without: tuple[NotCaptured, ...] = ()) -> dict[str, ApplicationVerdict]:
    """Judge a namespace that holds the objects; return the verdicts by the name of their application."""
    known = facts(*objects)
    parts: list[Assessed] = []
    for content in objects:
        manifest = m(content)
        if kind := KINDS.get(manifest.kind_name):
            connected = topology(manifest, known)
            findings = object_findings(manifest, connected, known)
            parts.append(assessed(ObjectRef(kind, NAMESPACE, manifest.name), connected, findings, known))
    return {each.name: each for each in verdicts(parts, namespace_findings(known), without)}


def codes(application: ApplicationVerdict) -> list[str]:
    return [finding.code for finding in application.reasons]


def test_an_application_is_what_groups_and_selectors_connect() -> None:
    by_name = judged(
        vm("web-1", labels={"app": "web"}, group="web"),
        vm("db-1", group="db"),
        vm("mail", labels={"app": "mail"}),
        group("shop", ["/db", "/web"]),
        group("db", ["db-1"], parent="shop"),
        group("web", ["web-1"], parent="shop"),
        service("front", {"app": "web"}),
        service("mail", {"app": "mail"}),
    )
    assert {name: (entry.verdict, entry.vms) for name, entry in by_name.items()} == {
        "shop": ("restorable", ("db-1", "web-1")),
        "mail": ("restorable", ("mail",)),
    }
    assert by_name["shop"].kind == "VirtualMachineGroup"
    assert tuple(map(str, by_name["shop"].objects)) == (
        "VirtualMachineGroup/db",
        "VirtualMachineGroup/shop",
        "VirtualMachineGroup/web",
        "VirtualMachineService/front",
    )


def test_the_worst_finding_decides_and_comes_first() -> None:
    (application,) = judged(
        vm("web-1", labels={"app": "web"}, spec={"powerState": "PoweredOn"}),
        vm("node", labels={"app": "web", **NODE}),
        service("front", {"app": "web"}),
    ).values()
    assert application.verdict == "not-restorable"
    assert codes(application) == ["vm-not-recorded", "vm-power-changing"]
    assert application.vms == ("node", "web-1")


def test_a_note_leaves_an_application_restorable() -> None:
    (application,) = judged(service("front")).values()
    assert (application.verdict, codes(application)) == ("restorable", ["selector-empty"])


def test_what_two_objects_say_of_a_vm_is_a_reason_once() -> None:
    paused = {"annotations": {"vmoperator.vmware.com/paused": ""}}
    (application,) = judged(
        vm("web-1", labels={"app": "web"}, group="web", meta=paused),
        group("web", ["web-1"]),
        service("front", {"app": "web"}),
    ).values()
    assert (application.verdict, codes(application)) == ("with-warnings", ["vm-paused"])


def test_a_finding_of_the_namespace_concerns_the_application_of_its_vm_alone() -> None:
    by_name = judged(
        vm("web-1", labels={"app": "web"}, group="gone"),
        vm("mail", labels={"app": "mail"}),
        service("front", {"app": "web"}),
        service("mail", {"app": "mail"}),
    )
    assert codes(by_name["front"]) == ["group-name-without-group"]
    assert codes(by_name["mail"]) == []


def test_an_object_that_the_capture_leaves_out_is_a_reason() -> None:
    missed = NotCaptured(kind="VirtualMachineService", namespace=NAMESPACE, name="side", vms=("web-1",))
    (application,) = judged(
        vm("web-1", labels={"app": "web"}), service("front", {"app": "web"}), without=(missed,)
    ).values()
    assert application.verdict == "with-warnings"
    (reason,) = application.reasons
    assert reason.sentence("shop").startswith("VirtualMachineService shop/side is not captured, though web-1 belong")


def test_a_code_of_another_release_is_read_and_has_no_hint() -> None:
    finding = Finding.model_validate({"code": "of-tomorrow", "severity": "warning", "message": "is new"})
    assert (finding.hint, finding.blocks, finding.sentence("shop")) == ("", False, "is new")
