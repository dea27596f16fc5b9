"""VM Operator's record of a VM, unpacked from ExtraConfig: can RegisterVM bring the VM back from it?

A record comes out of a backup, through vCenter, and may be damaged or hostile. So every step is bounded, and each
way to be wrong has one sentence. How YAML is parsed is the caller's business (`adapters.vcenter.record_yaml`).
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, field
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
"""Bytes of an unpacked YAML: etcd takes objects of 1.5 MiB, and YAML is a little longer than what etcd stores."""
MAX_DISKS_TEXT: Final = 256 * 1024
"""Bytes of the disk list: a VM has at most 256 disks, each some 300 bytes."""
MAX_PACKED: Final = 3 * 1024 * 1024
"""Characters of a packed value: base64 of `MAX_TEXT` bytes that do not compress at all."""

_LONGEST_ID: Final = 64
"""Characters of a vCenter's id, which is a UUID."""
_MOST_OWNERS: Final = 8
_GZIP: Final = 31
"""zlib's window bits for a gzip header and nothing else."""
_HINT: Final = "restore the VM from another restore point, its VMX file with all of its ExtraConfig included"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one VM's record says."""

    problem: str = ""
    """Why RegisterVM cannot register the VM from it, remedy included; '' if it can."""
    code: str = ""
    """What RegisterVM answers then."""
    interfaces: Mapping[str, Subnet | None] = field(default_factory=dict)
    """The subnet of each network interface by its name, as `virtual_machine.interfaces` has them."""
    manager_id: str = ""
    """The vCenter that it was recorded in (guide 6.4)."""
    owners: tuple[tuple[str, str], ...] = ()
    """Name and UID of each VirtualMachineGroup that it names as owner."""
    remarks: tuple[str, ...] = ()
    """What to mind, in sentences without the VM's name; those of the ExtraConfig are not repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one VM's ExtraConfig says; some hundred bytes, however long it is."""

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
    problem = f"its ExtraConfig is longer than {megabytes} MiB, and no sound one is: {_HINT}"
    return Judged(extra=ExtraConfig(recorded=True), record=Record(problem=problem, code=INVALID_RECORD))


def _record(extra: ExtraConfig, packed: Mapping[Key, str], parse: Callable[[str], object]) -> Record:
    try:
        vm = _vm(packed, parse)
    except InvalidItem as error:
        return Record(problem=str(error), code=INVALID_RECORD)
    version = vm.version
    if releases.rank(version) < releases.rank(releases.SUPPORTED[0]):
        problem = (
            f"the VM was recorded at {one_line(version)}, and RegisterVM restores none older than"
            f" {releases.SUPPORTED[0]} (guide 7.1.2): use a restore point that VM Operator recorded later"
        )
        return Record(problem=problem, code=TOO_OLD)
    claims = tuple(sorted(set(virtual_machine.volumes(vm).values())))
    try:
        disks = _disks(packed, claims)
    except InvalidItem as error:
        return Record(problem=str(error), code=INVALID_RECORD)
    return Record(
        interfaces=virtual_machine.interfaces(vm),
        manager_id=str(vm.annotations.get(MANAGER_ID_ANNOTATION, ""))[:_LONGEST_ID],
        owners=vm.owner_groups[:_MOST_OWNERS],
        remarks=tuple(_remarks(extra, vm, claims, disks)),
    )


def unpack(value: str, *, what: str, limit: int) -> str:
    """Undo base64 and gzip; raises `InvalidItem` if that yields no UTF-8 text of at most `limit` bytes.

    Costs memory in proportion to the limits, whatever the value would unpack to.
    """
    if len(value) > MAX_PACKED:
        raise InvalidItem(f"{what} is longer than {MAX_PACKED} characters, more than a record can be", hint=_HINT)
    try:
        packed = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidItem(f"{what} is damaged: it is not base64", hint=_HINT) from None
    unpacking = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacking.decompress(packed, limit + 1)
    except zlib.error:
        raise InvalidItem(f"{what} is damaged: it is not gzip", hint=_HINT) from None
    if len(unpacked) > limit:
        raise InvalidItem(f"{what} unpacks to more than {limit} bytes, more than a record can be", hint=_HINT)
    if not unpacking.eof or unpacking.unused_data:
        raise InvalidItem(f"{what} is damaged: its gzip is cut off, or more follows it", hint=_HINT)
    try:
        return unpacked.decode()
    except UnicodeDecodeError:
        raise InvalidItem(f"{what} is damaged: it is not UTF-8 text", hint=_HINT) from None


def _vm(packed: Mapping[Key, str], parse: Callable[[str], object]) -> Manifest:
    what = f"the VirtualMachine in the ExtraConfig ({Key.VM})"
    if Key.VM not in packed:
        raise InvalidItem(f"{what} is missing: the VM is not of VM Service, or its VADP job lost it", hint=_HINT)
    text = unpack(packed[Key.VM], what=what, limit=MAX_TEXT)
    try:
        manifest = Manifest.read(parse(text))
    except InvalidItem as error:
        raise InvalidItem(f"{what} cannot be read: {error.message}", hint=_HINT) from None
    if (manifest.group, manifest.kind_name) != (VIRTUAL_MACHINE.group, VIRTUAL_MACHINE.name):
        described = one_line(f"{manifest.content.get('apiVersion')} {manifest.kind_name}")
        raise InvalidItem(f"{what} is not a VirtualMachine but {described}", hint=_HINT)
    if releases.rank(manifest.version)[0] < 0:
        raise InvalidItem(f"{what} has the API version {one_line(manifest.version)!r}, which is not one", hint=_HINT)
    return manifest


def _disks(packed: Mapping[Key, str], claims: tuple[str, ...]) -> tuple[str, ...]:
    """Return the claims whose disks are recorded; without them no claim can be registered (guide 7.1.3)."""
    what = f"the list of disks in the ExtraConfig ({Key.CLAIM_DISKS})"
    if Key.CLAIM_DISKS not in packed:
        if claims:
            raise InvalidItem(
                f"{what} is missing, and the VM has volumes: {one_line(', '.join(claims[:3]))}", hint=_HINT
            )
        return ()
    text = unpack(packed[Key.CLAIM_DISKS], what=what, limit=MAX_DISKS_TEXT)
    try:
        entries: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidItem(f"{what} is damaged: it is not JSON", hint=_HINT) from None
    if entries is not None and not isinstance(entries, list):
        raise InvalidItem(f"{what} is damaged: it is not a list", hint=_HINT)
    named = (mapping(entry).get("PVCName") for entry in sequence(entries))
    return tuple(sorted({name for name in named if isinstance(name, str) and name}))


def _remarks(extra: ExtraConfig, vm: Manifest, claims: tuple[str, ...], disks: tuple[str, ...]) -> Iterator[str]:
    newest = releases.SUPPORTED[-1]
    if releases.rank(vm.version) > releases.rank(newest):
        version = one_line(vm.version)
        yield f"the VM was recorded at {version}, and the guide says nothing of versions after {newest}"
    lacking = [claim for claim in claims if claim not in disks]
    if lacking:
        yield f"no disk is recorded for PVC {one_line(', '.join(lacking[:3]))}: RegisterVM will not bring it back"
    recorded = (str(vm.namespace), str(vm.name))
    if extra.name and (extra.namespace, extra.name) != recorded:
        yield (
            f"the ExtraConfig is of {one_line(f'{extra.namespace}/{extra.name}')}, and the record in it of"
            f" {one_line('/'.join(recorded))}: it may be a copy"
        )
