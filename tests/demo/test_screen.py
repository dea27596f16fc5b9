from __future__ import annotations

import io

from rich.console import Console

from tests.demo.screen import LiveWatch, ObjectRow, Screen, VmRow

_VMS = [VmRow(name=f"web-{number}", vcenter="restored", kubernetes="not registered yet") for number in range(9)]
_OBJECTS = [
    ObjectRow(name=name, stage="waiting", count="0/9", reason="waits for the VMs that VADP restores into vCenter")
    for name in ("shop", "db", "front", "admin", "cache")
]


class _Terminal(io.StringIO):
    """Keeps what was printed before the watch ended apart from what is there in the end."""

    def cut(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def test_a_watch_on_24_lines_is_not_cut_off_and_ends_with_every_row() -> None:
    terminal = _Terminal()
    console = Console(file=terminal, force_terminal=True, width=80, height=24, legacy_windows=False)
    with LiveWatch(console, Screen(console)) as watch:
        watch.show(_VMS, _OBJECTS)
        meanwhile = terminal.cut()
    assert meanwhile.count("\n") < 24
    assert "…" not in meanwhile
    assert all(row.name in meanwhile for row in _VMS)
    assert all(row.name in terminal.getvalue() for row in (*_VMS, *_OBJECTS))


def test_a_watch_with_room_for_every_row_shows_each_on_its_own() -> None:
    terminal = _Terminal()
    console = Console(file=terminal, force_terminal=True, width=80, height=60, legacy_windows=False)
    with LiveWatch(console, Screen(console)) as watch:
        watch.show(_VMS, _OBJECTS)
        assert terminal.cut().count("waits for the VMs") == len(_OBJECTS)
