from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from velero_vmservice.settings.registration import EngineSettings


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("engine.registration.svc:8443", ("engine.registration.svc", 8443)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
        ("unix:80", ("unix", 80)),
    ],
)
def test_a_target_is_host_and_port(target: str, address: tuple[str, int]) -> None:
    assert EngineSettings(target=target).address == address


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("", "nothing"),
        ("engine", "no port"),
        ("engine:", "no port after the colon"),
        (":8443", "no host"),
        ("https://engine:8443", "a URL"),
        ("engine:8443/path", "a path"),
        ("dns:///engine:8443", "a scheme of gRPC's"),
        ("unix:/run/engine.sock", "a file"),
        ("2001:db8::1:8443", "an address without brackets"),
        ("engine:0", "no port at all"),
        ("engine:65536", "no such port"),
        ("engine:\N{FULLWIDTH DIGIT EIGHT}0", "digits that are not ASCII"),
        ("user@engine:8443", "credentials"),
        ("engine:8443\n", "a line break"),
    ],
)
def test_anything_else_is_refused(target: str, why: str) -> None:
    with pytest.raises(ValidationError, match="host:port") as caught:
        EngineSettings(target=target)
    assert caught.value.error_count() == 1, why


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"insecure": True, "ca_file": "/ca.crt"}, "insecure does without TLS"),
        ({"insecure": True, "certificate_file": "/a", "key_file": "/b"}, "insecure does without TLS"),
        ({"certificate_file": "/a"}, "given together"),
        ({"key_file": "/a"}, "given together"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"timeout_seconds": 61}, "less than or equal to 60"),
        ({"tls": True}, "not permitted"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        EngineSettings(target="engine:8443", **settings)


def test_tls_is_spoken_unless_the_settings_say_otherwise() -> None:
    assert not EngineSettings(target="engine:8443").insecure
