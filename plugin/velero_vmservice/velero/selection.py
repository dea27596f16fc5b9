"""Which captured objects a Velero Restore includes, by its namespaces, resources and labels, as Velero reads them.

Only the command line needs this, because it finds the objects in the capture, not in Velero's archive. A filter may
name a resource in many ways. Velero resolves the name by the API server's discovery (pkg/discovery/helper.go) and
matches the full name, `plural.group`, against patterns (pkg/util/collections/includes_excludes.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.kube.manifest import mapping, sequence
from velero_vmservice.kube.names import VM_OPERATOR_RESOURCES, NamedResource, full_name, matches
from velero_vmservice.velero.glob import is_included

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.kube.manifest import ObjectRef

_ALL: Final = "*"
_LISTS: Final = ("included", "excluded")


def asks_for_labels(spec: Mapping[str, Any]) -> bool:
    """Say whether a spec filters objects by labels."""
    return bool(spec.get("labelSelector") or spec.get("orLabelSelectors"))


def names_resources(spec: Mapping[str, Any]) -> bool:
    """Say whether a spec's filters name a resource, which needs discovery."""
    lists = (spec.get("includedResources"), spec.get("excludedResources"))
    return any(name != _ALL for listed in lists for name in sequence(listed))


def selected(
    spec: Mapping[str, Any],
    ref: ObjectRef,
    labels: Mapping[str, str] | None,
    *,
    served: Sequence[NamedResource] = VM_OPERATOR_RESOURCES,
) -> bool:
    """Say whether a Restore with this spec restores an object of its backup.

    Unknown labels, None, exclude nothing. `served` is the API server's list of resources, to resolve the names in the
    filters.
    """
    excluded = [name for name in _names(spec, "excludedResources", served) if name != _ALL]  # Velero ignores it
    return (
        includes_namespace(spec, ref.namespace)
        and is_included(ref.kind.resource, _names(spec, "includedResources", served), excluded)
        and (labels is None or _labelled(spec, labels))
    )


def includes_namespace(spec: Mapping[str, Any], namespace: str) -> bool:
    """Say whether a Backup or a Restore with this spec includes a namespace."""
    included, excluded = ([str(name) for name in sequence(spec.get(f"{which}Namespaces"))] for which in _LISTS)
    return is_included(namespace, included, excluded)


def _names(spec: Mapping[str, Any], field: str, served: Sequence[NamedResource]) -> list[str]:
    return [str(name) if name == _ALL else full_name(str(name), served) for name in sequence(spec.get(field))]


def _labelled(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Apply labelSelector, or else orLabelSelectors, of which at least one has to match."""
    alternatives = sequence(spec.get("orLabelSelectors"))
    if alternatives:
        return any(matches(mapping(alternative), labels) for alternative in alternatives)
    return matches(mapping(spec.get("labelSelector")), labels)
