"""Make the report of a restore from the results of its runs: pure, so that every reader gets the same report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.archive import schema
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VMS_ALONE
from velero_vmservice.report.application import applications, merged
from velero_vmservice.report.model import EarlierEnd, Report
from velero_vmservice.report.next_steps import LOST, Ending, next_steps
from velero_vmservice.report.reached import NOWHERE
from velero_vmservice.report.stage import Outcome, Stage
from velero_vmservice.text import enumerate_some
from velero_vmservice.velero.runs import Maker
from velero_vmservice.vmoperator import references
from velero_vmservice.vmoperator.backup_version import VersionAge
from velero_vmservice.vmoperator.groups import ancestors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.report.model import Deviation, Result, VmResult
    from velero_vmservice.report.reached import ReachedCluster
    from velero_vmservice.velero.runs import RestoreRun

_ENDS: Final = {Stage.INCOMPLETE: Outcome.INCOMPLETE, Stage.RETAINED: Outcome.RETAINED}
"""How a restore ends of which nothing failed, the worse first."""
_WELL: Final = (Outcome.VERIFIED, Outcome.RETAINED, Outcome.EMPTY)


def compose(
    run: RestoreRun,
    results: Iterable[Result],
    *,
    policy: Mapping[str, str],
    ended: str,
    seal: Seal | None = None,
    watched: Mapping[str, Sequence[str]] | None = None,
    unread: Sequence[str] = (),
    cluster: ReachedCluster = NOWHERE,
    resumes: Sequence[str] = (),
) -> Report:
    """Merge results into one report.

    Args:
        run: the restore.
        results: one per object, ended or not, in any order.
        policy: the effective policy, setting to value.
        ended: ISO time at which the last object ended.
        seal: the seal of the backup, which lists what the backup left out.
        watched: the VMs without an application that the restore should have looked at, by namespace of the backup.
        unread: why results could not be read, whose objects are therefore missing: nothing is called well then.
        cluster: what it was restored to.
        resumes: start times of the runs between Velero's own and this one, as keys spell them.
    """
    objects = _in_order(results)
    vms = merged(objects)
    ending = Ending(
        run=run,
        objects=objects,
        machines=vms,
        applications=applications(objects, vms),
        powered=policy.get("power", "leave") != "leave",
        unread=bool(unread),
    )
    steps = tuple(next_steps(ending))
    came_out = outcome(objects)
    namespaces = {item.source_namespace or item.namespace for item in objects}
    looked_at = {item.source_namespace or item.namespace for item in objects if item.kind == VMS_ALONE.name}
    unwatched = (
        _unwatched(run, namespace, names) for namespace, names in (watched or {}).items() if namespace not in looked_at
    )
    return Report(
        restore=run.name,
        restore_uid=run.uid if run.of_velero else "",
        backup=run.backup,
        backup_started=_backup_started(objects),
        made_by=run.capture.maker if run.capture else Maker.VELERO,
        vadp_job=seal.vadp.job if seal else "",
        vadp_restore_point=seal.vadp.restore_point if seal else "",
        cluster=cluster.address,
        cluster_id=cluster.uid,
        velero=cluster.velero,
        started=_iso(run.began or run.started),
        resumed=_iso(run.started) if run.began else "",
        resumes=tuple(map(_iso, (*resumes, run.started))) if run.began else (),
        ended=ended,
        outcome=Outcome.UNFINISHED if unread and came_out in _WELL else came_out,
        policy=dict(policy),
        steps=steps,
        next_steps=tuple(step.text for step in steps),
        warnings=(*unread, *unwatched, *dict.fromkeys(_warnings(objects, vms))),
        notes=tuple(dict.fromkeys(note for item in objects for note in item.restore_notes)),
        not_in_backup=tuple(left_out(seal, namespaces)) if seal else (),
        objects=tuple(item.model_copy(update={"machines": ()}) for item in objects),
        machines=vms,
    )


def outcome(objects: Iterable[Result]) -> Outcome:
    """Sum up how the objects ended."""
    stages = {Stage(item.stage) for item in objects}
    if not stages:
        return Outcome.EMPTY
    if not all(stage.final for stage in stages):
        return Outcome.UNFINISHED
    if stages.isdisjoint(LOST):
        return next((end for stage, end in _ENDS.items() if stage in stages), Outcome.VERIFIED)
    if not stages.issubset(LOST):
        return Outcome.MIXED
    return Outcome.FAILED if Stage.FAILED in stages else Outcome.CANCELLED


def _in_order(results: Iterable[Result]) -> Sequence[Result]:
    """Sort as the plan does: groups, parents first, then services; by namespace and name within."""
    every = {
        (result.kind, result.namespace, result.name, result.source_namespace): result for result in results
    }.values()
    parents = {
        (result.kind, result.namespace, result.name): (result.kind, result.namespace, result.parent) for result in every
    }

    def place(result: Result) -> tuple[bool, int, str, str]:
        level = len(ancestors((result.kind, result.namespace, result.name), parents))
        return result.kind != VIRTUAL_MACHINE_GROUP.name, level, result.namespace, result.name

    return sorted(every, key=place)


def _warnings(objects: Sequence[Result], vms: Sequence[VmResult]) -> Iterator[str]:
    """Yield the warnings beside the next steps: of objects, of objects left as they are, of VMs that deviate."""
    sharing: dict[str, list[str]] = {}
    for item in objects:
        for warning in item.warnings:
            sharing.setdefault(warning, []).append(item.label)
    for warning, labels in sharing.items():
        yield (
            f"{labels[0]}: {warning}" if len(labels) == 1 else f"{warning} (holds for {enumerate_some(labels, most=3)})"
        )
    yield from _missing(vms)
    yield from (f"{item.label} retained: {item.reason}" for item in objects if item.stage == Stage.RETAINED)
    yield from _deviations(vms)


def _missing(vms: Iterable[VmResult]) -> Iterator[str]:
    """Yield one sentence for each object that VMs refer to and that is not there, however many refer to it."""
    users: dict[tuple[str, str, str], list[str]] = {}
    for vm in vms:
        for reference in vm.missing:
            users.setdefault((vm.namespace, reference.kind, reference.name), []).append(vm.name)
    for (namespace, kind, name), names in sorted(users.items()):
        yield references.message(kind, name, names, namespace)


def _deviations(vms: Iterable[VmResult]) -> Iterator[str]:
    """Yield one sentence per attribute, however many VMs differ in it; the values where it is one."""
    # A newer version is not an oddity: VM Operator records one as soon as the VM is back.
    if names := [f"{vm.namespace}/{vm.name}" for vm in vms if vm.backup_version is VersionAge.OLDER]:
        yield f"restored from a point that is older than the capture: {enumerate_some(names)}"
    deviations_of: dict[tuple[str, str], list[tuple[str, Deviation]]] = {}
    for vm in vms:
        for deviation in vm.deviations:
            name = f"{vm.namespace}/{vm.name}"
            deviations_of.setdefault((deviation.attribute, deviation.note), []).append((name, deviation))
    for (attribute, note), places in deviations_of.items():
        sentence = f"{attribute} is not as expected: {enumerate_some([name for name, _ in places])}"
        if len(places) == 1:
            name, deviation = places[0]
            sentence = f"{attribute} of {name} is {deviation.found or 'missing'}, expected {deviation.expected}"
        yield f"{sentence} ({note})" if note else sentence


def _backup_started(objects: Iterable[Result]) -> str:
    """Read the backup's start out of a capture's key; '' where nothing was captured."""
    keys = (schema.read_object_key(item.capture) for item in objects)
    return next((_iso(key.started) for key in keys if key is not None), "")


def _iso(compact: str) -> str:
    try:
        return schema.moment(compact).isoformat()
    except ValueError:
        return ""


def _unwatched(run: RestoreRun, namespace: str, names: Sequence[str]) -> str:
    """Say that nothing has looked at the VMs without an application of a namespace, and what does."""
    return (
        f"This restore has not looked at these VMs without an application in namespace {namespace}:"
        f" {enumerate_some(list(names))}. Velero asks for them with the namespace's ServiceAccount default, where"
        f" backup and restore include it; {run.again} looks at them without it."
    )


def left_out(seal: Seal, namespaces: Collection[str]) -> Iterator[str]:
    """Yield what the backup lacks, in sentences.

    Args:
        seal: the seal of the backup.
        namespaces: the namespaces of the backup that are restored; what is left out of others is not mentioned.
    """
    for gap in seal.not_captured:
        if gap.namespace in namespaces:
            yield (
                f"{gap.kind} {gap.namespace}/{gap.name} is not captured, and VMs of the backup belong to it:"
                f" {enumerate_some(list(gap.vms))}."
            )
    if seal.not_backed_up:
        counted = (f"{seal.withheld.get(resource, 0)} {resource}" for resource in seal.not_backed_up)
        yield (
            f"Objects of kinds that the backup leaves out on purpose: {enumerate_some(list(counted))}. Nothing"
            " recreates them: create them from their own manifests where they are needed."
        )


def continued(*runs: Iterable[Result]) -> list[Result]:
    """Return the results of a resumed restore, each object once: as its last run left it, with its course in all runs.

    The runs are in their order. It is idempotent.
    """
    latest: dict[str, Result] = {}
    for run in runs:
        after = {result.key: result for result in run}
        went_on = {key: _continued(latest[key], result) if key in latest else result for key, result in after.items()}
        latest = went_on | {key: result for key, result in latest.items() if key not in after}
    return list(latest.values())


def _continued(before: Result, after: Result) -> Result:
    vms = {vm.key: vm for vm in before.machines}
    ended = EarlierEnd(stage=before.stage, reason=before.reason, ended=before.ended)
    ends = after.earlier_ends or (*before.earlier_ends, ended)
    return after.model_copy(
        update={
            "earlier": ends[-1],
            "earlier_ends": ends,
            "started": min(filter(None, (before.started, after.started)), default=""),
            "replayed": before.replayed or after.replayed,
            "timeline": _course(before.timeline, after.timeline),
            "machines": tuple(_with_course(vm, vms) for vm in after.machines),
        }
    )


def _with_course(vm: VmResult, before: dict[str, VmResult]) -> VmResult:
    if vm.key not in before:
        return vm
    earlier = before[vm.key]
    ready_at = tuple(sorted({*earlier.ready_at, *vm.ready_at}))
    return vm.model_copy(update={"timeline": _course(earlier.timeline, vm.timeline), "ready_at": ready_at})


def _course(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return both courses as one, in the order of time; an entry that both have appears once."""
    return tuple(sorted({*before, *after}, key=lambda entry: entry[0]))
