from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.builders import condition, group, linked, look, m, obj, service, subject, vm
from velero_vmservice.archive import schema
from velero_vmservice.archive.schema import SavedStatus
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.verify.application import Verification, verify

WEB = {"app": "web"}
ON = {"labels": WEB, "group": "tier", "power": "PoweredOn"}


def generated(name: str = "front", **spec: Any) -> dict[str, Any]:
    return obj("Service", name, api="v1", spec=spec)


def endpoints(*names: str, ready: bool = True, ips: tuple[str, ...] = (), uid: str = "") -> dict[str, Any]:
    entries = [
        {"ip": f"192.0.2.{n}", "targetRef": {"kind": "VirtualMachine", "name": member_name}}
        for n, member_name in enumerate(names, start=1)
    ]
    for entry in entries if uid else ():
        entry["targetRef"] = {**entry["targetRef"], "uid": uid}
    entries += [{"ip": ip} for ip in ips]
    subsets = [{"addresses" if ready else "notReadyAddresses": entries}] if entries else []
    return obj("Endpoints", "front", api="v1", subsets=subsets)


def check(
    given: dict[str, Any],
    *live: dict[str, Any],
    known: tuple[dict[str, Any], ...] = (),
    before: SavedStatus | None = None,
) -> Verification:
    return verify(subject(given, *known), look(*live), before or schema.observed(m(given)))


FRONT = service("front", WEB)


def is_whole(verification: Verification) -> bool:
    """Say whether nothing is missing, lacking or waited for."""
    return not (verification.missing or verification.lacking or verification.below or verification.waiting)


@dataclass(frozen=True)
class Case:
    why: str
    live: tuple[dict[str, Any], ...]
    missing: str = ""
    lacking: str = ""
    waiting: str = ""
    notes: str = ""
    given: dict[str, Any] | None = None


PROBE = {"spec": {"readinessProbe": {"tcpSocket": {"port": 80}}}}

SERVICES = [
    Case(why="gone again", live=(), missing="is not there any more"),
    Case(why="no Service yet", live=(FRONT,), missing="has not made its Service"),
    Case(
        why="powered off: no endpoints, as expected",
        live=(FRONT, generated(), endpoints(), vm("web-1", labels=WEB), vm("web-2", labels=WEB)),
        notes="endpoints: none, as expected 2 of 2 VMs are not powered on",
    ),
    Case(
        why="Endpoints are not there at all",
        live=(FRONT, generated(), vm("web-1", labels=WEB)),
        notes="endpoints: none",
    ),
    Case(
        why="powered on: every VM with an address",
        live=(
            FRONT,
            generated(),
            endpoints("web-1", "web-2"),
            vm("web-1", ip="192.0.2.1", **ON),
            vm("web-2", ip="192.0.2.2", **ON),
        ),
        notes="endpoints: web-1, web-2",
    ),
    Case(
        why="powered on without address yet: what it is served at is not known",
        live=(FRONT, generated(), endpoints("web-1"), vm("web-1", ip="192.0.2.1", **ON), vm("web-2", **ON)),
        waiting="web-2 runs and has no address yet",
    ),
    Case(
        why="the address of the VM that was lost, under the right name",
        live=(FRONT, generated(), endpoints("web-1"), vm("web-1", ip="192.0.2.77", **ON)),
        missing="endpoint 192.0.2.1 is not an address of web-1 now (it has 192.0.2.77)",
    ),
    Case(
        why="the lost VM's address beside the present one",
        live=(FRONT, generated(), endpoints("web-1", "web-1"), vm("web-1", ip="192.0.2.1", **ON)),
        missing="endpoint 192.0.2.2 is not an address of web-1 now",
    ),
    Case(
        why="the same address, taken down for another object of that name",
        live=(FRONT, generated(), endpoints("web-1", uid="uid-of-the-lost"), vm("web-1", ip="192.0.2.1", **ON)),
        missing="endpoint 192.0.2.1 is that of an earlier web-1 (UID uid-of-the-lost, now uid-of-web-1)",
    ),
    Case(
        why="one address in two spellings is one address",
        live=(FRONT, generated(), endpoints(ips=("2001:DB8:0::1",)), vm("web-1", ip="2001:db8::1", **ON)),
        notes="endpoints: web-1",
    ),
    Case(
        why="one that should be there is not",
        live=(FRONT, generated(), endpoints(), vm("web-1", ip="192.0.2.1", **ON)),
        missing="endpoints should be web-1 and are none",
    ),
    Case(
        why="one too many",
        live=(FRONT, generated(), endpoints("stranger"), vm("web-1", labels=WEB)),
        missing="endpoints should be none and are stranger",
    ),
    Case(
        why="not ready yet is not ready",
        live=(FRONT, generated(), endpoints("web-1", ready=False), vm("web-1", ip="192.0.2.1", **ON)),
        missing="should be web-1",
    ),
    Case(
        why="a probe that has not passed",
        live=(FRONT, generated(), endpoints(), vm("web-1", ip="192.0.2.1", **ON, **PROBE)),
        notes="endpoints: none",
    ),
    Case(
        why="a probe that has passed",
        live=(
            FRONT,
            generated(),
            endpoints(),
            vm(
                "web-1",
                ip="192.0.2.1",
                **ON,
                **PROBE,
                status={"conditions": [condition("Ready")], "network": {"primaryIP4": "192.0.2.1"}},
            ),
        ),
        missing="should be web-1",
    ),
    Case(
        why="a VM on its way out does not count",
        live=(
            FRONT,
            generated(),
            endpoints(),
            vm("web-1", ip="192.0.2.1", **ON, meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        ),
        notes="endpoints: none",
    ),
    Case(
        why="endpoints without a target are known by address",
        live=(FRONT, generated(), endpoints(ips=("192.0.2.1",)), vm("web-1", ip="192.0.2.1", **ON)),
        notes="endpoints: web-1",
    ),
    Case(
        why="an address of another family than the Service's",
        live=(FRONT, generated(ipFamilies=["IPv4"]), endpoints(), vm("web-1", ip="2001:db8::1", **ON)),
        notes="endpoints: none",
    ),
    Case(
        why="an address of the Service's family",
        live=(
            FRONT,
            generated(ipFamilies=["IPv6"]),
            endpoints(ips=("2001:db8::1",)),
            vm("web-1", ip="2001:db8::1", **ON),
        ),
        notes="endpoints: web-1",
    ),
    Case(
        why="ExternalName has no endpoints",
        given=service("front", WEB, type="ExternalName", externalName="x.example.com"),
        live=(service("front", WEB, type="ExternalName"), generated(), vm("web-1", ip="192.0.2.1", **ON)),
    ),
    Case(
        why="without selector another controller keeps the endpoints",
        given=service("front"),
        live=(service("front"), generated(), endpoints("stranger")),
    ),
]


@pytest.mark.parametrize("case", SERVICES, ids=lambda c: c.why)
def test_service(case: Case) -> None:
    verification = check(case.given or FRONT, *case.live)
    assert (bool(verification.missing), bool(verification.waiting)) == (bool(case.missing), bool(case.waiting))
    assert case.missing in " ".join(verification.missing)
    assert case.waiting in " ".join(verification.waiting)
    assert case.notes in " ".join(verification.notes)


def test_the_address_before_and_after() -> None:
    live = service("front", WEB, more={"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}})
    before = SavedStatus(load_balancer=("192.0.2.7",))
    assert "load balancer address: 192.0.2.7 → 198.51.100.9" in check(FRONT, live, generated(), before=before).notes
    assert (
        "load balancer address: 192.0.2.7 → not assigned yet" in check(FRONT, FRONT, generated(), before=before).notes
    )
    internal = service("front", WEB, type="ClusterIP")
    assert not any("load balancer" in note for note in check(internal, internal, generated(), before=before).notes)


def test_a_vm_that_the_service_selected_and_that_lost_its_label_is_lacking() -> None:
    verification = verify(
        subject(FRONT, vm("web-1", labels=WEB), vm("web-2", labels=WEB)),
        look(FRONT, generated(), endpoints(), vm("web-1", labels=WEB), vm("web-2")),
        SavedStatus(),
    )
    assert verification.lacking == ("VirtualMachine web-2 is not selected now",)


TIER = group("tier", ["web-1"], ["/inner"])
KNOWN = (vm("web-1", group="tier"), group("inner", parent="tier"), TIER)


def tier(*members: str, **rest: Any) -> dict[str, Any]:
    return group("tier", ["web-1"], ["/inner"], more={"status": linked(*members)}, **rest)


GROUPS = [
    Case(
        why="every member is linked", live=(tier("web-1", "/inner"), vm("web-1", **ON), group("inner", parent="tier"))
    ),
    Case(
        why="a VM is not linked yet",
        live=(tier("/inner"), vm("web-1", group="tier"), group("inner", parent="tier")),
        missing="VirtualMachine web-1 is not linked yet",
    ),
    Case(
        why="a group is not linked yet",
        live=(tier("web-1"), vm("web-1", group="tier"), group("inner", parent="tier")),
        missing="VirtualMachineGroup inner is not linked yet",
    ),
    Case(
        why="a VM that left the group is lacking",
        live=(tier("/inner"), vm("web-1", group="other"), group("inner", parent="tier")),
        lacking="VirtualMachine web-1 is not a member now",
    ),
    Case(
        why="a group that is not there is lacking",
        live=(tier("web-1"), vm("web-1", **ON)),
        lacking="VirtualMachineGroup inner is not a member now",
    ),
    Case(
        why="VMs are off",
        live=(tier("web-1", "/inner"), vm("web-1", group="tier"), group("inner", parent="tier")),
        notes="1 of 1 VMs are not powered on",
    ),
    Case(
        why="a parent outside the restore is said",
        given=group("tier", ["web-1"], ["/inner"], parent="top"),
        live=(tier("web-1", "/inner", parent="top"), vm("web-1", **ON), group("inner", parent="tier")),
        notes="parent group top is not there",
    ),
]


@pytest.mark.parametrize("case", GROUPS, ids=lambda c: c.why)
def test_group(case: Case) -> None:
    verification = check(case.given or TIER, *case.live, known=KNOWN)
    assert (bool(verification.missing), bool(verification.lacking)) == (bool(case.missing), bool(case.lacking))
    assert case.missing in " ".join(verification.missing)
    assert case.lacking in " ".join(verification.lacking)
    assert case.notes in " ".join(verification.notes)


def test_a_member_that_was_none_at_backup_is_not_lacking() -> None:
    given = group("tier", ["web-1", "web-2", "web-3"])
    known = (vm("web-1", group="tier"), vm("web-2"))
    live = group("tier", ["web-1", "web-2", "web-3"], more={"status": linked("web-1")})
    verification = check(given, live, vm("web-1", **ON), vm("web-2", power="PoweredOn"), known=known)
    assert (verification.missing, verification.lacking) == ((), ())
    assert verification.notes == tuple(
        f"VirtualMachine {name} is not a member now, and was not at backup" for name in ("web-2", "web-3")
    )


def test_a_condition_that_is_false_links_no_member() -> None:
    status = linked("web-1", "/inner")
    status["members"][0]["conditions"] = [condition("GroupLinked", "False", "NotFound")]
    live = group("tier", ["web-1"], ["/inner"], more={"status": status})
    verification = check(TIER, live, vm("web-1", group="tier"), group("inner", parent="tier"), known=KNOWN)
    assert verification.missing == ("VirtualMachine web-1 is not linked yet (GroupLinked)",)


INNER = group("inner", parent="tier")


@pytest.mark.parametrize(
    ("stage", "live", "where", "excerpt"),
    [
        (Stage.WAITING, (), "missing", "is still to be replayed"),
        (Stage.REPLAYED, (), "missing", "is not linked yet (GroupLinked)"),
        (Stage.REPLAYED, (INNER,), "below", "is not verified yet"),
        (Stage.POWERING, (INNER,), "below", "is not verified yet"),
        (Stage.FAILED, (), "lacking", "failed"),
        (Stage.FAILED, (INNER,), "lacking", "failed"),
        (Stage.CANCELLED, (INNER,), "lacking", "was cancelled"),
        (Stage.INCOMPLETE, (INNER,), "lacking", "is incomplete"),
        (Stage.VERIFIED, (), "lacking", "is not a member now"),
        (Stage.RETAINED, (group("inner", parent="other"),), "lacking", "is not a member now"),
    ],
)
def test_a_group_is_as_whole_as_the_member_groups_of_the_same_restore(
    stage: Stage, live: tuple[dict[str, Any], ...], where: str, excerpt: str
) -> None:
    members = ("web-1", "/inner") if live == (INNER,) else ("web-1",)
    verification = verify(
        subject(TIER, *KNOWN), look(tier(*members), vm("web-1", **ON), *live), SavedStatus(), groups={"inner": stage}
    )
    assert not is_whole(verification)
    assert getattr(verification, where) == (f"VirtualMachineGroup inner {excerpt}",)
    assert verification.replay_pending is (stage is Stage.WAITING)


@pytest.mark.parametrize("stage", [Stage.VERIFIED, Stage.RETAINED, None])
def test_a_group_whose_member_groups_are_linked_and_ended_is_whole(stage: Stage | None) -> None:
    groups = {"inner": stage} if stage else {}
    observed = look(tier("web-1", "/inner"), vm("web-1", **ON), INNER)
    assert is_whole(verify(subject(TIER, *KNOWN), observed, SavedStatus(), groups=groups))


REGISTERED = {"uid": "group-now", "generation": 3}


def owned(name: str, by: str = "group-now", **rest: Any) -> dict[str, Any]:
    owner = {"apiVersion": "vmoperator.vmware.com/v1alpha5", "kind": "VirtualMachineGroup", "name": "tier", "uid": by}
    return vm(name, meta={"ownerReferences": [owner]}, **ON, **rest)


def member_entry(**entry: Any) -> dict[str, Any]:
    """Build a live group whose status speaks of web-1."""
    member = {**linked("web-1")["members"][0], **entry}
    return group("tier", ["web-1"], meta=REGISTERED, more={"status": {"members": [member]}})


def observed_generation(generation: int) -> dict[str, Any]:
    return {"conditions": [{**condition("GroupLinked"), "observedGeneration": generation}]}


@pytest.mark.parametrize(
    ("why", "live", "missing"),
    [
        ("the group owns the VM, and says that it is linked", (member_entry(), owned("web-1")), ""),
        (
            "the status is of the lost VM: the new one has no owner",
            (member_entry(), vm("web-1", **ON)),
            "VirtualMachine web-1 is not linked yet",
        ),
        (
            "its owner is a group of that name which is gone",
            (member_entry(), owned("web-1", by="group-then")),
            "VirtualMachine web-1 is not linked yet",
        ),
        (
            "the entry has the UID of the lost VM",
            (member_entry(uid="uid-of-the-lost"), owned("web-1")),
            "VirtualMachine web-1 is not linked yet",
        ),
        ("the entry has the VM's UID", (member_entry(uid="uid-of-web-1"), owned("web-1")), ""),
        (
            "linked under an earlier boot order",
            (member_entry(**observed_generation(2)), owned("web-1")),
            "VirtualMachine web-1 is not linked yet",
        ),
        ("linked under the present boot order", (member_entry(**observed_generation(3)), owned("web-1")), ""),
    ],
    ids=lambda value: value if isinstance(value, str) and "linked yet" not in value else "",
)
def test_a_member_counts_as_linked_only_as_it_is_now(why: str, live: tuple[dict[str, Any], ...], missing: str) -> None:
    given = group("tier", ["web-1"])
    verification = check(given, *live, known=(vm("web-1", group="tier"), given))
    assert " ".join(verification.missing).startswith(missing), why
    assert is_whole(verification) is not bool(missing), why


SETTLED = {"lastUpdatedPowerStateTime": "2026-03-01T12:01:00Z"}
SET = {"annotations": {"vmoperator.vmware.com.protected/last-updated-power-state-time": "2026-03-01T12:00:00.5Z"}}


def running(**status: Any) -> dict[str, Any]:
    """Build a user's live group that says PoweredOn."""
    return group("tier", ["web-1"], powerState="PoweredOn", meta=SET, more={"status": {**linked("web-1"), **status}})


def test_a_late_member_is_started_by_itself_as_its_group_has_applied_its_power_state() -> None:
    verification = check(FRONT, FRONT, generated(), vm("web-1", labels=WEB, group="tier"), running(**SETTLED))
    notes = " ".join(verification.notes)
    assert "its group tier has applied PoweredOn at 2026-03-01T12:01:00Z" in notes
    assert "VM Operator starts no member that comes later" in notes


@pytest.mark.parametrize(
    "late",
    [
        (vm("web-1", labels=WEB, group="tier"), running()),
        (vm("web-1", labels=WEB, group="tier"), running(lastUpdatedPowerStateTime="2026-03-01T11:00:00Z")),
        (vm("web-1", labels=WEB, group="tier"), group("tier", ["web-1"], more={"status": SETTLED})),
        (vm("web-1", labels=WEB, group="tier", spec={"powerState": "PoweredOn"}), running(**SETTLED)),
        (vm("web-1", labels=WEB), running(**SETTLED)),
    ],
    ids=["not applied yet", "applied before it was set again", "not told to run", "asked to run", "no member"],
)
def test_a_member_in_time_is_not_called_late(late: tuple[dict[str, Any], ...]) -> None:
    assert "comes later" not in " ".join(check(FRONT, FRONT, generated(), *late).notes)
