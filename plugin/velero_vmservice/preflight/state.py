"""The state that a restore in place replaces, kept before it (guide 9.2, step 1), and what is left of it afterwards.

RegisterVM gives the disks new PVCs and deletes the old ones only where it takes them for dangling (guide 6.2): whether
one is left over can be told from what was there before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from velero_vmservice.documents import Document
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.vmoperator.virtual_machine import volumes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from velero_vmservice.supervisor.namespace_state import NamespaceState


class RecordedNamespace(Document):
    """VMs of a namespace with their PVCs, as the API server has them."""

    namespace: str
    vms: tuple[dict[str, Any], ...] = ()
    claims: tuple[dict[str, Any], ...] = ()


class RecordedState(Document):
    """What is to be replaced."""

    schema_version: Literal[1] = 1
    recorded_at: str
    capture: str = ""
    """The capture that is to be restored, as `NAME/TIME`."""
    namespaces: tuple[RecordedNamespace, ...] = ()


class ClaimFate(StrEnum):
    """What became of the PVC behind a volume."""

    KEPT = "kept"
    """The VM still has it."""
    REPLACED = "replaced"
    """The VM has another one, and the old one is gone."""
    LEFT_OVER = "left-over"
    """The VM does not have it, and it is there, on no other VM either."""
    MOVED = "moved"
    """Another VM has it."""
    GONE = "gone"
    """The VM has nothing in its place."""
    UNKNOWN = "unknown"
    """PVCs may not be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimChange:
    """A volume of a recorded VM, before and now."""

    namespace: str
    vm: str
    volume: str
    claim: str
    now: str
    """The PVC that it has now; '' for none."""
    fate: ClaimFate


def changes(recorded: RecordedNamespace, state: NamespaceState) -> Iterator[ClaimChange]:
    """Yield what became of each PVC that was recorded."""
    users = {claim: vm.name for vm in state.machines.values() for claim in vm.claims}
    for content in recorded.vms:
        vm = Manifest(content)
        live = state.machines.get(vm.name)
        current: Mapping[str, str] = live.volumes if live else {}
        for volume, claim in volumes(vm).items():
            now = current.get(volume, "")
            yield ClaimChange(
                namespace=recorded.namespace,
                vm=vm.name,
                volume=volume,
                claim=claim,
                now=now,
                fate=_fate(claim, now, vm.name, users, state),
            )


def _fate(claim: str, now: str, vm: str, users: Mapping[str, str], state: NamespaceState) -> ClaimFate:
    if users.get(claim) == vm:
        return ClaimFate.KEPT
    if claim in users:
        return ClaimFate.MOVED
    if not state.volumes.known:
        return ClaimFate.UNKNOWN
    if claim in state.volumes.phases:
        return ClaimFate.LEFT_OVER
    return ClaimFate.REPLACED if now else ClaimFate.GONE
