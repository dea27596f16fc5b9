"""Label and field selectors as the Kubernetes API reads them from a query; what it cannot read it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.fakes.kubernetes_names import is_label_key
from velero_vmservice.kube.names import is_label_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TERM: Final = re.compile(
    r"\s*(?P<absent>!\s*)?(?P<key>[^\s,=!()]+)\s*"
    r"(?:(?P<op>==|!=|=)\s*(?P<value>[^\s,=!()]*)|(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?\s*(?:,|$)"
)
_FIELDS: Final = frozenset({"metadata.name", "metadata.namespace"})
"""What every kind can be chosen by; for a custom resource there is no more."""
_FIELDS_OF: Final[Mapping[str, frozenset[str]]] = {
    "Event": frozenset(
        f"involvedObject.{field}" for field in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")
    )
    | {"reason", "type", "source", "reportingComponent"},
    "Namespace": frozenset({"status.phase"}),
    "Pod": frozenset({"spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"}),
    "Secret": frozenset({"type"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
}


@dataclass(slots=True)
class Unreadable(Exception):
    """A selector that the API server answers with 400."""

    message: str


def matches_labels(selector: str, labels: Mapping[str, str]) -> bool:
    """Say whether labels satisfy `a=b,c!=d,e,!f,g in (h,i)`; raises `Unreadable`."""
    return all(_matches(term, labels) for term in _terms(selector))


def _terms(selector: str) -> Sequence[re.Match[str]]:
    terms, position = list[re.Match[str]](), 0
    while position < len(selector):
        term = _TERM.match(selector, position)
        if term is None:
            raise Unreadable(f"unable to parse requirement: found '{selector[position:]}'")
        if not is_label_key(term["key"]):
            raise Unreadable(f'unable to parse requirement: key: Invalid value: "{term["key"]}"')
        for value in _values(term):
            if not is_label_value(value):
                raise Unreadable(f'unable to parse requirement: values[0][{term["key"]}]: Invalid value: "{value}"')
        terms.append(term)
        position = term.end()
    return terms


def _values(term: re.Match[str]) -> Sequence[str]:
    if term["set"]:
        return [entry.strip() for entry in term["values"].split(",")]
    return [term["value"]] if term["op"] else []


def _matches(term: re.Match[str], labels: Mapping[str, str]) -> bool:
    key, value = term["key"], labels.get(term["key"])
    if term["absent"]:
        return value is None
    if term["set"]:
        return (value in _values(term)) == (term["set"] == "in")
    if term["op"]:
        return (value == term["value"]) == (term["op"] != "!=")
    return key in labels


def matches_fields(selector: str, kind: str, content: Mapping[str, Any]) -> bool:
    """Say whether an object satisfies `metadata.name=x,involvedObject.uid!=y`; raises `Unreadable`."""
    for term in filter(None, selector.split(",")):
        path, operator, wanted = re.split(r"(!=|==|=)", term, maxsplit=1)
        if path not in _FIELDS | _FIELDS_OF.get(kind, frozenset()):
            raise Unreadable(f'field label not supported: "{path}"')
        value: Any = content
        for part in path.split("."):
            value = value.get(part, "") if isinstance(value, dict) else ""
        if (str(value) == wanted) == (operator == "!="):
            return False
    return True
