"""The resources and versions that the API server serves, read again every minute.

The client's own discovery is not used: it has no timeout, never notices a later version, takes an overloaded API server
for one that serves nothing, and keeps a file that threads must not share.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.errors import InvalidItem, NotFound, Unavailable
from velero_vmservice.kube.manifest import Kind, mapping, sequence
from velero_vmservice.kube.names import NamedResource, is_path_segment
from velero_vmservice.vmoperator.releases import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from velero_vmservice.clock import Clock

_log = structlog.get_logger()

_KNOWN_SECONDS: Final = 60.0
"""After an upgrade of VM Operator, captures use its new version within a minute."""
_ABSENT_SECONDS: Final = 3.0
"""A new CRD is found soon, and 300 operations that need a missing one send one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One resource at one version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str) -> str:
        """Return the path of all objects in the namespace, or in all namespaces for ''."""
        within = f"/namespaces/{self._segment(namespace)}" if self.namespaced and namespace else ""
        return f"/{'apis' if self.group else 'api'}/{self.api_version}{within}/{self.plural}"

    def object(self, namespace: str, name: str) -> str:
        """Return the path of one object."""
        within = f"/namespaces/{self._segment(namespace)}" if self.namespaced else ""
        prefix = "apis" if self.group else "api"
        return f"/{prefix}/{self.api_version}{within}/{self.plural}/{self._segment(name)}"

    def _segment(self, name: str) -> str:
        """Return the name if it cannot change the path: names come from backups that others may write."""
        if not is_path_segment(name):
            raise InvalidItem(
                f'"{name}" is not a name of a Kubernetes object, asked for as {self.kind}',
                hint="correct the name in the backup or in the call: it is damaged",
            )
        return name


class Discovery:
    """Remembers the resources of each API group; safe to use from many threads."""

    def __init__(self, read: Callable[[str], Mapping[str, Any]], *, clock: Clock) -> None:
        self._read = read
        self._groups: TTLCache[str, Sequence[Served]] = TTLCache(64, _KNOWN_SECONDS, clock.monotonic)
        self._absent: TTLCache[tuple[str, str], bool] = TTLCache(256, _ABSENT_SECONDS, clock.monotonic)
        self._lock = threading.Lock()

    def find(self, group: str, kind: str) -> Sequence[Served]:
        """Return the served versions of the kind, e.g. `VirtualMachine`; empty if there are none."""
        with self._lock:
            known = _of_kind(self._groups.get(group, ()), kind)
            if known or (group, kind) in self._absent:
                return known
        fetched = tuple(self._fetch(group))
        served = _of_kind(fetched, kind)
        with self._lock:
            self._groups[group] = fetched
            if not served:
                self._absent[group, kind] = True
        return served

    def newest(self, group: str, kind: str, version: str | None = None) -> Served | None:
        """Return the kind at that version, or at the newest; None if it is not served."""
        served = [candidate for candidate in self.find(group, kind) if version in {None, candidate.version}]
        return max(served, key=lambda candidate: rank(candidate.version), default=None)

    def serves_group(self, group: str) -> bool:
        """Say whether the group is served."""
        return bool(self.find(group, ""))

    def resources(self) -> Sequence[NamedResource]:
        """Return the served resources with all their names; see the port. One request for each version of a group."""
        named_resources: dict[tuple[str, str], NamedResource] = {}
        apis = self._read("/apis")
        groups = (str(entry.get("name", "")) for entry in map(mapping, sequence(apis.get("groups"))))
        for group in ("", *filter(None, groups)):
            try:
                served = tuple(self._fetch(group, apis))
            except Unavailable as error:
                _log.warning("API group not discovered", api_group=group, cause=error.message)
                continue
            for resource in served:
                kind = Kind(group, resource.plural, resource.kind)
                named = NamedResource(kind=kind, singular=resource.singular, short_names=resource.short_names)
                named_resources.setdefault((group, resource.plural), named)
        return tuple(named_resources.values())

    def forget(self, group: str) -> None:
        """Read the group again next time, because the remembered answer was wrong."""
        with self._lock:
            self._groups.pop(group, None)

    def _fetch(self, group: str, apis: Mapping[str, Any] | None = None) -> Iterator[Served]:
        for version, path in self._versions(group, apis):
            try:
                answer = self._read(path)
            except NotFound:
                continue  # withdrawn between the two requests
            for entry in map(mapping, sequence(answer.get("resources"))):
                plural, kind = str(entry.get("name", "")), str(entry.get("kind", ""))
                if plural and kind and "/" not in plural:  # a subresource is not a kind of its own
                    yield Served(
                        group=group,
                        version=version,
                        plural=plural,
                        kind=kind,
                        namespaced=bool(entry.get("namespaced")),
                        singular=str(entry.get("singularName") or ""),
                        short_names=tuple(map(str, sequence(entry.get("shortNames")))),
                    )

    def _versions(self, group: str, apis: Mapping[str, Any] | None) -> Sequence[tuple[str, str]]:
        if not group:
            return (("v1", "/api/v1"),)
        return [
            (str(served["version"]), f"/apis/{group}/{served['version']}")
            for entry in map(mapping, sequence((self._read("/apis") if apis is None else apis).get("groups")))
            if entry.get("name") == group
            for served in map(mapping, sequence(entry.get("versions")))
            if served.get("version")
        ]


def _of_kind(served: Sequence[Served], kind: str) -> Sequence[Served]:
    """Return the entries of one kind, or all if `kind` is empty."""
    return [resource for resource in served if kind in {"", resource.kind}]
