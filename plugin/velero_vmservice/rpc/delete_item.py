"""Velero's DeleteItemAction: translate, call the action that is meant, translate back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.pb import velero_generated_pb2 as pb
from velero_vmservice.pb import velero_generated_pb2_grpc as services
from velero_vmservice.rpc import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grpc import ServicerContext

    from velero_vmservice.velero.actions import DeleteAction


class DeleteItemActions(services.DeleteItemActionServicer):
    """Serves every delete action, each under its full name."""

    def __init__(self, actions: Mapping[str, DeleteAction]) -> None:
        self._actions = actions

    def AppliesTo(
        self, request: pb.DeleteItemActionAppliesToRequest, context: ServicerContext
    ) -> pb.DeleteItemActionAppliesToResponse:
        with wire.answering(context, call="delete AppliesTo", action=request.plugin):
            selected = wire.named(self._actions, request.plugin).applies_to()
            return pb.DeleteItemActionAppliesToResponse(ResourceSelector=wire.selector(selected))

    def Execute(self, request: pb.DeleteItemActionExecuteRequest, context: ServicerContext) -> pb.Empty:
        with wire.answering(context, call="delete Execute", action=request.plugin):
            backup, item = wire.backup(request.backup), wire.item(request.item)
            wire.named(self._actions, request.plugin).execute(item, backup)
            return pb.Empty()
