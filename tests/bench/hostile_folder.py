"""The memory of one look at a folder whose VMs carry more ExtraConfig than any sound ones.

Each client looks in a process of its own, so that nothing else counts, and first at a folder without VMs.
"""

from __future__ import annotations

import multiprocessing
import os
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from tests.bench import bare_reads, processes
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.vcenter import inventory
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import Unavailable
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.registration_site import Site
    from velero_vmservice.settings.registration import VCenterSettings

_EMPTY: Final = "empty"
_HOSTILE: Final = "hostile"
_EACH: Final = 1024 * 1024
"""Characters of a VM's record, which is none."""
_MOST_LOOKS: Final = 10
_PATIENCE_SECONDS: Final = 120.0
"""The simulator makes an answer of 200 MiB before it sends any of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """MiB by which each client grew."""

    machines: int
    ours: float
    bare: float


def measure(site: Site, machines: int) -> Memory:
    """Have so many VMs restored, and let both clients look at them."""
    site.simulator.folder(_EMPTY)
    record = {SPELLINGS[Key.VM][0]: "A" * _EACH}
    for number in range(machines):
        identity = {"bios_uuid": f"bios-{number}", "instance_uuid": f"instance-{number}"}
        site.simulator.restore(f"hostile-{number}", folder=_HOSTILE, extra_config=record, **identity)
    folders = {name: str(site.simulator.folder(name)._GetMoId()) for name in (_EMPTY, _HOSTILE)}
    settings = site.vcenter_settings.model_copy(update={"timeout_seconds": _PATIENCE_SECONDS})
    return Memory(machines=machines, ours=_apart(_ours, settings, folders), bare=_apart(_bare, settings, folders))


def _apart(look: Callable[[VCenterSettings, dict[str, str]], float], *known: Any) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(look, known)


def _ours(settings: VCenterSettings, folders: dict[str, str]) -> float:
    with closing(inventory.connect(settings, clock=SystemClock())) as connected:

        def look(name: str) -> object:
            for _ in range(_MOST_LOOKS):  # on a slow VM one goes on from another
                with suppress(Unavailable):
                    return connected.inventory.look(name, [ExpectedVm(name="hostile-0")], folders=[folders[name]])
            raise TimeoutError("no look has ended")

        return _growth(look)


def _bare(settings: VCenterSettings, folders: dict[str, str]) -> float:
    host, port = settings.address
    service = SmartConnect(
        host=host, port=port, user=settings.user, pwd=settings.read_password(), disableSslCertValidation=True
    )
    content = service.RetrieveContent()

    def look(name: str) -> object:
        folder = vim.Folder(folders[name], service._stub)
        return bare_reads.below(content, folder)

    try:
        return _growth(look)
    finally:
        Disconnect(service)


def _growth(look: Callable[[str], object]) -> float:
    """Return by how many MiB the process grew at most."""
    look(_EMPTY)
    pid = os.getpid()
    processes.reset_peak(pid)
    before = processes.resident_mebibytes(pid)
    look(_HOSTILE)
    return processes.peak_mebibytes(pid) - before
