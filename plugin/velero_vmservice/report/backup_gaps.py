"""What a backup left out, in sentences for a report: kinds that were withheld, and applications of its VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.velero.runs import RestoreRun


def unwatched(run: RestoreRun, namespace: str, names: Sequence[str]) -> str:
    """Say that nothing has looked at the VMs without an application of a namespace, and what does."""
    return (
        f"This restore has not looked at these VMs without an application in namespace {namespace}:"
        f" {enumerate_some(list(names))}. Velero asks for them with the namespace's ServiceAccount default, where"
        f" backup and restore include it; {run.again} looks at them without it."
    )


def sentences(seal: Seal, namespaces: Collection[str]) -> Iterator[str]:
    """Yield what the backup lacks.

    Args:
        seal: the seal of the backup.
        namespaces: the namespaces of the backup that are restored; what is left out of others is not mentioned.
    """
    for gap in seal.not_captured:
        if gap.namespace in namespaces:
            yield (
                f"{gap.kind} {gap.namespace}/{gap.name} is not captured, and VMs of the backup belong to it:"
                f" {enumerate_some(list(gap.vms))}."
            )
    if seal.not_backed_up:
        counted = (f"{seal.withheld.get(resource, 0)} {resource}" for resource in seal.not_backed_up)
        yield (
            f"Objects of kinds that the backup leaves out on purpose: {enumerate_some(list(counted))}. Nothing"
            " recreates them: create them from their own manifests where they are needed."
        )
