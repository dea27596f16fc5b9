"""The dialect of credentials files: every expectation here is what the Go SDK's `LoadSharedConfigProfile` answers."""

from __future__ import annotations

import pytest

from velero_vmservice.adapters.s3 import aws_ini

_ID, _SECRET, _TOKEN = aws_ini.KEYS

_READ = {
    "a comment at the end": ("[default]\naws_access_key_id = AKID # note\naws_secret_access_key = s ; x", "AKID", "s"),
    "a sign in a value": ("[default]\naws_access_key_id=AKID;x\naws_secret_access_key=s#y/+=", "AKID;x", "s#y/+="),
    "a section twice": ("[default]\naws_access_key_id=A\n[default]\naws_secret_access_key=s", "A", "s"),
    "a key twice": ("[default]\naws_access_key_id=A\naws_secret_access_key=s\naws_access_key_id=B", "B", "s"),
    "capitals and colons": ("[default]\nAWS_Access_Key_ID: A\naws_secret_access_key : s=t", "A", "s=t"),
    "carriage returns": ("[default]\r\naws_access_key_id=A\r\naws_secret_access_key=s\r\n", "A", "s"),
    "indented": ("  [ default ] ; hi\n  aws_access_key_id = A\n\taws_secret_access_key = s", "A", "s"),
    "quotes": ('[default]\naws_access_key_id=\'A\'\naws_secret_access_key="s\\"q"', "A", 's"q'),
    "a nested setting": (
        "[default]\ns3 =\n  aws_access_key_id = N\naws_access_key_id=A\naws_secret_access_key=s",
        "A",
        "s",
    ),
    "lines that mean nothing": (
        "[default]\njunk\n=v\n# c\n  ; d\naws_access_key_id=A\naws_secret_access_key=s",
        "A",
        "s",
    ),
    "settings before a section": (
        "aws_access_key_id=G\n[default]\naws_access_key_id=A\naws_secret_access_key=s",
        "A",
        "s",
    ),
    "a continued value": ("[default]\naws_access_key_id=A\naws_secret_access_key=s\n  t", "A", "s\nt"),
    "a comment in a title": ("[default] # x]\naws_access_key_id=A\naws_secret_access_key=s", "A", "s"),
    "a prefixed section": ("[profile default]\naws_access_key_id=A\naws_secret_access_key=s", "A", "s"),
    "prefix and blanks": ("[profile \t default]\naws_access_key_id=A\naws_secret_access_key=s", "A", "s"),
    "a mark of byte order": ("\ufeff# c\n[default]\naws_access_key_id=A\naws_secret_access_key=s", "A", "s"),
}


@pytest.mark.parametrize("dialect", _READ)
def test_a_profile_is_read_as_the_go_sdk_reads_it(dialect: str) -> None:
    text, access_key, secret_key = _READ[dialect]
    profile = aws_ini.profiles(text)["default"]

    assert (profile[_ID], profile[_SECRET]) == (access_key, secret_key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ufeff[default]\naws_access_key_id=A\naws_secret_access_key=s",
        "[default # x]\naws_access_key_id=A\naws_secret_access_key=s",
        "[default]x\naws_access_key_id=A\naws_secret_access_key=s",
        "[Default]\naws_access_key_id=A\naws_secret_access_key=s",
    ],
)
def test_a_profile_that_the_go_sdk_does_not_find_is_not_found(text: str) -> None:
    assert "default" not in aws_ini.profiles(text)


def test_the_bare_section_comes_over_the_prefixed_one_and_keys_from_one_of_both() -> None:
    named = f"[profile ci]\nregion = named\nrole_arn = arn:named\n{_ID} = N\n{_SECRET} = n\n"
    whole = f"[ci]\nregion = bare\n{_ID} = A\n{_SECRET} = a\n"
    without_keys = f"[ci]\nregion = bare\n{_TOKEN} = of-nobody\n"

    assert aws_ini.profiles(named + whole)["ci"] == {
        "region": "bare",
        "role_arn": "arn:named",
        _ID: "A",
        _SECRET: "a",
    }
    assert aws_ini.profiles(without_keys + named)["ci"] == {
        "region": "bare",
        "role_arn": "arn:named",
        _ID: "N",
        _SECRET: "n",
    }
