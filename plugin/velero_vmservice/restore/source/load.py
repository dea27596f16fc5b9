"""From an operation's id to the object it stands for: the stored capture, or the backup's own item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.archive import schema, topology
from velero_vmservice.archive.link import check_leads_home
from velero_vmservice.archive.schema import Capture, SavedStatus
from velero_vmservice.archive.store import check_capture, check_manifest, read_document
from velero_vmservice.errors import Corrupt, InvalidItem, MissingBackup, NotFound, VmServiceError
from velero_vmservice.kube.manifest import VMS_ALONE
from velero_vmservice.restore.model import Source, Subject
from velero_vmservice.restore.plan import desired
from velero_vmservice.restore.plan.power import ON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.restore_point import KnownFacts, RestorePoints
    from velero_vmservice.archive.topology import Topology
    from velero_vmservice.documents import Dropped
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.source.fit import Modifiers, Target
    from velero_vmservice.restore.source.vms_alone import VmsAlone
    from velero_vmservice.velero.runs import Replay, RestoreRun


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """An object as the backup has it."""

    manifest: Manifest
    topology: Topology
    before: SavedStatus
    captured_at: str = ""
    without: tuple[Dropped, ...] = ()
    remarks: tuple[str, ...] = ()


class Subjects:
    """Reads what is to be replayed, and fits it to the target."""

    def __init__(self, *, restore_points: RestorePoints, target: Target, modifiers: Modifiers, vms: VmsAlone) -> None:
        self._restore_points = restore_points
        self._vms = vms
        self._target = target
        self._modifiers = modifiers

    def read(self, replay: Replay, run: RestoreRun, policy: RestorePolicy) -> Source:
        """Return the object to replay and what is known of it.

        Raises `Corrupt` if the capture was replaced or is of something else, `InvalidItem` if the operation is not of
        this restore, `Unavailable` if either side is away, `Forbidden` or `InvalidSettings` while a person has to act
        before it can be read. A capture that is gone, that another object's or backup's link leads to, or that could
        not be read even as the restore began, is raised only if the operation carries no item or the policy requires
        it.
        """
        if replay.target != run.target(replay.namespace):
            raise InvalidItem(
                f"the operation restores {replay.source} into namespace {replay.target}, while Restore {run.name}"
                f" restores that namespace into {run.target(replay.namespace)}",
                hint="repeat the restore: the list of operations was changed in the bucket",
                goes_on=True,
            )
        if replay.kind == VMS_ALONE:
            return self._vms.source(replay, run)
        known = self._facts(replay, run)
        facts = known.facts if known and not known.doubt else None
        taken = self._captured(replay, run, policy, facts)
        modified = self._modifiers.modify(taken.manifest, replay.kind, run)
        connected = taken.topology
        if modified.rules and facts is not None:
            connected = topology.topology(modified.manifest, facts)
        fitted = self._target.fit(modified.manifest, came_from=facts.provider if facts else "", policy=policy)
        wanted = desired.wanted(
            fitted.manifest,
            namespace=replay.target,
            run=run,
            version=fitted.manifest.version,
            policy=policy,
            before=taken.before,
        )
        remarks = [*taken.remarks, *modified.problems, *fitted.remarks]
        if known and known.doubt:
            remarks.append(f"the facts of namespace {replay.namespace} are not used: {known.doubt}")
        if fitted.dropped:
            paths = ", ".join(dropped.path for dropped in fitted.dropped)
            remarks.append(f"left out, as the target does not take it: {paths}")
        return Source(
            subject=Subject(
                ref=replay.destination,
                wanted=wanted,
                topology=_shared(connected, facts),
                captured_at=facts.observed_at if facts else taken.captured_at,
                problems=fitted.problems,
                started_anyway=_started_anyway(connected, taken.before, facts),
            ),
            before=taken.before,
            captured_without=taken.without,
            dropped=fitted.dropped,
            remarks=tuple(remarks),
            restore_notes=fitted.notes,
        )

    def captured(self, namespace: str, run: RestoreRun) -> Sequence[Replay]:
        """Return the captured objects of a namespace that the restore's filters leave in; see `VmsAlone.captured`."""
        return self._vms.captured(namespace, run)

    def _captured(self, replay: Replay, run: RestoreRun, policy: RestorePolicy, facts: NamespaceFacts | None) -> _Taken:
        remark, names = "the item has no link to a capture, and is taken as it is", replay.vms
        try:
            if replay.damaged:
                raise InvalidItem(f"the link of {replay.source} to its capture is damaged")
            if replay.key:
                backup, store = self._restore_points.backup(run), self._restore_points.store(run)
                check_leads_home(replay.key, replay.source, backup)
                capture = read_document(store, replay.key, Capture, sha256=replay.sha256)
                return _Taken(
                    manifest=check_capture(capture, replay.source, backup),
                    topology=capture.topology,
                    before=capture.observed,
                    captured_at=capture.provenance.captured_at,
                    without=capture.dropped,
                )
        except VmServiceError as error:
            waits = error.transient or (error.mendable and not replay.unread)
            if waits or isinstance(error, Corrupt) or policy.capture == "require":
                raise
            remark = _why_own_item(replay, error)
            if isinstance(error, InvalidItem):
                names = None  # what else the link says is as foreign as its key
        if policy.capture == "require":
            raise NotFound(
                f"{replay.destination} has no capture, and the policy is capture=require",
                hint="restore from a backup that was taken with this plugin, or with capture=prefer",
                goes_on=True,
            )
        manifest = check_manifest(replay.item, replay.source, where="the item in the operation id")
        names = topology.listed_vms(manifest) if names is None else names
        known = topology.named(manifest, names) if facts is None else topology.topology(manifest, facts)
        return _Taken(manifest=manifest, topology=known, before=schema.observed(manifest), remarks=(remark,))

    def _facts(self, replay: Replay, run: RestoreRun) -> KnownFacts | None:
        """Return what is known of the VMs; None where it may not be read, and the link's names have to do."""
        try:
            return self._restore_points.facts(run, replay.namespace, sha256=self._linked_facts(replay, run))
        except VmServiceError as error:
            unknown = isinstance(error, MissingBackup)  # the item has no link: what it needs is in itself, if anywhere
            if error.transient or isinstance(error, Corrupt) or not (replay.key or unknown):
                raise
            return None

    def _linked_facts(self, replay: Replay, run: RestoreRun) -> str:
        """Return the digest of the facts that the link has, '' where that leads elsewhere."""
        try:
            check_leads_home(replay.key, replay.source, self._restore_points.backup(run))
        except (InvalidItem, NotFound):
            return ""
        return replay.facts or ""


def _started_anyway(connected: Topology, before: SavedStatus, facts: NamespaceFacts | None) -> tuple[str, ...]:
    """Return the VMs, nested ones included, that were off at backup in a group that was to run."""
    if before.power_state != ON:
        return ()
    known = facts.by_name if facts else {vm.name: vm for vm in connected.machines}
    names = dict.fromkeys((*connected.needs, *connected.nested))
    return tuple(name for name in names if name in known and known[name].power_state not in ("", ON))


def _shared(connected: Topology, facts: NamespaceFacts | None) -> Topology:
    """Hold each VM's facts once, however many objects need it."""
    if facts is None:
        return connected
    vms = tuple(same if (same := facts.by_name.get(vm.name)) == vm else vm for vm in connected.machines)
    return connected.model_copy(update={"machines": vms})


def _why_own_item(replay: Replay, error: VmServiceError) -> str:
    """Say why the backup's own item is replayed; raises the error if the operation carries none."""
    if isinstance(error, NotFound) and not isinstance(error, MissingBackup):
        if replay.item is None:
            raise NotFound(
                f"the capture {replay.key} is gone",
                hint="make a new Velero restore, which replays the item in Velero's own archive",
                goes_on=True,
            ) from error
        return f"the capture {replay.key} is gone: the backup's own item is taken instead"
    if isinstance(error, InvalidItem) and replay.item is not None:
        return f"{error.message}: the backup's own item is taken instead"
    if replay.item is None:
        raise error
    return f"the capture {replay.key} cannot be read ({error.message}): the backup's own item is taken instead"
