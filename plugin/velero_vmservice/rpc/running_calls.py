"""The running calls of one session, and the answer to a call that arrives while the sidecar stops.

gRPC's own stop answers a call that arrives in that moment with a bare CANCELLED. So new calls are first refused with a
reason, as long as others run, and the server stops after the last one.
"""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import grpc

from velero_vmservice.pb import velero_generated_pb2 as pb
from velero_vmservice.pb import velero_v2_pb2 as v2

if TYPE_CHECKING:
    from collections.abc import Mapping

STOPPING: Final = (
    "the plugin's sidecar is stopping and begins no new call: repeat the backup or restore once Velero's pod is ready"
    " again"
)
_LATER: Final = pb.OperationProgress(description="the plugin's sidecar is stopping; the next poll asks again")
_POLLS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "/v2.BackupItemAction/Progress": v2.BackupItemActionProgressResponse(progress=_LATER),
        "/v2.RestoreItemAction/Progress": v2.RestoreItemActionProgressResponse(progress=_LATER),
    }
)
"""A refused poll ends its operation for good; an answer with progress does not."""
_ALWAYS_ANSWERED: Final = ("/grpc.", "/plugin.", "/generated.PluginLister/")
"""Methods that begin no work: health, the end of the session, and the list that Velero needs to start."""


class RunningCalls:
    """Counts a session's calls; safe to use from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._stopping = False

    def refuse(self) -> None:
        """Refuse all calls from now on."""
        with self._changed:
            self._stopping = True

    def wait(self, seconds: float) -> None:
        """Return when no call runs any more, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout=seconds)

    def guarded(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        """Return a handler that counts its calls, and refuses them after `refuse`."""
        call = handler.unary_unary
        if call is None or method.startswith(_ALWAYS_ANSWERED):
            return handler

        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            if not self._begun():
                if method not in _POLLS:
                    context.abort(grpc.StatusCode.UNAVAILABLE, STOPPING)
                return _POLLS[method]
            try:
                return call(request, context)
            finally:
                self._ended()

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _begun(self) -> bool:
        with self._changed:
            self._running += not self._stopping
            return not self._stopping

    def _ended(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()
