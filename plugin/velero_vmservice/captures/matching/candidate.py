"""A capture as it is compared: its VMs, its groups and services, and what else was in its namespaces then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.captures.applications import CapturedApplication
    from velero_vmservice.velero.runs import CaptureRef

VmName = tuple[str, str]
"""Namespace and name of a VM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sealed capture, or a part of it, with what it holds."""

    ref: CaptureRef
    started: datetime
    cluster: str = ""
    """UID of namespace kube-system of the cluster that was captured; '' where that is not known."""
    job: str = ""
    restore_point: str = ""
    vms: Mapping[VmName, VmFacts]
    """The VMs that belong in its job."""
    objects: Mapping[ObjectRef, CapturedApplication] = field(default_factory=dict)
    """Its groups and services, each with the application that it is of."""
    namespaces: Collection[str] = frozenset()
    """The namespaces that it has facts of, so that all that was in them is known."""
    existing: Collection[ObjectRef] = frozenset()
    """The groups, services and VMs that were in its namespaces, captured or not."""
    uids: Mapping[VmName, str] = field(default_factory=dict)
    """UIDs of the VirtualMachines in its namespaces: one that RegisterVM made again has another."""

    @property
    def is_empty(self) -> bool:
        """Whether it holds no group, no service and no VM."""
        return not (self.vms or self.objects)

    def holds(self) -> Collection[ObjectRef]:
        """Return its groups, services and VMs."""
        return {*self.objects, *(ObjectRef(VIRTUAL_MACHINE, namespace, name) for namespace, name in self.vms)}
