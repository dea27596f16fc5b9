"""What one operation leaves behind, in the report's words: the object, and each VM that it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.archive import schema
from velero_vmservice.errors import NO_REMEDY
from velero_vmservice.kube.manifest import VMS_ALONE, mapping, sequence
from velero_vmservice.registration.explain import topic
from velero_vmservice.report import model as report
from velero_vmservice.report.power_commands import is_late, powered_by
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore.verify.vm import consequences, deviations, deviations_beside
from velero_vmservice.supervisor.namespace_state import linked_members
from velero_vmservice.supervisor.readiness import restore_type
from velero_vmservice.vmoperator.backup_version import compare_versions
from velero_vmservice.vmoperator.groups import boot_order_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.look import NamespaceLook, TargetNamespace
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.restore.verify.vm import Deviation
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

_LONGEST_VALUE: Final = 500


def result(operation: ReplayOperation, run: RestoreRun, namespace: TargetNamespace | None) -> report.Result:
    """Return the state of an operation, with what the last look at its namespace showed."""
    source, subject, look = operation.reading.source, operation.subject, namespace.look if namespace else None
    details: dict[str, Any] = {}
    if subject is not None:
        observed = look.observed if look else None
        live = observed.live(subject.ref) if observed else None
        if operation.replay.kind == VMS_ALONE:
            details["selected"] = subject.topology.needs
        else:
            details |= _group(subject, observed) if subject.is_group else _service(operation, subject, live)
        if namespace and look:  # without a look it is unknown whether they are there
            details["machines"] = tuple(_vms(operation, subject, namespace, look))
    standing, decision, verified = operation.standing, operation.decision, operation.verified
    remedy = standing.remedy if standing.stage in (Stage.FAILED, Stage.CANCELLED) else NO_REMEDY
    return report.Result(
        **_standing(operation, run),
        action=decision.action,
        held_by=tuple(f"{ref.kind.name}/{ref.namespace}/{ref.name}" for ref in standing.held_by),
        notes=(*verified.notes, *(namespace.beside.unlisted.values() if namespace else ())),
        restore_notes=source.restore_notes if source else (),
        warnings=decision.warnings,
        trimmed=tuple(dropped.path for dropped in source.dropped) if source else (),
        changes=tuple(
            report.Change(path=difference.path, captured=_value(difference.wanted), live=_value(difference.live))
            for difference in decision.differences
        ),
        dropped=(*source.captured_without, *source.dropped) if source else (),
        power_before=source.before.power_state if source else "",
        remedy=(remedy.sentence,) if remedy.sentence else (),
        remedy_said=remedy.in_reason,
        next_commands=verified.commands,
        timeline=operation.timeline,
        **details,
    )


def bare(operation: ReplayOperation, run: RestoreRun, warning: str) -> report.Result:
    """Return how an operation ended, without its details, and with a warning that says why."""
    return report.Result(**_standing(operation, run), warnings=(*operation.decision.warnings, warning))


def _standing(operation: ReplayOperation, run: RestoreRun) -> dict[str, Any]:
    """Return an operation's object and state."""
    replay, standing = operation.replay, operation.standing
    return {
        "restore": run.name,
        "restore_uid": run.uid if run.of_velero else "",
        "backup": run.backup,
        "kind": replay.kind.name,
        "namespace": replay.target,
        "name": replay.name,
        "source_namespace": replay.namespace if replay.namespace != replay.target else "",
        "stage": standing.stage,
        "reason": standing.reason,
        "replayed": operation.made.replayed,
        "capture": replay.key,
        "started": operation.started.isoformat(),
        "ended": standing.updated.isoformat() if standing.updated and standing.stage.final else "",
    }


def _group(subject: Subject, observed: NamespaceState | None) -> dict[str, Any]:
    live = observed.live(subject.ref) if observed else None
    linked = linked_members(observed, live) if observed and live else frozenset()
    return {
        "parent": subject.topology.parent,
        "members": tuple(
            report.MemberResult(
                kind=member.kind, name=member.name, order=member.order, linked=(member.kind, member.name) in linked
            )
            for member in boot_order_members(subject.wanted)
        ),
    }


def _service(operation: ReplayOperation, subject: Subject, live: Manifest | None) -> dict[str, Any]:
    source, verification = operation.reading.source, operation.verified.verification
    before = source.before if source else schema.SavedStatus()
    return {
        "selected": subject.topology.needs,
        "ports": tuple(_ports(operation, subject)),
        "addresses_before": before.load_balancer,
        "addresses_after": schema.observed(live).load_balancer if live else (),
        "endpoints": verification.endpoints if verification else (),
    }


def _ports(operation: ReplayOperation, subject: Subject) -> Iterator[report.Port]:
    for entry in map(mapping, sequence(subject.wanted.spec.get("ports"))):
        if isinstance(entry.get("port"), int):
            answers = [
                f"{host}: {failure or 'answers'}"
                for (host, port), failure in operation.probes.items()
                if port == entry["port"]
            ]
            target = entry.get("targetPort")
            yield report.Port(
                name=str(entry.get("name", "")),
                protocol=str(entry.get("protocol", "TCP")),
                port=entry["port"],
                target_port=target if isinstance(target, int) else 0,
                probe="; ".join(answers),
            )


def _vms(
    operation: ReplayOperation, subject: Subject, namespace: TargetNamespace, look: NamespaceLook
) -> Iterator[report.VmResult]:
    facts, observed = {vm.name: vm for vm in subject.topology.machines}, look.observed
    gates, names_beside = namespace.gates(subject), namespace.beside.names
    in_use = {claim for vm in observed.machines.values() for claim in vm.claims} if names_beside else set()
    for name in subject.topology.needs:
        gate = gates[name]
        vm_result = _vm(
            operation.replay.target,
            name,
            observed.machines.get(name),
            facts.get(name),
            observed.groups,
            waiting_for="" if gate.ready else gate.reason,
        )
        vm, expected = observed.machines.get(name), facts.get(name)
        if gate.ready and vm is not None and expected is not None:
            left = deviations_beside(vm, expected, names_beside, in_use=in_use)
            vm_result = vm_result.model_copy(update={"deviations": (*vm_result.deviations, *map(_reported, left))})
        absent = [
            report.Missing(kind=reference.kind.name, name=reference.name)
            for reference in operation.decision.missing
            if name in reference.machines
        ]
        registration = None if gate.ready else look.registrations.get(name)
        yield vm_result.model_copy(
            update={
                "topic": topic(registration) if registration else "",
                "by_hand": gate.by_hand,
                "missing": tuple(absent),
                "timeline": namespace.timelines.get(name, ()),
                "ready_at": namespace.ready_at.get(name, ()),
            }
        )


def _vm(
    namespace: str,
    name: str,
    vm: ObservedVm | None,
    expected: VmFacts | None,
    groups: Mapping[str, Manifest],
    *,
    waiting_for: str,
) -> report.VmResult:
    details: dict[str, Any] = {}
    if expected is not None:
        details |= {
            "backup_version_captured": expected.backup_version,
            "addresses_before": expected.addresses,
            "power_before": expected.power_state,
            "group_name": expected.group_name,
        }
    if vm is not None:
        details |= {
            "restore_type": restore_type(vm, expected),
            "backup_version_found": vm.backup_version,
            "addresses_after": vm.addresses,
            "power_after": vm.power_state,
            "power_asked": vm.asked_power,
            "powered_by": powered_by(vm, groups),
            "late": is_late(vm, groups),
            "deleting": vm.deleting,
            "group_name": vm.group_name,
        }
    if vm is not None and expected is not None:
        details["backup_version"] = compare_versions(vm.backup_version, expected.backup_version)
        details["deviations"] = () if waiting_for else tuple(_deviations(vm, expected))
        details["notes"] = () if waiting_for else tuple(consequences(vm, expected))
    return report.VmResult(
        namespace=namespace, name=name, registered=vm is not None, waiting_for=waiting_for, **details
    )


def _deviations(vm: ObservedVm, expected: VmFacts) -> Iterator[report.Deviation]:
    untouched = "PoweredOn" not in (vm.asked_power, vm.power_state)
    yield from map(_reported, deviations(vm, expected, untouched=untouched))


def _reported(deviation: Deviation) -> report.Deviation:
    return report.Deviation(
        attribute=deviation.attribute, expected=deviation.expected, found=deviation.actual, note=deviation.note
    )


def _value(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
