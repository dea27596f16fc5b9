"""One look at what the guide asks to be checked before a backup: Kubernetes, and vCenter where the settings name one.

A list for each kind and namespace, however many VMs there are; of Secrets and ConfigMaps no more than their metadata is
asked for. What may not be read is unknown, and said to be.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import structlog

from velero_vmservice.archive import facts
from velero_vmservice.archive.facts import ExpectedVm, NamespaceFacts, unbound_claims
from velero_vmservice.errors import Unavailable, VmServiceError
from velero_vmservice.kube.manifest import (
    CAPTURED_KINDS,
    CONFIG_MAP,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    ObjectRef,
)
from velero_vmservice.supervisor.named_namespace import demand_namespace
from velero_vmservice.supervisor.namespace_state import claim_phase
from velero_vmservice.vmoperator.groups import group_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.registration.sources import VsphereLooks
    from velero_vmservice.vsphere.vm import VsphereVm

log = structlog.get_logger()

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveNamespace:
    """A namespace as it is now."""

    facts: NamespaceFacts
    objects: Mapping[ObjectRef, Manifest] = field(default_factory=dict)
    """Its groups and services, those that are being deleted left out."""
    bootstrap: frozenset[str] = frozenset()
    """Names of its Secrets and ConfigMaps, where a VM refers to one."""
    bootstrap_unseen: str = ""
    """Why not all of these names are known; '' if they are."""
    vsphere: Sequence[VsphereVm] | None = None
    """Its VMs in vCenter; None if vCenter was not asked or has not answered."""
    vsphere_unseen: str = ""
    """Why vCenter has not answered; '' if it has, or was not asked."""


class Looks:
    """Looks at namespaces; vCenter is asked where there are `vsphere` looks."""

    def __init__(self, *, cluster: Cluster, clock: Clock, vsphere: VsphereLooks | None) -> None:
        self._cluster = cluster
        self._clock = clock
        self._vsphere = vsphere

    @property
    def asks_vcenter(self) -> bool:
        """Whether the settings name a vCenter, whose ExtraConfig has the records."""
        return self._vsphere is not None

    def look(self, namespaces: Collection[str] = ()) -> Sequence[LiveNamespace]:
        """Return the namespaces as they are now, by name; without names, all that have a VM, a group or a service.

        Raises `NotFound` for one that does not exist, `Unavailable` while the API server serves no VMs, and what the
        cluster raises where VMs, groups or services cannot be read.
        """
        for name in namespaces:
            demand_namespace(self._cluster, name)
        vms = self._by_namespace(VIRTUAL_MACHINE, namespaces, facts.vm_facts)
        if not vms and not self._cluster.served_versions(VIRTUAL_MACHINE):
            raise Unavailable(
                f"the VMs cannot be listed: the API server does not serve {VIRTUAL_MACHINE.resource} just now",
                hint="enable VM Service on this cluster, or check the kubeconfig's context",
            )
        manifests = {kind: self._by_namespace(kind, namespaces, lambda manifest: manifest) for kind in CAPTURED_KINDS}
        has_claims = any(vm.claims for listed in vms.values() for vm in listed)
        claims = self._claims(namespaces) if has_claims else {}
        names = sorted({*vms, *(name for by_name in manifests.values() for name in by_name), *namespaces})
        return [
            self._namespace(
                name,
                vms.get(name, ()),
                [manifest for by_name in manifests.values() for manifest in by_name.get(name, ())],
                None if claims is None else dict(claims.get(name, ())),
            )
            for name in names
        ]

    def _namespace(
        self,
        name: str,
        vms: Sequence[VmFacts],
        manifests: Sequence[Manifest],
        phases: Mapping[str, str] | None,
    ) -> LiveNamespace:
        groups = [manifest for manifest in manifests if manifest.kind_name == VIRTUAL_MACHINE_GROUP.name]
        services = [manifest for manifest in manifests if manifest.kind_name == VIRTUAL_MACHINE_SERVICE.name]
        kinds = {kind.name: kind for kind in CAPTURED_KINDS}
        bootstrap, bootstrap_unseen = self._bootstrap(name, vms)
        vsphere, vsphere_unseen = self.in_vcenter(name, vms)
        return LiveNamespace(
            facts=NamespaceFacts(
                namespace=name,
                observed_at=self._clock.now().isoformat(),
                machines=tuple(sorted(vms, key=lambda vm: vm.name)),
                groups=tuple(group_facts(group) for group in groups),
                services=tuple(facts.service_facts(service) for service in services if not service.deleting),
                unbound_claims=None if phases is None else unbound_claims(vms, phases),
            ),
            objects={
                ObjectRef(kinds[manifest.kind_name], name, manifest.name): manifest
                for manifest in manifests
                if not manifest.deleting
            },
            bootstrap=bootstrap,
            bootstrap_unseen=bootstrap_unseen,
            vsphere=vsphere,
            vsphere_unseen=vsphere_unseen,
        )

    def _by_namespace(
        self, kind: Kind, namespaces: Collection[str], read: Callable[[Manifest], Entry]
    ) -> Mapping[str, Sequence[Entry]]:
        """List a kind in the namespaces, or in all at once."""
        entries = defaultdict[str, list[Entry]](list)
        for namespace in namespaces or ("",):
            for where, entry in self._cluster.read_all(
                kind, namespace, lambda manifest: (manifest.namespace, read(manifest))
            ):
                entries[where].append(entry)
        return dict(entries)

    def _claims(self, namespaces: Collection[str]) -> Mapping[str, Sequence[tuple[str, str]]] | None:
        try:
            return self._by_namespace(PERSISTENT_VOLUME_CLAIM, namespaces, claim_phase)
        except VmServiceError as error:
            log.info("bound claims not known", cause=error.message, hint=error.hint)
            return None

    def _bootstrap(self, namespace: str, vms: Collection[VmFacts]) -> tuple[frozenset[str], str]:
        """Return the names of Secrets and ConfigMaps where a VM refers to one, and why some are not known."""
        if not any(vm.bootstrap for vm in vms if vm.recorded):
            return frozenset(), ""
        names, unseen = set[str](), list[str]()
        for kind in (SECRET, CONFIG_MAP):
            try:
                names.update(
                    self._cluster.read_all(kind, namespace, lambda manifest: manifest.name, metadata_only=True)
                )
            except VmServiceError as error:
                unseen.append(error.message)
        return frozenset(names), "; ".join(unseen)

    def in_vcenter(self, namespace: str, vms: Collection[VmFacts]) -> tuple[Sequence[VsphereVm] | None, str]:
        """Return what vCenter has of VMs and their namesakes; None, with the reason, if it does not say."""
        wanted = [
            ExpectedVm(name=vm.name, instance_uuid=vm.instance_uuid, bios_uuid=vm.bios_uuid, facts=vm)
            for vm in vms
            if vm.recorded
        ]
        if self._vsphere is None or not wanted:
            return None, ""
        try:
            return self._vsphere.look(namespace, wanted).machines, ""
        except VmServiceError as error:
            return None, error.message
