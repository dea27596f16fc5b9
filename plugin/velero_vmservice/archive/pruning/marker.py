"""The marker of a restore: written before it waits for the first time, so that what it reads is not pruned meanwhile.

A restore of the command line is known to no API server, and a waiting one has stored no result yet. The report of the
same run supersedes its marker. So does a later run of the same restore, as after Ctrl-C, with its own report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from velero_vmservice.archive.store import write_once
from velero_vmservice.documents import Document, Name
from velero_vmservice.kube.manifest import sequence

if TYPE_CHECKING:
    from velero_vmservice.archive.schema import BackupRun
    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.velero.runs import RestoreRun

MARKER: Final = "begun.json"


class RestoreMarker(Document):
    """What a restore reads, and which part of it; equal for runs of the same restore, but for their start."""

    schema_version: Literal[1] = 1
    restore: Name
    restore_uid: str = ""
    started: str
    capture: str
    """The prefix of the keys of its capture."""
    namespaces: tuple[str, ...] = ()
    """The namespaces of the capture that it is limited to; none for all."""
    objects: tuple[str, ...] = ()
    """The objects that it is limited to, as `Kind namespace/name`; none for all."""
    namespace_mapping: dict[str, str] = {}
    cluster_id: str = ""
    """UID of namespace kube-system of the cluster that is restored to; '' where it could not be read."""

    def is_continued_by(self, other: RestoreMarker) -> bool:
        """Say whether another run begins the same restore again."""
        return other.started > self.started and other == self.model_copy(update={"started": other.started})


def mark(store: ObjectStore, key: str, run: RestoreRun, capture: BackupRun, *, cluster_id: str) -> None:
    """Store the marker of a restore under the key, once; raises what the store raises."""
    marker = RestoreMarker(
        restore=run.name,
        restore_uid=run.uid,
        started=run.started,
        capture=capture.prefix,
        namespaces=tuple(sorted(map(str, sequence(run.spec.get("includedNamespaces"))))),
        objects=tuple(sorted(map(str, run.objects or ()))),
        namespace_mapping=dict(run.namespace_mapping),
        cluster_id=cluster_id,
    )
    write_once(store, key, marker)
