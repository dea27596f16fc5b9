"""The metrics of the process for Prometheus: each with its type, its labels and its meaning.

Metrics are defined here and counted at the edges: where Velero calls, where another system fails, where an operation
changes its stage, where a capture is sealed. Decisions know nothing of them. Label values come from closed lists, so no
failure makes an unbounded number of series. Only the series of applications carry names, and end with their
application. A counter of single failures starts at 0 with every label, because Prometheus shows no increase for a
counter that begins with its first failure. docs/observability.md has the same table, which a test compares.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import disable_created_metrics as _disable_created_metrics

from velero_vmservice import __version__

_disable_created_metrics()  # type: ignore[no-untyped-call] # untyped; that metric would double the series
REGISTRY: Final = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
Gauge("vmservice_build_info", "Always 1; the label is the plugin's version.", ("version",), registry=REGISTRY).labels(
    __version__
).set(1)


# Velero's processes and calls.

SESSIONS: Final = Gauge(
    "vmservice_sessions", "Processes that Velero has launched and that still run.", registry=REGISTRY
)
LAUNCHES: Final = Histogram(
    "vmservice_launch_duration_seconds",
    "Time from a launcher's connection to the handshake that it was sent.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
LAUNCHES_FAILED: Final = Counter(
    "vmservice_launches_failed", "Launches that were refused or failed.", registry=REGISTRY
)
CALLS: Final = Histogram(
    "vmservice_call_duration_seconds",
    "Calls of Velero, and how long each took to answer.",
    ("call",),
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
CALLS_FAILED: Final = Counter(
    "vmservice_calls_failed",
    "Calls of Velero that were answered with an error, by its code.",
    ("call", "code"),
    registry=REGISTRY,
)
INTERNAL_ERRORS: Final = Counter(
    "vmservice_internal_errors", "Defects of the plugin; the log has each under its incident.", registry=REGISTRY
)
SETTINGS_UNUSED: Final = Gauge(
    "vmservice_settings_unused",
    "1 while the settings in the cluster cannot be used, and the previous ones apply.",
    registry=REGISTRY,
)

# Other systems.


class Api(StrEnum):
    """A system that the plugin sends requests to."""

    KUBERNETES = "kubernetes"
    S3 = "s3"
    VCENTER = "vcenter"
    REGISTRATION = "registration"
    """A registration engine."""


API_ERRORS: Final = Counter(
    "vmservice_api_errors",
    "Requests to another system that failed, by our code and by the cause that the system or its client names.",
    ("api", "code", "cause"),
    registry=REGISTRY,
)

# Backup.

CAPTURES: Final = Counter("vmservice_captures", "Objects that were captured, by kind.", ("kind",), registry=REGISTRY)
SEALS: Final = Counter("vmservice_seals", "Captures that were sealed.", registry=REGISTRY)
SEALS_FAILED: Final = Counter(
    "vmservice_seals_failed", "Attempts to seal a capture that failed, by code.", ("code",), registry=REGISTRY
)

# Restore.

REPLAYS: Final = Counter(
    "vmservice_replays", "Operations of restores that have ended, by their last stage.", ("stage",), registry=REGISTRY
)
REPLAY_WAIT: Final = Histogram(
    "vmservice_replay_wait_seconds",
    "Time from the first call about an operation to the registration of every VM that its object needs.",
    buckets=(10, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400),
    registry=REGISTRY,
)
RESTORES: Final = Counter(
    "vmservice_restores", "Restores whose report was made, by outcome.", ("outcome",), registry=REGISTRY
)
RESULTS_REFUSED: Final = Counter(
    "vmservice_results_refused",
    "Attempts to store the results of a restore that failed, by code.",
    ("code",),
    registry=REGISTRY,
)


REGISTER_VM_CALLS: Final = Counter(
    "vmservice_registervm_calls",
    "Calls of RegisterVM by this process, by what came back.",
    ("result",),
    registry=REGISTRY,
)


class Called(StrEnum):
    """The outcome of a call of RegisterVM."""

    STARTED = "started"
    REGISTERED_BEFORE = "registered_before"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    NO_ANSWER = "no_answer"


for _called in Called:
    REGISTER_VM_CALLS.labels(_called)
