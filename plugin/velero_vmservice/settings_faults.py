"""Faults of settings, in sentences without values: a value in the wrong place may be a password.

An unknown key is quoted only as far as it looks like a key. `{password:S3cret}` is one key to YAML, so it ends at its
colon.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]
"""The path of a value: `("restricted", "add", 0)`."""

FAULT_OF_KEY: Final = "setting"
"""The type of a pydantic error about the key in its context's `at`, not about the model that raises it."""

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_NUMBER: Final = "has to be a number"
_TEXT: Final = "has to be text"
_BOOLEAN: Final = "has to be true or false"
_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": _TEXT,
    "string_too_short": "is empty",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than": "has to be greater than {gt:g}",
    "greater_than_equal": "has to be at least {ge:g}",
    "less_than_equal": "has to be at most {le:g}",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "path_type": "has to be a path",
    "string_pattern_mismatch": "has no valid form",
    "tuple_type": "has to be a list, such as [a, b]",
}
"""By pydantic's type of error; for other types the validator has the sentence, or there is none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, at one place of the settings."""

    path: Path
    sentence: str
    """The fault, with the key: `unknown key restore.conflct; did you mean conflict?`."""
    hint: str = ""


def faults_in(error: ValidationError, model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield pydantic's faults of the values, in the settings' own terms."""
    for details in error.errors(include_url=False, include_input=False):
        path = _path_of(details)
        if details["type"] == "extra_forbidden":
            yield _unknown(path, model, has_value=_reach(values, path) is not None)
        else:
            empty = details["type"] != "missing" and _reach(values, tuple(details["loc"])) is None
            yield Fault(path, f"{dotted(path)} {'has no value' if empty else _sentence(details, path, model)}")


def closest(word: str, known: Iterable[str]) -> str:
    """Return the most similar of the known words; '' if none is similar."""
    spelled = {name.lower().replace("-", "_"): name for name in known}
    alike = difflib.get_close_matches(word.lower().replace("-", "_"), spelled, n=1)
    return spelled[alike[0]] if alike else ""


def did_you_mean(suggestion: str) -> str:
    """Return the end of a sentence with a suggestion; '' without one."""
    return f"; did you mean {suggestion}?" if suggestion else ""


def dotted(path: Path) -> str:
    """Return a path in the usual notation: `restricted.add[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def keys_of(model: type[BaseModel], path: Path = ()) -> tuple[str, ...]:
    """Return the keys of the section at the path, in alphabetical order."""
    section = _model_at(model, path)
    return tuple(sorted(section.model_fields)) if section else ()


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section of a setting, or of each entry of its list; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section_of, get_args(annotation))), None)


def _path_of(details: ErrorDetails) -> Path:
    if details["type"] == FAULT_OF_KEY:
        return tuple(str(details.get("ctx", {})["at"]).split("."))
    return tuple(details["loc"])


def _unknown(path: Path, model: type[BaseModel], *, has_value: bool) -> Fault:
    """Describe an unknown key; a key without a value is shown only if it resembles a known one."""
    *above, last = path
    section = tuple(above)
    known = keys_of(model, section)
    head, colon, _ = str(last).partition(":")
    hint = f"use a key of {dotted(section) or 'the settings'}: {', '.join(known)}"
    if colon and head in known:
        return Fault(path, f"{dotted((*section, head))} has no blank after its colon", hint)
    key = head if _KEY.fullmatch(head) else ""
    meant = closest(key, known) or _elsewhere(key, model)
    if not key or not (has_value or meant):
        place = f" in {dotted(section)}" if section else ""
        return Fault(path, f"unknown key{place}, with no value" if key else f"unknown key{place}", hint)
    return Fault(path, f"unknown key {dotted((*section, key))}{did_you_mean(meant)}", hint)


def _elsewhere(key: str, model: type[BaseModel]) -> str:
    """Return the right place of a key on the wrong level; '' if no level has it, or several do."""
    sections = {name: section_of(field.annotation) for name, field in model.model_fields.items()}
    places = [key] if key in sections else []
    places += [f"{name}.{key}" for name, section in sections.items() if section and key in section.model_fields]
    return places[0] if len(places) == 1 else ""


def _sentence(details: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "literal_error":
        return f"has to be {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if kind == FAULT_OF_KEY:
        return details["msg"]
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        keys = ", ".join(keys_of(model, path))
        return f"has to be a section, with the keys {keys}" if keys else "has to be a section"
    return _SENTENCES.get(kind, "has no valid value").format(**context)


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    section: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or section is None:
            continue
        field = section.model_fields.get(part)
        section = section_of(field.annotation) if field else None
    return section


def _reach(values: Any, path: Path) -> Any:
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values
