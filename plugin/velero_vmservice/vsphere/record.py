"""VM Operator's record of a VM, unpacked from ExtraConfig: can RegisterVM bring the VM back from it?

A record comes from a backup, through vCenter, and may be damaged or hostile. So every step is bounded, and each fault
has one sentence. The caller provides the YAML parser (`adapters.vcenter.record_yaml`).
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.errors import InvalidItem
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, Manifest, mapping, sequence
from velero_vmservice.text import one_line
from velero_vmservice.vmoperator import releases, virtual_machine
from velero_vmservice.vmoperator.marks import MANAGER_ID_ANNOTATION
from velero_vmservice.vsphere import extra_config
from velero_vmservice.vsphere.extra_config import ExtraConfig, Key
from velero_vmservice.vsphere.registervm_errors import INVALID_RECORD, TOO_OLD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from velero_vmservice.vmoperator.virtual_machine import Subnet

MAX_TEXT: Final = 2 * 1024 * 1024
"""Limit in bytes of an unpacked YAML: etcd stores objects of 1.5 MiB, and YAML is a little longer."""
MAX_DISKS_TEXT: Final = 256 * 1024
"""Limit in bytes of the disk list: a VM has at most 256 disks, each of about 300 bytes."""
MAX_PACKED: Final = 3 * 1024 * 1024
"""The most characters of a packed value: base64 of `MAX_TEXT` bytes that do not compress at all."""

_LONGEST_ID: Final = 64
"""The most characters of a vCenter's id, which is a UUID."""
_MOST_OWNERS: Final = 8
_GZIP: Final = 31
"""zlib's window bits for a gzip header only."""
_HINT: Final = "restore the VM from another restore point, its VMX file with all of its ExtraConfig included"


class Fault(StrEnum):
    """The faults of a value of a record."""

    MISSING = "missing"
    DAMAGED = "damaged"
    """It cannot be unpacked or parsed within the limits."""
    OTHER_KIND = "other kind"
    NO_VERSION = "no version"


class UnusableRecord(InvalidItem):
    """A value of a record that RegisterVM cannot use."""

    def __init__(self, message: str, *, fault: Fault = Fault.DAMAGED) -> None:
        super().__init__(message, hint=_HINT)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDisk:
    """A disk in VM Operator's list."""

    file: str
    """Its path on the datastore, e.g. `[ds] web-1/data.vmdk`; '' if the list has none."""
    claim: str = ""
    """Its PVC; '' for a classic disk."""
    uuid: str = ""
    """The UUID of its backing; VM Operator lists it since VCF 9.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The content of one VM's record."""

    problem: str = ""
    """Why RegisterVM cannot register the VM from it, with the remedy; '' if it can."""
    cause: str = ""
    """The same without the remedy."""
    code: str = ""
    """RegisterVM's error code in that case."""
    interfaces: Mapping[str, Subnet | None] = field(default_factory=dict)
    """The subnet of each network interface by its name, as from `virtual_machine.interfaces`."""
    manager_id: str = ""
    """The vCenter of the record (guide 6.4)."""
    owners: tuple[tuple[str, str], ...] = ()
    """Name and UID of each VirtualMachineGroup that is an owner in the record."""
    remarks: tuple[str, ...] = ()
    """Remarks, in sentences without the VM's name; those of the ExtraConfig are not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judgement on one VM's ExtraConfig; a few hundred bytes for any length."""

    extra: ExtraConfig
    record: Record


def judge(entries: Mapping[str, str], parse: Callable[[str], object]) -> Judged:
    """Read a VM's ExtraConfig, unpack the record in it and judge that; never raises.

    `parse` turns YAML into JSON-like values; it MUST be bounded in memory and time, and raise `InvalidItem` with one
    sentence about what is wrong.
    """
    extra = extra_config.read(entries)
    return Judged(extra=extra, record=_record(extra, extra_config.values(entries), parse))


def too_long(megabytes: int) -> Judged:
    """Judge an ExtraConfig that was too long to be fetched at all."""
    cause = f"its ExtraConfig is longer than {megabytes} MiB, and no sound one is"
    record = Record(problem=f"{cause}: {_HINT}", cause=cause, code=INVALID_RECORD)
    return Judged(extra=ExtraConfig(recorded=True), record=record)


def _record(extra: ExtraConfig, packed: Mapping[Key, str], parse: Callable[[str], object]) -> Record:
    try:
        vm = recorded_vm(packed, parse)
    except InvalidItem as error:
        return Record(problem=str(error), cause=error.message, code=INVALID_RECORD)
    if too_old := version_too_old(vm):
        return Record(problem=f"{too_old}: {NEWER_RECORD}", cause=too_old, code=TOO_OLD)
    claims = recorded_claims(vm)
    try:
        disks = claim_disks(packed, claims)
    except InvalidItem as error:
        return Record(problem=str(error), cause=error.message, code=INVALID_RECORD)
    return Record(
        interfaces=virtual_machine.interfaces(vm),
        manager_id=str(vm.annotations.get(MANAGER_ID_ANNOTATION, ""))[:_LONGEST_ID],
        owners=vm.owner_groups[:_MOST_OWNERS],
        remarks=tuple(_remarks(extra, vm, claims, disks)),
    )


NEWER_RECORD: Final = "use a restore point that VM Operator recorded later"


def version_too_old(vm: Manifest) -> str:
    """Return why RegisterVM cannot read the recorded version, as a sentence without a remedy; '' if it can."""
    if releases.rank(vm.version) >= releases.rank(releases.SUPPORTED[0]):
        return ""
    return (
        f"the VM was recorded at {one_line(vm.version)}, and RegisterVM restores none older than"
        f" {releases.SUPPORTED[0]} (guide 7.1.2)"
    )


def version_too_new(vm: Manifest) -> str:
    """Return a sentence about a recorded version that is not in the guide; '' if it is."""
    newest = releases.SUPPORTED[-1]
    if releases.rank(vm.version) <= releases.rank(newest):
        return ""
    return f"the VM was recorded at {one_line(vm.version)}, and the guide says nothing of versions after {newest}"


def recorded_claims(vm: Manifest) -> tuple[str, ...]:
    """Return the names of the VM's PVCs, sorted."""
    return tuple(sorted(set(virtual_machine.volumes(vm).values())))


def claims_without_disk(claims: tuple[str, ...], disks: tuple[RecordedDisk, ...]) -> tuple[str, ...]:
    """Return the PVCs without a recorded disk."""
    recorded = {disk.claim for disk in disks}
    return tuple(claim for claim in claims if claim not in recorded)


def unpack(value: str, *, what: str, limit: int) -> str:
    """Undo base64 and gzip; raises `UnusableRecord` if the result is not UTF-8 text of at most `limit` bytes.

    The memory for any value is in proportion to the limits.
    """
    if len(value) > MAX_PACKED:
        raise UnusableRecord(f"{what} is longer than {MAX_PACKED} characters, more than a record can be")
    try:
        packed = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise UnusableRecord(f"{what} is damaged: it is not base64") from None
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(packed, limit + 1)
    except zlib.error:
        raise UnusableRecord(f"{what} is damaged: it is not gzip") from None
    if len(unpacked) > limit:
        raise UnusableRecord(f"{what} unpacks to more than {limit} bytes, more than a record can be")
    if not unpacking.eof or unpacking.unused_data:
        raise UnusableRecord(f"{what} is damaged: its gzip is cut off, or more follows it")
    try:
        return unpacked.decode()
    except UnicodeDecodeError:
        raise UnusableRecord(f"{what} is damaged: it is not UTF-8 text") from None


def recorded_vm(packed: Mapping[Key, str], parse: Callable[[str], object]) -> Manifest:
    """Return the VirtualMachine of a record; raises `UnusableRecord`, and `parse` as for `judge`."""
    what = f"the VirtualMachine in the ExtraConfig ({Key.VM})"
    if Key.VM not in packed:
        raise UnusableRecord(
            f"{what} is missing: the VM is not of VM Service, or its VADP job lost it", fault=Fault.MISSING
        )
    text = unpack(packed[Key.VM], what=what, limit=MAX_TEXT)
    try:
        manifest = Manifest.read(parse(text))
    except InvalidItem as error:
        raise UnusableRecord(f"{what} cannot be read: {error.message}") from None
    if (manifest.group, manifest.kind_name) != (VIRTUAL_MACHINE.group, VIRTUAL_MACHINE.name):
        described = one_line(f"{manifest.content.get('apiVersion')} {manifest.kind_name}")
        raise UnusableRecord(f"{what} is not a VirtualMachine but {described}", fault=Fault.OTHER_KIND)
    if releases.rank(manifest.version)[0] < 0:
        raise UnusableRecord(
            f"{what} has the API version {one_line(manifest.version)!r}, which is not one", fault=Fault.NO_VERSION
        )
    return manifest


def claim_disks(packed: Mapping[Key, str], claims: tuple[str, ...]) -> tuple[RecordedDisk, ...]:
    """Return the recorded disks of PVCs; without the list no PVC can be registered (guide 7.1.3).

    Raises `UnusableRecord` if it is damaged, or missing although the VM has `claims`.
    """
    what = f"the list of disks in the ExtraConfig ({Key.CLAIM_DISKS})"
    if Key.CLAIM_DISKS not in packed:
        if claims:
            volumes = one_line(", ".join(claims[:3]))
            raise UnusableRecord(f"{what} is missing, and the VM has volumes: {volumes}", fault=Fault.MISSING)
        return ()
    return _disks(packed[Key.CLAIM_DISKS], what=what)


def classic_disks(packed: Mapping[Key, str]) -> tuple[RecordedDisk, ...]:
    """Return the recorded disks without a PVC; raises `UnusableRecord` if the list is damaged."""
    if Key.CLASSIC_DISKS not in packed:
        return ()
    return _disks(packed[Key.CLASSIC_DISKS], what=f"the list of classic disks in the ExtraConfig ({Key.CLASSIC_DISKS})")


def _disks(value: str, *, what: str) -> tuple[RecordedDisk, ...]:
    text = unpack(value, what=what, limit=MAX_DISKS_TEXT)
    try:
        entries: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UnusableRecord(f"{what} is damaged: it is not JSON") from None
    if entries is not None and not isinstance(entries, list):
        raise UnusableRecord(f"{what} is damaged: it is not a list")
    disks = [mapping(entry) for entry in sequence(entries)]
    read = [
        RecordedDisk(file=_named(disk, "FileName"), claim=_named(disk, "PVCName"), uuid=_named(disk, "UUID"))
        for disk in disks
    ]
    return tuple(disk for disk in read if disk.file or disk.claim)


def _named(entry: Mapping[str, Any], field_name: str) -> str:
    value = entry.get(field_name)
    return value if isinstance(value, str) else ""


def _remarks(
    extra: ExtraConfig, vm: Manifest, claims: tuple[str, ...], disks: tuple[RecordedDisk, ...]
) -> Iterator[str]:
    if too_new := version_too_new(vm):
        yield too_new
    lacking = claims_without_disk(claims, disks)
    if lacking:
        yield f"no disk is recorded for PVC {one_line(', '.join(lacking[:3]))}: RegisterVM will not bring it back"
    recorded = (str(vm.namespace), str(vm.name))
    if extra.name and (extra.namespace, extra.name) != recorded:
        yield (
            f"the ExtraConfig is of {one_line(f'{extra.namespace}/{extra.name}')}, and the record in it of"
            f" {one_line('/'.join(recorded))}: it may be a copy"
        )
