"""A restored application compared with its capture, check by check: phase 3 of guide 10.5 and the tables 8.1 to 8.3.

A check that cannot be made says so; that is never taken for an agreement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.archive import schema
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.restore.verify import application
from velero_vmservice.restore.verify.vm import Outcome, compared, deviations_beside, kinds_beside
from velero_vmservice.restore.verify.vm_rules import POWER_STATE
from velero_vmservice.supervisor.namespace_state import linked_members
from velero_vmservice.supervisor.readiness import RestoreType, gate, restore_type
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.archive.schema import SavedStatus
    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

_REGISTERED: Final = "guide 10.5, step 3"
_POWER: Final = "guide 10.5, step 7; 8.1.4"
_MEMBERSHIP: Final = "guide 10.5, step 8; 10.4"
_ENDPOINTS: Final = "guide 10.5, step 9"
LOAD_BALANCER: Final = "guide 10.5, step 10"


class Verdict(StrEnum):
    """What a check has come to."""

    AS_EXPECTED = "as expected"
    UNKNOWN = "not known"
    """It could not be made."""
    NOT_YET = "not yet"
    """It may still become as expected by itself."""
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison."""

    ref: ObjectRef
    attribute: str
    verdict: Verdict
    expected: str
    actual: str
    source: str
    """The guide's section."""
    note: str = ""
    """What a difference means, or why it is not known."""
    step: bool = False
    """Whether it is a step of phase 3 (guide 10.5), and not one of the many attributes of the tables."""


_VERDICTS: Final = {
    Outcome.AS_EXPECTED: Verdict.AS_EXPECTED,
    Outcome.DIFFERS: Verdict.DIFFERS,
    Outcome.UNKNOWN: Verdict.UNKNOWN,
}


def object_checks(subject: Subject, observed: NamespaceState, before: SavedStatus) -> Iterator[Check]:
    """Yield the checks of a group or service: its members linked both ways, or its endpoints and load balancer."""
    live = observed.live(subject.ref)
    if live is None:
        yield Check(
            ref=subject.ref,
            attribute="object",
            verdict=Verdict.DIFFERS,
            expected="there",
            actual="missing",
            source="guide 10.5, steps 5 and 6",
            step=True,
            note="it is not restored, or was deleted since: repeat the restore",
        )
    elif subject.is_group:
        yield _membership(subject, live, observed, before)
    else:
        yield from _service(subject, live, observed, before)


def _membership(subject: Subject, live: Manifest, observed: NamespaceState, before: SavedStatus) -> Check:
    verification = application.verify(subject, observed, before, powered_later=True)
    members, linked = subject.topology.members, linked_members(observed, live)
    present = [member for member in members if (member.kind, member.name) in linked]
    check = Check(
        ref=subject.ref,
        attribute="membership",
        verdict=Verdict.AS_EXPECTED,
        expected=f"{len(members)} members linked",
        actual=f"{len(present)} of {len(members)} linked",
        source=_MEMBERSHIP,
        step=True,
        note=enumerate_some(list(verification.notes)),
    )
    if verification.lacking:
        return replace(check, verdict=Verdict.DIFFERS, note=enumerate_some(list(verification.lacking)))
    if verification.missing:
        return replace(check, verdict=Verdict.NOT_YET, note=enumerate_some(list(verification.missing)))
    return check


def _service(subject: Subject, live: Manifest, observed: NamespaceState, before: SavedStatus) -> Iterator[Check]:
    verification = application.verify(subject, observed, before, powered_later=True)
    check = Check(
        ref=subject.ref,
        attribute="endpoints",
        verdict=Verdict.AS_EXPECTED,
        expected="the selected VMs that have an address",
        actual=", ".join(verification.endpoints) or "none",
        source=_ENDPOINTS,
        step=True,
    )
    if verification.lacking:
        check = replace(check, verdict=Verdict.DIFFERS, note=enumerate_some(list(verification.lacking)))
    elif open_yet := (*verification.missing, *verification.waiting):
        check = replace(check, verdict=Verdict.NOT_YET, note=enumerate_some(list(open_yet)))
    yield check
    if live.spec.get("type") == "LoadBalancer":
        captured, addresses = ", ".join(before.load_balancer), ", ".join(schema.observed(live).load_balancer)
        yield Check(
            ref=subject.ref,
            attribute="load balancer address",
            verdict=Verdict.AS_EXPECTED if addresses else Verdict.NOT_YET,
            expected=f"an address (at the backup: {captured or 'none'})",
            actual=addresses or "not assigned yet",
            source=LOAD_BALANCER,
            step=True,
        )


def connection_check(subject: Subject, host: str, port: int, failure: str) -> Check:
    """Return the check of a port of a load balancer; `failure` is why it does not answer, '' if it does."""
    return Check(
        ref=subject.ref,
        attribute=f"connection to {host}:{port}",
        verdict=Verdict.NOT_YET if failure else Verdict.AS_EXPECTED,
        expected="answers",
        actual=failure or "answers",
        source=LOAD_BALANCER,
        step=True,
        note="tried from where this command runs" if failure else "",
    )


def vm_checks(
    name: str,
    facts: VmFacts | None,
    observed: NamespaceState,
    beside: Mapping[Kind, Collection[str]],
    *,
    in_use: Collection[str],
) -> Iterator[Check]:
    """Yield the checks of a VM that groups or services need: registered, its power, and the guide's tables.

    Args:
        name: the VM.
        facts: what it was at the backup; None if the capture has no more than its name.
        observed: the namespace that it comes back in.
        beside: names in the namespace, of each kind that could be listed (`vm.kinds_beside`).
        in_use: claims that a VM of the namespace mounts.
    """
    vm, ref = observed.machines.get(name), ObjectRef(VIRTUAL_MACHINE, observed.namespace, name)
    vm_gate = gate(vm, facts, observed.volumes)
    if vm is None or not vm_gate.ready:
        yield _registered(ref, Verdict.DIFFERS if vm_gate.blocked else Verdict.NOT_YET, vm_gate.reason)
        return
    way = restore_type(vm, facts)
    known = way is not RestoreType.UNKNOWN
    yield _registered(ref, Verdict.AS_EXPECTED, f"registered ({way})" if known else "registered")
    if facts is None or not known:
        why = "the capture has only its name" if facts is None else "nothing shows how the VM came back"
        yield Check(
            ref=ref,
            attribute="tables 8.1 to 8.3",
            verdict=Verdict.UNKNOWN,
            expected="as the restore type has it",
            actual="",
            source="guide 8.2",
            note=f"{why}, so its attributes are not compared",
        )
    if facts is not None:
        yield _power(ref, vm, facts)
        yield from _compared(ref, vm, facts, beside, in_use=in_use)


def _registered(ref: ObjectRef, verdict: Verdict, actual: str) -> Check:
    return Check(
        ref=ref,
        attribute="registered",
        verdict=verdict,
        expected="registered, its disks bound",
        actual=actual,
        source=_REGISTERED,
        step=True,
    )


def _power(ref: ObjectRef, vm: ObservedVm, facts: VmFacts) -> Check:
    check = Check(
        ref=ref,
        attribute="power",
        verdict=Verdict.AS_EXPECTED,
        expected=facts.power_state,
        actual=vm.power_state,
        source=_POWER,
        step=True,
    )
    if not facts.power_state or not vm.power_state:
        missing = "the capture" if not facts.power_state else "VM Operator"
        return replace(check, verdict=Verdict.UNKNOWN, note=f"{missing} does not say it")
    if vm.power_state == facts.power_state:
        return check
    if vm.asked_power == facts.power_state:
        return replace(check, verdict=Verdict.NOT_YET, note="it is asked for, and not there yet")
    return replace(check, verdict=Verdict.DIFFERS, note="nothing powers it by itself: set its power, or its group's")


def _compared(
    ref: ObjectRef, vm: ObservedVm, facts: VmFacts, beside: Mapping[Kind, Collection[str]], *, in_use: Collection[str]
) -> Iterator[Check]:
    untouched = "PoweredOn" not in (vm.asked_power, vm.power_state)
    for comparison in compared(vm, facts, untouched=untouched):
        if comparison.attribute != POWER_STATE:  # judged against the capture, once a person has powered it on
            yield Check(
                ref=ref,
                attribute=comparison.attribute,
                verdict=_VERDICTS[comparison.outcome],
                expected=comparison.expected,
                actual=comparison.actual,
                source=comparison.source,
                note="" if comparison.outcome is Outcome.AS_EXPECTED else comparison.note,
            )
    for kind in sorted(set(kinds_beside(vm, facts)) - beside.keys()):
        yield Check(
            ref=ref,
            attribute=f"{kind.plural} that belong to it",
            verdict=Verdict.UNKNOWN,
            expected="as the restore type has it",
            actual="",
            source="guide 8.3",
            note=f"the {kind.plural} of the namespace may not be listed",
        )
    for deviation in deviations_beside(vm, facts, beside, in_use=in_use):
        yield Check(
            ref=ref,
            attribute=deviation.attribute,
            verdict=Verdict.DIFFERS,
            expected=deviation.expected,
            actual=deviation.actual,
            source=deviation.source,
            note=deviation.note,
        )
