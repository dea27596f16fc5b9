"""Names, labels, selectors and switches by the rules of Kubernetes' API machinery (apimachinery)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.kube.manifest import (
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    Kind,
    mapping,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LABEL_LENGTH: Final = 63

_PATH_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[^/%?#\s]+")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}
"""The spellings of Go's strconv.ParseBool."""


def boolean(value: object) -> bool | None:
    """Return a text as a boolean by Go's rules, e.g. from a ConfigMap; None if Go would refuse it."""
    return _BOOLEANS.get(value) if isinstance(value, str) else None


def is_path_segment(text: str) -> bool:
    """Say whether the text names one object in a request's path, and cannot lead to another path."""
    return _PATH_SEGMENT.fullmatch(text) is not None


def is_label_value(text: str) -> bool:
    """Say whether a label may have this value."""
    return not text or is_qualified_name(text)


def is_qualified_name(text: str) -> bool:
    """Say whether the text is letters, digits, `-`, `_` and `.`, a letter or digit at both ends."""
    return len(text) <= LABEL_LENGTH and _QUALIFIED.fullmatch(text) is not None


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether labels satisfy a LabelSelector (LabelSelectorAsSelector).

    An empty selector matches all labels, an unknown operator none.
    """
    wanted = mapping(selector.get("matchLabels"))
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(mapping(expression), labels) for expression in sequence(selector.get("matchExpressions"))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedResource:
    """One resource with all its names, as the API server lists it."""

    kind: Kind
    singular: str = ""
    short_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        """Plural and singular; a server without a singular uses the kind's name in lower case."""
        return self.kind.plural, self.singular or self.kind.name.lower()


VM_OPERATOR_RESOURCES: Final = (
    NamedResource(kind=VIRTUAL_MACHINE, short_names=("vm",)),
    NamedResource(kind=VIRTUAL_MACHINE_GROUP, short_names=("vmg",)),
    NamedResource(kind=VIRTUAL_MACHINE_SERVICE, short_names=("vmservice",)),
)
"""Names from VM Operator's definitions (api/v1alpha5, kubebuilder:resource), for use without discovery."""


def full_name(name: str, served: Sequence[NamedResource]) -> str:
    """Return `plural.group` of the resource with this name; the name itself if there is none.

    A name in one of Velero's filters is a plural, singular, kind or short name, with or without a group. Velero has
    kubectl's shortcut expander (client-go, restmapper/shortcut.go) resolve it before apimachinery's RESTMapper
    (pkg/api/meta/restmapper.go; Velero's pkg/discovery/helper.go, ResourceFor).

    `served` is in the API server's order of preference for groups: the first of several resources counts.
    """
    resource, _, group = name.partition(".")
    resource, group = _expanded(resource, group, served)
    for candidate in served:
        if candidate.kind.group.startswith(group) and resource.lower() in candidate.names:
            return candidate.kind.resource
    return name


def _expanded(resource: str, group: str, served: Sequence[NamedResource]) -> tuple[str, str]:
    """Replace a short name by the resource's own; short names are case-sensitive."""
    of_group = [candidate for candidate in served if group in ("", candidate.kind.group)]
    if any(resource in candidate.names for candidate in of_group):
        return resource, group
    by_prefix = [candidate for candidate in served if group and candidate.kind.group.startswith(group)]
    for candidate in (*of_group, *by_prefix):
        if resource in candidate.short_names:
            return candidate.kind.plural, candidate.kind.group
    return resource, group
