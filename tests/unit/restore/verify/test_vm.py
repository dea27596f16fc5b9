"""Expectations: the guide's tables 6.1 to 6.4 and 8.1 to 8.3; each row is broken once and found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import m, machine, vm
from velero_vmservice.archive.facts import VmFacts, vm_facts
from velero_vmservice.restore.verify import vm as restored_vm
from velero_vmservice.restore.verify.vm import Deviation, Outcome, consequences, deviations
from velero_vmservice.restore.verify.vm_rules import TABLE
from velero_vmservice.supervisor.readiness import RestoreType, restore_type
from velero_vmservice.vmoperator import marks
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

NEW, EXISTING = RestoreType.NEW, RestoreType.EXISTING
DISK_ONLY, FAILOVER, NEVER_LOST = RestoreType.DISK_ONLY, RestoreType.FAILOVER, RestoreType.NEVER_LOST
VMOP = "vmoperator.vmware.com"
OWNER = "example.com/owner"
INFRASTRUCTURE = f"{VMOP}/placed-by"
BUILD = marks.CREATED_AT_ANNOTATIONS[0]
UPGRADED = marks.UPGRADED_TO_ANNOTATIONS[0]


def volumes(**claims: str) -> list[Json]:
    return [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, claim in claims.items()]


def original() -> Json:
    """Build the VM as it was at the backup, running."""
    return vm(
        "web-1",
        labels={"app": "shop", marks.ZONE_LABEL: "zone-a", INFRASTRUCTURE: "drs"},
        power="PoweredOn",
        meta={
            "annotations": {BUILD: "1.0", UPGRADED: "1.1", OWNER: "shop team", marks.BACKUP_VERSION_ANNOTATION: "1700"}
        },
        spec={
            "image": {"name": "vmi-1"},
            "bootstrap": {"cloudInit": {"instanceID": "i-1"}},
            "volumes": volumes(data="web-1-data", log="web-1-log"),
        },
    )


CAPTURED = vm_facts(m(original()))


def came_back(kind: RestoreType) -> Json:
    """Build the VM as the guide says it looks right after a restore of that type."""
    given = original()
    metadata, spec = given["metadata"], given["spec"]
    if kind is NEVER_LOST:
        return given
    if kind is DISK_ONLY:
        spec["volumes"] = volumes(data="restored-a1b2c3", log="web-1-log")
        return given
    given["status"]["powerState"] = "PoweredOff"
    spec["volumes"] = volumes(data="restored-a1b2c3", log="restored-f4e5d6")
    metadata["annotations"][f"{VMOP}/{'failed-over-vm' if kind is FAILOVER else 'restored-vm'}"] = ""
    if kind is not EXISTING:
        metadata["uid"] = "another"
        metadata["labels"] = {"app": "shop"}
        spec["bootstrap"]["cloudInit"]["instanceID"] = "i-2"
    if kind is FAILOVER:
        spec["volumes"] = volumes(data="web-1-data", log="restored-f4e5d6")
        del spec["image"]
    return given


def compared(given: Json, expected: VmFacts = CAPTURED, *, untouched: bool = True) -> tuple[Deviation, ...]:
    return deviations(read_vm(m(given)), expected, untouched=untouched)


def annotation(given: Json, key: str, value: str | None) -> None:
    _put(given["metadata"]["annotations"], key, value)


def label(given: Json, key: str, value: str | None) -> None:
    _put(given["metadata"]["labels"], key, value)


def _put(where: Json, key: str, value: str | None) -> None:
    if value is None:
        where.pop(key)
    else:
        where[key] = value


@pytest.mark.parametrize("kind", [NEW, EXISTING, DISK_ONLY, FAILOVER, NEVER_LOST])
def test_a_vm_that_came_back_as_the_guide_says_deviates_in_nothing(kind: RestoreType) -> None:
    given = came_back(kind)
    assert restore_type(read_vm(m(given)), CAPTURED) is kind
    assert compared(given) == ()


@dataclass(frozen=True)
class Case:
    why: str
    kind: RestoreType
    change: Callable[[Json], object]
    attribute: str
    expected: str
    actual: str = "missing"


def both(*changes: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda given: [change(given) for change in changes]


def unreconciled(given: Json) -> None:
    given["status"]["conditions"] = []


CASES = [
    *[
        Case(
            why=f"another BIOS UUID under the same instance UUID, {kind}",
            kind=kind,
            change=lambda given: given["status"].update(biosUUID="x"),
            attribute="BIOS UUID",
            expected="bios-of-web-1",
            actual="x",
        )
        for kind in (NEW, EXISTING, DISK_ONLY, NEVER_LOST)
    ],
    *[
        Case(
            why=f"another instance UUID under the same BIOS UUID, {kind}",
            kind=kind,
            change=lambda given: given["spec"].update(instanceUUID="x"),
            attribute="instance UUID",
            expected="instance-of-web-1",
            actual="x",
        )
        for kind in (NEW, EXISTING, DISK_ONLY, NEVER_LOST)
    ],
    Case(
        why="no mark on a new VM",
        kind=NEW,
        change=lambda given: annotation(given, f"{VMOP}/restored-vm", None),
        attribute=f"annotation {VMOP}/restored-vm",
        expected="there",
    ),
    *[
        Case(
            why=f"a volume is missing, {kind}",
            kind=kind,
            change=lambda given: given["spec"]["volumes"].pop(1),
            attribute="volume log",
            expected="there",
        )
        for kind in (NEW, EXISTING, DISK_ONLY, FAILOVER)
    ],
    *[
        Case(
            why=f"a claim of another name, {kind}",
            kind=kind,
            change=lambda given: given["spec"].update(volumes=volumes(data="mine", log="restored-f4e5d6")),
            attribute="claim of volume data",
            expected=consequence,
            actual="mine",
        )
        for kind, consequence in (
            (NEW, "restored-<6 hexadecimal digits>"),
            (EXISTING, "restored-<6 hexadecimal digits>"),
            (DISK_ONLY, "web-1-data or restored-<6 hexadecimal digits>"),
            (FAILOVER, "web-1-data or restored-<6 hexadecimal digits>"),
        )
    ],
    Case(
        why="the old claim on a new VM",
        kind=NEW,
        change=lambda given: given["spec"].update(volumes=volumes(data="web-1-data", log="restored-f4e5d6")),
        attribute="claim of volume data",
        expected="restored-<6 hexadecimal digits>",
        actual="web-1-data",
    ),
    *[
        Case(
            why=f"a lost label, {kind}",
            kind=kind,
            change=lambda given: label(given, "app", None),
            attribute="label app",
            expected="shop",
        )
        for kind in (NEW, EXISTING, FAILOVER)
    ],
    Case(
        why="a changed label",
        kind=NEW,
        change=lambda given: label(given, "app", "shop-2"),
        attribute="label app",
        expected="shop",
        actual="shop-2",
    ),
    Case(
        why="the zone label lost in place",
        kind=EXISTING,
        change=lambda given: label(given, marks.ZONE_LABEL, None),
        attribute="zone label",
        expected="zone-a",
    ),
    Case(
        why="the zone label kept on a new VM",
        kind=NEW,
        change=both(unreconciled, lambda given: label(given, marks.ZONE_LABEL, "zone-a")),
        attribute="zone label",
        expected="removed",
        actual="zone-a",
    ),
    Case(
        why="an infrastructure label lost in place",
        kind=EXISTING,
        change=lambda given: label(given, INFRASTRUCTURE, None),
        attribute=f"infrastructure label {INFRASTRUCTURE}",
        expected="there",
    ),
    Case(
        why="an infrastructure label kept on a new VM",
        kind=NEW,
        change=both(unreconciled, lambda given: label(given, INFRASTRUCTURE, "drs")),
        attribute=f"infrastructure label {INFRASTRUCTURE}",
        expected="removed",
        actual="drs",
    ),
    Case(
        why="created at another build",
        kind=EXISTING,
        change=lambda given: annotation(given, BUILD, "9.9"),
        attribute=f"annotation {BUILD}",
        expected="1.0",
        actual="9.9",
    ),
    Case(
        why="the build it was upgraded to is lost",
        kind=EXISTING,
        change=lambda given: annotation(given, UPGRADED, None),
        attribute=f"annotation {UPGRADED}",
        expected="there",
    ),
    *[
        Case(
            why=f"an annotation of the user's is lost, {kind}",
            kind=kind,
            change=lambda given: annotation(given, OWNER, None),
            attribute=f"annotation {OWNER}",
            expected="there",
        )
        for kind in (NEW, EXISTING, FAILOVER)
    ],
    Case(
        why="cloud-init will not run again on a new VM",
        kind=NEW,
        change=lambda given: given["spec"]["bootstrap"]["cloudInit"].update(instanceID="i-1"),
        attribute="cloud-init instance id",
        expected="another than i-1",
        actual="i-1",
    ),
    Case(
        why="cloud-init will run again in place",
        kind=EXISTING,
        change=lambda given: given["spec"]["bootstrap"]["cloudInit"].update(instanceID="i-2"),
        attribute="cloud-init instance id",
        expected="i-1",
        actual="i-2",
    ),
    *[
        Case(
            why=f"it runs, {kind}",
            kind=kind,
            change=lambda given: given["status"].update(powerState="PoweredOn"),
            attribute="power state",
            expected="PoweredOff",
            actual="PoweredOn",
        )
        for kind in (NEW, EXISTING, FAILOVER)
    ],
    Case(
        why="the image is kept in a failover",
        kind=FAILOVER,
        change=lambda given: given["spec"].update(image={"name": "vmi-1"}),
        attribute="image",
        expected="removed",
        actual="vmi-1",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_a_difference_from_the_tables_is_found(case: Case) -> None:
    given = came_back(case.kind)
    case.change(given)
    (deviation,) = compared(given)
    assert (deviation.attribute, deviation.expected, deviation.actual) == (case.attribute, case.expected, case.actual)
    assert deviation.note
    assert str(deviation).startswith(f"{case.attribute} should be {case.expected} and is {case.actual} (guide ")


def test_every_row_for_every_type_that_it_names_is_broken_here() -> None:
    """Without it, a row could be lost unnoticed; the marks tell the type, so they are rarely missing."""
    broken = {(case.attribute, case.kind) for case in CASES}
    told_by = {
        (f"annotation {marks.RESTORED_ANNOTATION}", EXISTING),
        (f"annotation {marks.FAILED_OVER_ANNOTATION}", FAILOVER),
    }
    for row in TABLE:
        for kind in row.expectation:
            names = {attribute for attribute, of in broken | told_by if of is kind}
            assert any(name == row.attribute or name.startswith(f"{row.attribute} ") for name in names), (row, kind)


@pytest.mark.parametrize(
    ("why", "kind", "change"),
    [
        ("VM Operator gave it its zone again", NEW, lambda given: label(given, marks.ZONE_LABEL, "zone-b")),
        ("VM Operator gave it its own label again", NEW, lambda given: label(given, INFRASTRUCTURE, "drs")),
        ("its Supervisor was upgraded since", EXISTING, lambda given: annotation(given, UPGRADED, "2.0")),
        ("the user added a label", NEW, lambda given: label(given, "more", "x")),
        (
            "its UUIDs are not known yet",
            NEW,
            lambda given: (given["spec"].pop("instanceUUID"), given["status"].pop("biosUUID")),
        ),
        ("the user relabelled a VM that was never lost", NEVER_LOST, lambda given: label(given, "app", "x")),
        ("a failover may give it other UUIDs", FAILOVER, lambda given: given["status"].update(biosUUID="x")),
        (
            "it goes on running while a disk is restored",
            DISK_ONLY,
            lambda given: given["status"].update(powerState="PoweredOn"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_change_that_is_allowed_is_no_deviation(
    why: str, kind: RestoreType, change: Callable[[Json], object]
) -> None:
    given = came_back(kind)
    change(given)
    assert compared(given) == (), why


@pytest.mark.parametrize("kind", [NEW, EXISTING, FAILOVER])
def test_fields_that_people_change_are_compared_only_right_after_the_registration(kind: RestoreType) -> None:
    given = came_back(kind)
    given["status"]["powerState"] = "PoweredOn"
    given["spec"]["image"] = {"name": "vmi-2"}
    assert compared(given, untouched=False) == ()
    assert compared(given, untouched=True)


def test_an_older_restore_point_explains_what_comes_from_it() -> None:
    given = came_back(EXISTING)
    label(given, "app", "shop-1")
    annotation(given, BUILD, "9.9")
    annotation(given, marks.BACKUP_VERSION_ANNOTATION, "1699")
    notes = {deviation.attribute: deviation.note for deviation in compared(given)}
    assert "older restore point" in notes["label app"]
    assert "older restore point" not in notes[f"annotation {BUILD}"]


def test_facts_of_an_older_writer_are_compared_as_far_as_they_go() -> None:
    older = machine(uid="old", bios_uuid="bios-of-web-1", labels={"app": "shop"})
    assert compared(came_back(NEW), older) == ()
    given = came_back(NEW)
    label(given, "app", None)
    assert [deviation.attribute for deviation in compared(given, older)] == ["label app"]


def test_nothing_is_compared_for_a_vm_of_unknown_restore_type() -> None:
    given = came_back(NEW)
    annotation(given, f"{VMOP}/restored-vm", None)
    given["spec"]["instanceUUID"], given["status"]["biosUUID"] = "x", "y"
    assert compared(given) == ()


@pytest.mark.parametrize(
    ("kind", "change", "excerpt"),
    [
        (FAILOVER, {}, "day-2 operations that need one may fail until an image of this site is set (guide 8.1.6)"),
        (FAILOVER, {"image": {"name": "vmi-2"}}, ""),
        (NEW, {}, "web-1: cloud-init runs again at the first power-on"),
        (NEW, {"bootstrap": {}}, ""),
        (EXISTING, {}, ""),
        (DISK_ONLY, {}, ""),
        (NEVER_LOST, {}, ""),
    ],
)
def test_what_follows_though_all_is_as_expected(kind: RestoreType, change: Json, excerpt: str) -> None:
    given = came_back(kind)
    given["spec"].update(change)
    text = " ".join(consequences(read_vm(m(given)), CAPTURED))
    assert excerpt in text
    assert bool(text) is bool(excerpt)


def test_every_attribute_that_the_tables_name_is_compared_and_what_holds_no_longer_is_not_known() -> None:
    back = read_vm(m(came_back(NEW)))
    outcomes = {comparison.attribute: comparison for comparison in restored_vm.compared(back, CAPTURED)}
    assert {comparison.outcome for comparison in outcomes.values()} == {Outcome.AS_EXPECTED, Outcome.UNKNOWN}
    assert outcomes["claim of volume data"].outcome is Outcome.AS_EXPECTED
    assert (outcomes["zone label"].outcome, outcomes["power state"].outcome) == (Outcome.UNKNOWN, Outcome.UNKNOWN)
    assert outcomes["zone label"].note == "it holds until VM Operator has reconciled the VM, which it has"


def test_an_identity_that_vm_operator_does_not_tell_is_not_known() -> None:
    back = replace(read_vm(m(came_back(EXISTING))), bios_uuid="")
    outcomes = {comparison.attribute: comparison.outcome for comparison in restored_vm.compared(back, CAPTURED)}
    assert (outcomes["BIOS UUID"], outcomes["instance UUID"]) == (Outcome.UNKNOWN, Outcome.AS_EXPECTED)
