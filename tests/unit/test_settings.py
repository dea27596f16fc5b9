from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from velero_vmservice import settings
from velero_vmservice.core.errors import InvalidSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="environment", autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without settings, and no file of the machine's own."""
    for name in os.environ:
        if name.startswith("VMSERVICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "DEFAULT_FILE", tmp_path / "nothing.yaml")
    return monkeypatch


def test_without_file_and_variables_the_defaults_hold() -> None:
    found = settings.load()
    assert (found.velero_namespace, found.bucket, found.restricted.supervisor) == ("velero", None, "detect")


def test_variables_come_before_the_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("log_level: debug\nbucket: {name: captures, region: eu-1}\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    environment.setenv("VMSERVICE_BUCKET__REGION", "eu-2")
    environment.setenv("VMSERVICE_RESTRICTED__ADD", '["things.example.com"]')
    found = settings.load()
    assert found.log_level == "debug"
    assert found.bucket is not None
    assert (found.bucket.name, found.bucket.region) == ("captures", "eu-2")
    assert found.restricted.add == ("things.example.com",)


@pytest.mark.parametrize("name", ["missing.yaml", "", "."])
def test_a_file_that_is_not_there_is_an_error(environment: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    named = str(tmp_path / name) if name else ""
    environment.setenv("VMSERVICE_SETTINGS", named)
    with pytest.raises(InvalidSettings, match="VMSERVICE_SETTINGS names no file") as caught:
        settings.load()
    assert f'"{named}"' in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "VMSERVICE_LOGLEVEL",
        "VMSERVICE_BUKET__NAME",
        "VMSERVICE_BUCKET__NMAE",
        "VMSERVICE_LOG_LEVEL__X",
        "VMSERVICE_RESTRICTED__ADD__0",
        "vmservice_typo",
        "VMSERVICE_",
    ],
)
def test_an_unknown_variable_is_refused_with_the_known_ones(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "x")
    with pytest.raises(InvalidSettings, match=name) as caught:
        settings.load()
    assert "VMSERVICE_SETTINGS" in caught.value.hint
    assert "VMSERVICE_BUCKET__NAME" in caught.value.hint
    assert "VMSERVICE_RESTRICTED__SUPERVISOR" in caught.value.hint
    assert "VMSERVICE_LOG_LEVEL" in caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "VMSERVICE_SERVICE_HOST",
        "VMSERVICE_SERVICE_PORT",
        "VMSERVICE_SERVICE_PORT_HTTPS",
        "VMSERVICE_PORT",
        "VMSERVICE_METRICS_PORT_9090_TCP",
        "VMSERVICE_METRICS_PORT_9090_TCP_ADDR",
    ],
)
def test_what_kubernetes_sets_for_a_service_named_alike_is_let_be(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "tcp://192.0.2.1:443")
    assert settings.load() == settings.Settings()


def test_a_wrong_value_names_its_key(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VMSERVICE_LOG_LEVEL", "loud")
    with pytest.raises(InvalidSettings, match="log_level"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VMSERVICE_REGISTRATION__SOURCES", "kubernetes,vcenter"),
        ("VMSERVICE_RESTRICTED__ADD", "things.example.com"),
        ("vmservice_restricted__add", "[unclosed"),
        ("VMSERVICE_REGISTRATION", '{"mode": "trigger"'),
    ],
)
def test_a_variable_that_has_to_be_json_is_named_and_no_file_is_blamed(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    environment.setenv("ELSEWHERE", value)
    with pytest.raises(InvalidSettings) as refused:
        settings.load()
    told = str(refused.value)
    assert told.startswith(f"{name} in the environment is no JSON (")
    assert '["kubernetes", "vcenter"]' in refused.value.hint
    assert "settings.yaml" not in told
    assert value not in told


@pytest.mark.parametrize("text", ["velero_namespace: [unclosed", "- a\n- b\n", "\x00"], ids=["open", "list", "binary"])
def test_a_file_that_is_no_mapping_is_named(environment: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    with pytest.raises(InvalidSettings) as refused:
        settings.load()
    assert str(file) in refused.value.message
    assert "mapping of keys" in refused.value.hint
