"""What vCenter's answers are read against: the namespace's folder, its VirtualMachines, the Supervisor's generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.errors import NotFound, VmServiceError
from velero_vmservice.kube.manifest import NAMESPACE, SUBNET_SET, VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.supervisor.namespace_state import folder
from velero_vmservice.vmoperator.observed_vm import read_vm
from velero_vmservice.vmoperator.releases.generation import Generation
from velero_vmservice.vsphere.vm import Registered, SupervisorView

if TYPE_CHECKING:
    from collections.abc import Callable

    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Manifest
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.vmoperator.observed_vm import ObservedVm
    from velero_vmservice.vmoperator.releases.generation import Told


class SupervisorViews:
    """Looks at a namespace to interpret vCenter's answers: one GET and one LIST, or none where it was observed."""

    def __init__(self, *, cluster: Cluster, generation: Callable[[], Told]) -> None:
        self._cluster = cluster
        self._generation = generation

    def look(self, namespace: str, observed: NamespaceState | None = None) -> SupervisorView:
        """Return what is known; never raises, for vCenter's answers are worth having without it.

        `observed` is an earlier look at the namespace, if there is one.
        """
        try:
            generation = self._generation().generation
        except VmServiceError:
            generation = Generation.UNKNOWN
        if observed is not None:
            return SupervisorView(
                generation=generation,
                folders=(observed.folder,) if observed.folder else (),
                machines={name: _registered(vm) for name, vm in observed.machines.items()},
            )
        return SupervisorView(generation=generation, folders=self._folders(namespace), machines=self._vms(namespace))

    def vpc(self, namespace: str) -> bool | None:
        """Say whether the namespace has NSX-VPC networking; None if it cannot be read.

        NSX Operator gives every namespace in a VPC its default SubnetSets; where networking is VDS or pre-VPC NSX, the
        kind may be served and there are none.
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
        return (moid,) if (moid := folder(manifest)) else ()

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
