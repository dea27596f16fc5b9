from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.settings import reading

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="environment", autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without settings, and no file of the VM's own."""
    for name in os.environ:
        if name.startswith("VMSERVICE_") or name == "VELERO_NAMESPACE":
            monkeypatch.delenv(name)
    monkeypatch.setattr(reading, "DEFAULT_FILE", tmp_path / "nothing.yaml")
    return monkeypatch


def test_without_file_and_variables_the_defaults_hold() -> None:
    settings = reading.load()
    assert (settings.velero_namespace, settings.bucket, settings.restricted.supervisor) == ("", None, "detect")


def test_variables_come_before_the_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("log_level: debug\nbucket: {name: captures, region: eu-1}\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    environment.setenv("VMSERVICE_BUCKET__REGION", "eu-2")
    environment.setenv("VMSERVICE_RESTRICTED__ADD", '["things.example.com"]')
    settings = reading.load()
    assert settings.log_level == "debug"
    assert settings.bucket is not None
    assert (settings.bucket.name, settings.bucket.region) == ("captures", "eu-2")
    assert settings.restricted.add == ("things.example.com",)


@pytest.mark.parametrize("name", ["missing.yaml", "", ".", "~nobody-of-that-name/settings.yaml"])
def test_a_file_that_is_not_there_is_an_error(environment: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    named = name if name.startswith("~") or not name else str(tmp_path / name)
    environment.setenv("VMSERVICE_SETTINGS", named)
    with pytest.raises(InvalidSettings, match="VMSERVICE_SETTINGS names no file") as caught:
        reading.load()
    assert f'"{named}"' in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("VMSERVICE_LOGLEVEL", "VMSERVICE_LOG_LEVEL"),
        ("VMSERVICE_BUKET__NAME", "VMSERVICE_BUCKET__NAME"),
        ("VMSERVICE_BUCKET__NMAE", "VMSERVICE_BUCKET__NAME"),
        ("VMSERVICE_LOG_LEVEL__X", "VMSERVICE_LOG_LEVEL"),
        ("VMSERVICE_RESTRICTED__ADD__0", "VMSERVICE_RESTRICTED__ADD"),
        ("VMSERVICE_SETTING", "VMSERVICE_SETTINGS"),
        ("vmservice_engin", "VMSERVICE_ENGINE"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_one_that_is_meant(
    environment: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    environment.setenv(name, "x")
    with pytest.raises(InvalidSettings) as caught:
        reading.load()
    assert caught.value.message == f"{name}: no setting has this variable; did you mean {meant}?"
    assert all(f"VMSERVICE_{known}" in caught.value.hint for known in ("SETTINGS", "BUCKET__NAME", "LOG_LEVEL"))


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
def test_the_variables_of_a_service_named_alike_are_passed_over(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "tcp://192.0.2.1:443")
    assert reading.load() == reading.Settings()


def test_a_wrong_value_names_its_key(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VMSERVICE_LOG_LEVEL", "loud")
    with pytest.raises(InvalidSettings, match="log_level"):
        reading.load()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "VMSERVICE_REGISTRATION__SOURCES",
            "kubernetes,vcenter",
            ": registration.sources has to be a list, such as [a, b]",
        ),
        ("VMSERVICE_RESTRICTED__ADD", "things.example.com", ": restricted.add has to be a list, such as [a, b]"),
        ("vmservice_restricted__add", "[unclosed", ", character 10: the YAML cannot be read from here on"),
        ("VMSERVICE_REGISTRATION", '{"mode": "trigger"', ", character 19: the YAML cannot be read from here on"),
        (
            "VMSERVICE_ENGINE",
            "engine:8443",
            ": engine has to be a section, with the keys ca_file, certificate_file, insecure,",
        ),
        ("VMSERVICE_ENGINE", "{tls: true, target: 'a:1'}", ": unknown key engine.tls"),
    ],
)
def test_a_variable_that_holds_no_list_or_section_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(InvalidSettings) as refused:
        reading.load()
    assert refused.value.message.startswith(f"{name}{sentence}")
    assert value not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("restore:\n  mode: strict\n  conflct: fail\n", "3: unknown key restore.conflct; did you mean conflict?"),
        ("restore:\n  Conflict: fail\n", "2: unknown key restore.Conflict; did you mean conflict?"),
        ("power: captured\n", "1: unknown key power; did you mean restore.power?"),
        ("restore:\n  log_level: debug\n", "2: unknown key restore.log_level; did you mean log_level?"),
        ("bucket:\n  name: a\n  ca-file: /a\n", "3: unknown key bucket.ca-file; did you mean ca_file?"),
        ("nothing_alike: 1\n", "1: unknown key nothing_alike"),
        ("bucket:\nname: captures\n", "2: unknown key name; did you mean bucket.name?"),
        ("log_level: loud\n", "1: log_level has to be 'debug', 'info', 'warning' or 'error'"),
        ("log_level:\n", "1: log_level has no value"),
        ("restricted: detect\n", "1: restricted has to be a section, with the keys add, remove, supervisor"),
        ("restricted:\n  add: a.b\n", "2: restricted.add has to be a list, such as [a, b]"),
        ("bucket:\n  prefix: a\n", "1: bucket.name is missing"),
        ("bucket: {name: ''}\n", "1: bucket.name is empty"),
        ("bucket: {name: 'a '}\n", "1: bucket.name has a blank or another character that no name has"),
        ("bucket: {name: a, region: 'minio '}\n", "1: bucket.region has a blank or another character"),
        ("velero_namespace: [a]\n", "1: velero_namespace has to be text"),
        ("velero_namespace: Velero\n", "1: velero_namespace has to be the name of a namespace: "),
        ("drain_seconds: soon\n", "1: drain_seconds has to be a number"),
        ("drain_seconds: -1\n", "1: drain_seconds has to be at least 0"),
        ("s3_timeout_seconds: 0\n", "1: s3_timeout_seconds has to be greater than 0"),
        ("s3_timeout_seconds: inf\n", "1: s3_timeout_seconds has to be a number"),
        ("s3_timeout_seconds: nan\n", "1: s3_timeout_seconds has to be a number"),
        ("socket_group_access: perhaps\n", "1: socket_group_access has to be true or false"),
        (
            "restore: {verified_within: soon}\n",
            "1: restore.verified_within has to be a duration such as 90s or 12h, or none",
        ),
        ("bucket:\n  name: a\n  url: s3.example.com\n", "3: bucket.url has to be https://host or http://host, "),
        ("bucket:\n  name: a\n  url: https://u:p@s3\n", "3: bucket.url has to be https://host or http://host, "),
        ("bucket:\n  name: a\n  url: 'https://s3:port'\n", "3: bucket.url has to be https://host or http://host, "),
        ("engine:\n\n  target: 'http://engine'\n", "3: engine.target has to be host:port, without https:// and path"),
        (
            "registration:\n  subnet_mappings:\n  - current: {type: SUBNET}\n    new: {type: SUBNETSET}\n",
            "3: registration.subnet_mappings[0].current needs a name, because it is a SUBNET; a SUBNETSET without",
        ),
        ("registration:\n  mode: trigger\n", "2: registration.mode is trigger, but vcenter names no server to call"),
        ("restore: {mode: strict}\nrestore: {power: on}\n", "2:1: a key stands here that its section has already"),
        ("restore:\n  mode: [strict\n", "3:1: the YAML cannot be read from here on"),
        ("restore:\n\tmode: strict\n", "2:1: a tab stands here, where YAML allows blanks alone"),
        ("restore: {? {a: b} : c}\n", "1:13: a key has to be one word"),
        ("[" * 3000, "1:1: lists or mappings are nested too deep"),
        ("a: &a [*a]\n", "1:1: lists or mappings are nested too deep, or too many"),
        ("restore: {<<: strict}\n", "1:15: the YAML cannot be read from here on"),
        ("- a\n- b\n", "1: the text is not a mapping"),
        ("velero_namespace: a\n--- \nb: c\n", "2:1: the YAML cannot be read from here on"),
    ],
)
def test_a_fault_in_a_file_is_reported_with_its_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    with pytest.raises(InvalidSettings) as refused:
        reading.load()
    assert refused.value.message.startswith(f"{file}:{sentence}")
    assert "valid tuple" not in str(refused.value)
    assert refused.value.hint


def test_an_unknown_key_is_reported_with_the_keys_of_its_own_section(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("restricted:\n  ad: []\nlog_level: loud\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    with pytest.raises(InvalidSettings) as refused:
        reading.load()
    assert refused.value.message == (
        f"{file}:2: unknown key restricted.ad; did you mean add?; "
        f"{file}:3: log_level has to be 'debug', 'info', 'warning' or 'error'"
    )
    assert refused.value.hint == "use a key of restricted: add, remove, supervisor"


def test_a_wrong_variable_is_blamed_and_not_the_file_that_it_overrides(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("restore: {power: on, mode: strict}\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    environment.setenv("VMSERVICE_RESTORE__POWER", "maybe")
    with pytest.raises(InvalidSettings) as refused:
        reading.load()
    assert refused.value.message == "VMSERVICE_RESTORE__POWER: restore.power has to be 'leave', 'captured' or 'on'"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"log_level: info\nvelero_namespace: \xff\xfe\n", "{file}:2: the text is not UTF-8"),
        (b"\x00", "{file}:1:1: a character stands here that YAML does not allow"),
        ("log_level: info\n".encode("utf-16"), "{file}:1: the text is not UTF-8"),
    ],
)
def test_a_file_that_is_no_text_is_named(
    environment: pytest.MonkeyPatch, tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    with pytest.raises(InvalidSettings) as refused:
        reading.load()
    assert refused.value.message == sentence.format(file=file)
    assert "mapping of keys" in refused.value.hint


def test_a_file_of_comments_alone_leaves_the_defaults(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"\xef\xbb\xbf# nothing\n---\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    assert reading.load() == reading.Settings()


def test_defaults_may_be_merged_into_a_section(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("restore: &defaults {mode: strict, power: captured}\nregistration: {}\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    assert reading.load().restore.mode == "strict"
    file.write_text("registration: &all {mode: observe}\nrestore: {<<: *all, mode: strict}\n")
    assert reading.load().restore.mode == "strict"


@pytest.mark.parametrize("key", ["velero_namespace", "bucket.ca_file", "vcenter.password_file", "engine.key_file"])
def test_no_text_has_a_nul(environment: pytest.MonkeyPatch, tmp_path: Path, key: str) -> None:
    section, _, name = key.rpartition(".")
    file = tmp_path / "settings.yaml"
    pair = f'{name}: "a\\0b"'
    file.write_text(f"{section}: {{{pair}}}\n" if section else f"{pair}\n")
    environment.setenv("VMSERVICE_SETTINGS", str(file))
    with pytest.raises(InvalidSettings) as refused:
        reading.load()
    assert f"{file}:1: {key} has a character that no setting has" in refused.value.message.split("; ")


def test_a_variable_that_is_no_text_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VMSERVICE_VELERO_NAMESPACE", os.fsdecode(b"\xff"))
    with pytest.raises(InvalidSettings, match=r"^VMSERVICE_VELERO_NAMESPACE: velero_namespace "):
        reading.load()


def test_a_missing_key_is_reported_with_a_variable_of_its_section(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("VMSERVICE_BUCKET__PREFIX", "a")
    with pytest.raises(InvalidSettings) as refused:
        reading.load()
    assert refused.value.message == "VMSERVICE_BUCKET__PREFIX: bucket.name is missing"
