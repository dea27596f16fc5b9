"""Fit a captured object to the Supervisor that it is restored to: API version, capabilities, load balancer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.errors import InvalidItem, Unavailable
from velero_vmservice.kube.manifest import (
    CAPTURED_KINDS,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VM_OPERATOR_GROUP,
    Manifest,
)
from velero_vmservice.vmoperator import load_balancer
from velero_vmservice.vmoperator.releases import api_versions, capabilities, generation

if TYPE_CHECKING:
    from velero_vmservice.documents import Dropped
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.restore.policy import RestorePolicy
    from velero_vmservice.supervisor.capability_reader import TargetCapabilities
    from velero_vmservice.vmoperator.releases.generation import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A captured object as the target can take it."""

    manifest: Manifest
    dropped: tuple[Dropped, ...] = ()
    problems: tuple[str, ...] = ()
    """Why the target can never take it."""
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What holds for every object that is replayed at its version, and is no reason to do anything."""


class Target:
    """The Supervisor that is restored to."""

    def __init__(self, *, cluster: Cluster, capabilities: TargetCapabilities) -> None:
        self._cluster = cluster
        self._capabilities = capabilities

    def generation(self) -> Told:
        """Return the generation of vSphere that this Supervisor is of (guide 1.3)."""
        return generation.tell(
            self._cluster.served_versions(VIRTUAL_MACHINE),
            self._cluster.served_versions(VIRTUAL_MACHINE_GROUP),
            self._capabilities.now(),
        )

    def fit(self, manifest: Manifest, *, came_from: str, policy: RestorePolicy) -> Fitted:
        """Return the object at a version that the target serves, without what it would refuse.

        `came_from` is the load-balancer provider at backup, '' if unknown. Raises `Unavailable` while VM Operator's
        definitions are away, `InvalidItem` for a kind that is not captured.
        """
        kind = next((kind for kind in CAPTURED_KINDS if kind.name == manifest.kind_name), None)
        if kind is None:
            raise InvalidItem(
                f"the capture of {manifest.namespace}/{manifest.name} holds a {manifest.kind_name or 'nameless kind'}",
                hint="it was replaced after the backup, or written by another release; restore from another backup",
            )
        served, able = self._cluster.served_versions(kind), self._capabilities.now()
        if kind == VIRTUAL_MACHINE_GROUP and (blocked := capabilities.groups_blocked(served, able)):
            return Fitted(manifest=manifest, problems=(blocked,))
        choice = api_versions.choose(kind.name, manifest.version, served)
        if not served:
            raise Unavailable(choice.refused)
        if choice.refused:
            return Fitted(manifest=manifest, problems=(choice.refused,))
        at_version = manifest.editable() | {"apiVersion": f"{VM_OPERATOR_GROUP}/{choice.version}"}
        fitting, trimmed = capabilities.fit(Manifest(at_version), able)
        moved = load_balancer.cross_site(
            fitting,
            source=next(
                (provider for provider in load_balancer.Provider if provider == came_from),
                load_balancer.Provider.UNKNOWN,
            ),
            target=load_balancer.provider(self._cluster.serves_group),
            told=policy.site,
        )
        return Fitted(
            manifest=moved.manifest,
            dropped=(*trimmed, *moved.dropped),
            remarks=moved.notes,
            notes=choice.notes,
        )
