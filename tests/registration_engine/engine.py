"""A registration engine as `protos/registration/v1` asks for it, whose VMs stand where a test puts them.

It keeps every rule of the API and is short enough to be read as an example of one.
"""

from __future__ import annotations

import threading
from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.pb.registration.v1 import registration_pb2_grpc as services

if TYPE_CHECKING:
    from collections.abc import Iterator

VMS_PER_CALL = 1000
_WORKERS = 8


class ReferenceEngine(services.RegistrationEngineServicer):
    """Knows VMs by namespace and name. `questions` holds every call as it came."""

    def __init__(self) -> None:
        self.questions: list[pb.GetRegistrationsRequest] = []
        self._vms: dict[tuple[str, str], tuple[pb.Machine, pb.Registration]] = {}
        self._lock = threading.Lock()

    def put(
        self, namespace: str, registration: pb.Registration, *, instance_uuid: str = "", bios_uuid: str = ""
    ) -> None:
        """Let a VM stand somewhere, from the next call on."""
        machine = pb.Machine(name=registration.name, instance_uuid=instance_uuid, bios_uuid=bios_uuid)
        with self._lock:
            self._vms[namespace, machine.name] = (machine, registration)

    def GetRegistrations(  # noqa: N802 - gRPC's name
        self, request: pb.GetRegistrationsRequest, context: grpc.ServicerContext
    ) -> pb.GetRegistrationsResponse:
        names = {machine.name for machine in request.machines}
        if len(names) < len(request.machines):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a VM is asked for twice")
        if len(names) > VMS_PER_CALL:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"more than {VMS_PER_CALL} VMs in one call")
        with self._lock:
            self.questions.append(request)
            return pb.GetRegistrationsResponse(
                registrations=[self._registration(request.namespace, machine) for machine in request.machines]
            )

    def _registration(self, namespace: str, machine: pb.Machine) -> pb.Registration:
        known, registration = self._vms.get((namespace, machine.name), (None, None))
        if known is None or registration is None:
            return pb.Registration(name=machine.name, message="this engine was not given the VM")
        if _is_another(machine, known):
            return pb.Registration(
                name=machine.name, state=pb.STATE_ABSENT, message="another VM with other UUIDs has this name"
            )
        return registration


def _is_another(machine: pb.Machine, known: pb.Machine) -> bool:
    """Say whether UUIDs were given and none of them fits."""
    given = [(machine.instance_uuid, known.instance_uuid), (machine.bios_uuid, known.bios_uuid)]
    compared = [expected == other for expected, other in given if expected]
    return bool(compared) and not any(compared)


@contextmanager
def serving(
    engine: services.RegistrationEngineServicer | grpc.GenericRpcHandler,
    *,
    tls: grpc.ServerCredentials | None = None,
    port: int = 0,
) -> Iterator[str]:
    """Serve on a port of 127.0.0.1, a free one unless one is named; yields host and port."""
    server = grpc.server(futures.ThreadPoolExecutor(_WORKERS))
    if isinstance(engine, services.RegistrationEngineServicer):
        services.add_RegistrationEngineServicer_to_server(engine, server)
    else:
        server.add_generic_rpc_handlers((engine,))
    place = f"127.0.0.1:{port}"
    bound = server.add_secure_port(place, tls) if tls else server.add_insecure_port(place)
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        server.stop(grace=None).wait()
