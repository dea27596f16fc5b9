"""Engines that answer what a test wants, sensible or not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc

from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.pb.registration.v1 import registration_pb2_grpc as services

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "vmservice.registration.v1.RegistrationEngine"


class Answering(services.RegistrationEngineServicer):
    """Gives the same registrations to every caller."""

    def __init__(self, *registrations: pb.Registration) -> None:
        self._registrations = registrations

    def GetRegistrations(  # noqa: N802 - gRPC's name
        self, request: pb.GetRegistrationsRequest, context: grpc.ServicerContext
    ) -> pb.GetRegistrationsResponse:
        del request, context
        return pb.GetRegistrationsResponse(registrations=self._registrations)


class Refusing(services.RegistrationEngineServicer):
    """Ends every call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def GetRegistrations(  # noqa: N802 - gRPC's name
        self, request: pb.GetRegistrationsRequest, context: grpc.ServicerContext
    ) -> pb.GetRegistrationsResponse:
        del request
        context.abort(self._code, self._details)


class Hanging(services.RegistrationEngineServicer):
    """Answers no call until it is released."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.released = threading.Event()

    def GetRegistrations(  # noqa: N802 - gRPC's name
        self, request: pb.GetRegistrationsRequest, context: grpc.ServicerContext
    ) -> pb.GetRegistrationsResponse:
        del request, context
        self.called.set()
        self.released.wait()
        return pb.GetRegistrationsResponse()


def raw(answer: Callable[[], bytes], *, service: str = SERVICE) -> grpc.GenericRpcHandler:
    """Answer with bytes that need not be a message."""
    method = grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer())
    return grpc.method_handlers_generic_handler(service, {"GetRegistrations": method})
