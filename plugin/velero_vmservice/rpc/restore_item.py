"""Velero's RestoreItemAction, version 2: translate, call the action that is meant, translate back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty

from velero_vmservice.pb import velero_v2_pb2 as pb
from velero_vmservice.pb import velero_v2_pb2_grpc as services
from velero_vmservice.rpc import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grpc import ServicerContext

    from velero_vmservice.velero.actions import RestoreAction


class RestoreItemActions(services.RestoreItemActionServicer):
    """Serves every restore action, each under its full name."""

    def __init__(self, actions: Mapping[str, RestoreAction]) -> None:
        self._actions = actions

    def AppliesTo(
        self, request: pb.RestoreItemActionAppliesToRequest, context: ServicerContext
    ) -> pb.RestoreItemActionAppliesToResponse:
        with wire.answering(context, call="restore AppliesTo", action=request.plugin):
            selected = wire.named(self._actions, request.plugin).applies_to()
            return pb.RestoreItemActionAppliesToResponse(ResourceSelector=wire.selector(selected))

    def Execute(
        self, request: pb.RestoreItemActionExecuteRequest, context: ServicerContext
    ) -> pb.RestoreItemActionExecuteResponse:
        with wire.answering(context, call="restore Execute", action=request.plugin):
            restore = wire.restore(request.restore)
            item, stored = wire.item(request.item), wire.item(request.itemFromBackup)
            outcome = wire.named(self._actions, request.plugin).execute(item, stored, restore)
            return pb.RestoreItemActionExecuteResponse(
                item=wire.written(outcome.item),
                skipRestore=outcome.skip,
                operationID=outcome.operation_id,
            )

    def Progress(
        self, request: pb.RestoreItemActionProgressRequest, context: ServicerContext
    ) -> pb.RestoreItemActionProgressResponse:
        with wire.answering(context, call="restore Progress", action=request.plugin):
            progress = wire.progress(
                lambda: wire.named(self._actions, request.plugin).progress(
                    wire.operation(request.operationID), wire.restore(request.restore)
                )
            )
            return pb.RestoreItemActionProgressResponse(progress=progress)

    def Cancel(self, request: pb.RestoreItemActionCancelRequest, context: ServicerContext) -> Empty:
        with wire.answering(context, call="restore Cancel", action=request.plugin):
            wire.named(self._actions, request.plugin).cancel(
                wire.operation(request.operationID), wire.restore(request.restore)
            )
            return Empty()

    def AreAdditionalItemsReady(
        self, request: pb.RestoreItemActionItemsReadyRequest, context: ServicerContext
    ) -> pb.RestoreItemActionItemsReadyResponse:
        # No action asks Velero to wait for additional items, so there is never one to wait for.
        return pb.RestoreItemActionItemsReadyResponse(ready=True)
