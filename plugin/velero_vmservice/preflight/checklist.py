"""The guide's checklist (5.1), applied to a namespace as it is now: a verdict on each application and each VM alone.

The rules are those that a capture is judged by. What only a live look can tell comes on top: bootstrap objects, and the
records that vCenter holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from velero_vmservice.archive import topology
from velero_vmservice.archive.findings import ApplicationVerdict, Finding, FindingCode
from velero_vmservice.archive.restorability import namespace_findings, object_findings, vm_findings
from velero_vmservice.backup.assessment import application_verdict, assessed, verdicts
from velero_vmservice.kube.manifest import NAMESPACE, VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.preflight.records import in_vcenter, record_findings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import NamespaceFacts, VmFacts
    from velero_vmservice.backup.assessment import Assessed
    from velero_vmservice.preflight.look import LiveNamespace
    from velero_vmservice.vsphere.vm import VsphereVm


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedNamespace:
    """A namespace with the verdicts on what is in it."""

    facts: NamespaceFacts
    applications: Sequence[ApplicationVerdict]
    alone: Sequence[ApplicationVerdict]
    """VMs that belong to no application: RegisterVM brings each back by itself."""
    nodes: Sequence[str]
    """Names of guest clusters' nodes, which RegisterVM cannot bring back."""
    vsphere: Mapping[str, VsphereVm | None]
    """What vCenter has of each VM; empty if it was not asked."""

    @property
    def namespace(self) -> str:
        """Its name."""
        return self.facts.namespace


def check(live: LiveNamespace) -> CheckedNamespace:
    """Judge a namespace."""
    facts = live.facts
    parts = list(_parts(live))
    vsphere = in_vcenter(facts.machines, live.vsphere) if live.vsphere is not None else {}
    findings = [
        *namespace_findings(facts),
        *_bootstrap_findings(live),
        *(finding for name, known in vsphere.items() for finding in record_findings(facts.by_name[name], known)),
    ]
    if live.vsphere_unseen:
        findings.append(_unknown(FindingCode.VCENTER_UNKNOWN, live, "has records in vCenter", live.vsphere_unseen))
    grouped = {vm for part in parts for vm in part.vms}
    recorded = [vm for vm in facts.machines if vm.recorded]
    return CheckedNamespace(
        facts=facts,
        applications=tuple(verdicts(parts, findings)),
        alone=tuple(_alone(vm, facts, findings) for vm in recorded if vm.name not in grouped),
        nodes=tuple(vm.name for vm in facts.machines if not vm.recorded),
        vsphere=vsphere,
    )


def _parts(live: LiveNamespace) -> Iterator[Assessed]:
    """Yield the groups and services that a capture would hold."""
    for ref, manifest in live.objects.items():
        its_topology = topology.topology(manifest, live.facts)
        if not topology.guest_cluster_reason(manifest, topology.every_vm(its_topology, live.facts)):
            yield assessed(ref, its_topology, object_findings(manifest, its_topology, live.facts), live.facts)


def _alone(vm: VmFacts, facts: NamespaceFacts, findings: Iterable[Finding]) -> ApplicationVerdict:
    ref = ObjectRef(VIRTUAL_MACHINE, facts.namespace, vm.name)
    mine = (
        finding
        for finding in findings
        if finding.kind == NAMESPACE.name or (finding.kind, finding.name) == (VIRTUAL_MACHINE.name, vm.name)
    )
    return application_verdict(ref, (), (vm.name,), (*vm_findings(vm, facts), *mine))


def _bootstrap_findings(live: LiveNamespace) -> Iterator[Finding]:
    missing = [
        (vm.name, name)
        for vm in live.facts.machines
        if vm.recorded
        for name in vm.bootstrap
        if name not in live.bootstrap
    ]
    if missing and live.bootstrap_unseen:
        yield _unknown(
            FindingCode.BOOTSTRAP_UNKNOWN, live, "has bootstrap objects that VMs refer to", live.bootstrap_unseen
        )
        return
    for vm, name in missing:
        message = f"is bootstrapped from {name}, and no Secret and no ConfigMap of that name exists"
        finding = Finding(code=FindingCode.BOOTSTRAP_MISSING.value, severity="warning", message=message)
        yield finding.about(VIRTUAL_MACHINE.name, vm)


def _unknown(code: FindingCode, live: LiveNamespace, what: str, why: str) -> Finding:
    message = f"{what}, and not all of them could be looked at: {why}"
    return Finding(code=code.value, severity="note", message=message).about(NAMESPACE.name, live.facts.namespace)


def chosen(checked: CheckedNamespace, names: Collection[str]) -> CheckedNamespace:
    """Return the applications, and the VMs without one, that bear one of the names."""
    return replace(
        checked,
        applications=tuple(each for each in checked.applications if bears_one_of(each, names)),
        alone=tuple(each for each in checked.alone if bears_one_of(each, names)),
        nodes=(),
    )


def bears_one_of(application: ApplicationVerdict, names: Collection[str]) -> bool:
    """Say whether it bears one of the names, `NAME` or `NAMESPACE/NAME`; each of its groups and services names it."""
    own = {application.name, *(part.name for part in application.objects)}
    return any(name in own or name in {f"{application.namespace}/{part}" for part in own} for name in names)
