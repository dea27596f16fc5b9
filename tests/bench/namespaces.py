"""A real Velero's backup of a whole namespace, with our plugin and without: what the plugin does for each item counts.

The namespace has what an application namespace of a Supervisor has: VMs, which are left out one by one, services and
groups, which are captured, and as many ConfigMaps again, which are none of our business.
"""

from __future__ import annotations

from typing import Final

from tests.bench import crowds
from tests.bench.backups import VELERO, BackupClock, config_map, in_turns, stage, warm_up
from tests.bench.crowds import Crowd, Writer, collection
from tests.bench.table import Row
from tests.emulator import machines

_SPACE: Final = "crowd"
TARGET: Final = 1.4


def measure(*, crowd: Crowd, config_maps: int, backups: int) -> list[Row]:
    """Back the namespace up by both servers, in turns."""
    with stage() as both:
        cluster = both.alone.cluster
        cluster.controller_manager.stop()  # it would unbind the claims: no volume is behind them
        writer = Writer(cluster)
        writer.create("/api/v1/namespaces", [machines.namespace(_SPACE)])
        crowds.populate(writer, _SPACE, crowd.vms(_SPACE))
        for plural, item in crowd.objects(_SPACE):
            writer.create(collection(plural, _SPACE), [item])
        writer.create(f"/api/v1/namespaces/{_SPACE}/configmaps", (config_map(_SPACE, n) for n in range(config_maps)))
        writer.settle(collection(crowds.VM, _SPACE), crowd.machines)
        clock = BackupClock(cluster.kubeconfig, _SPACE, at_least=config_maps + crowd.services + crowd.groups)
        warm_up(clock, both)
        ours, theirs = in_turns(clock, both, backups)
    return [
        Row(
            part="g",
            measured=f"Velero {VELERO}: backup of {crowd}, {config_maps:,} ConfigMaps, median of {backups}",
            ours=ours,
            theirs=theirs,
            unit="s",
            peer="Velero without our plugin",
            target=TARGET,
        )
    ]
