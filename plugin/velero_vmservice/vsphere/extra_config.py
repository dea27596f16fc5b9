"""The VM Service part of a VM's ExtraConfig: its keys, and the values of the plain ones.

The guide and VM Operator spell the keys differently (guide 12.1; pkg/backup/api/backup_types.go). Both are read; if
both are present, VM Operator's counts, because VM Operator writes it. `record` unpacks the packed values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Key(StrEnum):
    """One value that VM Operator records, under the guide's name."""

    VM = "vm-resource-yaml"
    ADDITIONAL = "additional-resources-yaml"
    """Bootstrap Secrets and ConfigMaps; only their names are ever read from it (`saved.contents`)."""
    CLAIM_DISKS = "pvc-disk-data"
    CLASSIC_DISKS = "classic-disk-data"
    BACKUP_VERSION = "backup-version"
    ENABLE = "enable-auto-registration"
    DISABLE = "disable-auto-registration"
    NAMESPACED_NAME = "namespacedName"


_OPERATORS: Final = {
    Key.VM: "vmservice.virtualmachine.resource.yaml",
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

LONGEST_PLAIN: Final = 512
"""The most characters of a plain value; namespace and name of a VM have at most 317."""

_ENABLING: Final = frozenset({"1", "on", "t", "true", "y", "yes"})
_DISABLING: Final = frozenset({"true"})
"""The values that turn a switch on, in any case (backup_types.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraConfig:
    """The plain entries of one VM."""

    recorded: bool = False
    """Whether it is a VM of VM Service (guide 4.3)."""
    backup_version: str = ""
    namespace: str = ""
    name: str = ""
    """With the namespace, the VirtualMachine at the backup."""
    enabled: bool | None = None
    """Whether `enableAutomaticRegistration` is on; None if it is absent."""
    disabled: bool | None = None
    remarks: tuple[str, ...] = ()
    """Remarks, in sentences without the VM's name."""


def spelled(entries: Mapping[str, str]) -> dict[Key, dict[str, str]]:
    """Return the non-empty values by spelling, the one that counts first; other keys are left out."""
    present = {
        key: {spelling: entries[spelling] for spelling in spellings if entries.get(spelling)}
        for key, spellings in SPELLINGS.items()
    }
    return {key: by_spelling for key, by_spelling in present.items() if by_spelling}


def values(entries: Mapping[str, str]) -> dict[Key, str]:
    """Return the non-empty values of a VM's ExtraConfig that count; other keys are left out."""
    return {key: next(iter(by_spelling.values())) for key, by_spelling in spelled(entries).items()}


def disables_in_vain(value: str) -> bool:
    """Say whether a value of `disableAutomaticRegistration` means yes to a reader, but not to WCP."""
    return value.strip().lower() in _ENABLING - _DISABLING


def read(entries: Mapping[str, str]) -> ExtraConfig:
    """Read the plain entries of a VM's ExtraConfig; the result is small even if they are long."""
    counting = {key: value[:LONGEST_PLAIN] for key, value in values(entries).items()}
    namespace, slash, name = counting.get(Key.NAMESPACED_NAME, "").partition("/")
    return ExtraConfig(
        recorded=Key.VM in counting,
        backup_version=counting.get(Key.BACKUP_VERSION, "").strip(),
        namespace=namespace if slash else "",
        name=name if slash else "",
        enabled=_switch(counting.get(Key.ENABLE), _ENABLING),
        disabled=_switch(counting.get(Key.DISABLE), _DISABLING),
        remarks=tuple(_remarks(spelled(entries), counting)),
    )


def _switch(value: str | None, on: frozenset[str]) -> bool | None:
    return None if value is None else value.strip().lower() in on


def _remarks(present: Mapping[Key, Mapping[str, str]], counting: Mapping[Key, str]) -> Iterator[str]:
    for key, by_spelling in present.items():
        if len(set(by_spelling.values())) > 1:
            operators, guides = SPELLINGS[key]
            yield f"the ExtraConfig has two values for {key}: {operators} counts, {guides} does not"
    disable = counting.get(Key.DISABLE, "")
    if disables_in_vain(disable):
        yield (
            f"{SPELLINGS[Key.DISABLE][0]} is {disable.strip().lower()!r}, and only 'true' turns automatic registration"
            " off"
        )
    if Key.VM in counting and Key.BACKUP_VERSION not in counting:
        yield "the ExtraConfig has no backup version: a restore in place cannot be told from one of disks"
