"""What is asked of vCenter, and what every implementation MUST hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.vsphere.network_override import NetworkOverride
    from velero_vmservice.vsphere.vm import RegisterTask, VsphereVm


class VsphereInventory(Protocol):
    """The VMs of a vSphere Namespace as vCenter has them."""

    def about(self) -> str:
        """Log in, and return what vCenter says that it is; raises as `look` does."""

    def look(
        self, namespace: str, wanted: Collection[ExpectedVm], *, folders: Collection[str] = ()
    ) -> Sequence[VsphereVm]:
        """Return every VM in the namespace's folder and below, and of the wanted ones those that lie elsewhere.

        `folders` are the managed object ids of that folder, where they are known; else it is found by its name. Where
        the others cannot be looked for, the folder's are returned all the same. Costs a bounded number of requests
        however many VMs are wanted. ExtraConfig of any content MUST be survived.
        `seen` is left as it is. Raises `Unavailable` while vCenter is away or slow, `Forbidden` when it denies,
        `InvalidSettings` when it is set up wrongly.
        """


class RegisterVm(Protocol):
    """Calls WCP's RegisterVM, which can be neither repeated nor cancelled."""

    def call(self, namespace: str, moid: str, override: NetworkOverride) -> str:
        """Call it once, and return the id of its task.

        MUST NOT send a second request once a first may have been understood. Raises `NotSent` if the request did not
        reach vCenter for certain, `Unavailable` if that is unknown, `AlreadyExists` for
        AlreadyInDesiredState, and any other error of ours if vCenter refused the call.
        """

    def task(self, task_id: str) -> RegisterTask:
        """Return how far a task is; `TaskState.UNKNOWN` if vCenter does not know it. Raises as the inventory does."""

    def latest(self, moid: str, since: datetime) -> RegisterTask | None:
        """Return the newest RegisterVM task of a VM that was queued at `since` or later. Raises likewise."""
