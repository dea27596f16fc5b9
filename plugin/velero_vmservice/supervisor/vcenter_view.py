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
    """Looks at a namespace for the sake of vCenter's answers: one GET and one LIST, or none where it was observed."""

    def __init__(self, *, cluster: Cluster, generation: Callable[[], Told]) -> None:
        self._cluster = cluster
        self._generation = generation

    def look(self, namespace: str, observed: NamespaceState | None = None) -> SupervisorView:
        """Return what is known; never raises, for vCenter's answers are worth having without it.

        `observed` is a look at the namespace that somebody has made already.
        """
        try:
            told = self._generation().generation
        except VmServiceError:
            told = Generation.UNKNOWN
        if observed is not None:
            return SupervisorView(
                generation=told,
                folders=(observed.folder,) if observed.folder else (),
                machines={name: _registered(one) for name, one in observed.machines.items()},
            )
        return SupervisorView(generation=told, folders=self._folders(namespace), machines=self._vms(namespace))

    def vpc(self, namespace: str) -> bool | None:
        """Say whether the namespace has NSX-VPC networking; None if nobody can tell.

        NSX Operator gives every namespace in a VPC its default SubnetSets; where networking is VDS or pre-VPC NSX, the
        kind may be served and there are none.
        """
        try:
            return bool(self._cluster.read_all(SUBNET_SET, namespace, lambda one: one.name))
        except VmServiceError:
            return None

    def _folders(self, namespace: str) -> tuple[str, ...]:
        try:
            found = self._cluster.get(ObjectRef(NAMESPACE, "", namespace))
        except VmServiceError:
            return ()
        return (told,) if (told := folder(found)) else ()

    def _vms(self, namespace: str) -> dict[str, Registered] | None:
        try:
            return dict(self._cluster.read_all(VIRTUAL_MACHINE, namespace, _named))
        except NotFound:
            return {}
        except VmServiceError:
            return None


def _named(vm: Manifest) -> tuple[str, Registered]:
    machine = read_vm(vm)
    return machine.name, _registered(machine)


def _registered(vm: ObservedVm) -> Registered:
    return Registered(unique_id=vm.unique_id, backup_version=vm.backup_version, reverting=vm.reverting)
