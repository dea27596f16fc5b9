"""What is known about a machine and about a namespace at backup, as it is stored and read back.

The facts answer at restore: is this the same machine, what is it still missing, which claims are its disks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from velero_vmservice.core import policy
from velero_vmservice.core.manifest import Manifest, is_true, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterator


class Document(BaseModel):
    """A stored value; unknown fields of a newer writer are kept out, never refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class MachineFacts(Document):
    """One VirtualMachine at the time of the backup."""

    name: str
    uid: str = ""
    unique_id: str = ""
    bios_uuid: str = ""
    instance_uuid: str = ""
    power_state: str = ""
    backup_version: str = ""
    group_name: str = ""
    zone: str = ""
    addresses: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    claims: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    """Names of the Secrets and ConfigMaps that `spec.bootstrap` refers to."""
    recorded: bool = True
    """False for a guest cluster's node, which VM Operator leaves out of its records."""
    record: Literal["current", "outdated", "unknown"] = "unknown"
    """What VM Operator says of the record that the VADP backup carries (absent in 8.0 U3)."""


class Member(Document):
    """One entry of a group's boot order."""

    kind: Literal["VirtualMachine", "VirtualMachineGroup"] = "VirtualMachine"
    name: str
    order: int
    """Position of its boot order entry, from 0."""


class GroupFacts(Document):
    """One VirtualMachineGroup at the time of the backup."""

    name: str
    group_name: str = ""
    """The parent group, '' at the root."""
    members: tuple[Member, ...] = ()


class NamespaceFacts(Document):
    """The machines and groups of one namespace at the time of the backup."""

    schema_version: Literal[1] = 1
    namespace: str
    backup_uid: str = ""
    observed_at: str
    machines: tuple[MachineFacts, ...] = ()
    groups: tuple[GroupFacts, ...] = ()

    def claims(self) -> frozenset[str]:
        """Return the claims that are disks of machines which RegisterVM brings back: of those with a record."""
        return frozenset(claim for machine in self.machines if machine.recorded for claim in machine.claims)


def machine_facts(vm: Manifest) -> MachineFacts:
    """Read a VirtualMachine of any served version (vm-service 4.6)."""
    spec, status = vm.spec, vm.status
    return MachineFacts(
        name=vm.name,
        uid=vm.uid,
        unique_id=str(status.get("uniqueID", "")),
        bios_uuid=str(status.get("biosUUID") or spec.get("biosUUID") or ""),
        instance_uuid=str(status.get("instanceUUID") or spec.get("instanceUUID") or ""),
        power_state=power_state(vm),
        backup_version=vm.annotations.get(policy.BACKUP_VERSION_ANNOTATION, ""),
        group_name=str(spec.get("groupName", "")),
        zone=str(status.get("zone") or vm.labels.get(policy.ZONE_LABEL, "")),
        addresses=addresses(vm),
        labels={str(key): str(value) for key, value in vm.labels.items()},
        claims=tuple(sorted(set(claims(vm)))),
        bootstrap=tuple(sorted(set(_bootstrap_references(spec.get("bootstrap"))) | set(_legacy_bootstrap(spec)))),
        recorded=is_recorded(vm),
        record=_record(vm),
    )


def group_facts(group: Manifest) -> GroupFacts:
    """Read a VirtualMachineGroup of any served version."""
    return GroupFacts(
        name=group.name, group_name=str(group.spec.get("groupName", "")), members=boot_order_members(group)
    )


def boot_order_members(group: Manifest) -> tuple[Member, ...]:
    """Return the members in boot order; a member without a kind is a VirtualMachine (types.go)."""
    return tuple(
        Member(
            kind="VirtualMachineGroup" if member.get("kind") == "VirtualMachineGroup" else "VirtualMachine",
            name=str(member.get("name", "")),
            order=order,
        )
        for order, entry in enumerate(sequence(group.spec.get("bootOrder")))
        for member in sequence(mapping(entry).get("members"))
        if isinstance(member, dict)
    )


def power_state(vm: Manifest) -> str:
    """Return `PoweredOn`, `PoweredOff`, `Suspended` or '' in today's spelling; v1alpha1 began them in lower case."""
    state = str(vm.status.get("powerState", ""))
    return state[:1].upper() + state[1:]


def addresses(vm: Manifest) -> tuple[str, ...]:
    """Return the primary addresses, v4 first."""
    network = mapping(vm.status.get("network"))
    found = (network.get("primaryIP4"), network.get("primaryIP6"), vm.status.get("vmIp"))
    return tuple(str(address) for address in found if address)


def claims(vm: Manifest) -> Iterator[str]:
    """Yield the names of the claims that `spec.volumes` uses."""
    for volume in sequence(vm.spec.get("volumes")):
        name = mapping(mapping(volume).get("persistentVolumeClaim")).get("claimName")
        if name:
            yield str(name)


def is_recorded(vm: Manifest) -> bool:
    """Say whether VM Operator records the machine for restore (vmprovider_vm.go, label.go)."""
    node = any(label in vm.labels for label in policy.GUEST_CLUSTER_LABELS)
    return not node or policy.FORCE_BACKUP_ANNOTATION in vm.annotations


def _record(vm: Manifest) -> Literal["current", "outdated", "unknown"]:
    condition = vm.condition("VirtualMachineBackupUpToDate")
    if condition is None:
        return "unknown"
    return "current" if is_true(condition) else "outdated"


def _bootstrap_references(value: Any) -> Iterator[str]:
    """Yield every `{name, key}` selector below `spec.bootstrap` (vmprovider_utils.go)."""
    if isinstance(value, list):
        for entry in value:
            yield from _bootstrap_references(entry)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("name"), str) and isinstance(value.get("key"), str):
        yield value["name"]
    if isinstance(value.get("rawProperties"), str):
        yield value["rawProperties"]
    for entry in value.values():
        yield from _bootstrap_references(entry)


def _legacy_bootstrap(spec: Any) -> Iterator[str]:
    """Yield v1alpha1's `spec.vmMetadata` references."""
    metadata = mapping(spec.get("vmMetadata"))
    for key in ("secretName", "configMapName"):
        if metadata.get(key):
            yield str(metadata[key])
