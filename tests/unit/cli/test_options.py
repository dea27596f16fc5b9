from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine


@pytest.mark.parametrize("verb", ["plan", "restore"])
@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("powr=on", "--policy powr: unknown policy; did you mean power?"),
        ("power=maybe", "--policy power: power has to be 'leave', 'captured' or 'on'"),
        ("verified-within=soon", "--policy verified-within: verified-within has to be a duration such as 90s or 12h"),
    ],
)
def test_a_wrong_policy_is_a_usage_error_of_the_option(
    command: CommandLine, verb: str, option: str, sentence: str
) -> None:
    ran = command(verb, "nightly", "--policy", option)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert "annotation" not in ran.err
    assert len(ran.err.splitlines()) <= 2
