"""Captures of the command line on a Supervisor without Velero: no kind of Velero is served."""

from __future__ import annotations

from tests.unit.builders import NAMESPACE, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.kube.manifest import BACKUP, BACKUP_STORAGE_LOCATION, RESTORE
from velero_vmservice.settings.reading import BucketSettings
from velero_vmservice.vadp.capturing import CaptureRequest, TakenCapture
from velero_vmservice.vmoperator.marks import BACKUP_VERSION_ANNOTATION

VELERO_KINDS = (BACKUP, RESTORE, BACKUP_STORAGE_LOCATION)
LABELS = {"app": "web"}
TIER = group("tier", ["web-1", "web-2"])
FRONT = service("front", LABELS)
OTHER = service("other", {"app": "other"})


class WithoutVelero(World):
    """A Supervisor and a bucket of the settings, and nothing of Velero."""

    def __init__(self, *, velero_namespace: str = "", **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        for kind in VELERO_KINDS:
            self.cluster.serve(kind)
        self.locations.stores = {"": self.store}
        self.settings = self.settings.model_copy(
            update={"velero_namespace": velero_namespace, "bucket": BucketSettings(name="captures")}
        )
        self.cluster.seed(obj("Namespace", NAMESPACE, api="v1", namespace=""))
        self.restart()

    def register(self, version: str, *names: str, namespace: str = NAMESPACE, **rest: object) -> None:
        """Let the VMs be registered, with what VM Operator recorded of them last."""
        marks = {BACKUP_VERSION_ANNOTATION: version} if version else {}
        self.cluster.seed(
            *(
                vm(name, labels=LABELS, group="tier", meta={"annotations": marks}, namespace=namespace, **rest)  # type: ignore[arg-type]
                for name in names or ("web-1", "web-2")
            )
        )

    def take(self, version: str, *, job: str = "nightly", restore_point: str = "") -> TakenCapture:
        """Capture the application at a version of its VMs, a minute after the capture before."""
        self.cluster.seed(TIER, FRONT, OTHER)
        self.register(version)
        return self.take_as_is(job=job, restore_point=restore_point)

    def take_as_is(self, *, job: str = "nightly", restore_point: str = "") -> TakenCapture:
        """Capture what is there, a minute after the capture before."""
        self.clock.advance(60.0)
        return self.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job=job, restore_point=restore_point))
