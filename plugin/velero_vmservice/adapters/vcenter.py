"""The machines of a vSphere Namespace as vCenter has them: two requests a look, however many machines.

One property collector call brings the machines of the folder, their ExtraConfig and their recent tasks, page by page;
one more the events. Only for a machine that is not in its folder the whole inventory is searched, once a minute.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cachetools import TTLCache

from velero_vmservice.adapters import vcenter_query
from velero_vmservice.adapters.record_yaml import parse_record
from velero_vmservice.adapters.vcenter_session import VCenterSession
from velero_vmservice.adapters.vcenter_tasks import TASK_PROPERTIES, VCenterRegisterVm, newest_task, read_events
from velero_vmservice.core import extra_config
from velero_vmservice.core.errors import Forbidden, NotFound
from velero_vmservice.core.extra_config import SPELLINGS, Key
from velero_vmservice.core.record import MAX_PACKED, Record, read_record
from velero_vmservice.core.vsphere_machine import RELOCATE, Machines, VsphereMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from velero_vmservice.adapters.vcenter_query import Properties
    from velero_vmservice.adapters.vcenter_settings import VCenterSettings
    from velero_vmservice.core.extra_config import ExtraConfig
    from velero_vmservice.core.ports import Clock
    from velero_vmservice.core.registration import Wanted
    from velero_vmservice.core.vsphere_machine import RegisterEvent

ELSEWHERE_SECONDS: Final = 60.0
"""Between two searches of the whole inventory for machines that are not in their folder."""
FOLDER_SECONDS: Final = 600.0
"""How long a folder that was found by its name is remembered."""
REMEMBERED_NAMESPACES: Final = 1000

_EXTRA_CONFIG: Final = {
    f'config.extraConfig["{spelling}"]': spelling
    for key in Key
    if key is not Key.ADDITIONAL  # bootstrap Secrets: not ours to read
    for spelling in SPELLINGS[key]
}
_IDENTITY: Final = ("name", "parent", "config.uuid", "config.instanceUuid")
_MOID: Final = re.compile(r"group-[A-Za-z0-9-]{1,64}")


class VCenterInventory:
    """The VsphereInventory port on a real vCenter."""

    def __init__(
        self,
        session: VCenterSession,
        *,
        clock: Clock,
        judge: Callable[[ExtraConfig], Record] = lambda extra: read_record(extra, parse_record),
    ) -> None:
        """Put together; `judge` unpacks a record and MUST be bounded and never raise, whatever is in it."""
        self._session = session
        self._clock = clock
        self._judge = judge
        self._lock = threading.Lock()
        self._folders: TTLCache[str, tuple[str, ...]] = TTLCache(
            REMEMBERED_NAMESPACES, FOLDER_SECONDS, timer=clock.monotonic
        )
        self._elsewhere: TTLCache[str, dict[str, Properties]] = TTLCache(1, ELSEWHERE_SECONDS, timer=clock.monotonic)

    def look(
        self, namespace: str, wanted: Collection[Wanted], *, folders: Collection[str] = ()
    ) -> Sequence[VsphereMachine]:
        """Return the machines of the folder, and wanted ones that lie elsewhere; see the port."""
        if not wanted:
            return ()
        roots = self._roots(namespace, folders)
        found = self._in_folders(namespace, roots) if roots else []
        here = Machines(found)
        missing = [one for one in wanted if not here.match(one)]
        known = {one.moid for one in found}
        return [*found, *(one for one in self._found_elsewhere(missing) if one.moid not in known)]

    def _roots(self, namespace: str, told: Collection[str]) -> tuple[str, ...]:
        """Return the ids of the namespace's folder: as the Supervisor says, else those that bear its name."""
        if sound := tuple(one for one in told if _MOID.fullmatch(one)):
            return sound
        with self._lock:
            if namespace in self._folders:
                return self._folders[namespace]
        sdk = self._session.sdk
        kinds = {sdk.vim.Folder: ("name", "childType")}
        found = self._session.soap(
            f"find the folder of namespace {namespace}",
            lambda content: [
                str(one._GetMoId())  # noqa: SLF001 - how pyvmomi tells an id
                for one, properties in vcenter_query.retrieve(
                    sdk, content, vcenter_query.below_folders(sdk, [content.rootFolder], kinds)
                )
                if properties.get("name") == namespace and "VirtualMachine" in (properties.get("childType") or ())
            ],
        )
        if found:
            with self._lock:
                self._folders[namespace] = tuple(found)
        return tuple(found)

    def _in_folders(self, namespace: str, roots: Sequence[str]) -> list[VsphereMachine]:
        sdk = self._session.sdk
        vim = sdk.vim
        folders = [self._session.moref("Folder", one) for one in roots]
        kinds = {
            vim.Folder: ("name",),
            vim.VirtualMachine: (*_IDENTITY, "disabledMethod", "recentTask", *_EXTRA_CONFIG),
            vim.Task: TASK_PROPERTIES,
        }
        query = vcenter_query.below_folders(sdk, folders, kinds, tasks=True)
        try:
            vcenter, found = self._session.soap(
                f"look into the folder of namespace {namespace}",
                lambda content: (
                    str(content.about.instanceUuid or ""),
                    list(vcenter_query.retrieve(sdk, content, query)),
                ),
            )
        except NotFound:
            with self._lock:
                self._folders.clear()
            return []
        if not any("name" in properties for one, properties in found if isinstance(one, vim.Folder)):
            raise Forbidden(
                f"cannot look into the folder of namespace {namespace}: vCenter shows nothing of it",
                hint="give vcenter.user read access to the folder and what is below it",
            )
        events = read_events(self._session, folders, now=self._clock.now())
        read = self._read(found, events)
        return [replace(one, other_vcenter=_other(one.record.manager_id, vcenter)) for one in read]

    def _read(
        self, found: Iterable[tuple[Any, Properties]], events: Mapping[str, RegisterEvent]
    ) -> list[VsphereMachine]:
        names: dict[str, str] = {}
        tasks: dict[str, Properties] = {}
        machines: dict[str, Properties] = {}
        for one, properties in found:
            moid = str(one._GetMoId())  # noqa: SLF001 - how pyvmomi tells an id
            if isinstance(one, self._session.sdk.vim.VirtualMachine):
                machines[moid] = properties
            elif isinstance(one, self._session.sdk.vim.Task):
                tasks[moid] = properties
            else:
                names[moid] = str(properties.get("name", ""))
        sharing = Counter(str(one.get("config.uuid", "")).lower() for one in machines.values())
        twins = {moid: _twins(moid, machines, sharing) for moid in machines}
        return [
            replace(self._machine(moid, one, names, tasks), event=events.get(moid), twins=twins[moid])
            for moid, one in machines.items()
        ]

    def _machine(
        self, moid: str, properties: Properties, names: Mapping[str, str], tasks: Mapping[str, Properties]
    ) -> VsphereMachine:
        extra = extra_config.read(_entries(properties))
        own = {one._GetMoId() for one in properties.get("recentTask") or ()}  # noqa: SLF001
        return VsphereMachine(
            moid=moid,
            name=str(properties.get("name", "")),
            folder=names.get(_parent(properties), ""),
            instance_uuid=str(properties.get("config.instanceUuid", "")),
            bios_uuid=str(properties.get("config.uuid", "")),
            extra=extra,
            record=self._judge(extra),
            restoring=RELOCATE in (properties.get("disabledMethod") or ()),
            task=newest_task({key: tasks[key] for key in own if key in tasks}),
        )

    def _found_elsewhere(self, missing: Collection[Wanted]) -> list[VsphereMachine]:
        """Return wanted machines that lie in another folder; those without UUIDs cannot be told from others."""
        if not any(_has_uuid(one) for one in missing):
            return []
        with self._lock:
            everywhere = self._elsewhere.get("all")
        if everywhere is None:
            everywhere = self._search()
            with self._lock:
                self._elsewhere["all"] = everywhere
        candidates = Machines(
            VsphereMachine(
                moid=moid,
                name=str(one.get("name", "")),
                folder=_parent(one),
                in_folder=False,
                instance_uuid=str(one.get("config.instanceUuid", "")),
                bios_uuid=str(one.get("config.uuid", "")),
            )
            for moid, one in everywhere.items()
        )
        found = {one.moid: one for wanted in missing for one in candidates.match(wanted)}
        return list(found.values())

    def _search(self) -> dict[str, Properties]:
        sdk = self._session.sdk
        kinds = {sdk.vim.VirtualMachine: _IDENTITY, sdk.vim.Folder: ("name",)}
        found = self._session.soap(
            "search the inventory",
            lambda content: list(
                vcenter_query.retrieve(sdk, content, vcenter_query.below_folders(sdk, [content.rootFolder], kinds))
            ),
        )
        vms = {one._GetMoId(): each for one, each in found if isinstance(one, sdk.vim.VirtualMachine)}  # noqa: SLF001
        names = {one._GetMoId(): str(each.get("name", "")) for one, each in found}  # noqa: SLF001
        return {
            str(moid): {**{key: one[key] for key in _IDENTITY if key in one}, "parent": names.get(_parent(one), "")}
            for moid, one in vms.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VCenter:
    """Both ports on one session."""

    inventory: VCenterInventory
    register_vm: VCenterRegisterVm
    session: VCenterSession

    def close(self) -> None:
        """End the session."""
        self.session.close()


def connect(settings: VCenterSettings, *, clock: Clock) -> VCenter:
    """Return the ports on a vCenter; connects when first used.

    Raises `InvalidSettings` where pyvmomi is not installed or the CA file cannot be used.
    """
    session = VCenterSession(settings, clock=clock)
    return VCenter(
        inventory=VCenterInventory(session, clock=clock),
        register_vm=VCenterRegisterVm(session, clock=clock),
        session=session,
    )


def _entries(properties: Properties) -> dict[str, str]:
    """Return the ExtraConfig's text values by key; what is no text says nothing.

    Of one that is too long so much is kept that `core.record` says so.
    """
    found = {key: getattr(properties.get(path), "value", None) for path, key in _EXTRA_CONFIG.items()}
    return {key: value[: MAX_PACKED + 1] for key, value in found.items() if isinstance(value, str)}


def _other(manager_id: str, vcenter: str) -> bool | None:
    """Say whether a record names another vCenter than this one; None if either has no id."""
    return manager_id.lower() != vcenter.lower() if manager_id and vcenter else None


def _parent(properties: Properties) -> str:
    parent = properties.get("parent")
    if isinstance(parent, str):
        return parent
    return str(parent._GetMoId()) if parent is not None else ""  # noqa: SLF001 - how pyvmomi tells an id


def _twins(moid: str, machines: Mapping[str, Properties], sharing: Mapping[str, int]) -> tuple[str, ...]:
    uuid = str(machines[moid].get("config.uuid", "")).lower()
    if not uuid or sharing[uuid] == 1:
        return ()
    return tuple(
        str(one.get("name", ""))
        for other, one in machines.items()
        if other != moid and str(one.get("config.uuid", "")).lower() == uuid
    )


def _has_uuid(wanted: Wanted) -> bool:
    expected = wanted.expected
    return bool(expected and (expected.instance_uuid or expected.bios_uuid))
