"""The keys of docs/configuration.md: what the settings' own models say of them."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from velero_vmservice.core.settings_faults import section_of
from velero_vmservice.core.settings_section import choices_of
from velero_vmservice.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

NOTHING = "none"


def tables() -> Iterator[str]:
    """Yield one table for the plain keys, then one for each section, below its own heading."""
    sections = {name: section_of(field.annotation) for name, field in Settings.model_fields.items()}
    yield _table("General", Settings, above="", keys=[name for name, section in sections.items() if section is None])
    for name, section in sections.items():
        if section is not None:
            yield _table(name, section, above=f"{name}.", keys=list(section.model_fields))


def _table(heading: str, model: type[BaseModel], *, above: str, keys: list[str]) -> str:
    purpose, _, _ = (inspect.getdoc(model) or "").partition("\n\n")
    lines = [
        f"### {heading}",
        "",
        purpose.replace("\n", " "),
        "",
        "| key | default | other values, or an example | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name in keys:
        field = model.model_fields[name]
        default = _default(model, name, field)
        others = [value for value in _values(field) if value != default]
        shown = "required" if field.is_required() else _code(default)
        cells = (_code(above + name), shown, ", ".join(map(_code, others)) or NOTHING, field.description)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join((*lines, ""))


def _values(field: FieldInfo) -> tuple[str, ...]:
    if field.annotation is bool:
        return ("true", "false")
    return choices_of(field.annotation) or tuple(field.examples or ())


def _default(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """Return the default as YAML spells it; '' where a key has none."""
    if field.is_required():
        return ""
    value = _as_written(model, name, field.default)
    if value is None or value == "":
        return ""
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _as_written(model: type[BaseModel], name: str, value: Any) -> Any:
    return model.model_construct(**{name: value}).model_dump(mode="json", include={name})[name]


def _code(text: str) -> str:
    return f"`{text}`" if text else NOTHING
