"""The VMs of a vSphere Namespace in vCenter: two requests a look, for any number of VMs.

One property collector call returns the VMs of the folder, their ExtraConfig and their recent tasks, page by page;
another one returns the events. The whole inventory is searched only for a VM that is not in its folder (`elsewhere`).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import structlog
from cachetools import LRUCache, TTLCache, cached

from velero_vmservice.adapters.vcenter import query as vcenter_query
from velero_vmservice.adapters.vcenter.elsewhere import Elsewhere
from velero_vmservice.adapters.vcenter.folder import EXTRA_CONFIG, VM, Folder, forget_answers
from velero_vmservice.adapters.vcenter.query import Budget, OutOfTime, moid_of
from velero_vmservice.adapters.vcenter.record_yaml import parse_record
from velero_vmservice.adapters.vcenter.register_vm import TASK_PROPERTIES, VCenterRegisterVm, read_events
from velero_vmservice.adapters.vcenter.session import LONGEST_SOAP_ANSWER, VCenterSession
from velero_vmservice.errors import AnswerTooLong, Forbidden, NotFound, TimedOut, Unavailable
from velero_vmservice.vsphere import record
from velero_vmservice.vsphere.vm import Vms, VsphereVm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from velero_vmservice.adapters.vcenter.query import Properties
    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.settings.registration import VCenterSettings
    from velero_vmservice.vsphere.record import Judged

log = structlog.get_logger()

FOLDER_SECONDS: Final = 600.0
"""How long a folder found by its name is remembered, and its VMs with too long ExtraConfig."""
REMEMBERED_NAMESPACES: Final = 1000
REMEMBERED_VMS: Final = 20_000
"""Twice the maximum of VMs on a Supervisor."""
LOOK_SECONDS: Final = 60.0
"""The time limit for fetching and unpacking a folder; the next look continues from the unpacked part."""
APART: Final = 32
"""VMs in one request for ExtraConfig if a page with all of it is too long."""

_MOID: Final = re.compile(r"group-[A-Za-z0-9-]{1,64}")


class VCenterInventory:
    """The VsphereInventory port on a real vCenter."""

    def __init__(
        self,
        session: VCenterSession,
        *,
        clock: Clock,
        judge: Callable[[Mapping[str, str]], Judged] = lambda entries: record.judge(entries, parse_record),
    ) -> None:
        """Set up; `judge` unpacks a record; it MUST be bounded and never raise for any content."""
        self._session = session
        self._clock = clock
        self._judge = cached(LRUCache(REMEMBERED_VMS), key=_digest, lock=threading.Lock())(judge)
        self._lock = threading.Lock()
        self._folders: TTLCache[str, tuple[str, ...]] = TTLCache(
            REMEMBERED_NAMESPACES, FOLDER_SECONDS, timer=clock.monotonic
        )
        self._apart: TTLCache[str, int] = TTLCache(REMEMBERED_NAMESPACES, FOLDER_SECONDS, timer=clock.monotonic)
        """Namespaces whose VMs with all ExtraConfig were too much for one answer, and the number per request."""
        self._judged: TTLCache[tuple[str, str], Judged] = TTLCache(
            REMEMBERED_VMS, FOLDER_SECONDS, timer=clock.monotonic
        )
        """Judgements that were fetched separately, by managed object id and version of the VM's configuration."""
        self._elsewhere = Elsewhere(session, clock=clock)

    def about(self) -> str:
        """Return vCenter's name with version and build; see the port."""
        return str(self._session.soap("log in", lambda content: content.about.fullName))

    def look(
        self, namespace: str, wanted: Collection[ExpectedVm], *, folders: Collection[str] = ()
    ) -> Sequence[VsphereVm]:
        """Return the VMs of the folder, and wanted ones from elsewhere; see the port."""
        if not wanted:
            return ()
        budget = Budget.of(self._clock, LOOK_SECONDS)
        roots = self._roots(namespace, folders, budget)
        vms = self._in_folders(namespace, roots, budget) if roots else []
        in_folders = Vms(vms)
        missing = [vm for vm in wanted if not in_folders.match(vm)]
        known = {known_vm.moid for known_vm in vms}
        return [*vms, *(known_vm for known_vm in self._elsewhere.matching(missing) if known_vm.moid not in known)]

    def _roots(self, namespace: str, folders: Collection[str], budget: Budget) -> tuple[str, ...]:
        """Return the ids of the namespace's folder: from the Supervisor, or else by its name."""
        if sound := tuple(moid for moid in folders if _MOID.fullmatch(moid)):
            return sound
        with self._lock:
            if namespace in self._folders:
                return self._folders[namespace]
        sdk = self._session.sdk
        kinds = {sdk.vim.Folder: ("name", "childType")}
        moids = self._session.soap(
            f"find the folder of namespace {namespace}",
            lambda content: [
                moid_of(folder)
                for folder, properties in self._retrieve(
                    content, vcenter_query.below_folders(sdk, [content.rootFolder], kinds), budget
                )
                if properties.get("name") == namespace and "VirtualMachine" in (properties.get("childType") or ())
            ],
        )
        if moids:
            with self._lock:
                self._folders[namespace] = tuple(moids)
        return tuple(moids)

    def _in_folders(self, namespace: str, roots: Sequence[str], budget: Budget) -> list[VsphereVm]:
        folders = [self._session.moref("Folder", root) for root in roots]
        try:
            vcenter, folder = self._folder(namespace, folders, budget)
        except NotFound:
            with self._lock:
                self._folders.clear()
            return []
        if not folder.shown:
            raise Forbidden(
                f"cannot look into the folder of namespace {namespace}: vCenter shows nothing of it",
                hint="give vcenter.user read access to the folder and what is below it",
            )
        events = read_events(self._session, folders, now=self._clock.now())
        return [replace(vm, other_vcenter=_other(vm.record.manager_id, vcenter)) for vm in folder.machines(events)]

    def _folder(self, namespace: str, folders: Sequence[Any], budget: Budget) -> tuple[str, Folder]:
        """Fetch the content of the folders with ExtraConfig; if that is too much at once, ExtraConfig separately."""
        with self._lock:
            batch = self._apart.get(namespace)
        if batch is None:
            try:
                return self._fetched(namespace, folders, (*VM, *EXTRA_CONFIG), budget)
            except (TimedOut, OutOfTime):
                self._ask_for_less(namespace, vcenter_query.PAGE // 2)
                raise  # the next look fetches less
            except AnswerTooLong:
                batch = self._ask_for_less(namespace, APART)
            forget_answers()
        vcenter, folder = self._fetched(namespace, folders, VM, budget)
        try:
            self._judge_apart(namespace, folder, batch, budget)
        except TimedOut:
            self._ask_for_less(namespace, batch // 2)
            raise
        return vcenter, folder

    def _ask_for_less(self, namespace: str, batch: int) -> int:
        """Fetch ExtraConfig of only this many VMs at once for a while, at least of one."""
        with self._lock:
            self._apart[namespace] = max(batch, 1)
            return self._apart[namespace]

    def _fetched(
        self, namespace: str, folders: Sequence[Any], properties: Sequence[str], budget: Budget
    ) -> tuple[str, Folder]:
        sdk = self._session.sdk
        vim = sdk.vim
        kinds = {vim.Folder: ("name",), vim.VirtualMachine: properties, vim.Task: TASK_PROPERTIES}
        query = vcenter_query.below_folders(sdk, folders, kinds, tasks=True)

        def ask(content: Any) -> tuple[str, Folder]:
            folder = Folder(sdk, self._judge)
            folder.add(self._retrieve(content, query, budget))
            return str(content.about.instanceUuid or ""), folder

        return self._session.soap(f"look into the folder of namespace {namespace}", ask)

    def _judge_apart(self, namespace: str, folder: Folder, batch: int, budget: Budget) -> None:
        """Fetch ExtraConfig of fewer and fewer VMs in one answer, to find the one that is too long."""
        versions = folder.versions()
        with self._lock:
            known = {moid: self._judged.get((moid, version)) for moid, version in versions.items()}
        folder.judged.update({moid: judged for moid, judged in known.items() if judged is not None})
        left = [moid for moid in versions if moid not in folder.judged]
        questions = [left[at : at + batch] for at in range(0, len(left), batch)]
        while questions:
            moids = questions.pop()
            try:
                self._fetch_extra_config(namespace, folder, moids, budget)
            except AnswerTooLong:
                forget_answers()
                half = len(moids) // 2
                if half:
                    questions += [moids[:half], moids[half:]]
                    continue
                folder.judged[moids[0]] = record.too_long(LONGEST_SOAP_ANSWER >> 20)
            # a VM without entries is worth remembering too
            fetched = {(moid, versions[moid]): folder.judged.get(moid) or self._judge({}) for moid in moids}
            with self._lock:
                self._judged.update({key: judged for key, judged in fetched.items() if key[1]})

    def _fetch_extra_config(self, namespace: str, folder: Folder, moids: Sequence[str], budget: Budget) -> None:
        sdk = self._session.sdk
        vms = [self._session.moref("VirtualMachine", moid) for moid in moids]
        query = vcenter_query.of_objects(sdk, vms, {sdk.vim.VirtualMachine: EXTRA_CONFIG})
        what = f"read the ExtraConfig of {len(moids)} VMs of namespace {namespace}"
        try:
            self._session.soap(what, lambda content: folder.add(self._retrieve(content, query, budget)))
        except NotFound:
            raise Unavailable(
                f"cannot {what}: one was deleted just now", hint="wait for the next look, which leaves it out"
            ) from None

    def _retrieve(self, content: Any, query: Any, budget: Budget) -> Iterator[tuple[Any, Properties]]:
        return vcenter_query.retrieve(self._session.sdk, content, query, demand_time=budget.demand)


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

    Raises `InvalidSettings` if pyvmomi is not installed or the CA file cannot be used.
    """
    session = VCenterSession(settings, clock=clock)
    return VCenter(
        inventory=VCenterInventory(session, clock=clock),
        register_vm=VCenterRegisterVm(session, clock=clock),
        session=session,
    )


def _other(manager_id: str, vcenter: str) -> bool | None:
    """Say whether a record names another vCenter than this one; None if either has no id."""
    return manager_id.lower() != vcenter.lower() if manager_id and vcenter else None


def _digest(entries: Mapping[str, str]) -> bytes:
    """Return a digest of an ExtraConfig, under which its small judgement is remembered."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).digest()
