"""Whether a capture is still what was sealed, and whether the API server would take its objects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from velero_vmservice.captures.contents import read_contents
from velero_vmservice.errors import Corrupt, VmServiceError
from velero_vmservice.kube.manifest import CAPTURED_KINDS
from velero_vmservice.restore.source.backup_objects import run_of
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from velero_vmservice.captures.catalogue import StoredCapture
    from velero_vmservice.captures.contents import Contents
    from velero_vmservice.restore.dry_run import Planning, Tried
    from velero_vmservice.restore.replay.controller import Replays
    from velero_vmservice.restore.source.backup_objects import BackupObjects


class State(StrEnum):
    """What a capture was found to be; the worse, the later."""

    WHOLE = "whole"
    UNSEALED = "unsealed"
    UNREAD = "unread"
    """A document could not be read now."""
    REFUSED = "refused"
    """It is whole, and the API server would not take an object of it."""
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What one capture was found to be."""

    contents: Contents
    tried: Sequence[Tried] = ()
    """Each object as it was tried on the API server; none where that was not asked for."""
    untried: VmServiceError | None = None
    """Why no object could be tried."""

    @property
    def state(self) -> State:
        """The worst that was found."""
        faults = self.contents.faults.values()
        if any(isinstance(fault, Corrupt) for fault in faults):
            return State.DAMAGED
        if any(tried.refused and not tried.refused.passing for tried in self.tried):
            return State.REFUSED
        if faults or self.untried or any(tried.refused for tried in self.tried):
            return State.UNREAD
        return State.WHOLE if self.contents.seal else State.UNSEALED


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Verifies captures; nothing is written."""

    planning: Planning
    backup_objects: BackupObjects
    replays: Replays
    velero_namespace: str

    def of(
        self,
        capture: StoredCapture,
        *,
        deep: bool = False,
        mapping: Mapping[str, str] | None = None,
        done: Callable[[], None] = lambda: None,
    ) -> Verified:
        """Read every document of a capture again; `deep` tries every object on the API server too.

        Nothing is raised for what is found. `done` is called after each document and each object.
        """
        contents = read_contents(capture, done=done)
        if not deep or contents.seal is None or contents.faults:
            return Verified(contents=contents)
        manifest = run_of(capture.run.name, namespace=self.velero_namespace, mapping=mapping or {}, annotations={})
        run = RestoreRun.read(manifest, capture=capture.ref)
        try:
            replays = [
                replay for replay in self.backup_objects.captured(run, run.spec) if replay.kind in CAPTURED_KINDS
            ]
            tried = self.planning.tried(replays, run, self.replays.policy(run), done=done)
        except VmServiceError as error:
            return Verified(contents=contents, untried=error)
        return Verified(contents=contents, tried=tried)
