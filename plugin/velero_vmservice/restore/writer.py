"""The only writes of a restore: create, update, ask for power. Each is tried as a dry run first."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import structlog

from velero_vmservice.errors import DryRunUnsupported
from velero_vmservice.restore.plan.desired import change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.plan.power import Wish

log = structlog.get_logger()


class Writer:
    """Writes what was decided; raises what the cluster raises, and never deletes."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def replay(self, subject: Subject, live: Manifest | None) -> None:
        """Create the object, or update the live one; a refusal of a webhook is found before."""
        self.rehearse(subject, live)
        self._send(subject, live, dry_run=False)

    def rehearse(self, subject: Subject, live: Manifest | None) -> None:
        """Ask the API server and its webhooks, by a dry run, whether they would take the object."""
        with contextlib.suppress(DryRunUnsupported):  # the write itself asks the webhook
            self._send(subject, live, dry_run=True)

    def ask_for_power(self, wish: Wish, version: str) -> None:
        """Write one wish for power."""
        self._cluster.patch(wish.ref, wish.change, version=version)
        log.info("power asked for", object=str(wish.ref), change=_described(wish.change))

    def _send(self, subject: Subject, live: Manifest | None, *, dry_run: bool) -> None:
        if live is None:
            self._cluster.create(subject.wanted, dry_run=dry_run)
        else:
            version, patch = subject.wanted.version, change(subject.wanted, live)
            self._cluster.patch(subject.ref, patch, version=version, dry_run=dry_run)


def _described(change: Mapping[str, Any]) -> str:
    return ", ".join(f"spec.{key}={value}" for key, value in change["spec"].items())
