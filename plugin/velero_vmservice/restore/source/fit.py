"""Fit a captured object to the Supervisor that it is restored to: API version, capabilities, load balancer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cachetools import TTLCache

from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.errors import InvalidItem, InvalidSettings, NotFound, Unavailable
from velero_vmservice.kube.manifest import (
    CAPTURED_KINDS,
    CONFIG_MAP,
    VIRTUAL_MACHINE_GROUP,
    VM_OPERATOR_GROUP,
    Manifest,
    ObjectRef,
    mapping,
)
from velero_vmservice.velero.resource_modifier import Modified, modify
from velero_vmservice.vmoperator import load_balancer, releases

if TYPE_CHECKING:
    from velero_vmservice.clock import Clock
    from velero_vmservice.documents import Dropped
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.supervisor.observe import TargetCapabilities
    from velero_vmservice.velero.resource_modifier import Rule
    from velero_vmservice.velero.runs import RestoreRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A captured object as the target can take it."""

    manifest: Manifest
    dropped: tuple[Dropped, ...] = ()
    problems: tuple[str, ...] = ()
    """Why the target can never take it."""
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Notes that hold for every object that is replayed at its version and call for no action."""


class Target:
    """The Supervisor that is restored to."""

    def __init__(self, *, cluster: Cluster, capabilities: TargetCapabilities) -> None:
        self._cluster = cluster
        self._capabilities = capabilities

    def fit(self, manifest: Manifest, *, came_from: str, policy: RestorePolicy) -> Fitted:
        """Return the object at a version that the target serves, without what it would refuse.

        `came_from` is the load-balancer provider at backup, '' if unknown. Raises `Unavailable` while VM Operator's
        definitions are away, `InvalidItem` for a kind that is not captured.
        """
        kind = next((kind for kind in CAPTURED_KINDS if kind.name == manifest.kind_name), None)
        if kind is None:
            raise InvalidItem(
                f"the capture of {manifest.namespace}/{manifest.name} holds a {manifest.kind_name or 'nameless kind'}",
                hint="restore from another backup: this one was replaced, or written by another release",
                goes_on=True,
            )
        served, able = self._cluster.served_versions(kind), self._capabilities.now()
        if kind == VIRTUAL_MACHINE_GROUP and (blocked := releases.groups_blocked(served, able)):
            return Fitted(manifest=manifest, problems=(blocked,))
        choice = releases.choose(kind.name, manifest.version, served)
        if not served:
            raise Unavailable(choice.refused)
        if choice.refused:
            return Fitted(manifest=manifest, problems=(choice.refused,))
        at_version = manifest.editable() | {"apiVersion": f"{VM_OPERATOR_GROUP}/{choice.version}"}
        fitting, trimmed = releases.fit(Manifest(at_version), able)
        moved = load_balancer.cross_site(
            fitting,
            source=next(
                (provider for provider in load_balancer.Provider if provider == came_from),
                load_balancer.Provider.UNKNOWN,
            ),
            target=load_balancer.provider(self._cluster.serves_group),
            site=policy.site,
        )
        return Fitted(
            manifest=moved.manifest,
            dropped=(*trimmed, *moved.dropped),
            remarks=moved.notes,
            notes=choice.notes,
        )


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
                f"{where} is gone",
                hint="create it again, as it was when the restore began, or repeat the restore",
                goes_on=True,
            ) from error
        if len(data) != 1:
            raise InvalidSettings(f"{where} has {len(data)} entries", hint="leave one of them, as Velero reads one")
        rules = self._read(str(next(iter(data.values()))), where=where)
        with self._lock:
            self._known[ref] = rules
        return rules
