"""How a profile of a Secret logs in, and what a Secret may not do."""

from __future__ import annotations

import pytest

from velero_vmservice.adapters.s3 import aws_ini, aws_profile
from velero_vmservice.adapters.s3.aws_profile import Fault, Keys, Role, Surroundings, UnusableProfile, WebIdentity

_KEYS = "aws_access_key_id = A\naws_secret_access_key = s\n"
_A = Keys(access_key="A", secret_key="s")
_TOKEN_FILE = "/var/run/secrets/token"
_ENVIRONMENT = {"AWS_WEB_IDENTITY_TOKEN_FILE": _TOKEN_FILE, "AWS_ROLE_ARN": "arn:mine"}


def _login(text: str, profile: str = "default") -> aws_profile.Login:
    return aws_profile.login(aws_ini.profiles(text), profile, environment=_ENVIRONMENT)


def test_keys_log_in() -> None:
    assert _login(f"[default]\n{_KEYS}aws_session_token = t\n") == Keys(access_key="A", secret_key="s", token="t")


def test_keys_take_the_role_beside_them() -> None:
    text = f"[default]\n{_KEYS}role_arn = arn:x\nexternal_id = e\nrole_session_name = n\nduration_seconds = 3600\n"

    assert _login(text) == Role(arn="arn:x", taken_by=_A, external_id="e", session_name="n", seconds=3600)


@pytest.mark.parametrize("seconds", ["900", "an hour", "-5", ""])
def test_a_duration_that_the_sdk_passes_over_is_passed_over(seconds: str) -> None:
    assert _login(f"[default]\n{_KEYS}role_arn = arn:x\nduration_seconds = {seconds}\n") == Role(
        arn="arn:x", taken_by=_A
    )


def test_another_profile_takes_the_role() -> None:
    text = f"[default]\nrole_arn = arn:x\nsource_profile = base\n[base]\n{_KEYS}role_arn = arn:not-asked\n"

    assert _login(text) == Role(arn="arn:x", taken_by=_A)


def test_a_profile_may_name_itself() -> None:
    assert _login(f"[default]\n{_KEYS}role_arn = arn:x\nsource_profile = default\n") == Role(arn="arn:x", taken_by=_A)


def test_a_role_may_take_a_role() -> None:
    text = f"[default]\nrole_arn = arn:x\nsource_profile = b\n[b]\nrole_arn = arn:y\nsource_profile = c\n[c]\n{_KEYS}"

    assert _login(text) == Role(arn="arn:x", taken_by=Role(arn="arn:y", taken_by=_A))


@pytest.mark.parametrize("source", Surroundings)
def test_the_surroundings_take_a_role(source: Surroundings) -> None:
    text = f"[default]\nrole_arn = arn:x\ncredential_source = {source.value}\n"

    assert _login(text) == Role(arn="arn:x", taken_by=source)


def test_the_web_identity_of_the_environment_is_the_environments() -> None:
    assert _login(f"[default]\nrole_arn = arn:mine\nweb_identity_token_file = {_TOKEN_FILE}\n") == WebIdentity()


_CHAIN = "".join(f"[p{number}]\nrole_arn = arn:x\nsource_profile = p{number + 1}\n" for number in range(2000))

_REFUSED = {
    "another file": ("[default]\nrole_arn = arn:mine\nweb_identity_token_file = /etc/passwd", Fault.WEB_IDENTITY),
    "another role": (f"[default]\nrole_arn = arn:x\nweb_identity_token_file = {_TOKEN_FILE}", Fault.WEB_IDENTITY),
    "a program": ("[default]\ncredential_process = touch /tmp/x", Fault.PROGRAM),
    "a program for a role": ("[default]\nrole_arn = arn:x\ncredential_process = touch /tmp/x", Fault.PROGRAM),
    "a program elsewhere": (
        "[default]\nrole_arn = arn:x\nsource_profile = b\n[b]\ncredential_process = touch /tmp/x",
        Fault.PROGRAM,
    ),
    "a single sign-on": ("[default]\nsso_session = corp\nsso_account_id = 1", Fault.SINGLE_SIGN_ON),
    "an old single sign-on": ("[default]\nsso_start_url = https://x", Fault.SINGLE_SIGN_ON),
    "a second factor": (f"[default]\n{_KEYS}role_arn = arn:x\nmfa_serial = arn:mfa", Fault.SECOND_FACTOR),
    "no profile": (f"[other]\n{_KEYS}", Fault.NO_PROFILE),
    "no keys": ("[default]\nregion = eu-west-1", Fault.NO_KEYS),
    "empty keys": ("[default]\naws_access_key_id =\naws_secret_access_key =", Fault.NO_KEYS),
    "half a key": ("[default]\naws_access_key_id = A", Fault.HALF_A_KEY),
    "another alphabet": (f"[default]\n{_KEYS}aws_session_token = é", Fault.NOT_ASCII),
    "a role alone": ("[default]\nrole_arn = arn:x", Fault.ROLE_WITHOUT_KEYS),
    "a source without a role": (f"[default]\nsource_profile = b\n[b]\n{_KEYS}", Fault.KEYS_WITHOUT_ROLE),
    "surroundings without a role": ("[default]\ncredential_source = Environment", Fault.KEYS_WITHOUT_ROLE),
    "unknown surroundings": ("[default]\nrole_arn = a\ncredential_source = Sky", Fault.UNKNOWN_SOURCE),
    "a source that is not there": ("[default]\nrole_arn = a\nsource_profile = b", Fault.NO_PROFILE),
    "two ways": ("[default]\nrole_arn = a\nsource_profile = b\ncredential_source = Environment", Fault.TWO_WAYS),
    "a circle": (
        "[default]\nrole_arn = a\nsource_profile = b\n[b]\nrole_arn = c\nsource_profile = default",
        Fault.ROLE_WITHOUT_KEYS,
    ),
    "a long chain": (f"[default]\nrole_arn = a\nsource_profile = p0\n{_CHAIN}", Fault.CHAIN_TOO_LONG),
}


@pytest.mark.parametrize("why", _REFUSED)
def test_a_profile_that_gives_no_way_is_refused(why: str) -> None:
    text, fault = _REFUSED[why]

    with pytest.raises(UnusableProfile) as caught:
        _login(text)
    assert caught.value.fault is fault


def test_services_and_endpoints_of_a_profile_are_passed_over() -> None:
    services = (
        "endpoint_url = https://a.example\nservices = b\n[services b]\nsts =\n endpoint_url = https://a.example\n"
    )

    assert _login(f"[default]\n{_KEYS}{services}") == _A
