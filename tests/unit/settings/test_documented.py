"""Every documented key takes every documented value, through a file, a variable and an annotation.

The page's keys are generated from the models; here a value is read from the page and given as a user gives it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from velero_vmservice.restore.policy import RestorePolicy, effective
from velero_vmservice.settings import reading
from velero_vmservice.settings_faults import section_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
ROW = re.compile(
    r"^\| `(?P<key>[a-z0-9_.]+)` \| (?P<default>`[^`]+`|required|none) \| (?P<others>.+?) \| (?P<meaning>.+) \|$",
    re.MULTILINE,
)
NEEDED = {
    "bucket": {"name": "captures"},
    "vcenter": {"server": "vc.example.com", "user": "velero", "password": "s3cret"},
    "engine": {"target": "engine:8443"},
}
"""What a section needs beside the key in question."""


def documented() -> Iterator[tuple[str, str]]:
    for row in ROW.finditer(PAGE.read_text(encoding="utf-8")):
        for value in re.findall(r"`([^`]+)`", f"{row['default']} {row['others']}"):
            yield row["key"], value


def defaults() -> dict[str, str]:
    """The documented default of each key; '' where a key has none."""
    rows = ROW.finditer(PAGE.read_text(encoding="utf-8"))
    return {
        row["key"]: row["default"].strip("`") if row["default"] != "none" else ""
        for row in rows
        if row["default"] != "required"
    }


def all_keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is None or name == "subnet_mappings":
            yield above + name
        else:
            yield from all_keys(section, f"{above}{name}.")


def expected(key: str, value: str) -> Any:
    """What a documented value means: lists, numbers and booleans as YAML reads them, and all else as it stands."""
    as_it_stands = value in {"on", "off", "yes", "no"} or key in {"vcenter.server", "bucket.kms_key_id"}
    return value if as_it_stands else yaml.safe_load(value)


def reached(settings: reading.Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    if key.startswith("restore."):
        return settings.restore.printed()[key.removeprefix("restore.").replace("_", "-")]
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return [entry.model_dump() if isinstance(entry, BaseModel) else entry for entry in value]
    return str(value) if isinstance(value, Path) else value


def companions(key: str) -> dict[str, dict[str, Any]]:
    sections = {name: dict(keys) for name, keys in NEEDED.items()}
    if key == "vcenter.password_file":
        del sections["vcenter"]["password"]
    if key in {"engine.certificate_file", "engine.key_file"}:
        sections["engine"] |= {"certificate_file": "/a", "key_file": "/b"}
    return sections


@pytest.fixture(name="environment", autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name.startswith("VMSERVICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(reading, "DEFAULT_FILE", tmp_path / "nothing.yaml")
    return monkeypatch


def test_every_key_is_documented_and_no_other() -> None:
    assert {key for key, _ in documented()} == set(all_keys(reading.Settings))


def test_every_key_has_a_meaning_and_an_example() -> None:
    rows = list(ROW.finditer(PAGE.read_text(encoding="utf-8")))
    assert [row["key"] for row in rows if row["meaning"] == "None" or row["others"] == "none"] == []


@pytest.mark.parametrize(("key", "value"), list(defaults().items()))
def test_a_key_that_is_left_out_has_the_documented_default(
    environment: pytest.MonkeyPatch, tmp_path: Path, key: str, value: str
) -> None:
    section, _, name = key.rpartition(".")
    needed = {part: value for part, value in NEEDED.get(section, {}).items() if part != name}
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({section: needed} if needed else {}))
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    if key == "vcenter.password":
        environment.setenv("VMSERVICE_VCENTER__PASSWORD_FILE", "/a")
    assert reached(reading.load(), key) in ((None, "") if value == "" else (expected(key, value),))


@pytest.mark.parametrize(("key", "value"), list(documented()))
@pytest.mark.parametrize("quoted", [False, True], ids=["plain", "quoted"])
def test_a_file_takes_it(
    environment: pytest.MonkeyPatch, tmp_path: Path, key: str, value: str, *, quoted: bool
) -> None:
    section, _, name = key.rpartition(".")
    is_address = key == "vcenter.server"  # in brackets, which else begin a list
    written = f"'{value}'" if is_address or (quoted and not value.startswith("[")) else value
    sections = companions(key)
    given = {
        part: "".join(f"  {each}: {held}\n" for each, held in keys.items() if f"{part}.{each}" != key)
        for part, keys in sections.items()
    }
    if section:
        given[section] = f"  {name}: {written}\n{given.get(section, '')}"
    file = tmp_path / "settings.yaml"
    file.write_text(
        ("" if section else f"{name}: {written}\n") + "".join(f"{part}:\n{keys}" for part, keys in given.items())
    )
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    assert reached(reading.load(), key) == expected(key, value)


@pytest.mark.parametrize(("key", "value"), list(documented()))
def test_a_variable_takes_it(environment: pytest.MonkeyPatch, key: str, value: str) -> None:
    for section, keys in companions(key).items():
        for name, held in keys.items():
            environment.setenv(f"VMSERVICE_{section}__{name}".upper(), held)
    environment.setenv("VMSERVICE_" + key.upper().replace(".", "__"), value)
    assert reached(reading.load(), key) == expected(key, value)


@pytest.mark.parametrize(("key", "value"), [example for example in documented() if example[0].startswith("restore.")])
def test_an_annotation_takes_it(key: str, value: str) -> None:
    name = key.removeprefix("restore.").replace("_", "-")
    printed = effective(RestorePolicy(), {f"velero-plugin-for-vmservice/{name}": value}).printed()
    assert printed[name] == ("retain" if value == "existing-resource-policy" else value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("restore: {power: on}", {"power": "on"}),
        ("restore: {power: true}", {"power": "on"}),
        ("restore: {power: ON, probe: Off}", {"power": "on", "probe": "off"}),
        ("restore: {probe: false}", {"probe": "off"}),
    ],
)
def test_a_file_may_spell_a_boolean_as_helm_does(
    environment: pytest.MonkeyPatch, tmp_path: Path, written: str, meant: dict[str, str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(written)
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    printed = reading.load().restore.printed()
    assert {key: printed[key] for key in meant} == meant


@pytest.mark.parametrize(
    ("written", "key", "meant"),
    [
        ("vcenter: {server: vc, user: 007, password: 0123456}", "vcenter.password", "0123456"),
        ("vcenter: {server: vc, user: no, password: 1e3}", "vcenter.user", "no"),
        ("bucket: {name: 2024-01-01}", "bucket.name", "2024-01-01"),
        ("bucket: {name: 0x10}", "bucket.name", "0x10"),
        ("socket_group_access: yes", "socket_group_access", True),
        ("bucket: &all {name: a, prefix: b}\n", "bucket.prefix", "b"),
    ],
)
def test_a_plain_value_is_the_text_that_was_written(
    environment: pytest.MonkeyPatch, tmp_path: Path, written: str, key: str, meant: Any
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(written)
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    assert reached(reading.load(), key) == meant
