"""The registration source that asks Kubernetes, and nothing else."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.registration import from_kubernetes
from velero_vmservice.registration.model import Source, State
from velero_vmservice.supervisor import observe

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.round_cache import Look

_log = structlog.get_logger()

REMEMBERED_VMS: Final = 20_000
"""Since when each is in its state: twice the VMs that a Supervisor is asked to hold."""
REMEMBERED_NAMESPACES: Final = 1_000
REMEMBERED_SECONDS: Final = 24 * 3600.0


class KubernetesRegistration:
    """A `RegistrationSource` on the Cluster port: one GET and three LISTs a look, however many VMs.

    Where the round has looked already it asks nothing. What it remembers is when it first saw a state, for the states
    whose beginning no object tells; a new process begins anew with that.
    """

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.Lock()
        self._first_seen: TTLCache[tuple[str, str], tuple[State, datetime]] = TTLCache(
            REMEMBERED_VMS, REMEMBERED_SECONDS, timer=clock.monotonic
        )
        self._logged: TTLCache[tuple[str, Kind], bool] = TTLCache(
            REMEMBERED_NAMESPACES, REMEMBERED_SECONDS, timer=clock.monotonic
        )

    @property
    def name(self) -> str:
        """Return `kubernetes`."""
        return Source.KUBERNETES

    def observe(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what one look at the namespace says of each VM; see the port.

        What the cluster lacks or forbids is a note of the VMs that it matters to, and is logged once.
        """
        if not vms:
            return {}
        observed = look.observed if look else None
        if observed is None:
            observed = observe.look_at_vms(self._cluster, self._clock, namespace)
            if look is not None:
                look.observed = observed
        registrations = from_kubernetes.registrations(observed, vms)
        with self._lock:
            for kind, reason in observed.unseen.items():
                if (namespace, kind) not in self._logged:
                    self._logged[namespace, kind] = True
                    _log.warning("registration seen in part", namespace=namespace, cause=reason)
            now = self._clock.now()
            begun = {state: (state, now) for state in State}  # one for all that begin together: there may be thousands
            return {name: self._dated(namespace, registration, begun) for name, registration in registrations.items()}

    def _dated(
        self, namespace: str, registration: Registration, begun: Mapping[State, tuple[State, datetime]]
    ) -> Registration:
        key = namespace, registration.name
        seen = self._first_seen.get(key)
        if seen is None or seen[0] is not registration.state:
            seen = begun[registration.state]
        self._first_seen[key] = seen
        dated = registration if registration.since else replace(registration, since=seen[1], first_seen=True)
        return from_kubernetes.overlong(dated, self._clock.now())
