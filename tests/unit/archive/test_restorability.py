from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.builders import condition, facts, group, m, service, vm
from velero_vmservice.archive.facts import unbound_claims
from velero_vmservice.archive.findings import HINTS, FindingCode
from velero_vmservice.archive.restorability import namespace_findings, object_findings
from velero_vmservice.archive.topology import topology


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any]
    """The object that is checked."""
    around: tuple[dict[str, Any], ...] = ()
    want: tuple[str, ...] = ()
    excerpt: str = ""


CREATED = condition("VirtualMachineCreated")
OUTDATED = {"conditions": [CREATED, condition("VirtualMachineBackupUpToDate", "False")]}
PAUSED_BACKUP = condition("VirtualMachineBackupUpToDate", "False", "VirtualMachineBackupPaused")
WEB = service("front", {"app": "web"})
VERSION = "vmoperator.vmware.com/backup-version"


def web(**rest: Any) -> dict[str, Any]:
    return vm("web-1", labels={"app": "web"}, **rest)


CASES = [
    Case(
        why="a sound service",
        given=service("front", {"app": "web"}),
        around=(vm("web-1", labels={"app": "web"}),),
    ),
    Case(why="selector matches no VM", given=service("front", {"app": "web"}), want=("selector-matches-no-vm",)),
    Case(
        why="the zone label goes in a restore to new",
        given=service("front", {"topology.kubernetes.io/zone": "z1"}),
        around=(vm("web-1", labels={"topology.kubernetes.io/zone": "z1"}),),
        want=("selector-uses-zone",),
        excerpt="topology.kubernetes.io/zone",
    ),
    Case(why="no selector is legal", given=service("front"), want=("selector-empty",)),
    Case(why="a sound group", given=group("tier", ["web-1"]), around=(vm("web-1", group="tier"),)),
    Case(
        why="a member without groupName",
        given=group("tier", ["web-1"]),
        around=(vm("web-1"),),
        want=("member-without-group-name",),
        excerpt="web-1",
    ),
    Case(
        why="a member of another group",
        given=group("tier", ["web-1"]),
        around=(vm("web-1", group="other"),),
        want=("member-of-another-group",),
        excerpt="other",
    ),
    Case(why="a member that does not exist", given=group("tier", ["gone"]), want=("member-missing",), excerpt="gone"),
    Case(
        why="groupName that is not listed back",
        given=group("tier"),
        around=(vm("web-1", group="tier"),),
        want=("group-name-not-listed",),
        excerpt="web-1",
    ),
    Case(
        why="a child group that is not listed back",
        given=group("tier"),
        around=(group("child", parent="tier"),),
        want=("group-name-not-listed",),
        excerpt="VirtualMachineGroup child",
    ),
    Case(
        why="a group inside itself, over another",
        given=group("a", ["/b"], parent="b"),
        around=(group("b", ["/a"], parent="a"),),
        want=("group-cycle",),
        excerpt="a → b → a",
    ),
    Case(
        why="a group that lists itself",
        given=group("a", ["/a"]),
        want=("member-is-itself", "group-cycle"),
    ),
    Case(
        why="a parent that does not exist",
        given=group("a", parent="top"),
        want=("parent-missing",),
        excerpt="top",
    ),
    Case(
        why="a parent that does not list it",
        given=group("a", parent="top"),
        around=(group("top"),),
        want=("parent-does-not-list",),
    ),
    Case(
        why="a member that is listed twice",
        given=group("a", ["web-1"], ["web-1"]),
        around=(vm("web-1", group="a"),),
        want=("member-listed-twice",),
    ),
    Case(
        why="a VM whose record is old",
        given=service("front", {"app": "web"}),
        around=(vm("web-1", labels={"app": "web"}, status=OUTDATED),),
        want=("vm-record-outdated",),
        excerpt="web-1",
    ),
    Case(
        why="a VM that is not recorded",
        given=group("tier", ["node", "web-1"]),
        around=(vm("node", group="tier", labels={"capv.vmware.com/cluster.role": "n"}), vm("web-1", group="tier")),
        want=("vm-not-recorded",),
        excerpt="VirtualMachine shop/node is",
    ),
    Case(
        why="a VM without a vSphere VM",
        given=WEB,
        around=(web(created=False, status={"uniqueID": ""}),),
        want=("vm-not-created",),
    ),
    Case(
        why="a VM that cannot be reconciled",
        given=WEB,
        around=(web(status={"conditions": [CREATED, condition("VirtualMachineReconcileReady", "False")]}),),
        want=("vm-not-reconciled",),
    ),
    Case(
        why="a VM that was changed since",
        given=WEB,
        around=(web(meta={"generation": 4}, status={"observedGeneration": 3}),),
        want=("vm-changed",),
    ),
    Case(
        why="a VM that is paused",
        given=WEB,
        around=(web(meta={"annotations": {"vmoperator.vmware.com/paused": ""}}),),
        want=("vm-paused",),
    ),
    Case(
        why="a VM that is being deleted",
        given=WEB,
        around=(web(meta={"deletionTimestamp": "2026-03-01T11:00:00Z"}),),
        want=("vm-deleting",),
    ),
    Case(
        why="a VM that is to be reverted to a snapshot",
        given=WEB,
        around=(web(spec={"currentSnapshotName": "before"}),),
        want=("vm-reverting",),
    ),
    Case(
        why="a VM that is being reverted to a snapshot",
        given=WEB,
        around=(web(meta={"annotations": {"vmoperator.vmware.com/snapshot-revert-in-progress": ""}}),),
        want=("vm-reverting",),
    ),
    Case(
        why="a VM that is being powered on",
        given=WEB,
        around=(web(spec={"powerState": "PoweredOn"}),),
        want=("vm-power-changing",),
    ),
    Case(
        why="a VM that is on, as its spec says in an older spelling",
        given=WEB,
        around=(web(power="PoweredOn", spec={"powerState": "poweredOn"}),),
    ),
    Case(
        why="a VM whose power VM Operator calls in step",
        given=WEB,
        around=(
            web(
                spec={"powerState": "PoweredOn"},
                status={"conditions": [CREATED, condition("VirtualMachinePowerStateSynced")]},
            ),
        ),
    ),
    Case(
        why="a VM that was restored and not registered since",
        given=WEB,
        around=(web(status={"conditions": [CREATED, PAUSED_BACKUP]}),),
        want=("vm-not-registered-again",),
    ),
    Case(
        why="a VM without a record among VMs that have theirs",
        given=WEB,
        around=(web(), vm("db", meta={"annotations": {VERSION: "1795374005000"}})),
        want=("vm-record-missing",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_findings(case: Case) -> None:
    manifest, known = (
        m(case.given),
        facts(case.given, *case.around) if case.given["kind"] == "VirtualMachineGroup" else facts(*case.around),
    )
    findings = object_findings(manifest, topology(manifest, known), known)
    assert tuple(finding.code for finding in findings) == case.want
    assert all(finding.message and finding.hint for finding in findings)
    assert case.excerpt in " ".join(finding.sentence("shop") for finding in findings)


def test_a_note_does_not_alarm() -> None:
    manifest = m(service("front"))
    (finding,) = object_findings(manifest, topology(manifest, facts()), facts())
    assert finding.severity == "note"


def test_a_vm_that_names_a_group_which_does_not_exist() -> None:
    (finding,) = namespace_findings(
        facts(group("tier"), vm("web-1", group="gone"), vm("web-2", group="tier"), vm("db"))
    )
    assert finding.code == "group-name-without-group"
    assert finding.sentence("shop") == "VirtualMachine shop/web-1 names the group gone, which does not exist"


def test_vms_with_one_bios_uuid_are_named_while_there_is_time() -> None:
    same, node = {"biosUUID": "4210-AA"}, {"capv.vmware.com/cluster.role": "n"}
    findings = namespace_findings(
        facts(
            vm("web-1", status=same),
            vm("copy", status={"biosUUID": "4210-aa"}),
            vm("db"),
            vm("node", status=same, labels=node),
        )
    )
    assert [(finding.code, finding.name) for finding in findings] == [
        ("bios-uuid-shared", "web-1"),
        ("bios-uuid-shared", "copy"),
    ]
    assert "has the BIOS UUID 4210-aa of copy" in findings[0].message


@pytest.mark.parametrize(
    ("phases", "want"),
    [
        ({"data": "Bound", "logs": "Bound"}, []),
        ({"data": "Bound", "logs": "Pending"}, ["has the PVC logs, which is Pending"]),
        ({"data": "Lost"}, ["has the PVC data, which is Lost", "has the PVC logs, which does not exist"]),
    ],
)
def test_claims_that_are_not_bound(phases: dict[str, str], want: list[str]) -> None:
    seen = facts(web(claims=["data", "logs"]))
    known = seen.model_copy(update={"unbound_claims": unbound_claims(seen.machines, phases)})
    manifest = m(WEB)
    findings = object_findings(manifest, topology(manifest, known), known)
    assert [finding.message for finding in findings] == want
    assert {finding.code for finding in findings} <= {"claim-not-bound"}
    assert namespace_findings(known) == ()


def test_claims_of_which_nothing_is_known_are_no_reason_to_alarm() -> None:
    (finding,) = namespace_findings(facts(web(claims=["data"])))
    assert (finding.code, finding.severity, finding.kind) == ("claims-unknown", "note", "Namespace")
    assert namespace_findings(facts(web())) == ()


def test_every_code_has_a_hint_and_a_place_in_the_documentation() -> None:
    docs = Path(__file__).parents[3] / "docs"
    documented = "".join((docs / name).read_text("utf-8") for name in ("backup-strategy.md", "restore.md"))
    assert [code for code in FindingCode if f"`{code}`" not in documented] == []
    assert [code for code in FindingCode if code not in HINTS] == []
