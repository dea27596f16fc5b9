"""Rehearses a restore: plans it, tries every object by a server-side dry run, looks at records and at the target.

The only writes on a cluster are dry runs. The checks are those of `preflight --restore new`, and the plan is `plan`'s,
so that a drill says what the commands of the day would say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice import documents
from velero_vmservice.archive.schema import moment
from velero_vmservice.drill.judging import drilled, verdict
from velero_vmservice.drill.model import (
    DrilledCapture,
    DrilledObject,
    DrillReport,
    DrillTarget,
    LastRestore,
    Trial,
)
from velero_vmservice.errors import AlreadyExists, DryRunUnsupported, NotFound, Rejected, VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE, compact_time
from velero_vmservice.preflight.before_restore import vms_of
from velero_vmservice.preflight.records import in_vcenter, record_findings
from velero_vmservice.preflight.restoring import RestoreKind
from velero_vmservice.report.model import Report
from velero_vmservice.report.reached import reached
from velero_vmservice.report.store import REPORT as REPORT_OF_RESTORE
from velero_vmservice.restore.source.backup_objects import run_of
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.archive.findings import ApplicationVerdict, Finding
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.preflight.before_restore import BeforeRestore
    from velero_vmservice.preflight.captured import CapturedApplications
    from velero_vmservice.preflight.look import Looks
    from velero_vmservice.report.finding import Reports
    from velero_vmservice.restore.dry_run import Planned, Planning
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.controller import Replays
    from velero_vmservice.restore.source.backup_objects import BackupObjects
    from velero_vmservice.velero.runs import Replay

MOST_REPORTS: Final = 20
"""Reports of restores that are read to find the last restore of the namespaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillSite:
    """The Supervisor that is drilled against, with what a restore there is made with."""

    cluster: Cluster
    before_restore: BeforeRestore
    planning: Planning
    backup_objects: BackupObjects
    replays: Replays
    other: bool = False
    """Whether it is another than the one whose captures these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRequest:
    """What to drill."""

    captured: CapturedApplications
    applications: Sequence[ApplicationVerdict]
    """Those of the capture that are drilled."""
    chosen: tuple[str, ...] = ()
    """The names that were asked for; none for all."""
    mapping: Mapping[str, str] = field(default_factory=dict)


class Rehearsing:
    """Makes drills."""

    def __init__(self, *, clock: Clock, looks: Looks, reports: Reports, velero_namespace: str) -> None:
        """Put together; `looks` and `reports` are those of the Supervisor whose captures these are."""
        self._clock = clock
        self._looks = looks
        self._reports = reports
        self._velero_namespace = velero_namespace

    def rehearse(
        self,
        request: DrillRequest,
        site: DrillSite,
        *,
        tried: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> DrillReport:
        """Return the report of a drill, which is not stored yet; `tried` is told how many of how many objects were.

        Raises what reading the capture raises, and what the target raises while it cannot be looked at.
        """
        started = self._clock.now()
        stored = request.captured.capture
        manifest = run_of(stored.ref.name, namespace=self._velero_namespace, mapping=request.mapping, annotations={})
        run = RestoreRun.read(manifest, capture=stored.ref)
        check = site.before_restore.check(
            RestoreKind.NEW, request.captured, request.applications, mapping=request.mapping, recorded=False
        )
        replays = [
            replay
            for replay in site.backup_objects.captured(run, manifest.spec)
            if replay.kind != VMS_ALONE and _is_of(replay, request.applications)
        ]
        objects = []
        for trial in _trials(site, replays, run, site.replays.policy(run)):
            objects.append(trial)
            tried(len(objects), len(replays))
        records, not_tried = self._records(request)
        applications = [
            drilled(
                each,
                more=[finding for finding in records.get(each.namespace, ()) if finding.name in each.vms],
                where_it_lives=not site.other and request.mapping.get(each.namespace, each.namespace) == each.namespace,
            )
            for each in check.verdicts
        ]
        not_tried += list(_untried(objects))
        if not applications:
            not_tried.append(f"a restore: {stored.ref} holds no application and no VM")
        cluster = reached(site.cluster, self._velero_namespace)
        return DrillReport(
            drill=stored.ref.name,
            started=started.isoformat(),
            ended=self._clock.now().isoformat(),
            verdict=verdict(applications, objects, not_tried, other=site.other).value,
            capture=DrilledCapture(
                name=stored.ref.name,
                started=stored.ref.started,
                maker=stored.ref.maker.value,
                location=stored.ref.location,
                vadp_job=request.captured.vadp.job,
                restore_point=request.captured.vadp.restore_point,
            ),
            target=DrillTarget(
                cluster=cluster.address,
                cluster_id=cluster.uid,
                release=", ".join(dict.fromkeys(str(each.release.generation) for each in check.targets.values())),
                other=site.other,
            ),
            namespace_mapping=dict(request.mapping),
            chosen=request.chosen,
            applications=tuple(applications),
            objects=tuple(objects),
            not_tried=tuple(not_tried),
            last_restore=self._last_restore({each.namespace for each in request.applications}),
        )

    def _records(self, request: DrillRequest) -> tuple[Mapping[str, Sequence[Finding]], list[str]]:
        """Return what vCenter says of the VMs' records, by namespace, and why some were not looked at."""
        if not self._looks.asks_vcenter:
            return {}, ["the VMs' records in vCenter: the settings name no vCenter"]
        findings: dict[str, Sequence[Finding]] = {}
        not_tried: list[str] = []
        for namespace in sorted({each.namespace for each in request.applications}):
            vms = vms_of(request.captured, request.applications, namespace)
            listed, why = self._looks.in_vcenter(namespace, vms)
            if listed is None:
                not_tried += [f"the VMs' records of namespace {namespace} in vCenter: {why}"] if why else []
                continue
            known = in_vcenter(vms, listed)
            findings[namespace] = [
                finding for vm in vms if vm.name in known for finding in record_findings(vm, known[vm.name])
            ]
        return findings, not_tried

    def _last_restore(self, namespaces: Collection[str]) -> LastRestore | None:
        """Return the newest restore of one of the namespaces that has a report; a bucket that fails tells of none."""
        try:
            reports = self._reports.search().reports
        except VmServiceError:
            return None
        newest = sorted(reports, key=lambda stored: stored.started, reverse=True)[:MOST_REPORTS]
        for stored in newest:
            try:
                report = documents.parse(Report, stored.read(REPORT_OF_RESTORE), key=stored.where)
            except VmServiceError:
                continue
            if any((item.source_namespace or item.namespace) in namespaces for item in report.objects):
                seconds = _moment(report.ended) - _moment(report.started)
                return LastRestore(
                    restore=report.restore,
                    started=report.started,
                    seconds=max(0, int(seconds.total_seconds())),
                    outcome=report.outcome.value,
                )
        return None


def _trials(
    site: DrillSite, replays: Sequence[Replay], run: RestoreRun, policy: RestorePolicy
) -> Iterator[DrilledObject]:
    planned = {entry.ref: entry for entry in site.planning.plan(replays, run, policy)}
    for replay in replays:
        yield _object(site.cluster, replay, planned[replay.destination])


def _object(cluster: Cluster, replay: Replay, entry: Planned) -> DrilledObject:
    trial, message = _trial(cluster, entry)
    return DrilledObject(
        kind=replay.kind.name,
        namespace=replay.namespace,
        target=replay.target,
        name=replay.name,
        trial=trial.value,
        message=message,
        action=entry.step.action.value,
        reason=entry.step.reason,
    )


def _trial(cluster: Cluster, entry: Planned) -> tuple[Trial, str]:
    if entry.source is None:
        return Trial.UNREADABLE, entry.step.reason
    subject = entry.source.subject
    if subject.problems:
        return Trial.REFUSED, "; ".join(subject.problems)
    try:
        cluster.create(subject.wanted, dry_run=True)
    except AlreadyExists as error:
        return Trial.NAME_TAKEN, error.message
    except NotFound as error:
        return Trial.NO_NAMESPACE, error.message
    except DryRunUnsupported as error:
        return Trial.NOT_ASKED, error.message
    except Rejected as error:
        return Trial.REFUSED, error.message
    except VmServiceError as error:
        return Trial.NOT_ASKED, error.message
    return Trial.ACCEPTED, ""


def _untried(objects: Collection[DrilledObject]) -> Iterator[str]:
    for namespace in sorted({each.target for each in objects if each.trial == Trial.NO_NAMESPACE}):
        count = sum(each.target == namespace and each.trial == Trial.NO_NAMESPACE for each in objects)
        yield f"{count} object{'s' * (count != 1)} by dry run: namespace {namespace} does not exist"
    for each in objects:
        if each.trial == Trial.NOT_ASKED:
            yield f"{each.kind} {each.target}/{each.name} by dry run: {each.message}"


def _is_of(replay: Replay, applications: Collection[ApplicationVerdict]) -> bool:
    return any(
        each.namespace == replay.namespace
        and any((part.kind, part.name) == (replay.kind.name, replay.name) for part in each.objects)
        for each in applications
    )


def _moment(time: str) -> datetime:
    return moment(compact_time(time))
