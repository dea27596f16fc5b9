"""Leaving one item out: what a backup waits for each time Velero hands us a VM.

Velero's own framework is the client, so that nothing of ours is in the clock but the action; beside ours a Go action
that does the least there is to do, launched and asked by the same code in the same run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.captures import BACKUP, BUCKET, SPACE, client, moto, seed
from tests.bench.crowds import Crowd
from tests.bench.hot_sidecar import hot_sidecar
from tests.bench.table import Row
from tests.e2e.build import Tool, binary, build
from tests.rpc.velero_host import SERVER_ARGUMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.emulator.kubernetes.cluster import Object

_CALLS: Final = Tool(name="action-calls", module="velero118", package=str(Path(__file__).with_name("action_calls.go")))
_OURS: Final = "velero-plugin-for-vmservice/withhold"
_PEER: Final = "example.com/leave-out"
_ROUNDS: Final = 5
TARGET: Final = 1.25
"""Eight tenths of the calls that a Go action serves in the same time."""


def measure(items: int) -> list[Row]:
    """Leave VMs out by both actions, in turns."""
    build(_CALLS)
    vms = Crowd(machines=items, services=10, groups=10).vms(SPACE)
    with hot_sidecar() as sidecar, moto(sidecar) as url:
        client(url).create_bucket(Bucket=BUCKET)
        seed(sidecar, url)
        ours, theirs = list[float](), list[float]()
        for _ in range(_ROUNDS):
            ours += _seconds_each(sidecar.launcher, _OURS, vms)
            theirs += _seconds_each(binary(_CALLS.name), _PEER, vms)
    return [
        Row(
            part="c",
            measured=f"Execute of withhold, median of {len(ours):,}",
            ours=statistics.median(ours) * 1000,
            theirs=statistics.median(theirs) * 1000,
            unit="ms",
            peer="a Go action",
            target=TARGET,
        )
    ]


def _seconds_each(program: Path, action: str, items: Sequence[Object]) -> list[float]:
    """Launch a plugin and ask its action about each item; return the seconds of each call."""
    given = "\n".join(json.dumps(value) for value in (action, BACKUP, *items))
    command = [binary(_CALLS.name), program, *SERVER_ARGUMENTS]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds
