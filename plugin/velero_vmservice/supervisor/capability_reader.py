"""Ask the target Supervisor what it can do, at most once a minute; never a reason to fail."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog
from cachetools import TTLCache

from velero_vmservice.errors import Forbidden, NotFound, VmServiceError
from velero_vmservice.vmoperator.releases import capabilities

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.vmoperator.releases.capabilities import Capabilities

log = structlog.get_logger()

REMEMBERED_SECONDS = 60.0
"""A capability is switched by an upgrade of the Supervisor, which takes longer."""


class TargetCapabilities:
    """Reads and remembers the capabilities of the cluster that is restored to."""

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._known: TTLCache[str, Capabilities] = TTLCache(1, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._read: Capabilities | None = None
        self._said: Capabilities | None = None
        self._lock = threading.Lock()

    def now(self) -> Capabilities:
        """Return what is known, without raising.

        What cannot be read is unknown, with a note; it is logged when it changes. An API server that is away does not
        make unknown what it said before.
        """
        with self._lock:
            if "target" not in self._known:
                self._known["target"] = self._look()
                self._say(self._known["target"])
            return self._known["target"]

    def _look(self) -> Capabilities:
        try:
            self._read = capabilities.read(self._object())
        except NotFound:
            return capabilities.unknown(
                f"the Supervisor has neither {capabilities.OBJECT} nor {capabilities.OLDER_OBJECT}"
            )
        except VmServiceError as error:
            if error.transient and self._read is not None:
                return self._read
            return capabilities.unknown(f"the capabilities of the Supervisor cannot be read ({_cause(error)})")
        return self._read

    def _say(self, found: Capabilities) -> None:
        if found == self._said:
            return
        self._said = found
        log.info(
            "capabilities read",
            group_api=found.groups,
            telco=found.telco,
            ipv6=found.ipv6,
            read_from=found.source,
            reason=found.note,
        )

    def _object(self) -> Manifest:
        try:
            return self._cluster.get(capabilities.OBJECT)
        except NotFound:
            return self._cluster.get(capabilities.OLDER_OBJECT)


def _cause(error: VmServiceError) -> str:
    if isinstance(error, Forbidden):
        return f"{error.message}: allow Velero's service account to get {capabilities.OBJECT.kind.resource}"
    return str(error)
