from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from velero_vmservice.adapters.vcenter import inventory, sdk
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.settings.registration import VCenterSettings

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cret-of-vcenter"
PLAIN = {"server": "vcenter.example.com", "user": "velero@vsphere.local", "password": SECRET}


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("vcenter.example.com", ("vcenter.example.com", 443)),
        ("vcenter.example.com:8443", ("vcenter.example.com", 8443)),
        ("10.0.0.1", ("10.0.0.1", 443)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
        ("[2001:db8::1]:8443", ("2001:db8::1", 8443)),
    ],
)
def test_a_server_is_a_host_and_maybe_a_port(server: str, address: tuple[str, int]) -> None:
    assert VCenterSettings.model_validate(PLAIN | {"server": server}).address == address


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": "https://vcenter.example.com"},
        {"server": "vcenter.example.com:x"},
        {"server": "vcenter.example.com:70000"},
        {"server": "user@vcenter.example.com"},
        {"server": ""},
        {"password": None},
        {"password_file": "/secret/password"},
        {"ca_file": "/ca.pem", "insecure_skip_tls_verify": True},
        {"timeout_seconds": 0},
        {"usr": "typo"},
    ],
    ids=str,
)
def test_settings_that_contradict_themselves_are_refused_without_the_password(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        VCenterSettings.model_validate(PLAIN | wrong)
    assert SECRET not in str(error.value)


def test_nothing_that_is_printed_has_the_password() -> None:
    settings = VCenterSettings.model_validate(PLAIN)
    assert settings.read_password() == SECRET
    for printed in (str(settings), repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in printed


def test_a_password_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "password"
    settings = VCenterSettings(server="vcenter", user="velero", password_file=file)
    with pytest.raises(InvalidSettings, match=r"cannot be read from .*: mount the Secret there"):
        settings.read_password()
    file.write_text("\n")
    with pytest.raises(InvalidSettings, match="is empty"):
        settings.read_password()
    for text, password in (("first\n", "first"), (" second ", " second ")):
        file.write_text(text)
        assert settings.read_password() == password


def test_without_the_extra_the_settings_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "pyVmomi":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(InvalidSettings, match=r"install velero-plugin-for-vmservice\[vcenter\]"):
        sdk.load()


def test_a_ca_file_that_is_none_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    settings = VCenterSettings.model_validate(PLAIN | {"ca_file": file})
    with pytest.raises(InvalidSettings, match=r"No such file or directory.*mount the PEM certificate"):
        inventory.connect(settings, clock=None)  # type: ignore[arg-type]
    file.write_text("no certificate")
    with pytest.raises(InvalidSettings, match=r"it holds no PEM certificate"):
        inventory.connect(settings, clock=None)  # type: ignore[arg-type]
