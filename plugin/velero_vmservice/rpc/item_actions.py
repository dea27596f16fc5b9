"""Velero's item actions: translate a request, call the action that it names, translate the answer.

BackupItemAction and RestoreItemAction are of version 2; DeleteItemAction has one version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty

from velero_vmservice.pb import velero_generated_pb2 as v1
from velero_vmservice.pb import velero_generated_pb2_grpc as v1_services
from velero_vmservice.pb import velero_v2_pb2 as pb
from velero_vmservice.pb import velero_v2_pb2_grpc as services
from velero_vmservice.rpc import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grpc import ServicerContext

    from velero_vmservice.velero.actions import BackupAction, DeleteAction, RestoreAction


class BackupItemActions(services.BackupItemActionServicer):
    """Serves every backup action, each under its full name."""

    def __init__(self, actions: Mapping[str, BackupAction]) -> None:
        self._actions = actions

    def AppliesTo(
        self, request: pb.BackupItemActionAppliesToRequest, context: ServicerContext
    ) -> pb.BackupItemActionAppliesToResponse:
        with wire.answering(context, call="backup AppliesTo", action=request.plugin):
            selected = wire.named(self._actions, request.plugin).applies_to()
            return pb.BackupItemActionAppliesToResponse(ResourceSelector=wire.selector(selected))

    def Execute(self, request: pb.ExecuteRequest, context: ServicerContext) -> pb.ExecuteResponse:
        with wire.answering(context, call="backup Execute", action=request.plugin):
            backup, item = wire.backup(request.backup), wire.item(request.item)
            outcome = wire.named(self._actions, request.plugin).execute(item, backup)
            return pb.ExecuteResponse(
                item=request.item if outcome.item is item else wire.written(outcome.item),
                operationID=outcome.operation_id,
            )

    def Progress(
        self, request: pb.BackupItemActionProgressRequest, context: ServicerContext
    ) -> pb.BackupItemActionProgressResponse:
        with wire.answering(context, call="backup Progress", action=request.plugin):
            progress = wire.progress(
                lambda: wire.named(self._actions, request.plugin).progress(
                    wire.operation(request.operationID), wire.backup(request.backup)
                )
            )
            return pb.BackupItemActionProgressResponse(progress=progress)

    def Cancel(self, request: pb.BackupItemActionCancelRequest, context: ServicerContext) -> Empty:
        with wire.answering(context, call="backup Cancel", action=request.plugin):
            wire.named(self._actions, request.plugin).cancel(
                wire.operation(request.operationID), wire.backup(request.backup)
            )
            return Empty()


class DeleteItemActions(v1_services.DeleteItemActionServicer):
    """Serves every delete action, each under its full name."""

    def __init__(self, actions: Mapping[str, DeleteAction]) -> None:
        self._actions = actions

    def AppliesTo(
        self, request: v1.DeleteItemActionAppliesToRequest, context: ServicerContext
    ) -> v1.DeleteItemActionAppliesToResponse:
        with wire.answering(context, call="delete AppliesTo", action=request.plugin):
            selected = wire.named(self._actions, request.plugin).applies_to()
            return v1.DeleteItemActionAppliesToResponse(ResourceSelector=wire.selector(selected))

    def Execute(self, request: v1.DeleteItemActionExecuteRequest, context: ServicerContext) -> v1.Empty:
        with wire.answering(context, call="delete Execute", action=request.plugin):
            backup, item = wire.backup(request.backup), wire.item(request.item)
            wire.named(self._actions, request.plugin).execute(item, backup)
            return v1.Empty()


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
        # No action has additional items, so there is nothing to wait for.
        return pb.RestoreItemActionItemsReadyResponse(ready=True)
