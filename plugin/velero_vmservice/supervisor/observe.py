"""Looks at the target Supervisor, its capabilities, and a namespace there: one bounded LIST per kind, no GET per VM.

A restore takes a whole look, a registration source a look at the VMs, and the reading of vCenter's answers a view.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from velero_vmservice.errors import Forbidden, NotFound, VmServiceError, as_ours
from velero_vmservice.kube.manifest import (
    CNS_REGISTER_VOLUME,
    ENDPOINTS,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
    STORAGE_CLASS,
    SUBNET_SET,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    ObjectRef,
)
from velero_vmservice.supervisor import namespace_state
from velero_vmservice.vmoperator import releases
from velero_vmservice.vmoperator.releases import Generation
from velero_vmservice.vmoperator.virtual_machine import read_vm
from velero_vmservice.vsphere.vm import Registered, SupervisorView

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind, Manifest
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vmoperator.releases import Capabilities, SupervisorRelease
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

log = structlog.get_logger()

REMEMBERED_SECONDS: Final = 60.0
"""Capabilities change with an upgrade of the Supervisor, which takes longer."""
_NO_DISKS = "cannot tell how far the disks are registered"
_GENERATED = frozenset({SERVICE.name, ENDPOINTS.name})


def look(
    cluster: Cluster,
    clock: Clock,
    namespace: str,
    *,
    services: Collection[str],
    present: Mapping[Kind, Collection[str]] | None = None,
) -> namespace_state.NamespaceState:
    """Observe a namespace; of core Services and Endpoints only those named `services` are kept.

    Raises what the cluster raises, because an incomplete look is useless. Only CnsRegisterVolumes may be missing, if
    RBAC forbids listing them: the claims also show when the disks exist. `present` is the result of `referred`.
    """
    at = clock.monotonic()
    unseen: dict[Kind, str] = {}
    try:
        manifest = cluster.get(ObjectRef(NAMESPACE, "", namespace))
    except NotFound:
        manifest = None

    def wanted(listed: Manifest) -> Manifest | None:
        return listed if listed.kind_name not in _GENERATED or listed.name in services else None

    lists = {
        kind: [listed for listed in cluster.read_all(kind, namespace, wanted) if listed is not None]
        for kind in namespace_state.OBSERVED_KINDS
        if kind != CNS_REGISTER_VOLUME
    }
    lists[CNS_REGISTER_VOLUME] = _disk_registrations(cluster, namespace, unseen)
    return namespace_state.observe(
        manifest,
        lists,
        machines=cluster.read_all(VIRTUAL_MACHINE, namespace, read_vm),
        claims=cluster.read_all(PERSISTENT_VOLUME_CLAIM, namespace, namespace_state.claim_phase),
        name=namespace,
        at=at,
        present=present or {},
        unseen=unseen,
    )


def look_at_vms(cluster: Cluster, clock: Clock, namespace: str) -> namespace_state.NamespaceState:
    """Observe only the VMs of a namespace and their disks.

    A kind that the cluster lacks or forbids is left out and named in `NamespaceState.unseen`. Raises `Forbidden` if VMs
    may not be listed, because the look would then be empty.
    """
    at = clock.monotonic()
    unseen: dict[Kind, str] = {}
    try:
        manifest = cluster.get(ObjectRef(NAMESPACE, "", namespace))
    except NotFound:
        manifest = None
    except Forbidden as error:
        manifest, unseen[NAMESPACE] = None, f"cannot tell whether it is a vSphere Namespace: {error}"
    vms = cluster.read_all(VIRTUAL_MACHINE, namespace, read_vm)
    if not vms and not cluster.served_versions(VIRTUAL_MACHINE):
        unseen[VIRTUAL_MACHINE] = (
            "the cluster serves no VirtualMachine: enable VM Service there, or wait until VM Operator's upgrade ends"
        )
    try:
        claims = cluster.read_all(PERSISTENT_VOLUME_CLAIM, namespace, namespace_state.claim_phase)
    except Forbidden as error:
        claims, unseen[PERSISTENT_VOLUME_CLAIM] = (), f"cannot tell whether the disks' PVCs are bound: {error}"
    disks = _disk_registrations(cluster, namespace, unseen)
    if not disks and CNS_REGISTER_VOLUME not in unseen and not cluster.served_versions(CNS_REGISTER_VOLUME):
        unseen[CNS_REGISTER_VOLUME] = f"{_NO_DISKS}: no CnsRegisterVolume is served"
    return namespace_state.observe(
        manifest,
        {CNS_REGISTER_VOLUME: disks},
        machines=vms,
        claims=claims,
        name=namespace,
        at=at,
        present={},
        unseen=unseen,
    )


def _disk_registrations(cluster: Cluster, namespace: str, unseen: dict[Kind, str]) -> list[Manifest]:
    try:
        return list(cluster.list(CNS_REGISTER_VOLUME, namespace))
    except Forbidden as error:
        unseen[CNS_REGISTER_VOLUME] = f"{_NO_DISKS}: {error}"
        return []


def referred(cluster: Cluster, namespace: str, kinds: Iterable[Kind]) -> dict[Kind, frozenset[str]]:
    """List the names of the objects that VMs refer to, by kind; no restore waits for these.

    A kind that is not served, or may not be listed, is left out.
    """
    names = {}
    for kind in kinds:
        try:
            if cluster.served_versions(kind):
                where = "" if kind == STORAGE_CLASS else namespace
                names[kind] = frozenset(cluster.read_all(kind, where, lambda listed: listed.name))
        except Exception as raised:  # noqa: BLE001 - logged; no restore waits for these
            error = as_ours(raised, f"the list of {kind.resource} in namespace {namespace}")
            log.debug("references not listed", kind=kind.resource, cause=error.message)
    return names


class SupervisorViews:
    """Looks at a namespace to interpret vCenter's answers: one GET and one LIST, or none if it was observed."""

    def __init__(self, *, cluster: Cluster, generation: Callable[[], SupervisorRelease]) -> None:
        self._cluster = cluster
        self._generation = generation

    def look(self, namespace: str, observed: NamespaceState | None = None) -> SupervisorView:
        """Return the view; never raises, because vCenter's answers are useful without it.

        `observed` is an earlier look at the namespace, if there is one.
        """
        generation = self.generation()
        if observed is not None:
            return SupervisorView(
                generation=generation,
                folders=(observed.folder,) if observed.folder else (),
                machines={name: _registered(vm) for name, vm in observed.machines.items()},
            )
        return SupervisorView(generation=generation, folders=self._folders(namespace), machines=self._vms(namespace))

    def generation(self) -> Generation:
        """Return the Supervisor's generation; unknown if the API server does not answer."""
        try:
            return self._generation().generation
        except VmServiceError:
            return Generation.UNKNOWN

    def vpc(self, namespace: str) -> bool | None:
        """Say whether the namespace has NSX-VPC networking; None if it cannot be read.

        NSX Operator creates default SubnetSets in every namespace of a VPC. With VDS or pre-VPC NSX networking, the
        kind may be served, but there are no objects.
        """
        try:
            return bool(self._cluster.read_all(SUBNET_SET, namespace, lambda subnet_set: subnet_set.name))
        except VmServiceError:
            return None

    def _folders(self, namespace: str) -> tuple[str, ...]:
        try:
            manifest = self._cluster.get(ObjectRef(NAMESPACE, "", namespace))
        except VmServiceError:
            return ()
        return (moid,) if (moid := namespace_state.folder(manifest)) else ()

    def _vms(self, namespace: str) -> dict[str, Registered] | None:
        try:
            return dict(self._cluster.read_all(VIRTUAL_MACHINE, namespace, _named))
        except NotFound:
            return {}
        except VmServiceError:
            return None


def _named(vm: Manifest) -> tuple[str, Registered]:
    observed = read_vm(vm)
    return observed.name, _registered(observed)


def _registered(vm: ObservedVm) -> Registered:
    return Registered(unique_id=vm.unique_id, backup_version=vm.backup_version, reverting=vm.reverting)


class TargetCapabilities:
    """Reads the capabilities of the target cluster, at most once a minute."""

    def __init__(self, *, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._known: TTLCache[str, Capabilities] = TTLCache(1, REMEMBERED_SECONDS, timer=clock.monotonic)
        self._read: Capabilities | None = None
        self._logged: Capabilities | None = None
        self._lock = threading.Lock()

    def now(self) -> Capabilities:
        """Return the known capabilities; never raises.

        A capability that cannot be read is unknown, with a note; a change is logged. While the API server does not
        answer, the last answer stays.
        """
        with self._lock:
            if "target" not in self._known:
                self._known["target"] = self._look()
                self._log(self._known["target"])
            return self._known["target"]

    def generation(self) -> SupervisorRelease:
        """Return this Supervisor's generation of vSphere (guide 1.3); raises as discovery does."""
        served = self._cluster.served_versions
        return releases.inferred_release(served(VIRTUAL_MACHINE), served(VIRTUAL_MACHINE_GROUP), self.now())

    def _look(self) -> Capabilities:
        try:
            self._read = releases.read_capabilities(self._object())
        except NotFound:
            return releases.unknown_capabilities(
                f"the Supervisor has neither {releases.CAPABILITIES_OBJECT} nor {releases.OLDER_CAPABILITIES_OBJECT}"
            )
        except VmServiceError as error:
            if error.transient and self._read is not None:
                return self._read
            return releases.unknown_capabilities(f"the capabilities of the Supervisor cannot be read ({_cause(error)})")
        return self._read

    def _log(self, current: Capabilities) -> None:
        if current == self._logged:
            return
        self._logged = current
        log.info(
            "capabilities read",
            group_api=current.groups,
            telco=current.telco,
            ipv6=current.ipv6,
            read_from=current.source,
            reason=current.note,
        )

    def _object(self) -> Manifest:
        try:
            return self._cluster.get(releases.CAPABILITIES_OBJECT)
        except NotFound:
            return self._cluster.get(releases.OLDER_CAPABILITIES_OBJECT)


def _cause(error: VmServiceError) -> str:
    if isinstance(error, Forbidden):
        return f"{error.message}: allow Velero's service account to get {releases.CAPABILITIES_OBJECT.kind.resource}"
    return str(error)
