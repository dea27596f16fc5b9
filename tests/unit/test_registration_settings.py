"""`registration:` in the settings: what is asked for has to be reachable, and nothing is called unasked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from velero_vmservice import settings
from velero_vmservice.core.errors import InvalidSettings
from velero_vmservice.registration_settings import RegistrationSettings

VCENTER = "vcenter: {server: vc.example.com, user: velero@vsphere.local, password: s3cret-word}\n"
ROOT = Path(__file__).parents[2]
ENGINE = "engine: {target: 'engine.example.com:8443'}\n"


def shown() -> str:
    """The settings that the page shows."""
    page = (ROOT / "docs" / "registration.md").read_text(encoding="utf-8")
    return page.partition("```yaml\n")[2].partition("```")[0]


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
    found = settings.load().registration
    assert (found.sources, found.mode, found.subnet_mappings) == (("kubernetes",), "observe", ())


def test_every_source_and_the_call_may_be_asked_for(file: Path) -> None:
    mapping = "{current: {type: SUBNET, name: a}, new: {type: SUBNETSET, name: ''}}"
    file.write_text(
        f"{VCENTER}{ENGINE}registration:\n  sources: [kubernetes, vcenter, engine]\n  mode: trigger\n"
        f"  subnet_mappings: [{mapping}]\n"
    )
    found = settings.load().registration
    assert (found.sources, found.mode) == (("kubernetes", "vcenter", "engine"), "trigger")
    assert found.subnet_mappings[0].new.type == "SUBNETSET"


def test_the_page_that_explains_it_shows_all_settings_and_they_are_valid(file: Path) -> None:
    file.write_text(shown())
    found = settings.load()
    assert (found.registration.sources, found.registration.mode) == (("kubernetes", "vcenter", "engine"), "trigger")
    mapped = [str(one.current) for one in found.registration.subnet_mappings]
    assert mapped == ["Subnet subnet-prod-a", "the default SubnetSet"]
    assert set(found.registration.model_fields_set) == set(RegistrationSettings.model_fields)


def test_the_chart_mounts_every_file_that_the_page_names(file: Path) -> None:
    chart = yaml.safe_load((ROOT / "charts" / "velero-values.yaml").read_text(encoding="utf-8"))
    (sidecar,) = [one for one in chart["initContainers"] if one["name"] == "velero-plugin-for-vmservice"]
    places = {one["name"]: one["mountPath"] for one in sidecar["volumeMounts"]}
    mounted = {
        f"{places[volume['name']]}/{item['path']}"
        for volume in chart["extraVolumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source.get("secret", {}).get("items", ())
    }
    file.write_text(shown())
    found = settings.load()
    assert found.vcenter is not None
    assert found.engine is not None
    named = [found.vcenter.password_file, found.vcenter.ca_file]
    named += [found.engine.ca_file, found.engine.certificate_file, found.engine.key_file]
    assert {str(one) for one in named} == mounted
    assert places["vmservice-settings"] == "/etc/velero-vmservice"


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
    found = settings.load()
    assert (found.registration.sources, found.registration.mode) == (("kubernetes", "engine"), "trigger")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("registration: {sources: [kubernetes, vcenter]}", "sources names vcenter, and vcenter does not say where"),
        ("registration: {sources: [engine, kubernetes]}", "sources names engine, and engine does not say where"),
        ("registration: {mode: trigger}", "mode is trigger, and vcenter does not say whom to call"),
        (f"{ENGINE}registration: {{sources: [engine]}}", "needs kubernetes"),
        ("registration: {sources: []}", "needs kubernetes"),
        ("registration: {sources: [kubernetes, kubernetes]}", "names a source twice"),
        ("registration: {sources: [kubernetes, vsphere]}", "'kubernetes', 'vcenter' or 'engine'"),
        ("registration: {mode: always}", "'observe' or 'trigger'"),
        ("registration: {sorces: [kubernetes]}", "registration.sorces"),
        (f"{VCENTER}registration: {{sources: [vcenter]}}", "needs kubernetes"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidSettings) as caught:
        settings.load()
    assert words in str(caught.value)
    assert "registration" in str(caught.value)
    assert "s3cret-word" not in str(caught.value)
