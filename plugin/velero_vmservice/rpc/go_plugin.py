"""The services that go-plugin needs in every plugin process: health, shutdown, and two streams that stay open.

The broker would set up further connections and the stdio stream would carry prints. Velero uses neither, but a host
takes a plugin that refuses a stream for an old one. So both stay open and silent until the session is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from velero_vmservice.pb import go_plugin_pb2 as pb
from velero_vmservice.pb import go_plugin_pb2_grpc as services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    import grpc
    from google.protobuf.empty_pb2 import Empty

OPEN_STREAMS: Final = 2
"""Threads of a session that the two streams occupy."""

_SERVICE: Final = "plugin"
"""The name of the plugin in go-plugin's health check."""


def add_to(server: grpc.Server, *, over: Event, end: Callable[[], None]) -> None:
    """Add the services to a session's server.

    Args:
        server: not yet started.
        over: set when the session is over; the streams end then.
        end: called after the answer to Velero's request to end the session.
    """
    healthy = health.HealthServicer()
    healthy.set(_SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    services.add_GRPCControllerServicer_to_server(_Controller(end), server)
    services.add_GRPCBrokerServicer_to_server(_Broker(over), server)
    services.add_GRPCStdioServicer_to_server(_Stdio(over), server)


class _Controller(services.GRPCControllerServicer):
    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

    def Shutdown(self, request: pb.Empty, context: grpc.ServicerContext) -> pb.Empty:
        context.add_callback(self._end)  # runs after the answer has been sent
        return request


class _Broker(services.GRPCBrokerServicer):
    def __init__(self, over: Event) -> None:
        self._over = over

    def StartStream(
        self, request_iterator: Iterator[pb.ConnInfo], context: grpc.ServicerContext
    ) -> Iterator[pb.ConnInfo]:
        _hold(context, self._over)
        return iter(())


class _Stdio(services.GRPCStdioServicer):
    def __init__(self, over: Event) -> None:
        self._over = over

    def StreamStdio(self, request: Empty, context: grpc.ServicerContext) -> Iterator[pb.StdioData]:
        _hold(context, self._over)
        return iter(())


def _hold(context: grpc.ServicerContext, over: Event) -> None:
    """Keep a stream open. The host closes its streams only at the end, so the end of one ends both."""
    if context.add_callback(over.set):
        over.wait()
