"""Reads a label selector in the notation of kubectl's `-l` into a LabelSelector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.errors import InvalidItem

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY: Final = r"(?P<key>[A-Za-z0-9](?:[-./\w]*\w)?)"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-.\w]*[A-Za-z0-9])?)?"
_REQUIREMENT: Final = re.compile(
    rf"\s*(?:(?P<absent>!)\s*)?{_KEY}\s*"
    rf"(?:(?P<comparison>==?|!=)\s*(?P<value>{_VALUE})"
    rf"|(?P<membership>in|notin)\s*\((?P<values>\s*{_VALUE}\s*(?:,\s*{_VALUE}\s*)*)\))?\s*(?:,|$)"
)
"""One requirement and the comma after it (k8s.io/apimachinery, pkg/labels/selector.go)."""


def label_selector(written: str) -> Mapping[str, Any]:
    """Return the LabelSelector of a text such as `app=web,tier in (front,back),!old`; an empty text selects all.

    Raises `InvalidItem` for a text that kubectl would refuse.
    """
    labels, expressions, at = dict[str, str](), list["Mapping[str, Any]"](), 0
    while at < len(written):
        requirement = _REQUIREMENT.match(written, at)
        if requirement is None or (requirement["absent"] and (requirement["comparison"] or requirement["membership"])):
            raise InvalidItem(
                f'"{written}" is not a label selector',
                hint="write it as kubectl's -l, e.g. app=web,tier in (front,back)",
            )
        key, at = requirement["key"], requirement.end()
        match requirement["comparison"], requirement["membership"]:
            case (("=" | "=="), None) if key not in labels:
                labels[key] = requirement["value"]
            case (("=" | "=="), None):  # a second value for a key, which no object has
                expressions.append(_expression(key, "In", requirement["value"]))
            case "!=", None:
                expressions.append(_expression(key, "NotIn", requirement["value"]))
            case None, str(operator):
                values = [value.strip() for value in requirement["values"].split(",")]
                expressions.append(_expression(key, "In" if operator == "in" else "NotIn", *values))
            case _:
                expressions.append(_expression(key, "DoesNotExist" if requirement["absent"] else "Exists"))
    selector: dict[str, Any] = {}
    if labels:
        selector["matchLabels"] = labels
    if expressions:
        selector["matchExpressions"] = expressions
    return selector


def _expression(key: str, operator: str, *values: str) -> Mapping[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
