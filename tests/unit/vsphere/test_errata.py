"""docs/errata.md names the keys as the product reads them."""

from __future__ import annotations

import re

from tests.tools.markdown import ROOT, read
from velero_vmservice.vmoperator.marks import INSTANCE_ID_ANNOTATIONS, PAUSE_ANNOTATIONS
from velero_vmservice.vsphere.extra_config import SPELLINGS

NAMES = [*read(ROOT / "docs" / "errata.md").rows("the guide", "the code", "where")]


def quoted(cell: str) -> list[str]:
    return [name.partition("=")[0] for name in re.findall(r"`([^`]+)`", cell)]


def test_each_key_of_the_extra_config_that_is_spelled_twice_is_named() -> None:
    differing = [spellings for spellings in SPELLINGS.values() if len(spellings) > 1]
    named = {quoted(code)[0]: quoted(guide)[0].rpartition("/")[2] for guide, code, _ in NAMES}
    assert {operators: named.get(operators) for operators, _ in differing} == {
        operators: guides.rpartition("/")[2] for operators, guides in differing
    }


def test_the_annotations_are_those_that_are_read() -> None:
    named = {name.rpartition("/")[2] for guide, code, _ in NAMES for name in (*quoted(guide), *quoted(code))}
    read_ones = {name.rpartition("/")[2] for name in (*PAUSE_ANNOTATIONS, *INSTANCE_ID_ANNOTATIONS)}
    assert read_ones <= named
