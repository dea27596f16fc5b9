from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.builders import condition, facts, group, m, service, vm
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


OUTDATED = {"conditions": [condition("VirtualMachineBackupUpToDate", "False")]}

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
        excerpt="node",
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
    assert all(finding.message for finding in findings)
    assert case.excerpt in " ".join(finding.message for finding in findings)


def test_a_note_does_not_alarm() -> None:
    manifest = m(service("front"))
    (finding,) = object_findings(manifest, topology(manifest, facts()), facts())
    assert finding.severity == "note"


def test_a_vm_that_names_a_group_which_does_not_exist() -> None:
    (finding,) = namespace_findings(
        facts(group("tier"), vm("web-1", group="gone"), vm("web-2", group="tier"), vm("db"))
    )
    assert finding.code == "group-name-without-group"
    assert "web-1" in finding.message
    assert "gone" in finding.message


def test_vms_with_one_bios_uuid_are_named_while_there_is_time() -> None:
    same, node = {"biosUUID": "4210-AA"}, {"capv.vmware.com/cluster.role": "n"}
    (finding,) = namespace_findings(
        facts(
            vm("web-1", status=same),
            vm("copy", status={"biosUUID": "4210-aa"}),
            vm("db"),
            vm("node", status=same, labels=node),
        )
    )
    assert finding.code == "bios-uuid-shared"
    assert "web-1, copy have the BIOS UUID 4210-aa" in finding.message
