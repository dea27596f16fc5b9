"""The port of a registration source, and the poller of all that the settings name: one that hangs costs a round."""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from velero_vmservice.errors import VmServiceError
from velero_vmservice.metrics import INTERNAL_ERRORS
from velero_vmservice.registration.model import Answer, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.sources import Look

log = structlog.get_logger()

SLOW_SECONDS: Final = 1.0
"""A failure that comes faster costs nothing and is tried again at once."""
AWAY_SECONDS: Final = 30.0
"""A source that failed slowly is not asked again for this long, by any restore."""
NO_TIME: Final = "the others took too long; it is asked in the next round"


class RegistrationSource(Protocol):
    """A source that reports how far the registration of restored VMs is.

    The contract suite `tests/contract/registration_contract.py` runs against each implementation.
    """

    @property
    def name(self) -> Source:
        """Return which source it is."""

    def observe(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what is known of each VM by name, in a bounded number of requests however many are asked for.

        `look` is what this round has seen of the namespace: a source that needs it does not look there again, and one
        that looks leaves there what others may need.

        MUST answer for every VM, `State.UNKNOWN` included. Raises `Unavailable` while the source is away or
        slow, `Forbidden` when it denies, `InvalidSettings` when it is set up wrongly; never answers from a stale look.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Away:
    """A source that is not asked for a while."""

    until: float
    reason: str
    error: VmServiceError | None = None
    """None if it broke down; a copy, as the raised error would keep all that its round has seen in memory."""


class SourcePoller:
    """Kubernetes and the sources beside it; keeps the rounds of several threads short, and never raises for a source.

    A source that is away is an answer without registrations. One that was passed over has its turn in the next round.
    """

    def __init__(
        self, *, kubernetes: RegistrationSource, others: Collection[RegistrationSource] = (), clock: Clock
    ) -> None:
        self._kubernetes = kubernetes
        self._others = tuple(others)
        self._clock = clock
        self._lock = threading.Lock()
        self._away: dict[Source, _Away] = {}
        self._passed_over: set[tuple[Source, str]] = set()

    @property
    def names(self) -> tuple[Source, ...]:
        """Return the names of all that are asked, Kubernetes first."""
        return (self._kubernetes.name, *(source.name for source in self._others))

    def poll(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look, *, until: float = float("inf")
    ) -> list[Answer]:
        """Return what each source says, or why it could not be asked; without VMs no source is asked.

        `look` is what this round has seen already, as for one source; a vCenter that is not asked is noted there, so
        that no other source waits for it either. Kubernetes is always asked; after `until` no other source is begun
        with.
        """
        if not vms:
            return []
        answers = [
            self._ask_kubernetes(namespace, vms, look),
            *(
                self.ask(source.name, namespace, partial(source.observe, namespace, vms, look), until=until)
                for source in self._others
            ),
        ]
        if look.vsphere is None and look.vsphere_problem is None:
            look.vsphere_problem = self._why_away(Source.VCENTER)
        return answers

    def ask(
        self, source: Source, namespace: str, question: Callable[[], Mapping[str, Registration]], *, until: float
    ) -> Answer:
        """Ask a source about a namespace if it is its turn; `until` is when the round's time is over."""
        if reason := self._kept_from(source, namespace, until=until):
            return Answer(source=source, problem=reason)
        began = self._clock.monotonic()
        try:
            return Answer(source=source, registrations=question())
        except VmServiceError as error:
            if self._clock.monotonic() - began >= SLOW_SECONDS:
                self._leave_alone(source, str(error), copy(error))
            return Answer(source=source, problem=str(error))
        except Exception as error:  # what a source makes of a strange answer must not hold up a restore
            INTERNAL_ERRORS.inc()
            log.exception("registration source broke down", source=source, namespace=namespace)
            reason = f"it broke down ({type(error).__name__}): see the log and report it"
            self._leave_alone(source, reason)  # as after a timeout: one traceback in a while is enough
            return Answer(source=source, problem=reason)

    def _ask_kubernetes(self, namespace: str, vms: Collection[ExpectedVm], look: Look) -> Answer:
        try:
            registrations = self._kubernetes.observe(namespace, vms, look)
        except VmServiceError as error:
            return Answer(source=self._kubernetes.name, problem=str(error))
        return Answer(source=self._kubernetes.name, registrations=registrations)

    def _why_away(self, source: Source) -> VmServiceError | None:
        """Return the error for which a source is not asked; None if it is asked, or was only passed over."""
        with self._lock:
            away = self._away.get(source)
        return copy(away.error) if away is not None and self._clock.monotonic() < away.until else None

    def _kept_from(self, source: Source, namespace: str, *, until: float) -> str:
        """Return why a source is not asked about a namespace now, or ''."""
        now = self._clock.monotonic()
        with self._lock:
            away = self._away.get(source)
            if away is not None and now < away.until:
                return away.reason
            if now <= until or (source, namespace) in self._passed_over:
                self._passed_over.discard((source, namespace))
                return ""
            self._passed_over.add((source, namespace))
            return NO_TIME

    def _leave_alone(self, source: Source, reason: str, error: VmServiceError | None = None) -> None:
        with self._lock:
            self._away[source] = _Away(until=self._clock.monotonic() + AWAY_SECONDS, reason=reason, error=error)
