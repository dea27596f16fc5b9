"""The resource modifier that a Restore names: read once in a while, and applied to what is replayed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from cachetools import TTLCache

from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.errors import InvalidSettings, NotFound
from velero_vmservice.kube.manifest import CONFIG_MAP, ObjectRef, mapping
from velero_vmservice.velero.resource_modifier import Modified, modify

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.velero.resource_modifier import Rule
    from velero_vmservice.velero.runs import RestoreRun

_KNOWN_SECONDS: Final = 15.0
"""300 objects are read with one GET of the ConfigMap."""
_REMEMBERED: Final = 64


class ReadRules(Protocol):
    """Reads the text of a ConfigMap; raises `InvalidSettings`, naming `where`."""

    def __call__(self, text: str, *, where: str) -> tuple[Rule, ...]:
        """Return its rules."""


class Modifiers:
    """Applies resource modifiers; safe to use from several threads."""

    def __init__(self, *, cluster: Cluster, clock: Clock, read: ReadRules) -> None:
        self._cluster = cluster
        self._read = read
        self._lock = threading.Lock()
        self._known: TTLCache[ObjectRef, tuple[Rule, ...]] = TTLCache(
            _REMEMBERED, _KNOWN_SECONDS, timer=clock.monotonic
        )

    def modify(self, manifest: Manifest, kind: Kind, run: RestoreRun) -> Modified:
        """Return a captured object, still in the backup's namespace, as the Restore wants it changed.

        What is never written is taken off again. Raises `InvalidSettings` if the ConfigMap is not there any more or
        was made unreadable since the restore began, and what the cluster raises.
        """
        if not run.resource_modifier:
            return Modified(manifest=manifest)
        modified = modify(manifest, self._rules(run), resource=kind.resource)
        if not modified.rules:
            return modified
        clean = sanitize(modified.manifest)
        taken_off = tuple(
            f"the resource modifier's {dropped.path} is left out: {dropped.reason}" for dropped in clean.dropped
        )
        return Modified(manifest=clean.manifest, rules=modified.rules, problems=(*modified.problems, *taken_off))

    def _rules(self, run: RestoreRun) -> tuple[Rule, ...]:
        ref = ObjectRef(CONFIG_MAP, run.namespace, run.resource_modifier)
        with self._lock:
            if (known := self._known.get(ref)) is not None:
                return known
        where = f"the resource modifier in {ref}"
        try:
            data = mapping(self._cluster.get(ref).content.get("data"))
        except NotFound as error:
            raise InvalidSettings(
                f"{where} is gone", hint="create it again, as it was when the restore began, or repeat the restore"
            ) from error
        if len(data) != 1:
            raise InvalidSettings(f"{where} has {len(data)} entries", hint="a resource modifier has exactly one")
        rules = self._read(str(next(iter(data.values()))), where=where)
        with self._lock:
            self._known[ref] = rules
        return rules
