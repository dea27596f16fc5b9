"""The virtual disks of a VMX file beside the disks that VM Operator has recorded.

A VMX names a disk by its path, and holds no UUID of it. The path may be relative to the VMX, or begin with the
datastore's UUID instead of its name, and that of a VM with a snapshot is a delta's, `web-1-000001.vmdk`. So what is
compared is, in this order: folder and file; file; and both again with the number of the delta left out.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.text import one_line
from velero_vmservice.vsphere.extra_config import Key
from velero_vmservice.vsphere.saved.findings import Finding, FindingKind, some

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.vsphere.record import RecordedDisk
    from velero_vmservice.vsphere.saved.vmx import VirtualDisk

_DATASTORE: Final = re.compile(r"(?:ds://)?(?:\[[^\]]*\] *|/vmfs/volumes/[^/]+/)")
_DELTA: Final = re.compile(r"-\d{6}(?=\.vmdk$)", re.IGNORECASE)
"""vSphere numbers a disk's deltas so; the base keeps its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskComparison:
    """Which disk of the VMX is which recorded one, and what is left."""

    attached: tuple[VirtualDisk, ...] = ()
    recorded: Mapping[str, RecordedDisk] = field(default_factory=dict)
    """The recorded disk of each node that has one."""
    lacking: tuple[RecordedDisk, ...] = ()
    """Recorded, and found in no path of the VMX."""
    attached_twice: tuple[str, ...] = ()
    """Paths."""
    recorded_twice: tuple[str, ...] = ()

    @property
    def listed(self) -> tuple[RecordedDisk, ...]:
        """The recorded disks, those that the VMX has first."""
        return (*self.recorded.values(), *self.lacking)

    @property
    def unrecorded(self) -> tuple[VirtualDisk, ...]:
        """Disks of the VMX that are in no list."""
        return tuple(disk for disk in self.attached if disk.node not in self.recorded)

    @property
    def on_snapshot(self) -> tuple[VirtualDisk, ...]:
        """Disks of the VMX that are a delta, matched by the name of its base."""
        return tuple(
            disk
            for disk in self.attached
            if disk.node in self.recorded and _file(disk.file) != _file(self.recorded[disk.node].file)
        )


def compare(attached: Sequence[VirtualDisk], recorded: Sequence[RecordedDisk]) -> DiskComparison:
    """Match the disks of a VMX with the recorded ones; each is matched once, a list that repeats itself counts once."""
    pairs: dict[str, RecordedDisk] = {}
    left = list({disk.file or disk.claim: disk for disk in reversed(recorded)}.values())[::-1]
    for key in (_folder_and_file, _file, _folder_and_base, _base):
        by_key = _by_key(left, key)
        for disk in attached:
            if disk.node not in pairs and (candidates := by_key.get(key(disk.file))):
                pairs[disk.node] = candidates.pop(0)
        matched = {id(disk) for disk in pairs.values()}
        left = [disk for disk in left if id(disk) not in matched]
    return DiskComparison(
        attached=tuple(attached),
        recorded=pairs,
        lacking=tuple(left),
        attached_twice=_repeated(disk.file for disk in attached),
        recorded_twice=_repeated(disk.file for disk in recorded if disk.file),
    )


def _by_key(disks: Iterable[RecordedDisk], key: Callable[[str], Hashable]) -> dict[Hashable, list[RecordedDisk]]:
    by_key: dict[Hashable, list[RecordedDisk]] = {}
    for disk in disks:
        if disk.file:
            by_key.setdefault(key(disk.file), []).append(disk)
    return by_key


def _folder_and_file(path: str) -> str:
    return _DATASTORE.sub("", path, count=1)


def _file(path: str) -> str:
    return _folder_and_file(path).rpartition("/")[2]


def _folder_and_base(path: str) -> str:
    return _DELTA.sub("", _folder_and_file(path))


def _base(path: str) -> str:
    return _DELTA.sub("", _file(path))


def _repeated(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path, count in Counter(paths).items() if count > 1)


def attached_findings(compared: DiskComparison) -> Iterator[Finding]:
    """Yield what the disks of the VMX say themselves."""
    if not compared.attached:
        yield Finding(kind=FindingKind.INCOMPLETE, sentence="it names no virtual disk")
    for disk in compared.attached:
        if disk.mode.lower().startswith("independent"):
            why = f"is {one_line(disk.mode)}: snapshots leave it out, and so do VADP jobs"
        elif disk.sharing.lower() == "multi-writer":
            why = "is shared by several writers, and cannot have snapshots"
        else:
            continue
        yield Finding(kind=FindingKind.DISK_OUTSIDE_SNAPSHOTS, sentence=f"{some([f'{disk.node} {disk.file}'])} {why}")
    if compared.attached_twice:
        yield Finding(kind=FindingKind.DISK_TWICE, sentence=f"attached more than once: {some(compared.attached_twice)}")


def list_findings(compared: DiskComparison, *, with_classic: bool) -> Iterator[Finding]:
    """Yield what differs between the VMX and the lists of disks; `with_classic` says that there is one without PVCs."""
    lacking = [disk for disk in compared.lacking if disk.file]
    free = len(compared.unrecorded) - (0 if with_classic else 1)  # a VM boots from a disk, which has no PVC
    names = some(f"{disk.file} ({f'PVC {disk.claim}' if disk.claim else 'classic disk'})" for disk in lacking)
    if len(lacking) > max(free, 0):
        sentence = f"recorded disks that are not among the {len(compared.attached)} of the file: {names}"
        yield Finding(kind=FindingKind.DISK_NOT_SAVED, sentence=sentence)
    elif lacking:
        sentence = f"disks that are recorded under paths that the file does not have: {names}"
        yield Finding(kind=FindingKind.DISK_ELSEWHERE, sentence=sentence)
    if compared.unrecorded:
        unrecorded = some(f"{disk.node} {disk.file}" for disk in compared.unrecorded)
        if with_classic:
            sentence = f"disks in neither {Key.CLAIM_DISKS} nor {Key.CLASSIC_DISKS}: {unrecorded}"
            yield Finding(kind=FindingKind.DISK_IN_NO_RECORD, sentence=sentence)
        else:
            sentence = f"disks without PVC, of which VM Operator keeps a list since VCF 9.0: {unrecorded}"
            yield Finding(kind=FindingKind.CLASSIC_DISKS_NOT_RECORDED, sentence=sentence)
    if compared.recorded_twice:
        yield Finding(kind=FindingKind.DISK_TWICE, sentence=f"recorded more than once: {some(compared.recorded_twice)}")
    if compared.on_snapshot:
        deltas = some(f"{disk.node} {disk.file}" for disk in compared.on_snapshot)
        sentence = f"deltas of a snapshot, compared by the names of their bases: {deltas}"
        yield Finding(kind=FindingKind.DISK_ON_SNAPSHOT, sentence=sentence)
