"""The result of one look at a namespace's folder so far, which is small for any amount of fetched data.

Each object is read on arrival, page by page: of a VM's ExtraConfig only the judgement is kept.
"""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.adapters import heap
from velero_vmservice.adapters.vcenter.query import moid_of
from velero_vmservice.adapters.vcenter.register_vm import newest_task, register_task
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key
from velero_vmservice.vsphere.record import MAX_PACKED
from velero_vmservice.vsphere.vm import RELOCATE, VsphereVm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from velero_vmservice.adapters.vcenter.query import Properties
    from velero_vmservice.adapters.vcenter.sdk import Sdk
    from velero_vmservice.vsphere.record import Judged
    from velero_vmservice.vsphere.vm import RegisterEvent, RegisterTask

_UNREAD: Final = frozenset({Key.ADDITIONAL, Key.CLASSIC_DISKS})
"""Bootstrap Secrets must not be read, and nothing follows from classic disks."""
_ENTRIES: Final = {
    f'config.extraConfig["{spelling}"]': spelling for key in Key if key not in _UNREAD for spelling in SPELLINGS[key]
}
EXTRA_CONFIG: Final = tuple(_ENTRIES)
"""The property that is read of each entry."""
FORGET_AFTER: Final = 16 * 1024 * 1024
"""Characters of ExtraConfig after which earlier answers are released."""
IDENTITY: Final = ("name", "parent", "config.uuid", "config.instanceUuid")
VM: Final = (*IDENTITY, "config.changeVersion", "disabledMethod", "recentTask")


@dataclass(slots=True)
class Folder:
    """The VMs below a folder, with their tasks and the judgement on their ExtraConfig."""

    sdk: Sdk
    judge: Callable[[Mapping[str, str]], Judged]
    judged: dict[str, Judged] = field(default_factory=dict)
    """By managed object id, like the others."""
    _names: dict[str, str] = field(default_factory=dict)
    """The ids of folders."""
    _vms: dict[str, Properties] = field(default_factory=dict)
    _tasks: dict[str, RegisterTask] = field(default_factory=dict)
    _read: int = 0
    """Characters of ExtraConfig since answers were last released."""

    def versions(self) -> dict[str, str]:
        """Return the version of each VM's configuration, by managed object id."""
        return {moid: str(properties.get("config.changeVersion", "")) for moid, properties in self._vms.items()}

    @property
    def shown(self) -> bool:
        """Whether vCenter has shown any folder."""
        return bool(self._names)

    def add(self, objects: Iterable[tuple[Any, Properties]]) -> None:
        """Read folders, VMs and tasks."""
        for managed_object, properties in objects:
            moid = moid_of(managed_object)
            if isinstance(managed_object, self.sdk.vim.VirtualMachine):
                if entries := _entries(properties):
                    self.judged[moid] = self.judge(entries)
                    self._count(entries)
                known: Properties = {key: properties[key] for key in VM if key in properties}
                self._vms.setdefault(moid, {}).update(known)
            elif isinstance(managed_object, self.sdk.vim.Task):
                if (task := register_task(managed_object, properties)) is not None:
                    self._tasks[moid] = task
            elif "name" in properties:
                self._names[moid] = str(properties["name"])

    def _count(self, entries: Mapping[str, str]) -> None:
        self._read += sum(map(len, entries.values()))
        if self._read > FORGET_AFTER:
            self._read = 0
            forget_answers()

    def machines(self, events: Mapping[str, RegisterEvent]) -> list[VsphereVm]:
        """Return the VMs, with WCP's newest event of each."""
        sharing = Counter(_uuid(vm) for vm in self._vms.values())
        return [self._vm(moid, properties, events.get(moid), sharing) for moid, properties in self._vms.items()]

    def _vm(
        self, moid: str, properties: Properties, event: RegisterEvent | None, sharing: Mapping[str, int]
    ) -> VsphereVm:
        judged = self.judged.get(moid) or self.judge({})
        own = {moid_of(task) for task in properties.get("recentTask") or ()}
        return VsphereVm(
            moid=moid,
            name=str(properties.get("name", "")),
            folder=self._names.get(parent_of(properties), ""),
            instance_uuid=str(properties.get("config.instanceUuid", "")),
            bios_uuid=str(properties.get("config.uuid", "")),
            extra=judged.extra,
            record=judged.record,
            restoring=RELOCATE in (properties.get("disabledMethod") or ()),
            twins=self._twins(moid, _uuid(properties), sharing),
            task=newest_task(self._tasks[task_id] for task_id in own if task_id in self._tasks),
            event=event,
        )

    def _twins(self, moid: str, uuid: str, sharing: Mapping[str, int]) -> tuple[str, ...]:
        if not uuid or sharing[uuid] == 1:
            return ()
        others = (properties for key, properties in self._vms.items() if key != moid and _uuid(properties) == uuid)
        return tuple(str(properties.get("name", "")) for properties in others)


def forget_answers() -> None:
    """Release the answers that were read: pyvmomi's parser and its results refer to each other."""
    gc.collect()
    heap.give_back()


def parent_of(properties: Properties) -> str:
    """Return the id of an object's folder; '' if it is unknown."""
    parent = properties.get("parent")
    return moid_of(parent) if parent is not None else ""


def _uuid(properties: Properties) -> str:
    return str(properties.get("config.uuid", "")).lower()


def _entries(properties: Properties) -> dict[str, str]:
    """Return the ExtraConfig's text values by key; other values are ignored.

    A value that is too long is cut, but stays long enough for `vsphere.record` to notice.
    """
    values = {key: getattr(properties.get(path), "value", None) for path, key in _ENTRIES.items()}
    return {key: value[: MAX_PACKED + 1] for key, value in values.items() if isinstance(value, str)}
