"""What a backup left out, in sentences for a report: kinds that were withheld, and applications of its VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core.operation import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from velero_vmservice.core.archive import Seal


def sentences(seal: Seal, namespaces: Collection[str]) -> Iterator[str]:
    """Yield what the backup lacks.

    Args:
        seal: the seal of the backup.
        namespaces: the namespaces of the backup that are restored; what is left out of others is not mentioned.
    """
    for one in seal.not_captured:
        if one.namespace in namespaces:
            yield (
                f"{one.kind} {one.namespace}/{one.name} is not captured, and VMs of the backup belong to it:"
                f" {enumerate_some(list(one.vms))}."
            )
    if seal.not_backed_up:
        counted = (f"{seal.withheld.get(resource, 0)} {resource}" for resource in seal.not_backed_up)
        yield (
            f"Objects of kinds that the backup leaves out on purpose: {enumerate_some(list(counted))}. Nothing"
            " makes them again: create them from their own manifests where they are needed."
        )
