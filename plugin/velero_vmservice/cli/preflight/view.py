"""What preflight prints: a row for each application, and below what belongs to none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.archive.findings import Verdict
from velero_vmservice.cli.views.table import Column, Row, Sentences, Table
from velero_vmservice.text import enumerate_some
from velero_vmservice.vmoperator.backup_version import recorded_at
from velero_vmservice.vmoperator.references import CONSEQUENCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.archive.findings import ApplicationVerdict, Finding
    from velero_vmservice.preflight.checklist import CheckedNamespace

_COLUMNS: Final = (
    Column("VERDICT"),
    Column("APPLICATION"),
    Column("VMS"),
    Column("OBJECTS", wide=True),
    Column("RECORDED", wide=True),
    Column("NEEDS", wide=True),
    Column("REASONS"),
)
_KINDS: Final = {kind.resource: kind.name for kind in CONSEQUENCES}
_IMAGE: Final = "image"
STYLES: Final = {Verdict.RESTORABLE: "green", Verdict.WITH_WARNINGS: "yellow", Verdict.NOT_RESTORABLE: "red"}


def checked_table(checked: Sequence[CheckedNamespace], *, asked_vcenter: bool) -> Table:
    """Return the verdicts on namespaces as they are now."""
    return Table(
        columns=_COLUMNS,
        rows=[_row(each, namespace) for namespace in checked for each in namespace.applications],
        document={
            "applications": [_entry(each, namespace) for namespace in checked for each in namespace.applications],
            "without_application": [_entry(each, namespace) for namespace in checked for each in namespace.alone],
            "nodes": [f"{namespace.namespace}/{name}" for namespace in checked for name in namespace.nodes],
            "records_read_in_vcenter": asked_vcenter,
        },
        below=list(_below(checked, asked_vcenter=asked_vcenter)),
    )


def remedies(verdicts: Iterable[ApplicationVerdict]) -> Iterator[str]:
    """Yield one line for each thing to do, with the names of what it is about."""
    names: dict[str, dict[str, None]] = {}
    for each in verdicts:
        for finding in each.reasons:
            if finding.hint:
                subject = finding.name if finding.name == each.namespace else f"{each.namespace}/{finding.name}"
                names.setdefault(finding.hint, {})[subject] = None
    for hint, subjects in names.items():
        yield f"to do: {enumerate_some(list(subjects), most=3)}: {hint}"


def reason_entry(finding: Finding) -> dict[str, Any]:
    """Return a finding as programs read it."""
    return {**finding.model_dump(), "blocking": finding.blocks, "hint": finding.hint}


def _row(each: ApplicationVerdict, checked: CheckedNamespace) -> Row:
    vms = [checked.facts.by_name[name] for name in each.vms if name in checked.facts.by_name]
    return Row(
        name=f"{each.namespace}/{each.name}",
        cells=(
            (each.verdict, STYLES[Verdict(each.verdict)]),
            f"{each.namespace}/{each.name}",
            str(len(each.vms)),
            ", ".join(map(str, each.objects)),
            _oldest_record(vms),
            ", ".join(_needs(vms)),
            Sentences(*(finding.sentence() for finding in each.reasons)),
        ),
    )


def _oldest_record(vms: Iterable[VmFacts]) -> str:
    return recorded_at(min((vm.backup_version for vm in vms if vm.backup_version), key=_number, default=""))


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdecimal() else 0


def _needs(vms: Iterable[VmFacts]) -> Iterator[str]:
    """Yield what no restore of a VM brings back, each once."""
    names = {
        f"{_KINDS.get(resource, resource)}/{name}"
        for vm in vms
        for resource, named in (*vm.references.items(), (_IMAGE, (vm.image,) if vm.image else ()))
        for name in named
    }
    yield from sorted(names)


def _entry(each: ApplicationVerdict, checked: CheckedNamespace) -> dict[str, Any]:
    return {
        "verdict": each.verdict,
        "kind": each.kind,
        "namespace": each.namespace,
        "name": each.name,
        "objects": [part.model_dump() for part in each.objects],
        "vms": [_vm_entry(checked.facts.by_name[name], checked) for name in each.vms if name in checked.facts.by_name],
        "reasons": [reason_entry(finding) for finding in each.reasons],
    }


def _vm_entry(vm: VmFacts, checked: CheckedNamespace) -> dict[str, Any]:
    unbound = checked.facts.unbound_claims
    known = checked.vsphere.get(vm.name)
    return {
        "name": vm.name,
        "recorded": vm.recorded,
        "backup_version": vm.backup_version,
        "recorded_at": recorded_at(vm.backup_version),
        "version_in_vcenter": known.extra.backup_version if known else None,
        "power_state": vm.power_state,
        "group": vm.group_name,
        "unsettled": list(vm.unsettled),
        "claims": {claim: None if unbound is None else unbound.get(claim, "Bound") for claim in vm.claims},
        "bootstrap": list(vm.bootstrap),
        "image": vm.image,
        "references": {resource: list(names) for resource, names in vm.references.items()},
    }


def _below(checked: Sequence[CheckedNamespace], *, asked_vcenter: bool) -> Iterator[str]:
    applications = [each for namespace in checked for each in namespace.applications]
    alone = [each for namespace in checked for each in namespace.alone]
    nodes = [f"{namespace.namespace}/{name}" for namespace in checked for name in namespace.nodes]
    yield from remedies([*applications, *alone])
    if not applications:
        yield "there is no application: no group and no service that stands for VMs"
    sound = [f"{each.namespace}/{each.name}" for each in alone if not each.reasons]
    if sound:
        yield f"in no application, and restorable: {_counted(sound)}"
    for each in alone:
        if each.reasons:
            reasons = "; ".join(finding.sentence() for finding in each.reasons)
            yield f"in no application: {each.namespace}/{each.name}: {each.verdict}: {reasons}"
    if nodes:
        yield f"nodes of guest clusters, which RegisterVM cannot bring back: {_counted(nodes)}"
    if not asked_vcenter:
        yield "the records in vCenter were not read: the settings name no vCenter (vcenter.server)"


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} VM{'s' * (len(names) != 1)}: {', '.join(names)}"
