"""The present state, for Prometheus: restores that are under way, and applications with their captures.

Unlike a counter, such a series ends with its restore or application, so values are collected when Prometheus asks.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from velero_vmservice.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRestore:
    """A restore that is under way, as of its last poll."""

    stages: Mapping[str, int]
    """The number of open operations at each stage."""
    waiting_since: float | None = None
    """The start of the operation that has waited longest for its VMs, in seconds of Unix time."""
    registrations: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The number of VMs that it waits for, by state and by code of RegisterVM."""


class OpenRestores(Collector):
    """What restores wait for now; a restore without a recent poll is not counted."""

    STALE_SECONDS: Final = 900.0
    """Velero polls every ten seconds, so it has given up a restore without a poll for this time."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._lock = threading.Lock()
        self._restores: dict[str, tuple[float, OpenRestore]] = {}

    def update(self, restore: str, standing: OpenRestore) -> None:
        """Store the state of a restore; a restore without an open operation is forgotten."""
        with self._lock:
            self._restores.pop(restore, None)
            if standing.stages:
                self._restores[restore] = (self._timer(), standing)

    def forget(self) -> None:
        """Forget every restore."""
        with self._lock:
            self._restores.clear()

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; see `Collector`."""
        operations = GaugeMetricFamily(
            "vmservice_open_operations", "Operations of restores that have not ended, by stage.", labels=("stage",)
        )
        waiting = GaugeMetricFamily(
            "vmservice_waiting_since_timestamp_seconds",
            "When the operation began that has waited longest for its VMs; absent where none waits.",
        )
        registrations = GaugeMetricFamily(
            "vmservice_registrations",
            "VMs that restores wait for, by the state of their registration and RegisterVM's code.",
            labels=("state", "code"),
        )
        standing = self._recent()
        for stage, count in _summed(restore.stages for restore in standing).items():
            operations.add_metric((stage,), count)
        for (state, code), count in _summed(restore.registrations for restore in standing).items():
            registrations.add_metric((state, code), count)
        since = [restore.waiting_since for restore in standing if restore.waiting_since is not None]
        if since:
            waiting.add_metric((), min(since))
        yield from (operations, waiting, registrations)

    def describe(self) -> Iterator[Metric]:
        """Yield the gauges without values; see `Collector`."""
        return OpenRestores().collect()

    def _recent(self) -> list[OpenRestore]:
        oldest = self._timer() - self.STALE_SECONDS
        with self._lock:
            self._restores = {key: kept for key, kept in self._restores.items() if kept[0] >= oldest}
            return [standing for _, standing in self._restores.values()]


def _summed(counts: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    total: Tally[Key] = Tally()
    for count in counts:
        total.update(count)
    return dict(total)


OPEN_RESTORES: Final = OpenRestores()
REGISTRY.register(OPEN_RESTORES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The captures of an application; times are seconds of Unix time, None if unknown."""

    namespace: str
    kind: str
    name: str
    protected: bool | None = None
    restorable: bool | None = None
    last_capture: float | None = None
    capture_due: float | None = None


class Applications(Collector):
    """The applications of the last look; the series of a lost application end with the next look."""

    MOST: Final = 1000
    """The most applications with series of their own, those without a capture first; all are counted."""

    def __init__(self) -> None:
        self._known: tuple[Application, ...] | None = None
        self._unread: Mapping[str, bool] = {}

    def update(self, applications: Iterable[Application] | None, unread: Mapping[str, bool]) -> None:
        """Store a look; `unread` has for each part whether it could not be read, None keeps the last applications."""
        if applications is not None:
            self._known = tuple(
                sorted(applications, key=lambda each: (bool(each.protected), each.namespace, each.name))
            )
        self._unread = dict(unread)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; see `Collector`."""
        # Prometheus itself gives every series of a pod a label `namespace`.
        labels = ("application_namespace", "kind", "application")
        protected = GaugeMetricFamily(
            "vmservice_application_protected",
            "1 where a recent capture, of a Backup or of the command, holds the application whole, 0 where none does.",
            labels=labels,
        )
        restorable = GaugeMetricFamily(
            "vmservice_application_restorable",
            "0 where its last capture has a finding with which it does not come back as it was, else 1.",
            labels=labels,
        )
        last = GaugeMetricFamily(
            "vmservice_application_last_capture_timestamp_seconds",
            "Start of the newest capture that holds the application whole.",
            labels=labels,
        )
        due = GaugeMetricFamily(
            "vmservice_application_capture_due_timestamp_seconds",
            "When a Schedule should make the next capture; absent where no Schedule takes the application whole.",
            labels=labels,
        )
        count = GaugeMetricFamily(
            "vmservice_applications",
            f"Applications whose VMs are there; at most {self.MOST} have series of their own.",
        )
        unread = GaugeMetricFamily(
            "vmservice_survey_unread",
            "1 where the last look at applications and captures could not read a part of what it needs.",
            labels=("part",),
        )
        known = self._known
        if known is not None:
            count.add_metric((), len(known))
        for each in (known or ())[: self.MOST]:
            names = (each.namespace, each.kind, each.name)
            for family, value in (
                (protected, each.protected),
                (restorable, each.restorable),
                (last, each.last_capture),
                (due, each.capture_due),
            ):
                if value is not None:
                    family.add_metric(names, float(value))
        for part, is_unread in self._unread.items():
            unread.add_metric((part,), float(is_unread))
        yield from (protected, restorable, last, due, count, unread)

    def describe(self) -> Iterator[Metric]:
        """Yield the gauges without values; see `Collector`."""
        return Applications().collect()


APPLICATIONS: Final = Applications()
REGISTRY.register(APPLICATIONS)


class StoredDrills(Collector):
    """The drills in the buckets, as the last look that could read them has them."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._newest: Mapping[str, float] = {}

    def update(self, count: int | None, newest: Mapping[str, float]) -> None:
        """Take over how many there are, None where that is not known, and the start of the newest of each verdict."""
        self._count, self._newest = count, dict(newest)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; see `Collector`."""
        count = GaugeMetricFamily(
            "vmservice_drills", "Drills whose reports are stored; absent where that is not known."
        )
        newest = GaugeMetricFamily(
            "vmservice_last_drill_timestamp_seconds",
            "Start of the newest drill that came to each verdict.",
            labels=("verdict",),
        )
        if self._count is not None:
            count.add_metric((), self._count)
        for verdict, started in self._newest.items():
            newest.add_metric((verdict,), started)
        yield from (count, newest)

    def describe(self) -> Iterator[Metric]:
        """Yield the gauges without values; see `Collector`."""
        return StoredDrills().collect()


DRILLS: Final = StoredDrills()
REGISTRY.register(DRILLS)
