"""What counts as the output that docs/walkthroughs.md shows."""

from __future__ import annotations

import pytest

from tests.tools.walkthroughs import Step, sections

SHOWN = """
target: VCF 9.0+ …
shop/db-1   ready     -  registered by a restore to new
at 2026-11-30T00:12:50Z restored-8fb9a6 has 172.16.0.5
…
"""
PRINTED = """\x1b[1mtarget\x1b[22m: VCF 9.0+ (serves v1alpha5)
shop/db-1  ready  -  registered by a restore to new

at 2027-01-02T03:04:05Z restored-0a1b2c has 10.0.0.1
and more
lines
"""


def test_what_varies_and_what_is_left_out_may_be_anything() -> None:
    assert Step("command", SHOWN).shown_by(PRINTED)


@pytest.mark.parametrize(
    ("old", "new"),
    [("ready", "absent"), ("has 10.0.0.1", "has no address"), ("target", "aim"), ("\nshop/", "\nanother line\nshop/")],
)
def test_everything_else_is_compared(old: str, new: str) -> None:
    assert not Step("command", SHOWN).shown_by(PRINTED.replace(old, new))


def test_the_tests_names_take_the_place_of_the_pages() -> None:
    step = Step("restore create nightly-new -n retail", "captures/nightly/x retail/shop").as_in(
        {"retail": "a", "nightly": "b"}
    )
    assert step == Step("restore create b-new -n a", "captures/b/x a/shop")


def test_each_restore_type_has_its_commands() -> None:
    begun = {heading for heading, blocks in sections().items() if "velero restore create" in str(blocks)}
    assert begun == {"Restore to new", "Restore in place", "Disk-only restore", "Failover"}
