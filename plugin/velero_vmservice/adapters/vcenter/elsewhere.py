"""Finds VMs outside their namespace's folder in the whole inventory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.adapters.vcenter import query as vcenter_query
from velero_vmservice.adapters.vcenter.folder import IDENTITY, parent_of
from velero_vmservice.adapters.vcenter.query import Budget, moid_of
from velero_vmservice.errors import Unavailable
from velero_vmservice.vsphere.vm import Vms, VsphereVm

if TYPE_CHECKING:
    from collections.abc import Collection

    from velero_vmservice.adapters.vcenter.query import Properties
    from velero_vmservice.adapters.vcenter.session import VCenterSession
    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock

log = structlog.get_logger()

ELSEWHERE_SECONDS: Final = 60.0
"""The pause between two searches."""
SEARCH_SECONDS: Final = 60.0
"""The time limit of a search."""


class Elsewhere:
    """Searches the inventory for VMs that are not in their folder, once a minute for all namespaces."""

    def __init__(self, session: VCenterSession, *, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._everywhere: TTLCache[str, dict[str, Properties]] = TTLCache(1, ELSEWHERE_SECONDS, timer=clock.monotonic)

    def matching(self, missing: Collection[ExpectedVm]) -> list[VsphereVm]:
        """Return wanted VMs in other folders; a VM without UUIDs cannot be identified.

        A failed search finds none, and does not bring the next one forward: the content of the folder is known anyway.
        """
        if not any(_has_uuid(vm) for vm in missing):
            return []
        with self._lock:
            everywhere = self._everywhere.get("all")
        if everywhere is None:
            try:
                everywhere = self._search(Budget.of(self._clock, SEARCH_SECONDS))
            except Unavailable as error:
                log.warning("VMs that are not in their folder are not found elsewhere", cause=str(error))
                everywhere = {}
            with self._lock:
                self._everywhere["all"] = everywhere
        candidates = Vms(
            VsphereVm(
                moid=moid,
                name=str(properties.get("name", "")),
                folder=str(properties["parent"]),
                in_folder=False,
                instance_uuid=str(properties.get("config.instanceUuid", "")),
                bios_uuid=str(properties.get("config.uuid", "")),
            )
            for moid, properties in everywhere.items()
        )
        vms = {vm.moid: vm for wanted in missing for vm in candidates.match(wanted)}
        return list(vms.values())

    def _search(self, budget: Budget) -> dict[str, Properties]:
        sdk = self._session.sdk
        kinds = {sdk.vim.VirtualMachine: IDENTITY, sdk.vim.Folder: ("name",)}

        def search(content: Any) -> list[tuple[Any, Properties]]:
            query = vcenter_query.below_folders(sdk, [content.rootFolder], kinds)
            return list(vcenter_query.retrieve(sdk, content, query, demand_time=budget.demand))

        objects = self._session.soap("search the inventory", search)
        names = {moid_of(managed_object): str(properties.get("name", "")) for managed_object, properties in objects}
        return {
            moid_of(managed_object): {**properties, "parent": names.get(parent_of(properties), "")}
            for managed_object, properties in objects
            if isinstance(managed_object, sdk.vim.VirtualMachine)
        }


def _has_uuid(wanted: ExpectedVm) -> bool:
    expected = wanted.expected
    return bool(expected and (expected.instance_uuid or expected.bios_uuid))
