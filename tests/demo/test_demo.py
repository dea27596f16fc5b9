"""The demo as its user runs it, and proof that it does not take the plugin's word for how it ended."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tests.demo.place import place
from tests.demo.screen import Screen
from tests.demo.story import REPORT, tell
from tests.demo.velero import State, Velero

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from tests.demo.velero import Run

ROOT = Path(__file__).parents[2]
PATIENCE = 300
COLUMNS = 80


def test_the_demo_ends_verified_and_says_what_it_waited_for() -> None:
    shutil.rmtree(REPORT.parent, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"],
        cwd=ROOT,
        env=os.environ | {"TERM": "dumb", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    for line in done.stdout.splitlines():
        assert len(line) <= COLUMNS or line.startswith("  kubectl") or line.strip().startswith("s3://"), line
    story = re.sub(r"\n +", " ", done.stdout)  # a sentence that was folded, on one line again
    for line in (
        r"Emulated: Velero, the Kubernetes API .*`make e2e` uses the real Velero, API server\nand S3 server",
        r"left to the Supervisor: VirtualMachine shop/shop-db-1",
        r"captured: .*VirtualMachineGroup shop/shop-db",
        r"sealed \(5 objects, .*captures/nightly/",
        r"Velero's Restore: Completed\. VMs in the namespace: 0\.",
        r"- service shop-web: address 192\.0\.2\.11, endpoints: none",
        r"- VM shop-web-1: PoweredOn, as group shop came back with powerState PoweredOn",
        r"\$ velero-vmservice plan nightly\n.*wait +VirtualMachineService shop/shop-db +0/1 +shop-db-1: not registered",
        r"replay deferred until the VMs are registered: .*VirtualMachineService shop/shop-web",
        r"service shop-web: waiting 0/2 VMs: .*shop-web-2: not registered yet",
        r"group shop-db.*: waiting 0/1 VMs: shop-db-1: registering \(register volumes\): waits for PVC restored-",
        r"group shop-web.*: waiting [01]/2 VMs: .*shop-web-2: paused by RegisterVM",
        r"service shop-web: failed 2/2 VMs: .*denied the request: no new load balancers during the freeze",
        r"\$ velero-vmservice restore --resume nightly-restored --timeout 2m\n",
        r"VirtualMachineService shop/shop-web: verified: as expected",
        r"ok every VM is powered off",
        r"ok the load balancer has an address: 192\.0\.2\.10 → 192\.0\.2\.12",
        r"kubectl -n shop patch virtualmachinegroup shop --type merge -p",
        r"xdg-open .build/demo/report.html",
        r"Everything is as it must be",
    ):
        assert re.search(line, story, re.DOTALL), f"{line} is not in\n{done.stdout}"
    assert "\nNO " not in done.stdout
    assert "VirtualMachineService" in REPORT.read_text("utf-8")


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
    with place() as demo:
        assert not tell(Screen(Console(file=printed, width=200)), demo)
    for sentence in (
        "NO 5 operations ended, one with an error: what the webhook refused (found: 5 ended, none with an error)",
        "NO shop-db-1, shop-web-1, shop-web-2 are registered again (found: nothing)",
        "NO the bucket holds the results of 5 objects, in the end all verified and without a warning (found: nothing)",
        "NO the resumed restore ended with exit code 0 (found: nothing)",
        "NO 3 groups and 2 services are there (found: none)",
        "Not everything is as it must be",
    ):
        assert sentence in re.sub(r"\n +", " ", printed.getvalue()), printed.getvalue()
