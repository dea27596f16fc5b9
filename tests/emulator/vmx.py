"""A VM's VMX file as ESXi writes it, for a VADP product to save.

The grammar is VMware's own (open-vm-tools, lib/dict/dictll.c, DictLL_MarshalLine): each value in quotes, with `"`, `|`,
DEL and all control characters but the tab as `|XX`, after it was put into the file's encoding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ESCAPED: Final = re.compile(rb'[\x00-\x08\x0a-\x1f"|\x7f]')


def write(entries: Mapping[str, str], *, encoding: str = "UTF-8") -> bytes:
    """Write the entries, the encoding before them."""
    lines = [_line(name, value, encoding) for name, value in {".encoding": encoding, **entries}.items()]
    return b"".join(lines)


def _line(name: str, value: str, encoding: str) -> bytes:
    escaped = _ESCAPED.sub(lambda sign: b"|%02X" % sign[0][0], value.encode(encoding))
    return name.encode() + b' = "' + escaped + b'"\n'


def configuration(
    name: str,
    *,
    disks: Sequence[str],
    extra_config: Mapping[str, str],
    bios_uuid: str = "",
    instance_uuid: str = "",
) -> dict[str, str]:
    """Return the entries of a VM with a CD-ROM drive, a network card and its disks on one SCSI controller."""
    entries = {
        "config.version": "8",
        "virtualHW.version": "21",
        "nvram": f"{name}.nvram",
        "pciBridge0.present": "TRUE",
        "svga.present": "TRUE",
        "displayName": name,
        "guestOS": "ubuntu-64",
        "memSize": "4096",
        "numvcpus": "2",
        "firmware": "efi",
        "scsi0.virtualDev": "pvscsi",
        "scsi0.present": "TRUE",
        "sata0.present": "TRUE",
        "sata0:0.deviceType": "cdrom-raw",
        "sata0:0.fileName": "emptyBackingString",
        "sata0:0.startConnected": "FALSE",
        "sata0:0.present": "TRUE",
        "ethernet0.virtualDev": "vmxnet3",
        "ethernet0.addressType": "vpx",
        "ethernet0.generatedAddress": "00:50:56:86:2a:1f",
        "ethernet0.present": "TRUE",
        "uuid.bios": _spaced(bios_uuid),
        "vc.uuid": _spaced(instance_uuid),
    }
    for number, file in enumerate(disks):
        node = f"scsi0:{number}"
        entries[f"{node}.deviceType"] = "scsi-hardDisk"
        entries[f"{node}.fileName"] = file
        entries[f"{node}.present"] = "TRUE"
    return {key: value for key, value in entries.items() if value} | dict(extra_config)


def _spaced(uuid: str) -> str:
    """Return a UUID as a VMX has it: `42 1d … 8f-9a … 0c`."""
    octets = re.findall("..", uuid.replace("-", ""))
    return f"{' '.join(octets[:8])}-{' '.join(octets[8:])}" if octets else ""
