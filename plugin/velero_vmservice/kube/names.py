"""How Kubernetes spells names, labels and switches: as its API machinery (apimachinery, validation.go) and Go do."""

from __future__ import annotations

import re
from typing import Final

LABEL_LENGTH: Final = 63

_PATH_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[^/%?#\s]+")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}
"""The spellings of Go's strconv.ParseBool."""


def boolean(value: object) -> bool | None:
    """Return what a text means to a program in Go, e.g. in a ConfigMap; None for what it refuses."""
    return _BOOLEANS.get(value) if isinstance(value, str) else None


def is_path_segment(text: str) -> bool:
    """Say whether the text can stand for one object in a request's path, and cannot lead it elsewhere."""
    return _PATH_SEGMENT.fullmatch(text) is not None


def is_label_value(text: str) -> bool:
    """Say whether a label may have this value."""
    return not text or is_qualified_name(text)


def is_qualified_name(text: str) -> bool:
    """Say whether the text is letters, digits, `-`, `_` and `.`, a letter or digit at both ends."""
    return len(text) <= LABEL_LENGTH and _QUALIFIED.fullmatch(text) is not None
