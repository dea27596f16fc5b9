"""What a Kubernetes API server does with objects, kept in memory.

kmock's own emulator stores JSON as it comes: no UIDs, resource versions, selectors, pages, PUT, or dry run. The
product leans on each of these, so they are emulated here, each as the API conventions describe it; what the real one
refuses of any object is refused here by the same rules as in memory, which the contract suite holds against it. Left
out on purpose: schemas (the end-to-end suite has a real API server), garbage collection, watches, field ownership.
"""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jsonpatch

from tests.emulator.kubernetes.api_resources import NAMESPACE
from tests.emulator.kubernetes.api_selectors import Unreadable, matches_fields, matches_labels
from tests.fakes import cluster_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.emulator.kubernetes.api_resources import Resource

Content = dict[str, Any]


@dataclass(slots=True)
class Problem(Exception):
    """A refusal, as the API words it: becomes a `Status` document."""

    status: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What admission is asked about; it may change `new` in place, or raise `Problem`."""

    verb: str
    resource: Resource
    new: Content
    old: Content | None
    dry_run: bool
    privileged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one request is about."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    dry_run: bool = False
    privileged: bool = False

    @property
    def label(self) -> str:
        plural = f"{self.resource.plural}.{self.resource.group}".rstrip(".")
        return f'{plural} "{self.name}"'


class Objects:
    """Objects by resource, namespace and name. Not safe against threads: one event loop owns it."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], dict[tuple[str, str], Content]] = {}
        self._revision = 1
        self.admission: list[Callable[[Review], None]] = []

    def create(self, target: Target, body: Content) -> Content:
        new = copy.deepcopy(body)
        metadata = new.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{uuid.uuid4().hex[:5]}"
        name = str(metadata.get("name", ""))
        target = replace(target, name=name)
        self._check_new(target, metadata)
        for field in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(field, None)
        if target.resource.namespaced:
            metadata["namespace"] = target.namespace
        if target.resource.status and target.resource.key != NAMESPACE.key:
            new.pop("status", None)
        if target.resource.key == NAMESPACE.key:
            new.setdefault("status", {"phase": "Active"})
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": self._now(), "generation": 1}
        self._admit("CREATE", target, new, None)
        _demand_valid(target, cluster_rules.refusals(new))
        return self._keep(target, new)

    def get(self, target: Target) -> Content:
        stored = self._of(target.resource).get((target.namespace, target.name))
        if stored is None:
            raise Problem(404, "NotFound", f"{target.label} not found")
        return stored

    def list(
        self, target: Target, *, labels: str = "", fields: str = "", limit: int = 0, token: str = ""
    ) -> tuple[Sequence[Content], dict[str, Any]]:
        """Return one page and the list's metadata; without a namespace, the objects of all of them."""
        start = tuple(token.split("/", 1)) if token else ("", "")
        try:
            matches_labels(labels, {})  # refused also where there is nothing to choose from
            matches_fields(fields, target.resource.kind, {})
            matching = [
                (key, kept)
                for key, kept in sorted(self._of(target.resource).items())
                if key > start
                and (not target.namespace or key[0] == target.namespace)
                and matches_labels(labels, kept["metadata"].get("labels") or {})
                and matches_fields(fields, target.resource.kind, kept)
            ]
        except Unreadable as error:
            raise Problem(400, "BadRequest", error.message) from error
        page = matching[:limit] if limit else matching
        metadata: dict[str, Any] = {"resourceVersion": str(self._revision)}
        if len(page) < len(matching):
            metadata |= {"continue": "/".join(page[-1][0]), "remainingItemCount": len(matching) - len(page)}
        return [kept for _, kept in page], metadata

    def replace(self, target: Target, body: Content) -> Content:
        return self._update(target, body)

    def patch(self, target: Target, change: Any, content_type: str) -> Content:
        """Apply a merge, JSON or apply patch; strategic merge patches replace lists here."""
        if content_type.startswith("application/apply-patch"):
            key = (target.namespace, target.name)
            if key not in self._of(target.resource):
                return self.create(target, change)
        if content_type.startswith("application/strategic-merge-patch") and target.resource.custom:
            raise Problem(415, "UnsupportedMediaType", "custom resources accept no strategic merge patch")
        old = self.get(target)
        if content_type.startswith("application/json-patch"):
            return self._update(target, jsonpatch.apply_patch(old, change))
        return self._update(target, merged(old, change))

    def delete(self, target: Target, options: Content) -> Content:
        """Delete, or only mark for deletion while finalizers stand; honours preconditions."""
        kept = self.get(target)
        for field, wanted in (options.get("preconditions") or {}).items():
            if kept["metadata"].get(field) != wanted:
                raise Problem(409, "Conflict", f"{target.label}: precondition on {field} failed")
        if target.dry_run:
            return kept
        if kept["metadata"].get("finalizers"):
            if not kept["metadata"].get("deletionTimestamp"):
                marked = copy.deepcopy(kept)
                marked["metadata"] |= {"deletionTimestamp": self._now(), "deletionGracePeriodSeconds": 0}
                return self._keep(target, marked)
            return kept
        self._drop(target)
        return kept

    def _update(self, target: Target, wished: Content) -> Content:
        old, new = self.get(target), copy.deepcopy(wished)
        for key, requested in (("name", target.name), ("namespace", target.namespace)):
            if new.get("metadata", {}).get(key, requested) != requested:
                raise Problem(400, "BadRequest", f"the {key} of the object does not match the {key} on the URL")
        wanted = new.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            raise Problem(409, "Conflict", f"Operation cannot be fulfilled on {target.label}: it was modified")
        if target.subresource == "status":
            new = {**copy.deepcopy(old), "status": new.get("status", {})}
        else:
            new["metadata"] = metadata = cluster_rules.updated_metadata(old["metadata"], new.get("metadata") or {})
            metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
            if target.resource.status:
                new.pop("status", None)
                new |= {"status": copy.deepcopy(old["status"])} if "status" in old else {}
            if new.get("spec") != old.get("spec"):
                metadata["generation"] = old["metadata"]["generation"] + 1
            self._admit("UPDATE", target, new, old)
            changed = cluster_rules.update_refusals(old["metadata"], new["metadata"])
            _demand_valid(target, (*changed, *cluster_rules.refusals(new)))
        if not target.dry_run and new["metadata"].get("deletionTimestamp") and not _held(new):
            self._drop(target)
            return new
        return self._keep(target, new) if new != old else old  # as the real server: no change, no new version

    def _check_new(self, target: Target, metadata: Content) -> None:
        if metadata.get("resourceVersion"):
            raise Problem(500, "InternalError", "resourceVersion should not be set on objects to be created")
        if target.resource.namespaced:
            if metadata.get("namespace", target.namespace) != target.namespace:
                raise Problem(400, "BadRequest", "the namespace of the object does not match the request")
            within = self.get(Target(resource=NAMESPACE, name=target.namespace))
            if within["metadata"].get("deletionTimestamp"):
                message = f"unable to create new content in namespace {target.namespace} because it is being terminated"
                raise Problem(403, "Forbidden", f"{target.label} is forbidden: {message}")
        if (target.namespace, target.name) in self._of(target.resource):
            raise Problem(409, "AlreadyExists", f"{target.label} already exists")

    def _admit(self, verb: str, target: Target, new: Content, old: Content | None) -> None:
        review = Review(
            verb=verb,
            resource=target.resource,
            new=new,
            old=old,
            dry_run=target.dry_run,
            privileged=target.privileged,
        )
        for hook in self.admission:
            hook(review)

    def _keep(self, target: Target, new: Content) -> Content:
        if not target.dry_run:
            self._revision += 1
            new["metadata"]["resourceVersion"] = str(self._revision)
            self._of(target.resource)[target.namespace, target.name] = new
        return new

    def _drop(self, target: Target) -> None:
        self._revision += 1
        del self._of(target.resource)[target.namespace, target.name]
        if target.resource.key == NAMESPACE.key:
            for kept in self._kept.values():
                for key in [key for key in kept if key[0] == target.name]:
                    del kept[key]

    def _of(self, resource: Resource) -> dict[tuple[str, str], Content]:
        return self._kept.setdefault(resource.key, {})

    def _now(self) -> str:
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _demand_valid(target: Target, refused: Iterable[str]) -> None:
    if reason := next(iter(refused), ""):
        raise Problem(422, "Invalid", f'{target.resource.kind} "{target.name}" is invalid: {reason}')


def merged(old: Any, change: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396); neither argument is changed, but the result shares parts of them."""
    if not isinstance(change, dict):
        return change
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _held(kept: Content) -> bool:
    return bool(kept["metadata"].get("finalizers"))
