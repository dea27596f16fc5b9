"""The chart's files agree with each other and with the product; helm itself is asked in tests/e2e."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import yaml

from tests.tools import chart_schema
from velero_vmservice import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = chart_schema.SCHEMA.parent
VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")


def keys(values: Any, above: str = "") -> Iterator[str]:
    for key, value in values.items() if isinstance(values, dict) else ():
        yield above + key
        yield from keys(value, f"{above}{key}.")


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
    settings = {key for key in described(schema) if key.startswith("settings.")}
    maps = {"commonLabels.", "serviceAccount.annotations."}
    written = {key for key in keys(yaml.safe_load(VALUES)) if not key.startswith(tuple(maps))}
    assert set(described(schema)) - settings - {"global"} == written


def test_every_value_is_documented_where_it_stands() -> None:
    lines = VALUES.splitlines()
    undocumented = [
        line
        for before, line in pairwise(lines)
        if re.match(r" *[a-zA-Z]+:", line) and not before.lstrip().startswith("#")
    ]
    assert undocumented == []


def test_chart_is_of_the_product_s_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
