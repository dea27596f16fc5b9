"""Take one captured object out of Velero's hands and into an operation that replays it once its VMs are there.

Execute creates nothing. The operation id carries what is needed to go on after any crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.core import archive, operation, policy, topology
from velero_vmservice.core.actions import Progress, ResourceSelector, RestoreOutcome
from velero_vmservice.core.errors import Corrupt, VmServiceError
from velero_vmservice.core.facts import boot_order_members
from velero_vmservice.core.manifest import CAPTURED_KINDS, Manifest
from velero_vmservice.core.operation import Replay, RestoreRun
from velero_vmservice.core.sanitize import sanitize
from velero_vmservice.flows.capture import captured_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.core.archive import Link
    from velero_vmservice.core.restore_policy import RestorePolicy
    from velero_vmservice.flows.replay import Replays
    from velero_vmservice.flows.restore_point import RestorePoints

log = structlog.get_logger()


class ReplayAction:
    """Velero's restore action `replay`."""

    def __init__(self, *, restore_points: RestorePoints, replays: Replays) -> None:
        self._restore_points = restore_points
        self._replays = replays

    def applies_to(self) -> ResourceSelector:
        """Ask to be called for our two kinds."""
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
        operation_id = operation.replay_id(replay)
        self._replays.announce(operation_id, replay, run)
        log.info(
            "replay deferred until the VMs are registered",
            object=str(replay.destination),
            vms="as captured" if replay.key and not replay.unread else list(replay.vms or ()),
            capture=replay.key or "none: the backup was taken without this plugin",
            policy=chosen.printed(),
        )
        return RestoreOutcome(item=item, skip=True, operation_id=operation_id)

    def progress(self, operation_id: str, restore: Mapping[str, Any]) -> Progress:
        """Advance every known operation of the restore as far as the cluster allows; report on this one."""
        return self._replays.progress(operation_id, Manifest.read(dict(restore)))

    def cancel(self, operation_id: str, restore: Mapping[str, Any]) -> None:
        """Stop: nothing is created after this returns."""
        self._replays.cancel(operation_id, Manifest.read(dict(restore)))

    def _replay(self, manifest: Manifest, run: RestoreRun, chosen: RestorePolicy) -> Replay:
        """Return what the operation carries: the item too, as the capture may go while the restore waits.

        Where the policy requires the capture there is no going on without it.
        """
        kind, link = captured_kind(manifest), archive.read_link(manifest)
        carried = link is None or chosen.capture == "prefer"
        return Replay(
            plural=kind.plural,
            namespace=manifest.namespace,
            target=run.target(manifest.namespace),
            name=manifest.name,
            key=link.key if link else "",
            sha256=link.sha256 if link else "",
            vms=_named_machines(manifest, link) if carried else None,
            item=sanitize(manifest).manifest.editable() if carried else None,
            unread=link is not None and not self._is_readable(link, run),
        )

    def _is_readable(self, link: Link, run: RestoreRun) -> bool:
        """Say whether the capture is there now.

        Only damage is raised: a store that denies or is badly set up is asked again, and the item is in hand.
        """
        try:
            if self._restore_points.store(run).exists(link.key):
                return True
            log.warning("capture is gone", key=link.key, consequence="the backup's own item is replayed instead")
        except Corrupt:
            raise
        except VmServiceError as error:
            log.warning("capture not readable yet", key=link.key, cause=error.message, remedy=error.hint)
        return False


def _not_to_replay(manifest: Manifest) -> str:
    if manifest.deleting:
        return "it was being deleted when the backup was taken"
    was_captured = policy.CAPTURE_ANNOTATION in manifest.annotations  # judged then, by the VMs that it stands for
    if not was_captured and (guest := topology.guest_cluster_reason(manifest, ())):
        return f"it belongs to a guest cluster: {guest}"
    if policy.SKIP_FROM_BACKUP in manifest.annotations:
        return "it was left out of the backup, which an older Velero stored all the same"
    return ""


def _named_machines(manifest: Manifest, link: Link | None) -> tuple[str, ...]:
    """Return the machines that are known without the capture: as linked, else as the boot order lists them."""
    if link is not None:
        return link.vms
    return tuple(one.name for one in boot_order_members(manifest) if one.kind == "VirtualMachine")
