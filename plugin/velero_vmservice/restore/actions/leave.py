"""Skip at restore what the Supervisor, VM Operator, RegisterVM or Kubernetes makes itself.

Secrets and ConfigMaps are never skipped: not every release records all bootstrap objects, and Velero creates
only what is absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from velero_vmservice.errors import Corrupt
from velero_vmservice.kube.manifest import (
    CUSTOM_RESOURCE_DEFINITION,
    ENDPOINT_SLICE,
    ENDPOINTS,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
    VIRTUAL_MACHINE_SERVICE,
    Manifest,
    mapping,
)
from velero_vmservice.restore.source.vms_alone import replay_of
from velero_vmservice.velero.actions import Progress, RestoreOutcome
from velero_vmservice.velero.runs import RestoreRun, is_replay, replay_id
from velero_vmservice.vmoperator import restricted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.restore_point import RestorePoints
    from velero_vmservice.restore.replay.controller import Replays
    from velero_vmservice.restore.source.anchor import Anchors
    from velero_vmservice.supervisor.detect import Supervisor
    from velero_vmservice.supervisor.vsphere_plugin import Neighbour
    from velero_vmservice.velero.actions import ResourceSelector

log = structlog.get_logger()

_OTHER_KINDS: Final = (
    SERVICE,
    ENDPOINTS,
    ENDPOINT_SLICE,
    PERSISTENT_VOLUME_CLAIM,
    PERSISTENT_VOLUME,
    CUSTOM_RESOURCE_DEFINITION,
)

_MIRRORED: Final = "endpointslicemirroring-controller.k8s.io"


class LeaveAction:
    """Velero's restore action `leave`; an item of it may have to stand for others, see `Anchors`."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        neighbour: Neighbour,
        restore_points: RestorePoints,
        replays: Replays,
        anchors: Anchors,
    ) -> None:
        self._supervisor = supervisor
        self._neighbour = neighbour
        self._restore_points = restore_points
        self._replays = replays
        self._anchors = anchors

    def applies_to(self) -> ResourceSelector:
        """Return the selector: everything that may have to be skipped; each item is decided by itself.

        A restore begins with this call, before velero-plugin-for-vsphere reads its list.
        """
        left = self._neighbour.begin()
        return restricted.selected({restricted.IMAGE_RESOURCE, *left, *(kind.resource for kind in _OTHER_KINDS)})

    def execute(
        self, item: Mapping[str, Any], item_from_backup: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> RestoreOutcome:
        """Skip the item with a reason, or return it untouched.

        Raises `Corrupt` for a volume that is a VM's disk by facts that nothing vouches for: skipped, it might be a
        user's volume that is lost in silence; restored, a VM's disk that another workload mounts.
        """
        manifest, run = Manifest.read(dict(item_from_backup)), RestoreRun.read(Manifest.read(dict(restore)))
        reason = self._reason(manifest, run)
        if reason:
            log.info(
                "skipped",
                object=f"{manifest.kind_name} {manifest.namespace}/{manifest.name}".replace(" /", " "),
                reason=reason,
            )
        return RestoreOutcome(item=item, skip=bool(reason), operation_id=self._operation(manifest, run))

    def progress(self, operation_id: str, run: Mapping[str, Any]) -> Progress:
        """Advance the restore, and report on an operation; one that this action has not begun is complete."""
        if is_replay(operation_id):
            return self._replays.progress(operation_id, run)
        return Progress(completed=True)

    def cancel(self, operation_id: str, run: Mapping[str, Any]) -> None:
        """Stop an operation, if this action has begun it."""
        if is_replay(operation_id):
            self._replays.cancel(operation_id, run)

    def _operation(self, manifest: Manifest, run: RestoreRun) -> str:
        """Begin the operation that stands for what Velero passes over, where the item is the one for that; or ''."""
        namespace, early = manifest.namespace, manifest.kind_name == PERSISTENT_VOLUME_CLAIM.name
        if not self._anchors.is_item(namespace, run, early=early):
            return ""
        replay = replay_of(namespace, run).model_copy(update={"lacking": True})
        operation_id = replay_id(replay)
        self._replays.announce(operation_id, replay, run)
        return operation_id

    def _reason(self, manifest: Manifest, run: RestoreRun) -> str:
        kind = (manifest.group, manifest.kind_name)
        if kind == (CUSTOM_RESOURCE_DEFINITION.group, CUSTOM_RESOURCE_DEFINITION.name):
            owned = manifest.spec.get("group") in restricted.supervisor_groups() and self._supervisor.present()
            return "the Supervisor installs this definition itself" if owned else ""
        if kind in ((generated.group, generated.name) for generated in (SERVICE, ENDPOINTS, ENDPOINT_SLICE)):
            return self._generated(manifest)
        if kind == ("", PERSISTENT_VOLUME_CLAIM.name):
            return self._vm_disk(run, manifest.namespace, manifest.name)
        if kind == ("", PERSISTENT_VOLUME.name):
            claim = mapping(manifest.spec.get("claimRef"))
            return self._vm_disk(run, str(claim.get("namespace", "")), str(claim.get("name", "")))
        return self._restricted(run, manifest)

    def _generated(self, manifest: Manifest) -> str:
        """Recognise what VM Operator makes for a VirtualMachineService (virtualmachineservice_controller.go)."""
        for owner in manifest.owners:
            if (owner.group, owner.kind) == (VIRTUAL_MACHINE_SERVICE.group, VIRTUAL_MACHINE_SERVICE.name):
                return f"VM Operator makes it for VirtualMachineService {owner.name}"
        mirrored = manifest.labels.get("endpointslice.kubernetes.io/managed-by") == _MIRRORED
        if mirrored and self._supervisor.present():
            return "Kubernetes mirrors it from its Endpoints"
        return ""

    def _vm_disk(self, run: RestoreRun, namespace: str, claim: str) -> str:
        """Recognise a VM's disk by the facts stored at backup: RegisterVM brings it, under another name."""
        if not namespace or not claim or not self._supervisor.present():
            return ""
        known = self._restore_points.facts(run, namespace)
        if known is None:
            return ""
        is_disk = claim in known.facts.claims()
        if known.doubt:
            _report_doubt(f"{namespace}/{claim}", known.doubt, is_disk=is_disk)
        return f"it is a disk of a VM (claim {claim}), which RegisterVM brings back" if is_disk else ""

    def _restricted(self, run: RestoreRun, manifest: Manifest) -> str:
        present = self._supervisor.present()
        if present and self._supervisor.resource_name(manifest, (restricted.IMAGE_RESOURCE,)):
            return "images are fetched again by the Supervisor"
        if resource := self._supervisor.resource_name(manifest, self._supervisor.restricted(present=present)):
            return f"the Supervisor creates {resource} itself"
        names = self._supervisor.restricted(present=present, blocked=self._neighbour.blocked(run.namespace))
        resource = self._supervisor.resource_name(manifest, names)
        return f"velero-plugin-for-vsphere refuses to restore {resource}" if resource else ""


def _report_doubt(claim: str, doubt: str, *, is_disk: bool) -> None:
    """Raise `Corrupt` about a claim that is a VM's disk by doubtful facts; warn about one that is none by them."""
    if is_disk:
        raise Corrupt(
            f"the volume of claim {claim} is not restored: it is a VM's disk by facts that nothing vouches for"
            f" ({doubt})",
            hint="leave a VM's disk to RegisterVM, which brings it back; restore any other volume from another backup",
        )
    log.warning(
        "restored in doubt",
        object=f"{PERSISTENT_VOLUME_CLAIM.name} {claim}",
        reason=f"it is not a VM's disk by facts that nothing vouches for ({doubt})",
        hint="compare it with the disks of the namespace's VMs before anything mounts it",
    )
