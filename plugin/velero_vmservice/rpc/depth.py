"""How deep foreign JSON may be nested, so that whatever reads, copies or writes it ends well."""

from __future__ import annotations

from typing import Any, Final

MOST_LEVELS: Final = 128
"""Kubernetes' deepest objects, CustomResourceDefinitions, stay well below. What follows takes more: the JSON parser of
stored documents ends at 200 levels, the writer of items at 254, and a copy takes two frames of the stack a level.
"""


def is_too_deep(content: Any) -> bool:
    """Say whether a value of JSON has more than `MOST_LEVELS` objects and arrays within each other."""
    level = [content] if isinstance(content, (dict, list)) else []
    for _ in range(MOST_LEVELS):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return bool(level)
