"""Label and field selectors as the Kubernetes API reads them from a query."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TERM: Final = re.compile(
    r"\s*(?P<absent>!\s*)?(?P<key>[\w./-]+)\s*"
    r"(?:(?P<op>==|!=|=)\s*(?P<value>[\w.-]*)|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?\s*(?:,|$)"
)


def matches_labels(selector: str, labels: Mapping[str, str]) -> bool:
    """Say whether labels satisfy `a=b,c!=d,e,!f,g in (h,i)`."""
    return all(_matches(term, labels) for term in _TERM.finditer(selector))


def _matches(term: re.Match[str], labels: Mapping[str, str]) -> bool:
    key, value = term["key"], labels.get(term["key"])
    if term["absent"]:
        return value is None
    if term["set"]:
        listed = {entry.strip() for entry in term["values"].split(",")}
        return (value in listed) == (term["set"] == "in")
    if term["op"]:
        return (value == term["value"]) == (term["op"] != "!=")
    return key in labels


def matches_fields(selector: str, content: Mapping[str, Any]) -> bool:
    """Say whether an object satisfies `metadata.name=x,involvedObject.uid!=y`; any path may be named here."""
    for term in filter(None, selector.split(",")):
        path, operator, wanted = re.split(r"(!=|==|=)", term, maxsplit=1)
        value: Any = content
        for part in path.split("."):
            value = value.get(part, "") if isinstance(value, dict) else ""
        if (str(value) == wanted) == (operator == "!="):
            return False
    return True
