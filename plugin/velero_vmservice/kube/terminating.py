"""Why an object that somebody has deleted is still there, and what to do: a restore waits until it is gone."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, sequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.kube.manifest import Manifest

_RISK = (
    "do not take the finalizer off by hand (data loss risk: the VM and its disks in vCenter then belong to nobody,"
    " or go while they are needed)"
)
_MEMBERS = "its member VMs go with it, as the group owns them: see first that each can be restored"


def finalizers(manifest: Manifest) -> tuple[str, ...]:
    """Return what has to be done with before the object goes."""
    return tuple(str(one) for one in sequence(manifest.metadata.get("finalizers")))


def words(kind: str, namespace: str, name: str, *, since: str, held_by: Sequence[str]) -> str:
    """Say since when an object is being deleted, what holds it, and what to do about that.

    A finalizer of VM Operator is never to be taken off by hand; of a VM, that would lose data.
    """
    held = f"held by the finalizer{'s' if len(held_by) > 1 else ''} {', '.join(held_by)}" if held_by else "held by none"
    begun = f"being deleted since {since or 'an unknown time'}, {held}"
    where = ("-n", namespace) if namespace else ()
    look = f"look at its events with: {shlex.join(('kubectl', *where, 'describe', kind.lower(), name))}"
    if kind == VIRTUAL_MACHINE.name:
        return f"{begun}: VM Operator has to end with it; {look}; {_RISK}"
    if not held_by:
        return f"{begun}: Kubernetes takes it away, and the restore goes on then"
    wait = f"see that VM Operator runs, which takes its finalizer off and lets the restore go on; {look}"
    return f"{begun}: {wait}; {_MEMBERS}" if kind == VIRTUAL_MACHINE_GROUP.name else f"{begun}: {wait}"
