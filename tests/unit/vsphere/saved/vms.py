"""VMs as a VADP product has saved them: the ExtraConfig of VM Operator, in a VMX of ESXi."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.emulator import vmx
from tests.emulator.vm_operator import records
from tests.emulator.wcp.vcenter import Disk
from tests.unit.builders import vm
from velero_vmservice.adapters.vcenter.record_yaml import parse_record
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key
from velero_vmservice.vsphere.saved.examination import Examination, examine_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION: Final = "1764475200123"
"""2025-11-30, in Unix milliseconds."""
BIOS: Final = "421d0a11-2233-4455-6677-8899aabbccdd"
INSTANCE: Final = "501d0a11-2233-4455-6677-8899aabbccdd"
BOOT: Final = "[ds] web-1/web-1.vmdk"
SECRETS: Final = ("pa55word", "cGE1NXdvcmQ=", "topsecret", "BEGIN PRIVATE")
"""Planted where a record may hold secrets; none may ever be printed or logged."""


def spelling(key: Key, place: int = 0) -> str:
    """VM Operator's spelling of a key, or with 1 the guide's."""
    return SPELLINGS[key][place]


def classic(*files: str) -> str:
    """Pack a list of classic disks."""
    return records.encode(json.dumps([{"FileName": file, "UUID": f"uuid-of-{file}"} for file in files]))


def secret(name: str, **data: str) -> dict[str, Any]:
    """Build a bootstrap Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "shop"},
        "data": {"user-data": "cGE1NXdvcmQ=", **data},
        "stringData": {"password": "pa55word", "key": "-----BEGIN PRIVATE KEY-----\n---\ntopsecret\n"},
    }


def bootstrap(name: str = "web-1-user-data") -> dict[str, Any]:
    """Return a `spec.bootstrap` that names a Secret and holds secrets in plain text."""
    return {
        "cloudInit": {
            "instanceID": "i-1",
            "cloudConfig": {
                "users": [{"name": "admin", "hashed_passwd": {"name": name, "key": "user-data"}, "plain": "pa55word"}],
                "runcmd": ["echo topsecret", ["sh", "-c", "pa55word"]],
                "write_files": [{"path": "/etc/topsecret", "content": "pa55word"}],
            },
        },
        "vAppConfig": {"properties": [{"key": "admin", "value": {"value": "pa55word"}}]},
    }


def extra_config(
    *, claims: Sequence[str] = ("data",), others: Sequence[dict[str, Any]] = (), **known: Any
) -> dict[str, str]:
    """Record a VM as VM Operator of VCF 9.0 does."""
    uuids = {"biosUUID": BIOS, "instanceUUID": INSTANCE}
    machine = vm("web-1", claims=claims, **{**known, "spec": {**uuids, **(known.get("spec") or {})}})
    disks = [Disk(name=claim, file=f"[ds] fcd/{claim}.vmdk", uuid=f"uuid-of-{claim}") for claim in claims]
    entries = records.recorded(machine, others=others, disks=disks, version=VERSION)
    return {**entries, spelling(Key.CLASSIC_DISKS): classic(BOOT)}


def files(*claims: str) -> list[str]:
    """Return the paths of a VM's disks as its VMX has them: the boot disk, and one for each claim."""
    return ["web-1.vmdk", *(f"/vmfs/volumes/5f0e-1a/fcd/{claim}.vmdk" for claim in claims)]


def saved(entries: Mapping[str, str] | None = None, *, disks: Sequence[str] | None = None, **more: str) -> bytes:
    """Write the VMX of a VM; `more` are keys of its record by their name in `Key`, '' takes one away."""
    own = dict(extra_config() if entries is None else entries)
    own |= {spelling(Key[key]): value for key, value in more.items()}
    configuration = vmx.configuration(
        "web-1",
        disks=files("data") if disks is None else disks,
        extra_config={key: value for key, value in own.items() if value},
        bios_uuid=BIOS,
        instance_uuid=INSTANCE,
    )
    return vmx.write(configuration)


def examined(content: bytes) -> Examination:
    """Examine a file with the product's own parser of YAML."""
    return examine_file(content, parse_record)
