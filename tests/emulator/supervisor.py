"""A whole Supervisor with its vCenter, around one API server: what most tests and the demo need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.emulator import vadp
from tests.emulator.kubernetes.cluster import VM_OPERATOR_API, Cluster
from tests.emulator.vm_operator.vm_operator import VmOperator
from tests.emulator.wcp.vcenter import VCenter
from tests.emulator.wcp.wcp import Wcp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubernetes.client import ApiClient

    from tests.emulator.machines import Application
    from tests.emulator.vadp import RestorePoint
    from tests.emulator.wcp.register_vm import Registration


class Supervisor:
    """`cluster`, `vcenter`, `operator` and `wcp`; nothing acts by itself unless those two are entered."""

    def __init__(
        self,
        api_client: ApiClient,
        *,
        vcenter: VCenter | None = None,
        vm_operator: str = VM_OPERATOR_API,
        operator: Mapping[str, Any] | None = None,
        wcp: Mapping[str, Any] | None = None,
    ) -> None:
        """Make one; `operator` and `wcp` are options for `VmOperator` and `Wcp`, `vm_operator` is for `Cluster`."""
        self.cluster = Cluster(api_client, vm_operator=vm_operator)
        self.vcenter = vcenter or VCenter()
        self.operator = VmOperator(self.cluster, self.vcenter, **(operator or {}))
        self.wcp = Wcp(self.cluster, self.vcenter, **(wcp or {}))

    def deploy(self, application: Application) -> None:
        """Deploy an application and let everything come up. Not while the operator's thread runs."""
        application.deploy(self.cluster)
        self.operator.settle(application.namespace)

    def back_up(self, *namespaces: str) -> RestorePoint:
        """Run a VADP job over the namespaces' VMs."""
        return vadp.back_up(self.vcenter, *namespaces)

    def lose(self, namespace: str, *, kinds: Sequence[str] = vadp.LOST, keep: Sequence[str] = ()) -> None:
        """Lose a namespace's objects and VMs; the namespace itself stays."""
        with self.operator.standing_still():
            vadp.lose(self.cluster, self.vcenter, namespace, kinds=kinds, keep=keep)

    def restore(self, point: RestorePoint, name: str, *, namespace: str = "", **options: Any) -> Registration:
        """Restore a VM from a VADP job and call RegisterVM for it; the task still has to be advanced."""
        machine = vadp.restore(self.vcenter, point.of(name), folder=namespace)
        return self.wcp.register(machine.moid, **options)
