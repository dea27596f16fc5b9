"""`registration:` in the settings: what is asked for has to be reachable, and nothing is called unasked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from velero_vmservice import settings
from velero_vmservice.core.errors import InvalidSettings

VCENTER = "vcenter: {server: vc.example.com, user: velero@vsphere.local, password: s3cret-word}\n"
ENGINE = "engine: {target: 'engine.example.com:8443'}\n"


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


def test_the_page_that_explains_it_shows_settings_that_are_valid(file: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "registration.md").read_text(encoding="utf-8")
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    found = settings.load().registration
    assert (found.sources, found.mode) == (("kubernetes", "vcenter"), "trigger")
    assert [str(one.current) for one in found.subnet_mappings] == ["Subnet subnet-prod-a", "the default SubnetSet"]


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
