"""Buckets with captures of both makers."""

from __future__ import annotations

from tests.unit.builders import NAMESPACE, backup, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.vadp.capturing import CaptureRequest

LOCATION = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
HOUR = 3600.0
NIGHTLY = "nightly/20260301T120000Z"
GOLD = "gold/20260302T120000Z"
_VERSION = "vmoperator.vmware.com/backup-version"


def taken_twice() -> World:
    """Let Velero capture `front`, and a day later the command all of namespace shop; that was two hours ago."""
    world = World()
    world.cluster.seed(LOCATION, backup(), obj("Namespace", NAMESPACE, api="v1", namespace=""))
    world.back_up(web("100"), service("front", {"app": "shop"}))
    world.clock.advance(24 * HOUR)
    world.cluster.seed(web("200"), group("tier", ["web-1"]), vm("lonely"))
    request = CaptureRequest(namespaces=(NAMESPACE,), job="gold", restore_point="4711", tags={"site": "north"})
    world.app.capturing.take(request)
    world.clock.advance(2 * HOUR)
    return world


def web(version: str) -> dict[str, object]:
    """Build the VM behind `front`, at a backup version."""
    return vm("web-1", labels={"app": "shop"}, group="tier", meta={"annotations": {_VERSION: version}})
