"""The actions as Velero lists them, and the gRPC server that answers one launched process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc

from velero_vmservice.pb import velero_generated_pb2 as pb
from velero_vmservice.pb import velero_generated_pb2_grpc as generated_services
from velero_vmservice.pb import velero_v2_pb2_grpc as v2_services
from velero_vmservice.rpc.item_actions import BackupItemActions, DeleteItemActions, RestoreItemActions
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from velero_vmservice.velero.actions import BackupAction, DeleteAction, RestoreAction

LAUNCHER: Final = PLUGIN_NAME
"""The launcher's file name. Velero runs actions in the order of these names, so before velero-plugin-for-vsphere's."""

_UNLIMITED: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
"""Velero sends objects of any size; the default would refuse more than 4 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTable:
    """Every action under its short name. Velero calls the actions of one kind in this order."""

    backup: Mapping[str, BackupAction] = field(default_factory=dict)
    restore: Mapping[str, RestoreAction] = field(default_factory=dict)
    delete: Mapping[str, DeleteAction] = field(default_factory=dict)
    ended: Callable[[str], None] = lambda _: None
    """Called with the name of a launched process (`CALLER`) when that process is over."""

    def listed(self, command: str) -> list[pb.PluginIdentifier]:
        """Return the list for Velero: kind and name of each action, and the file to execute for it."""
        kinds = {
            "BackupItemActionV2": self.backup,
            "RestoreItemActionV2": self.restore,
            "DeleteItemAction": self.delete,
        }
        return [
            pb.PluginIdentifier(command=command, kind=kind, name=full_name(name))
            for kind, actions in kinds.items()
            for name in actions
        ]


def full_name(action: str) -> str:
    """Return an action's name as Velero knows it."""
    return f"{PLUGIN_NAME}/{action}"


def new_server(
    actions: ActionTable,
    *,
    command: Callable[[], str],
    pool: ThreadPoolExecutor,
    interceptors: Sequence[grpc.ServerInterceptor] = (),
) -> grpc.Server:
    """Return a server, not yet started, that lists and serves the actions; `command` gives the launcher's path."""
    server = grpc.server(pool, interceptors=list(interceptors), options=_UNLIMITED)
    generated_services.add_PluginListerServicer_to_server(_Lister(actions, command), server)
    v2_services.add_BackupItemActionServicer_to_server(BackupItemActions(actions.backup), server)
    v2_services.add_RestoreItemActionServicer_to_server(RestoreItemActions(actions.restore), server)
    generated_services.add_DeleteItemActionServicer_to_server(DeleteItemActions(actions.delete), server)
    return server


class _Lister(generated_services.PluginListerServicer):
    """Called when Velero starts; an error would stop Velero, so nothing here can fail."""

    def __init__(self, actions: ActionTable, command: Callable[[], str]) -> None:
        self._actions = actions
        self._command = command

    def ListPlugins(self, request: pb.Empty, context: grpc.ServicerContext) -> pb.ListPluginsResponse:
        return pb.ListPluginsResponse(plugins=self._actions.listed(self._command()))
