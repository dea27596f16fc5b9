from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tools.journeys import naming, rooms
from velero_vmservice.registration.model import Source

ROOT = Path(__file__).parents[2]


def test_the_table_is_printed() -> None:
    """In a process of its own: a measurement of this suite's coverage would be ended by it."""
    command = [sys.executable, "-m", "tests.tools.journeys"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    heading, *rows = ran.stdout.splitlines()
    assert (heading.split(), ran.stderr) == (["measured", "now", "aim"], "")
    assert all(value.isdecimal() and aim.isdecimal() for *_, value, aim in map(str.split, rows))
    assert {"lines", "files of a waiting poll"} < {row[:60].strip() for row in rows}


def test_a_registration_source_is_named_in_four_places() -> None:
    assert naming(Source.ENGINE) == [
        "adapters/registration_engine",
        "app/registration.py",
        "registration/model.py",
        "settings/registration.py",
    ]


def test_no_package_holds_more_than_twelve_modules() -> None:
    """As docs/architecture.md says of the layers: a larger room is two nouns, or modules that belong together."""
    assert {room: size for room, size in rooms().items() if size > 12} == {}
