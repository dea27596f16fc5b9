"""Which captured objects a Velero Restore is about: its namespaces, resources and labels, as Velero reads them.

Needed only where no Velero calls: the command line finds the objects in the capture, not in Velero's archive.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from velero_vmservice.core.manifest import mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.core.manifest import ObjectRef


def asks_for_labels(spec: Mapping[str, Any]) -> bool:
    """Say whether an object's labels decide whether a Restore with this spec restores it."""
    return bool(spec.get("labelSelector") or spec.get("orLabelSelectors"))


def selected(spec: Mapping[str, Any], ref: ObjectRef, labels: Mapping[str, str] | None) -> bool:
    """Say whether a Restore with this spec restores an object of its backup.

    Labels that are not known, None, exclude nothing.
    """
    resource_names = {ref.kind.resource, ref.kind.plural}
    return (
        includes_namespace(spec, ref.namespace)
        and _included(resource_names, sequence(spec.get("includedResources")), sequence(spec.get("excludedResources")))
        and (labels is None or _labelled(spec, labels))
    )


def includes_namespace(spec: Mapping[str, Any], namespace: str) -> bool:
    """Say whether a Backup or a Restore with this spec is about a namespace."""
    included, excluded = (sequence(spec.get(key)) for key in ("includedNamespaces", "excludedNamespaces"))
    return _included({namespace}, included, excluded)


def _included(names: set[str], included: Sequence[str], excluded: Sequence[str]) -> bool:
    def among(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, str(pattern)) for pattern in patterns for name in names)

    return (not included or among(included)) and not among(excluded)


def _labelled(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Apply labelSelector, else orLabelSelectors, of which one has to match."""
    alternatives = sequence(spec.get("orLabelSelectors"))
    if alternatives:
        return any(_matches(mapping(one), labels) for one in alternatives)
    return _matches(mapping(spec.get("labelSelector")), labels)


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = mapping(selector.get("matchLabels"))
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(mapping(one), labels) for one in sequence(selector.get("matchExpressions"))
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = str(expression.get("key")), sequence(expression.get("values"))
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
