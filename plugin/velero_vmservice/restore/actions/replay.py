"""Skip one captured object in Velero's own restore, and start an operation that replays it once its VMs are there.

Execute creates nothing. The operation id carries what is needed to go on after any crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.archive import topology
from velero_vmservice.archive.link import check_leads_home, read_link
from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.archive.schema import captured_kind
from velero_vmservice.errors import Corrupt, InvalidItem, VmServiceError
from velero_vmservice.kube.manifest import CAPTURED_KINDS, Manifest, ObjectRef
from velero_vmservice.velero import runs
from velero_vmservice.velero.actions import ResourceSelector, RestoreOutcome
from velero_vmservice.velero.runs import Replay, RestoreRun
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.link import Link
    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.restore.replay.controller import Replays
    from velero_vmservice.restore.source.anchor import Anchors
    from velero_vmservice.restore.source.fit import Modifiers

log = structlog.get_logger()


class ReplayAction:
    """Velero's restore action `replay`."""

    def __init__(
        self, *, restore_points: RestorePoints, replays: Replays, modifiers: Modifiers, anchors: Anchors
    ) -> None:
        self._restore_points = restore_points
        self._anchors = anchors
        self._replays = replays
        self._modifiers = modifiers
        self.progress, self.cancel = replays.progress, replays.cancel  # the operation is one of the restore's

    def applies_to(self) -> ResourceSelector:
        """Return the selector: the two captured kinds."""
        return ResourceSelector(included_resources=tuple(kind.resource for kind in CAPTURED_KINDS))

    def execute(
        self, item: Mapping[str, Any], item_from_backup: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> RestoreOutcome:
        """Skip the item and start its operation; skip it for good where a backup should not have held it.

        Raises `InvalidSettings` when the Restore's annotations ask for a policy that does not exist.
        """
        manifest = Manifest.read(dict(item_from_backup))
        run = RestoreRun.read(Manifest.read(dict(restore)))
        chosen = self._replays.policy(run)
        where = f"{manifest.kind_name} {manifest.namespace}/{manifest.name}"
        if reason := _not_to_replay(manifest):
            log.warning("skipped", object=where, reason=reason)
            return RestoreOutcome(item=item, skip=True)
        replay = self._replay(manifest, run, chosen)
        if self._anchors.is_item(manifest.namespace, run):
            replay = replay.model_copy(update={"lacking": True})
        operation_id = runs.replay_id(replay)
        self._replays.announce(operation_id, replay, run)
        self._log_modifier(manifest, replay, run)
        log.info(
            "replay deferred until the VMs are registered",
            object=str(replay.destination),
            capture=_capture_state(replay),
            vms=replay.vms or (),
        )
        log.debug("capture linked", object=str(replay.destination), key=replay.key, sha256=replay.sha256)
        return RestoreOutcome(item=item, skip=True, operation_id=operation_id)

    def _log_modifier(self, manifest: Manifest, replay: Replay, run: RestoreRun) -> None:
        """Say in the restore's log what its resource modifier changes; replay applies it, and waits where it cannot."""
        try:
            modified = self._modifiers.modify(sanitize(manifest).manifest, replay.kind, run)
        except VmServiceError as error:
            log.warning("resource modifier not readable yet", cause=error.message, hint=error.hint)
            return
        for problem in modified.problems:
            log.warning("resource modifier not applied", object=str(replay.destination), reason=problem)
        if modified.rules:
            log.info("resource modifier applies", object=str(replay.destination), rules=modified.rules)

    def _replay(self, manifest: Manifest, run: RestoreRun, chosen: RestorePolicy) -> Replay:
        """Return what the operation carries: the item too, as the capture may go while the restore waits.

        A policy that requires the capture rules the item out.
        """
        kind, link, damaged = captured_kind(manifest), None, False
        try:
            link = read_link(manifest)
        except InvalidItem as error:
            damaged = True
            log.warning("capture refused", cause=error.message, hint=error.hint, policy=f"capture={chosen.capture}")
        source = ObjectRef(kind, manifest.namespace, manifest.name)
        carried = link is None or chosen.capture == "prefer"
        return Replay(
            plural=kind.plural,
            namespace=manifest.namespace,
            target=run.target(manifest.namespace),
            name=manifest.name,
            key=link.key if link else "",
            sha256=link.sha256 if link else "",
            facts=link.facts if link else None,
            damaged=damaged,
            vms=(link.vms if link else topology.listed_vms(manifest)) if carried else None,
            item=sanitize(manifest).manifest.editable() if carried else None,
            unread=link is not None and not self._is_readable(link, source, run),
        )

    def _is_readable(self, link: Link, source: ObjectRef, run: RestoreRun) -> bool:
        """Say whether the link leads to the object's own capture, and that is there now.

        Only damage is raised: a store that denies or is badly set up is asked again, and the item is in hand.
        """
        try:
            backup = self._restore_points.backup(run)
            if not _is_bound(link, source, backup):
                return False
            if self._restore_points.store(run).exists(link.key):
                return True
            log.warning(
                "capture is gone",
                key=link.key,
                consequence="the policy capture=prefer takes the backup's own item instead, capture=require fails it",
            )
        except Corrupt:
            raise
        except VmServiceError as error:
            log.warning("capture not readable yet", key=link.key, cause=error.message, hint=error.hint)
        return False


def _is_bound(link: Link, source: ObjectRef, backup: BackupRun) -> bool:
    """Say whether a link leads to the object's own capture; log a warning where it leads elsewhere."""
    try:
        check_leads_home(link.key, source, backup)
    except InvalidItem as error:
        log.warning("capture refused", cause=error.message, hint=error.hint)
        return False
    return True


def _capture_state(replay: Replay) -> str:
    """Return what the object is replayed from, as far as Execute knows."""
    if replay.damaged:
        return "refused"
    if not replay.key:
        return "none: the item has no link"
    return "unread" if replay.unread else "readable"


def _not_to_replay(manifest: Manifest) -> str:
    if manifest.deleting:
        return "it was being deleted when the backup was taken"
    was_captured = marks.CAPTURE_ANNOTATION in manifest.annotations  # judged then, by the VMs that it stands for
    if not was_captured and (guest := topology.guest_cluster_reason(manifest, ())):
        return f"it belongs to a guest cluster: {guest}"
    if marks.SKIP_FROM_BACKUP in manifest.annotations:
        return "it was left out of the backup, which an older Velero stored all the same"
    return ""
