"""What a registration source asks for, read by a client that makes nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from pyVmomi import vim, vmodl

from tests.bench import crowds
from tests.bench.crowds import collection
from velero_vmservice.adapters.vcenter.query import PAGE
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.pb.registration.v1 import registration_pb2_grpc as services

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.crowds import Writer
    from tests.e2e.vcenter import VCenterSimulator
    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.settings.registration import EngineSettings

_KINDS: Final = (crowds.VM, crowds.CLAIM, "cnsregistervolumes")
_PROPERTIES: Final = ("name", "parent", "config.uuid", "config.instanceUuid", "config.extraConfig", "recentTask")


def kubernetes(writer: Writer, namespace: str) -> None:
    """GET the namespace and LIST the three kinds, in the product's pages."""
    writer.get(f"/api/v1/namespaces/{namespace}")
    for plural in _KINDS:
        writer.list(collection(plural, namespace))


def vcenter(simulator: VCenterSimulator, folder: str) -> int:
    """Retrieve the VMs of the folder that this VM lies in; return how many."""
    return below(simulator.content, simulator.folder_of(folder))


def below(content: Any, folder: Any) -> int:
    """Retrieve the VMs of a folder through a container view, in the product's pages; return how many."""
    collector = vmodl.query.PropertyCollector
    view = content.viewManager.CreateContainerView(folder, [vim.VirtualMachine], recursive=True)
    into = collector.TraversalSpec(type=vim.view.ContainerView, path="view")
    query = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[into])],
        propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=list(_PROPERTIES))],
    )
    page = content.propertyCollector.RetrievePropertiesEx([query], collector.RetrieveOptions(maxObjects=PAGE))
    count = 0
    while page is not None:
        count += len(page.objects)
        page = content.propertyCollector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    view.DestroyView()
    return count


class Engine:
    """One gRPC call about the same VMs, over a connection that is kept."""

    def __init__(self, settings: EngineSettings, namespace: str, wanted: Sequence[ExpectedVm]) -> None:
        self._stub = services.RegistrationEngineStub(grpc.insecure_channel(settings.target))  # type: ignore[no-untyped-call]
        questions = [pb.Machine(name=vm.name, instance_uuid=vm.instance_uuid) for vm in wanted]
        self._question = pb.GetRegistrationsRequest(namespace=namespace, machines=questions)

    def __call__(self) -> None:
        self._stub.GetRegistrations(self._question)
