"""The demo as its user runs it, and proof that it does not take the plugin's word for how it ended."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tests.demo.place import place
from tests.demo.screen import Screen
from tests.demo.story import tell
from tests.demo.velero import State, Velero

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from tests.demo.velero import Run

ROOT = Path(__file__).parents[2]
PATIENCE = 300


def test_the_demo_ends_verified_and_says_what_it_waited_for() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"],
        cwd=ROOT,
        env=os.environ | {"TERM": "dumb"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    for line in (
        r"Played here: Velero, the Supervisor .*`make e2e` uses the real Velero, API server\nand S3 server",
        r"left to the Supervisor: VirtualMachine shop/shop-db-1",
        r"captured: VirtualMachineGroup shop/shop-db",
        r"sealed \(5 objects, .*captures/nightly/",
        r"replay deferred until the VMs are registered: VirtualMachineService shop/shop-web",
        r"service shop-web +waiting +0/2 +.*shop-web-2: not registered yet",
        r"group shop-db +waiting +0/1 +shop-db-1: registering \(register volumes\): waits for PVC restored-",
        r"group shop-web +waiting +1/2 +shop-web-2: paused by RegisterVM",
        r"service shop-web +verified +2/2",
        r"ok +every machine is powered off",
        r"ok +the load balancer has an address: 192\.0\.2\.10 → 192\.0\.2\.11",
        r"to go on: kubectl -n shop patch virtualmachinegroup",
        r"s3://velero/plugins/vmservice/\ncaptures/nightly/\w+/capture\.json",
        r"Everything is as it must be",
    ):
        assert re.search(line, done.stdout, re.DOTALL), f"{line} is not in\n{done.stdout}"
    assert "\nNO " not in done.stdout


def test_a_plugin_that_only_says_that_all_is_verified_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    poll = Velero.poll

    def claim(velero: Velero, run: Run) -> Iterator[Sequence[State]]:
        if run.record["kind"] == "Backup":
            yield from poll(velero, run)
            return
        yield [
            State(
                operation=operation,
                completed=True,
                error="",
                done=1,
                total=1,
                units="VMs",
                description="verified: as expected",
            )
            for operation in run.operations
        ]

    monkeypatch.setattr(Velero, "poll", claim)
    printed = io.StringIO()
    with place() as found:
        assert not tell(Screen(Console(file=printed, width=200)), found)
    for words in (
        "ok 5 operations ended, none with an error",
        "NO 3 groups and 2 services are there (found: none)",
        "NO shop-db-1, shop-web-1, shop-web-2 are registered again (found: nothing)",
        "NO the bucket holds 5 results, all verified and without a warning (found: nothing)",
        "Not everything is as it must be",
    ):
        assert words in printed.getvalue(), printed.getvalue()
