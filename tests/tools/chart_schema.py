"""`make docs`: what the chart's schema says of the plugin's settings, from the settings' own models.

The rest of values.schema.json is written by hand. A setting that cannot take effect in a ConfigMap, or does not belong
there, is left out: the schema is closed, so that Helm refuses it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from velero_vmservice.settings.reading import Settings

SCHEMA: Final = Path(__file__).parents[2] / "charts" / "velero-plugin-for-vmservice" / "values.schema.json"

_OF_THE_START: Final = frozenset({"velero_namespace", "drain_seconds", "socket_group_access", "metrics"})
_SECRET: Final = "writeOnly"
_NOT_FOR_HELM: Final = frozenset({"title", "default", "examples", "format"})
"""Names and defaults are in docs/configuration.md; a Go duration is none of JSON Schema's."""
_BOOLEANS: Final = {"on": True, "yes": True, "off": False, "no": False}
"""Helm reads these words as booleans, and the settings take a boolean for them."""
_AS_TEXT: Final = {True: "true", False: "false"}
"""What `--set-string` makes of a boolean; the settings take it as well."""
_POSITIVE: Final = r"^([0-9]*[1-9][0-9]*(\.[0-9]*)?|[0-9]*\.[0-9]*[1-9][0-9]*)$"
"""A number above zero that is text, as `--set-string` and an environment variable write it."""


def rendered(schema: str) -> str:
    """Return the schema with its generated parts made anew."""
    values = json.loads(schema)
    settings = Settings.model_json_schema()
    sections = {name: _section(section) for name, section in settings.pop("$defs").items()}
    values["properties"]["settings"] = _section(settings)
    values["$defs"] = sections
    return json.dumps(values, indent=2) + "\n"


def _section(section: dict[str, Any]) -> dict[str, Any]:
    """Return what the chart accepts of one section."""
    kept: dict[str, Any] = _plain(section)
    if "properties" not in kept:
        return kept
    keys = section["properties"]
    secrets = {key for key, setting in keys.items() if _is_secret(setting)}
    kept["properties"] = {
        key: _setting(setting) for key, setting in keys.items() if key not in _OF_THE_START and key not in secrets
    }
    del kept["description"]  # a docstring of the code
    if secrets:
        kept["required"] = [*kept.get("required", ()), *(f"{key}_file" for key in sorted(secrets))]
    return kept


def _setting(setting: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = _plain(setting)
    if "$ref" in kept:
        return {"$ref": kept["$ref"]}
    choices = kept.get("enum", ())
    if booleans := sorted({_BOOLEANS[choice] for choice in choices if choice in _BOOLEANS}):
        kept.pop("type")
        kept["enum"] = [*choices, *booleans, *(_AS_TEXT[boolean] for boolean in booleans)]
    return _in_both_forms(kept)


def _in_both_forms(setting: dict[str, Any]) -> dict[str, Any]:
    """Return a boolean or number so that its text is valid too."""
    match setting:
        case {"type": "boolean", **others}:
            return {**others, "enum": [True, False, *_AS_TEXT.values(), *_BOOLEANS]}
        case {"type": "number", "exclusiveMinimum": 0, "description": description, **limits}:
            number = {"type": "number", "exclusiveMinimum": 0, **limits}
            return {"description": description, "anyOf": [number, {"type": "string", "pattern": _POSITIVE}]}
        case _:
            return setting


def _plain(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: _plain(value) for key, value in part.items() if key not in _NOT_FOR_HELM or isinstance(value, dict)
        }
    return [_plain(entry) for entry in part] if isinstance(part, list) else part


def _is_secret(setting: dict[str, Any]) -> bool:
    return any(kind.get(_SECRET) for kind in (setting, *setting.get("anyOf", ())))


if __name__ == "__main__":
    SCHEMA.write_text(rendered(SCHEMA.read_text(encoding="utf-8")), encoding="utf-8")
