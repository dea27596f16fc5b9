"""Applies `spec.resourceModifier` of a Restore to a captured object, as Velero does to every other object.

Velero applies it to the objects that it creates. Replay creates groups and services, so replay applies it to them.
Rules, conditions and the reading of values are Velero's (internal/resourcemodifiers): conditions see the object of the
backup, in the backup's namespace. A rule that cannot be applied is an error, and the other rules still apply.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import jsonpatch
from jsonpointer import JsonPointerException

from velero_vmservice.kube import names
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.velero import glob

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION: Final = "v1"
_SEPARATOR: Final = "."
_FIXED: Final = ("apiVersion", "kind")
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPatch:
    """One operation of RFC 6902; its value is the text from the ConfigMap."""

    operation: str
    path: str
    source: str = ""
    value: str = ""

    def as_json(self) -> Any:
        """Return the operation as JSON; raises `ValueError` if Velero cannot read it either."""
        fields = f'"op": "{self.operation}", "from": "{self.source}", "path": "{self.path}"'
        return json.loads(f'{{{fields}, "value": {_value(self.value)}}}', parse_constant=_refuse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The objects to change, and their patches, all of one kind."""

    group_resource: str
    namespaces: tuple[str, ...] = ()
    name_pattern: str = ""
    selector: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[JsonPatch, ...] = ()
    """Conditions for the rule (`matches`)."""
    patches: tuple[JsonPatch, ...] = ()
    merge_patches: tuple[Any, ...] = ()
    strategic: bool = False
    """Whether it has strategic merge patches, which custom resources do not support."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modified:
    """An object after the rules, and the rules that could not be applied."""

    manifest: Manifest
    rules: int = 0
    """The number of applied rules."""
    problems: tuple[str, ...] = ()


class _NotApplied(Exception):
    """Raised with the reason when a rule cannot be applied."""


def modify(manifest: Manifest, rules: Sequence[Rule], *, resource: str) -> Modified:
    """Return the object after the rules; `resource` is its `plural.group`.

    Name, namespace, kind and API version stay as they were captured.
    """
    content, applied, problems = manifest.editable(), 0, list[str]()
    for number, rule in enumerate(rules, start=1):
        try:
            if _matches(manifest, rule, resource):
                content = _patched(content, rule)
                applied += 1
        except _NotApplied as error:
            problems.append(f"rule {number} of the resource modifier cannot be applied: {error}")
    problems += _put_back(content, manifest)
    return Modified(manifest=Manifest(content), rules=applied, problems=tuple(problems))


def _matches(manifest: Manifest, rule: Rule, resource: str) -> bool:
    if manifest.namespace and not glob.is_included(manifest.namespace, rule.namespaces, ()):
        return False
    pattern = glob.compiled(rule.group_resource, _SEPARATOR)
    if pattern is None:
        raise _NotApplied(f"{rule.group_resource} is not a valid resource pattern")
    if not pattern.fullmatch(resource) or not _is_named(manifest.name, rule.name_pattern):
        return False
    return names.matches(rule.selector, manifest.labels) and _passes(manifest.content, rule.tests)


def _is_named(name: str, pattern: str) -> bool:
    """Say whether a name matches the pattern of a rule; a pattern that Python reads differently from Go is refused."""
    if "[[:" in pattern:
        raise _NotApplied(f"resourceNameRegex {pattern}: classes such as [[:alpha:]] are not supported; write [a-z]")
    try:
        return re.search(pattern, name) is not None
    except re.error as error:
        raise _NotApplied(f"resourceNameRegex {pattern}: {error}") from error


def _passes(content: Mapping[str, Any], tests: Sequence[JsonPatch]) -> bool:
    try:
        jsonpatch.apply_patch(content, _operations(tests))
    except (jsonpatch.JsonPatchTestFailed, jsonpatch.JsonPatchConflict, JsonPointerException):
        return False
    except jsonpatch.JsonPatchException as error:
        raise _NotApplied(f"matches: {error}") from error
    return True


def _patched(content: dict[str, Any], rule: Rule) -> dict[str, Any]:
    if rule.patches:
        try:
            patched = jsonpatch.apply_patch(content, _operations(rule.patches))
        except jsonpatch.JsonPatchTestFailed:  # not an error: the object stays as it is
            return content
        except (jsonpatch.JsonPatchException, JsonPointerException, TypeError) as error:
            raise _NotApplied(str(error)) from error
        if not isinstance(patched, dict):
            raise _NotApplied("patches: the result is not an object")
        return patched
    if rule.merge_patches:
        for patch in rule.merge_patches:
            content = merged(content, patch)
        if not isinstance(content, dict):
            raise _NotApplied("mergePatches: the result is not an object")
        return content
    if rule.strategic:
        raise _NotApplied("strategicPatches do not work on custom resources, in Velero either: use mergePatches")
    raise _NotApplied("the rule has no patches")


def _operations(patches: Sequence[JsonPatch]) -> list[Any]:
    try:
        return [patch.as_json() for patch in patches]
    except ValueError as error:
        raise _NotApplied(f"a patch is not JSON: {error}") from error


def _put_back(content: dict[str, Any], before: Manifest) -> list[str]:
    """Undo changes to the object's identity; return a sentence for each."""
    problems = []
    metadata = content.get("metadata")
    if not isinstance(metadata, dict):
        content["metadata"] = metadata = {}
    for holder, keys, was in (
        (content, _FIXED, before.content),
        (metadata, ("name", "namespace"), before.content["metadata"]),
    ):
        for key in keys:
            if holder.get(key) != was.get(key):
                problems.append(f"the resource modifier cannot change {key} of a group or service: left as captured")
                holder[key] = copy.deepcopy(was.get(key))
    return problems


def merged(target: Any, change: Any) -> Any:
    """Return `target` after a JSON merge patch: null removes, objects merge, other values replace (RFC 7386)."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = copy.deepcopy(dict(target)) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _value(text: str) -> str:
    """Return a value as Velero writes it into its patch: quoted unless it looks like JSON (json_patch.go)."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return text
    looks_like_json = text == "null" or text.lower() in ("true", "false") or text[:1] in ("{", "[")
    looks_like_json |= text.lower().lstrip("+-") in ("inf", "infinity", "nan")  # numbers in Go, but not JSON
    return text if looks_like_json or _NUMBER.fullmatch(text) else f'"{text}"'


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")
