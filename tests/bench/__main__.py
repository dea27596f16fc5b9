"""`make bench`: speed and memory as one Markdown table, each figure beside a named peer measured in the same run.

(a) launching, against velero-plugin-for-aws; (b) a real Velero's backup of 2,000 ConfigMaps, with our plugin and
without; (c) capturing one object, against a bare put_object, and leaving one out, against a Go action; (d) memory;
(e) a restore that waits for 1,000 VMs, against bare reads of the same and against one of 100 VMs, and the
memory of one of 10,000; (f) a round of a restore that waits for the registration of 500 VMs, through each source
and all of them, against bare reads of the same and against one of 50 VMs; (g) a real Velero's backup of a whole
namespace, with our plugin and without; (h) the daemon of the self-contained plugin: its copy, its start, a launch,
and its rest; (i) a capture without Velero, against the bare LISTs and PUTs that it needs. Absolute figures
depend on the VM and on who else uses it; the ratios of
one run are what counts, and what the targets are about.
A run writes its figures into docs/benchmarks.md, --quick apart. With --against each part is measured a second time
with the product of another checkout, which is the peer then, and nothing is written.
Exit code 1 says that a target was missed. The programs come from `python -m tests.e2e.build`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import (
    backups,
    captures,
    daemons,
    launches,
    namespaces,
    own_captures,
    page,
    registration_rows,
    registrations,
    wait_rows,
    waits,
    withholding,
)
from tests.bench.crowds import Crowd
from tests.bench.table import markdown
from tests.e2e.build import TOOLS
from tests.e2e.sidecar import INTERPRETER
from tests.e2e.velero import AWS_PLUGIN
from tests.tools.markdown import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.table import Row

PARTS = frozenset("abcdefghi")
PYTHON = Path(".venv/bin/python")
OF_THIS_CHECKOUT = frozenset("fhi")
"""Parts whose product is none that another checkout's Python could run: it is in this process, or in the bundle."""


CROWDS = waits.Size(
    small=Crowd(machines=100, services=20, groups=10),
    large=Crowd(machines=1000, services=200, groups=100),
    huge=Crowd(machines=10_000, services=200, groups=100),
    rounds=3,
)
REGISTRATIONS = registrations.Size(small=50, large=500, rounds=3, hostile=200)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured.

    Launches in (a) and (h), backups and what is in each in (b), calls in (c), VMs in (e), (f), (g), starts and the time
    of rest in (h).
    """

    rounds: int = 50
    backups: int = 5
    config_maps: int = 2000
    objects: int = 300
    mixed: int = 3
    colds: int = 5
    idle_seconds: float = 300.0
    waits: waits.Size = CROWDS
    registrations: registrations.Size = REGISTRATIONS


QUICK = Size(
    rounds=10,
    backups=3,
    config_maps=500,
    objects=60,
    idle_seconds=20.0,
    waits=waits.Size(
        small=Crowd(machines=20, services=4, groups=3),
        large=Crowd(machines=100, services=20, groups=10),
        huge=Crowd(machines=1000, services=20, groups=10),
        rounds=2,
    ),
    registrations=registrations.Size(small=10, large=50, rounds=2, hostile=50),
)


def main(arguments: Sequence[str]) -> int:
    """Measure what is asked for, print the table, and say by the exit code whether every target was met."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="speed and memory, against named peers")
    parser.add_argument("--rounds", type=int, help=f"launches of each in (a); {Size().rounds} unless told")
    parser.add_argument("--only", type=_parts, default=PARTS, metavar="PARTS", help="such as a,c; all unless told")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it works")
    parser.add_argument(
        "--against", type=_checkout, metavar="DIR", help="a checkout that was set up; all but (f), (h), (i)"
    )
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else Size()
    if options.rounds:
        size = dataclasses.replace(size, rounds=options.rounds)
    header = _header(arguments)
    if options.against:
        rows = [
            row for part in sorted(options.only - OF_THIS_CHECKOUT) for row in _compared(size, part, options.against)
        ]
        sys.stdout.write(f"{header}\n\n{markdown(rows)}\n")
        return 0
    rows = sorted(_measured(size, options.only), key=lambda row: row.part)
    sys.stdout.write(f"{header}\n\n{markdown(rows)}\n")
    if not options.quick:
        run = f"{_today()}, commit {_commit()}; {header}"
        page.PAGE.write_text(page.written(page.PAGE.read_text(), rows, parts=options.only, run=run))
    return 0 if all(row.met for row in rows) else 1


def _measured(size: Size, parts: frozenset[str]) -> Iterator[Row]:
    """Measure; first what is disturbed most by other programs. (b) and (d) are about the same ones."""
    if "a" in parts:
        _progress(f"(a) {size.rounds} launches of each plugin")
        yield from launches.measure(size.rounds)
    if "h" in parts:
        _progress(f"(h) {size.colds} starts of the daemon, {size.rounds} launches, {size.idle_seconds:.0f} s of rest")
        yield from daemons.measure(colds=size.colds, rounds=size.rounds, idle_seconds=size.idle_seconds)
    if "c" in parts:
        _progress(f"(c) {size.objects} captures")
        yield from captures.measure(size.objects)
        yield from withholding.measure(size.objects)
    if parts & {"b", "d"}:
        _progress(f"(b), (d) {size.backups} backups of {size.config_maps:,} ConfigMaps by each server")
        rows = backups.measure(backups=size.backups, config_maps=size.config_maps)
        yield from (row for row in rows if row.part in parts)
    if "g" in parts:
        _progress(f"(g) {size.mixed} backups of {size.waits.large} by each server")
        yield from namespaces.measure(crowd=size.waits.large, config_maps=size.config_maps, backups=size.mixed)
    if "i" in parts:
        _progress(f"(i) {size.mixed} captures of {size.waits.large} without Velero")
        yield from own_captures.measure(crowd=size.waits.large, rounds=size.mixed)
    if "e" in parts:
        for crowd in (size.waits.small, size.waits.large, size.waits.huge):
            _progress(f"(e) restore of {crowd}")
        yield from wait_rows.rows(waits.measure(size.waits))
    if "f" in parts:
        counted = size.registrations
        _progress(f"(f) registration of {counted.small} and of {counted.large} VMs through each source")
        yield from registration_rows.rows(registrations.measure(counted))


def _compared(size: Size, part: str, checkout: Path) -> Iterator[Row]:
    """Measure a part with the product of a checkout, then with this one; the figures of the former are the peer."""
    token = INTERPRETER.set(str(checkout / PYTHON))
    try:
        before = {row.measured: row.ours for row in _measured(size, frozenset(part))}
    finally:
        INTERPRETER.reset(token)
    peer = f"commit {_commit(checkout)}"
    for measured, row in {row.measured: row for row in _measured(size, frozenset(part))}.items():
        if theirs := before.get(measured):
            yield dataclasses.replace(row, peer=peer, theirs=theirs, target=None)


def _checkout(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / PYTHON).exists():
        raise argparse.ArgumentTypeError(f"{path / PYTHON} is missing: run make setup in that checkout")
    return path


def _parts(text: str) -> frozenset[str]:
    chosen = frozenset(text.replace(",", ""))
    if not chosen or chosen - PARTS:
        raise argparse.ArgumentTypeError(f"not among {','.join(sorted(PARTS))}: {text!r}")
    return chosen


def _header(arguments: Sequence[str]) -> str:
    """Say how this was measured, and on what."""
    pinned = (TOOLS / AWS_PLUGIN / "go.mod").read_text().partition(f"require github.com/vmware-tanzu/{AWS_PLUGIN} ")[2]
    facts = (
        f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f} before",
        f"Python {platform.python_version()}",
        f"Velero {backups.VELERO}",
        f"{AWS_PLUGIN} {pinned.split()[0]}",
    )
    return f"`{' '.join(('python -m tests.bench', *arguments))}`: {', '.join(facts)}."


def _commit(checkout: Path = ROOT) -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _progress(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
