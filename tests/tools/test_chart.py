"""The chart's files agree with each other and with the product; helm itself is asked in tests/e2e."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from tests.tools import chart_schema
from velero_vmservice import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = chart_schema.SCHEMA.parent
FREE = {"velero.podLabels.", "metrics.dashboard.labels."}
VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")


def written(node: yaml.Node | None, above: str = "") -> dict[str, int]:
    """Return the line of each key of values.yaml, but of those that a user is free to name."""
    if not isinstance(node, yaml.MappingNode) or above in FREE:
        return {}
    keys = {}
    for key, value in node.value:
        keys[above + key.value] = key.start_mark.line
        keys |= written(value, f"{above}{key.value}.")
    return keys


def described(schema: Any, above: str = "") -> Iterator[str]:
    for key, value in schema.get("properties", {}).items():
        yield above + key
        if value.get("additionalProperties") is False:
            yield from described(value, f"{above}{key}.")


def test_schema_of_the_settings_is_what_their_models_say() -> None:
    schema = chart_schema.SCHEMA.read_text(encoding="utf-8")
    assert schema == chart_schema.rendered(schema), "run `make docs`"


def test_every_object_of_the_schema_is_closed_or_a_map_of_one_s_own() -> None:
    def open_objects(schema: Any, path: str) -> Iterator[str]:
        if isinstance(schema, dict):
            if "properties" in schema and schema.get("type") == "object" and "additionalProperties" not in schema:
                yield path
            for key, value in schema.items():
                yield from open_objects(value, f"{path}/{key}")

    assert list(open_objects(json.loads(chart_schema.SCHEMA.read_text(encoding="utf-8")), "")) == []


def test_values_and_schema_have_the_same_keys() -> None:
    schema = json.loads(chart_schema.SCHEMA.read_text(encoding="utf-8"))
    in_schema = {key for key in described(schema) if not key.startswith("settings.")}
    assert in_schema - {"global"} == set(written(yaml.compose(VALUES)))


def test_every_value_is_documented_where_it_stands() -> None:
    lines = VALUES.splitlines()
    keys = written(yaml.compose(VALUES)).items()
    assert [key for key, line in keys if not lines[line - 1].lstrip().startswith("#")] == []


def test_chart_is_of_the_product_s_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
