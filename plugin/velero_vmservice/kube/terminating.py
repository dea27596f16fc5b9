"""Why a deleted object still exists, and what to do; a restore waits until it is gone."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.kube.manifest import Manifest

_RISK = (
    "do not remove the finalizer by hand (data loss risk: the VM and its disks in vCenter are then orphaned,"
    " or deleted while they are needed)"
)
_MEMBERS = "its member VMs are deleted with it, as the group owns them: first make sure that each can be restored"


def finalizers(manifest: Manifest) -> tuple[str, ...]:
    """Return the finalizers that hold the object."""
    return tuple(str(finalizer) for finalizer in sequence(manifest.metadata.get("finalizers")))


def explanation(kind: str, namespace: str, name: str, *, since: str, held_by: Sequence[str]) -> str:
    """Return since when an object is being deleted, what holds it, and what to do.

    A finalizer of VM Operator must never be removed by hand; on a VM, that would lose data.
    """
    held = f"held by the finalizer{'s' if len(held_by) > 1 else ''} {', '.join(held_by)}" if held_by else "held by none"
    begun = f"being deleted since {since or 'an unknown time'}, {held}"
    where = ("-n", namespace) if namespace else ()
    look = f"look at its events with: {shlex.join(('kubectl', *where, 'describe', kind.lower(), name))}"
    if kind == VIRTUAL_MACHINE.name:
        return f"{begun}: VM Operator has to finish its deletion; {look}; {_RISK}"
    if not held_by:
        return f"{begun}: Kubernetes removes it, and the restore then goes on"
    wait = f"make sure that VM Operator runs: once it releases its finalizer, the restore goes on; {look}"
    return f"{begun}: {wait}; {_MEMBERS}" if kind == VIRTUAL_MACHINE_GROUP.name else f"{begun}: {wait}"
