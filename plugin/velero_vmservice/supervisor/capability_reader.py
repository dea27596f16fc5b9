"""Ask the target Supervisor what it is and can do, at most once a minute."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from velero_vmservice.errors import Forbidden, NotFound, VmServiceError
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP
from velero_vmservice.vmoperator import releases

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.vmoperator.releases import Capabilities, SupervisorRelease

log = structlog.get_logger()

REMEMBERED_SECONDS = 60.0
"""A capability is switched by an upgrade of the Supervisor, which takes longer."""


class TargetCapabilities:
    """Reads and remembers the capabilities of the cluster that is restored to."""

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._known: TTLCache[str, Capabilities] = TTLCache(1, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._read: Capabilities | None = None
        self._logged: Capabilities | None = None
        self._lock = threading.Lock()

    def now(self) -> Capabilities:
        """Return what is known, without raising.

        What cannot be read is unknown, with a note; a change is logged. While the API server does not answer, the last
        answer stands.
        """
        with self._lock:
            if "target" not in self._known:
                self._known["target"] = self._look()
                self._log(self._known["target"])
            return self._known["target"]

    def generation(self) -> SupervisorRelease:
        """Return the generation of vSphere that this Supervisor is of (guide 1.3); raises as discovery does."""
        served = self._cluster.served_versions
        return releases.inferred_release(served(VIRTUAL_MACHINE), served(VIRTUAL_MACHINE_GROUP), self.now())

    def _look(self) -> Capabilities:
        try:
            self._read = releases.read_capabilities(self._object())
        except NotFound:
            return releases.unknown_capabilities(
                f"the Supervisor has neither {releases.CAPABILITIES_OBJECT} nor {releases.OLDER_CAPABILITIES_OBJECT}"
            )
        except VmServiceError as error:
            if error.transient and self._read is not None:
                return self._read
            return releases.unknown_capabilities(f"the capabilities of the Supervisor cannot be read ({_cause(error)})")
        return self._read

    def _log(self, current: Capabilities) -> None:
        if current == self._logged:
            return
        self._logged = current
        log.info(
            "capabilities read",
            group_api=current.groups,
            telco=current.telco,
            ipv6=current.ipv6,
            read_from=current.source,
            reason=current.note,
        )

    def _object(self) -> Manifest:
        try:
            return self._cluster.get(releases.CAPABILITIES_OBJECT)
        except NotFound:
            return self._cluster.get(releases.OLDER_CAPABILITIES_OBJECT)


def _cause(error: VmServiceError) -> str:
    if isinstance(error, Forbidden):
        return f"{error.message}: allow Velero's service account to get {releases.CAPABILITIES_OBJECT.kind.resource}"
    return str(error)
