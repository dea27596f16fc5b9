"""`registration:` in the settings: what is asked for has to be reachable, and nothing is called unasked."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from velero_vmservice.errors import InvalidSettings
from velero_vmservice.settings import reading
from velero_vmservice.settings.registration import RegistrationSettings

VCENTER = "vcenter: {server: vc.example.com, user: velero@vsphere.local, password: s3cret-word}\n"
ROOT = Path(__file__).parents[3]
ENGINE = "engine: {target: 'engine.example.com:8443'}\n"


CHART = ROOT / "charts" / "velero-values.yaml"


def page(name: str = "registration.md") -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def example() -> str:
    """What the page tells to paste."""
    return page().partition("```sh\n")[2].partition("```")[0]


def shown() -> str:
    """The settings in it."""
    return example().partition("<<'EOF'\n")[2].partition("EOF\n")[0]


def pasted() -> dict[str, dict[str, str]]:
    """The ConfigMap and Secrets that it makes: of each the file behind each key."""
    created = {}
    for line in example().splitlines():
        arguments = shlex.split(line, comments=True)
        if "create" not in arguments:
            continue
        files = [word.removeprefix("--from-file=") for word in arguments if word.startswith("--from-file=")]
        name = next(word for word in arguments[arguments.index("create") + 2 :] if word != "generic")
        created[name] = {key: file or key for key, _, file in (key_and_file.partition("=") for key_and_file in files)}
    return created


def projected() -> list[dict[str, Any]]:
    """What the chart mounts into the sidecar."""
    chart = yaml.safe_load(CHART.read_text(encoding="utf-8"))
    (volume,) = [entry for entry in chart["extraVolumes"] if "projected" in entry]
    sources: list[dict[str, Any]] = volume["projected"]["sources"]
    return sources


@pytest.fixture(name="file", autouse=True)
def _file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only settings that there are."""
    for name in os.environ:
        if name.startswith("VMSERVICE_"):
            monkeypatch.delenv(name)
    file = tmp_path / "settings.yaml"
    file.touch()
    monkeypatch.setenv("VMSERVICE_SETTINGS", str(file))
    return file


def test_by_default_only_kubernetes_is_asked_and_nothing_is_called(file: Path) -> None:
    file.write_text(VCENTER + ENGINE)
    settings = reading.load().registration
    assert (settings.sources, settings.mode, settings.subnet_mappings) == (("kubernetes",), "observe", ())


def test_every_source_and_the_call_may_be_asked_for(file: Path) -> None:
    mapping = "{current: {type: SUBNET, name: a}, new: {type: SUBNETSET, name: ''}}"
    file.write_text(
        f"{VCENTER}{ENGINE}registration:\n  sources: [kubernetes, vcenter, engine]\n  mode: trigger\n"
        f"  subnet_mappings: [{mapping}]\n"
    )
    settings = reading.load().registration
    assert (settings.sources, settings.mode) == (("kubernetes", "vcenter", "engine"), "trigger")
    assert settings.subnet_mappings[0].new.type == "SUBNETSET"


def test_only_what_can_be_asked_is_a_source(file: Path) -> None:
    file.write_text("registration: {sources: [kubernetes, trigger]}\n")
    with pytest.raises(InvalidSettings, match=r"has to be 'kubernetes', 'vcenter' or 'engine'"):
        reading.load()


def test_the_page_that_explains_it_shows_all_settings_and_they_are_valid(file: Path) -> None:
    file.write_text(shown())
    settings = reading.load()
    assert (settings.registration.sources, settings.registration.mode) == (
        ("kubernetes", "vcenter", "engine"),
        "trigger",
    )
    mapped = [str(subnet_mapping.current) for subnet_mapping in settings.registration.subnet_mappings]
    assert mapped == ["Subnet subnet-prod-a", "the default SubnetSet"]
    assert set(settings.registration.model_fields_set) == set(RegistrationSettings.model_fields)


def test_the_chart_mounts_every_file_that_the_page_names(file: Path) -> None:
    chart = yaml.safe_load(CHART.read_text(encoding="utf-8"))
    (sidecar,) = [
        container for container in chart["initContainers"] if container["name"] == "velero-plugin-for-vmservice"
    ]
    places = {mount["name"]: mount["mountPath"] for mount in sidecar["volumeMounts"]}
    place = places["vmservice-settings"]
    assert place == str(reading.DEFAULT_FILE.parent)
    mounted = {
        f"{place}/{item['path']}" for source in projected() for item in source.get("secret", {}).get("items", ())
    }
    file.write_text(shown())
    settings = reading.load()
    assert settings.vcenter is not None
    assert settings.engine is not None
    named = [settings.vcenter.password_file, settings.vcenter.ca_file]
    named += [settings.engine.ca_file, settings.engine.certificate_file, settings.engine.key_file]
    assert {str(path) for path in named} == mounted


def test_the_commands_of_the_page_make_all_that_the_chart_mounts() -> None:
    made = pasted()
    assert {name: set(files) for name, files in made.items()} == {
        "vmservice-settings": {reading.DEFAULT_FILE.name},
        **{source["secret"]["name"]: {item["key"] for item in source["secret"]["items"]} for source in projected()[1:]},
    }
    assert projected()[0]["configMap"] == {"name": "vmservice-settings", "optional": True}
    assert all(source["secret"]["optional"] for source in projected()[1:])
    files = [file for secret_files in made.values() for file in secret_files.values()]
    assert len(set(files)) == len(files)  # vCenter's authority and the engine's are two


def test_variables_reach_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "REGISTRATION__SOURCES": '["kubernetes", "engine"]',
        "REGISTRATION__MODE": "trigger",
        "ENGINE__TARGET": "engine:8443",
        "VCENTER__SERVER": "vc",
        "VCENTER__USER": "velero",
        "VCENTER__PASSWORD_FILE": "/etc/vcenter/password",
    }.items():
        monkeypatch.setenv(f"VMSERVICE_{name}", value)
    settings = reading.load()
    assert (settings.registration.sources, settings.registration.mode) == (("kubernetes", "engine"), "trigger")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("registration: {sources: [kubernetes, vcenter]}", "sources names vcenter, and vcenter does not say where"),
        ("registration: {sources: [engine, kubernetes]}", "sources names engine, and engine does not say where"),
        ("registration: {mode: trigger}", "mode is trigger, but vcenter names no server to call"),
        (f"{ENGINE}registration: {{sources: [engine]}}", "needs kubernetes"),
        ("registration: {sources: []}", "needs kubernetes"),
        ("registration: {sources: [kubernetes, kubernetes]}", "names a source twice"),
        ("registration: {sources: [kubernetes, vsphere]}", "'kubernetes', 'vcenter' or 'engine'"),
        ("registration: {mode: always}", "'observe' or 'trigger'"),
        ("registration: {sorces: [kubernetes]}", "registration.sorces"),
        (f"{VCENTER}registration: {{sources: [vcenter]}}", "needs kubernetes"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidSettings) as caught:
        reading.load()
    assert sentence in str(caught.value)
    assert "registration" in str(caught.value)
    assert "s3cret-word" not in str(caught.value)
