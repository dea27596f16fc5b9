"""A registration source in memory: an implementation of the port, not a mock.

A test sets where each VM stands, as a registration engine would know it, and it answers from nothing else.
It passes the same contract suite as the real sources.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.fakes.store import Calls
from velero_vmservice.registration.model import Registration, Source, State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.registration.sources import Look


class MemoryRegistration:
    """Registrations by namespace and name; a VM without one is unknown."""

    def __init__(self, name: Source = Source.ENGINE) -> None:
        self.calls = Calls()
        """A subject is the namespace."""
        self._name = name
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Registration] = {}

    def tell(self, namespace: str, *registrations: Registration) -> None:
        """Take over where these VMs stand now."""
        with self._lock:
            for registration in registrations:
                self._known[namespace, registration.name] = replace(registration, sources=(self._name,))

    def forget(self, namespace: str, name: str) -> None:
        """Know nothing of a VM any more; one that is unknown is success."""
        with self._lock:
            self._known.pop((namespace, name), None)

    @property
    def name(self) -> Source:
        """Return the name that it was made with."""
        return self._name

    def observe(
        self, namespace: str, machines: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return the registration of each VM; see the port."""
        del look
        if not machines:
            return {}
        self.calls("observe", namespace)
        with self._lock:
            return {vm.name: self._known.get((namespace, vm.name)) or self._unknown(vm) for vm in machines}

    def _unknown(self, wanted: ExpectedVm) -> Registration:
        reason = "no registration was set for this VM"
        return Registration(name=wanted.name, state=State.UNKNOWN, reason=reason, sources=(self._name,))
