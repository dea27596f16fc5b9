"""What one user asked the API server for, in the server's own words: its audit log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.cluster import Cluster

_REFUSED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answered request."""

    received: str
    """RFC 3339 with microseconds, UTC: comparable as text."""
    uri: str
    verb: str
    """As RBAC names it."""
    refused: bool
    """Whether RBAC has refused it; a webhook's refusal is none of rights."""
    code: int
    """The status of the answer."""

    @property
    def named(self) -> str:
        """Name it by its verb and path."""
        return f"{self.verb} {urlsplit(self.uri).path}"

    @property
    def resource(self) -> str:
        """The plural of what was asked for, in a namespace."""
        _, _, path = urlsplit(self.uri).path.partition("/namespaces/")
        return path.partition("/")[2].partition("/")[0]

    @property
    def has_written(self) -> bool:
        """Whether it has changed what is stored: no dry run, and taken."""
        tried = "dryRun" in parse_qs(urlsplit(self.uri).query)
        return self.verb not in {"get", "list", "watch"} and not tried and self.code < _REFUSED

    @property
    def is_further_page(self) -> bool:
        """Whether it asked for the second or a later page of a list."""
        return "continue" in parse_qs(urlsplit(self.uri).query)

    @property
    def is_discovery(self) -> bool:
        """Whether it asked which kinds are served, which is asked afresh once a minute."""
        parts = urlsplit(self.uri).path.strip("/").split("/")
        return len(parts) <= (2 if parts[0] == "api" else 3)


def refused(cluster: Cluster, user: str) -> Sequence[str]:
    """Return what RBAC has refused a user so far, such as `list /api/v1/namespaces/shop/secrets`."""
    return [request.named for request in requests(cluster, user) if request.refused]


def requests(cluster: Cluster, user: str) -> Sequence[Request]:
    """Return every request of a user so far, in the order in which they came in."""
    if cluster.audit is None:
        raise AssertionError("the API server keeps no audit log")
    events = map(json.loads, cluster.audit.read_text().splitlines())
    answered = [
        Request(
            received=event["requestReceivedTimestamp"],
            uri=event["requestURI"],
            verb=event["verb"],
            refused=event["annotations"].get("authorization.k8s.io/decision") == "forbid",
            code=event["responseStatus"]["code"],
        )
        for event in events
        if event["user"]["username"] == user and event["stage"] == "ResponseComplete"
    ]
    return sorted(answered, key=lambda request: request.received)
