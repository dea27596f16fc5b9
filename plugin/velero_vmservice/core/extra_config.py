"""The VM Service part of a machine's ExtraConfig: which keys are there, and what the plain ones say.

The guide and VM Operator spell the keys differently (guide 12.1; pkg/backup/api/backup_types.go); both are read, and
where both are there VM Operator's counts, because that is what it writes. What is packed is unpacked by `core.record`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Key(StrEnum):
    """One thing that VM Operator records, under the name by which the guide knows it."""

    MACHINE = "vm-resource-yaml"
    ADDITIONAL = "additional-resources-yaml"
    """Bootstrap Secrets and ConfigMaps: never unpacked here, for they are secret."""
    CLAIM_DISKS = "pvc-disk-data"
    CLASSIC_DISKS = "classic-disk-data"
    BACKUP_VERSION = "backup-version"
    ENABLE = "enable-auto-registration"
    DISABLE = "disable-auto-registration"
    NAMESPACED_NAME = "namespacedName"


_OPERATORS: Final = {
    Key.MACHINE: "vmservice.virtualmachine.resource.yaml",
    Key.ADDITIONAL: "vmservice.virtualmachine.additional.resources.yaml",
    Key.CLAIM_DISKS: "vmservice.virtualmachine.pvc.disk.data",
    Key.CLASSIC_DISKS: "vmservice.virtualmachine.classicDiskData",
    Key.BACKUP_VERSION: "vmservice.virtualmachine.backupVersion",
    Key.ENABLE: "vmservice.virtualmachine.enableAutomaticRegistration",
    Key.DISABLE: "vmservice.virtualmachine.disableAutomaticRegistration",
}

SPELLINGS: Final[Mapping[Key, tuple[str, ...]]] = {
    **{key: (operators, f"vmservice.vmoperator.vmware.com/{key}") for key, operators in _OPERATORS.items()},
    Key.NAMESPACED_NAME: ("vmservice.namespacedName",),
}
"""VM Operator's spelling first, then the guide's."""

_ENABLING: Final = frozenset({"1", "on", "t", "true", "y", "yes"})
_DISABLING: Final = frozenset({"true"})
"""The values that turn a switch on, in any case (backup_types.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraConfig:
    """The entries of one machine."""

    values: Mapping[Key, str]
    """Those that are there and not empty."""
    backup_version: str = ""
    namespace: str = ""
    name: str = ""
    """With the namespace, whose machine it was at the backup."""
    enabled: bool | None = None
    """Whether `enableAutomaticRegistration` is on; None if it is not there."""
    disabled: bool | None = None
    remarks: tuple[str, ...] = ()
    """What to mind, in sentences without the machine's name."""

    @property
    def recorded(self) -> bool:
        """Whether it is a machine of VM Service at all (guide 4.3)."""
        return Key.MACHINE in self.values


def read(entries: Mapping[str, str]) -> ExtraConfig:
    """Read a machine's ExtraConfig; keys of others are passed over."""
    spelled = {key: [entries[one] for one in SPELLINGS[key] if entries.get(one)] for key in Key}
    values = {key: found[0] for key, found in spelled.items() if found}
    namespace, slash, name = values.get(Key.NAMESPACED_NAME, "").partition("/")
    return ExtraConfig(
        values=values,
        backup_version=values.get(Key.BACKUP_VERSION, "").strip(),
        namespace=namespace if slash else "",
        name=name if slash else "",
        enabled=_switch(values.get(Key.ENABLE), _ENABLING),
        disabled=_switch(values.get(Key.DISABLE), _DISABLING),
        remarks=tuple(_remarks(spelled, values)),
    )


def _switch(value: str | None, on: frozenset[str]) -> bool | None:
    return None if value is None else value.strip().lower() in on


def _remarks(spelled: Mapping[Key, list[str]], values: Mapping[Key, str]) -> Iterator[str]:
    for key, found in spelled.items():
        if len(set(found)) > 1:
            operators, guides = SPELLINGS[key]
            yield f"the ExtraConfig has two values for {key}: {operators} counts, {guides} does not"
    disable = values.get(Key.DISABLE, "").strip().lower()
    if disable in _ENABLING - _DISABLING:
        yield f"{SPELLINGS[Key.DISABLE][0]} is {disable!r}, and only 'true' turns automatic registration off"
    if Key.MACHINE in values and Key.BACKUP_VERSION not in values:
        yield "the ExtraConfig has no backup version: a restore in place cannot be told from one of disks"
