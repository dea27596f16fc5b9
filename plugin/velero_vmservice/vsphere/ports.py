"""The ports of vCenter, and the rules that every implementation MUST keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.vsphere.network_override import NetworkOverride
    from velero_vmservice.vsphere.vm import RegisterTask, VsphereVm


class VsphereInventory(Protocol):
    """The VMs of a vSphere Namespace in vCenter."""

    def about(self) -> str:
        """Log in, and return vCenter's name and version; raises as `look` does."""

    def look(
        self, namespace: str, wanted: Collection[ExpectedVm], *, folders: Collection[str] = ()
    ) -> Sequence[VsphereVm]:
        """Return every VM in the namespace's folder and below, and wanted VMs that are elsewhere.

        `folders` are the managed object ids of that folder, if they are known; otherwise it is found by its name. If
        the search for VMs elsewhere fails, the VMs of the folder are returned. The number of requests is bounded for
        any number of VMs. ExtraConfig of any content MUST be handled. Raises `Unavailable` while vCenter is away or
        slow, `Forbidden` when it denies, `InvalidSettings` when it is set up wrongly.
        """


class RegisterVm(Protocol):
    """Calls WCP's RegisterVM, which can be neither repeated nor cancelled."""

    def call(self, namespace: str, moid: str, override: NetworkOverride) -> str:
        """Call it once, and return the id of its task.

        MUST NOT send a second request if vCenter may have received the first. Raises `NotSent` if the request certainly
        did not reach vCenter, `Unavailable` if that is unknown, `AlreadyExists` for AlreadyInDesiredState, and another
        `VmServiceError` if vCenter refused the call.
        """

    def task(self, task_id: str) -> RegisterTask:
        """Return the state of a task; `TaskState.UNKNOWN` if vCenter does not know it. Raises as the inventory does."""

    def latest(self, moid: str, since: datetime) -> RegisterTask | None:
        """Return the newest RegisterVM task of a VM that was queued at `since` or later. Raises likewise."""
