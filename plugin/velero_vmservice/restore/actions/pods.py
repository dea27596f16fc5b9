"""Free a pod from the VM it ran on: remove the listed annotations, touch nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.kube.manifest import POD, Manifest
from velero_vmservice.velero.actions import ResourceSelector, RestoreOutcome, StartsNoOperation
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.supervisor.detect import Supervisor

log = structlog.get_logger()


class PodsAction(StartsNoOperation):
    """Velero's restore action `pods`."""

    def __init__(self, *, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def applies_to(self) -> ResourceSelector:
        """Return the selector: pods."""
        return ResourceSelector(included_resources=(POD.resource,))

    def execute(
        self, item: Mapping[str, Any], item_from_backup: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> RestoreOutcome:
        """Return the pod without the annotations that name its lost VM; on a Supervisor only."""
        del item_from_backup, restore
        pod = Manifest.read(dict(item))
        tied = [key for key in marks.POD_ANNOTATIONS if key in pod.annotations]
        if not tied or not self._supervisor.present():
            return RestoreOutcome(item=item)
        content = pod.editable()
        for key in tied:
            del content["metadata"]["annotations"][key]
        log.info("pod annotations removed", object=f"Pod {pod.namespace}/{pod.name}", annotations=tied)
        return RestoreOutcome(item=content)
