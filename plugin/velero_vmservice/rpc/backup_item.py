"""Velero's BackupItemAction, version 2: translate, call the action that is meant, translate back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty

from velero_vmservice.pb import velero_v2_pb2 as pb
from velero_vmservice.pb import velero_v2_pb2_grpc as services
from velero_vmservice.rpc import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grpc import ServicerContext

    from velero_vmservice.velero.actions import BackupAction


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
