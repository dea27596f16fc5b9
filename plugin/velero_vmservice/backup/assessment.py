"""The verdict on each application of a namespace, made of what is connected and what was found: at the seal and before.

An application is all that groups, selectors and membership connect. It is as restorable as the worst of its objects and
of their VMs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from velero_vmservice.archive.findings import (
    ApplicationObject,
    ApplicationVerdict,
    Finding,
    FindingCode,
    Verdict,
    verdict,
)
from velero_vmservice.archive.topology import every_vm
from velero_vmservice.backup.applications import connected, outermost
from velero_vmservice.kube.manifest import NAMESPACE, VIRTUAL_MACHINE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from velero_vmservice.archive.backup_scope import NotCaptured
    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.topology import Topology
    from velero_vmservice.kube.manifest import ObjectRef

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """A group or service with all that its application's verdict asks for."""

    ref: ObjectRef
    topology: Topology
    """Without the facts of its VMs, of which there may be thousands."""
    vms: tuple[str, ...]
    """The VMs that it stands for, guest clusters' nodes included."""
    findings: tuple[Finding, ...] = ()


def assessed(
    ref: ObjectRef, topology: Topology, findings: Iterable[Finding], facts: NamespaceFacts | None = None
) -> Assessed:
    """Keep of an object what its application's verdict asks for; without facts, VMs of nested groups by name alone."""
    vms = {vm.name for vm in (every_vm(topology, facts) if facts else topology.machines)}
    return Assessed(
        ref=ref,
        topology=topology.model_copy(update={"machines": ()}),
        vms=tuple(sorted({*vms, *topology.needs, *topology.nested})),
        findings=tuple(findings),
    )


def verdicts(
    objects: Collection[Assessed], findings: Iterable[Finding] = (), not_captured: Iterable[NotCaptured] = ()
) -> Iterator[ApplicationVerdict]:
    """Yield the verdict on each application of one namespace, by the name it goes by.

    Args:
        objects: its groups and services.
        findings: what else was found there, about VMs, objects or the namespace.
        not_captured: groups and services that a capture leaves out.
    """
    topologies = {each.ref: each.topology for each in objects}
    by_ref = {each.ref: each for each in objects}
    elsewhere = tuple(findings)
    left_out = tuple(not_captured)
    applications = [(outermost(refs, topologies), refs) for refs in connected(topologies)]
    for name, refs in sorted(applications, key=lambda application: application[0]):
        parts = [by_ref[ref] for ref in refs]
        vms = sorted({vm for part in parts for vm in part.vms})
        reasons = [
            *(finding for part in parts for finding in part.findings),
            *_concerning(elsewhere, refs, vms),
            *(_left_out(missed) for missed in left_out if not set(vms).isdisjoint(missed.vms)),
        ]
        yield application_verdict(name, refs, vms, reasons)


def application_verdict(
    name: ObjectRef, objects: Iterable[ObjectRef], vms: Iterable[str], reasons: Iterable[Finding]
) -> ApplicationVerdict:
    """Return the verdict on an application that follows from the reasons."""
    application = ApplicationVerdict(
        verdict=Verdict.RESTORABLE.value,
        kind=name.kind.name,
        namespace=name.namespace,
        name=name.name,
        objects=tuple(ApplicationObject(kind=ref.kind.name, name=ref.name) for ref in objects),
        vms=tuple(vms),
    )
    return judged(application, reasons)


def judged(application: ApplicationVerdict, reasons: Iterable[Finding]) -> ApplicationVerdict:
    """Return the application with these reasons, each once and those that block first, and what follows from them."""
    ordered = sorted(reasons, key=lambda finding: (not finding.blocks, finding.severity == "note"))
    once = dict[tuple[str, ...], Finding]()
    for finding in ordered:
        once.setdefault((finding.code, finding.kind, finding.name, finding.message), finding)
    return application.model_copy(update={"verdict": verdict(ordered).value, "reasons": tuple(once.values())})


def _concerning(findings: Iterable[Finding], objects: Collection[ObjectRef], vms: Collection[str]) -> Iterator[Finding]:
    parts = {(ref.kind.name, ref.name) for ref in objects} | {(VIRTUAL_MACHINE.name, name) for name in vms}
    for finding in findings:
        if finding.kind == NAMESPACE.name or (finding.kind, finding.name) in parts:
            yield finding


def _left_out(missed: NotCaptured) -> Finding:
    message = f"is not captured, though {', '.join(missed.vms)} belong to it: a restore leaves it out"
    finding = Finding(code=FindingCode.OBJECT_NOT_CAPTURED.value, severity="warning", message=message)
    return finding.about(missed.kind, missed.name)


def warn_if_not_restorable(application: ApplicationVerdict) -> None:
    """Log one line about an application that a restore would not bring back whole."""
    blocking = [finding for finding in application.reasons if finding.blocks]
    if blocking:
        log.warning(
            "not restorable",
            object=f"{application.kind} {application.namespace}/{application.name}",
            finding=blocking[0].code,
            reason=application.blocking_reasons(),
            hint=blocking[0].hint,
        )


def by_namespace(objects: Iterable[Assessed]) -> Mapping[str, list[Assessed]]:
    """Return the objects of each namespace, by its name."""
    of_namespace: dict[str, list[Assessed]] = {}
    for each in objects:
        of_namespace.setdefault(each.ref.namespace, []).append(each)
    return of_namespace
