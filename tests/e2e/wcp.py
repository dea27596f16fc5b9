"""vCenter with its WCP, as the plugin sees both: the simulator behind a door at which RegisterVM is answered.

Everything is passed on to the simulator but RegisterVM: its task is one of the simulator's, and its work is done on
the Supervisor by the player. A test may hold a task at 80 %, let it fail, have a VM registered by another caller
at the moment of the call, and do something the moment a request comes or before its answer goes.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.emulator import vadp
from tests.emulator.wcp.register_steps import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.certificates import Authority
    from tests.e2e.vcenter import VCenterSimulator
    from tests.emulator.supervisor import Supervisor
    from tests.emulator.vadp import RestorePoint
    from tests.emulator.wcp.register_steps import Failure
    from tests.emulator.wcp.register_vm import Registration

LOGIN = "/rest/com/vmware/cis/session"
_REGISTER = re.compile(r"/api/vcenter/namespaces/instances/([^/]+)/registervm")
_KEPT_TO_ONE_HOP = frozenset({"connection", "content-length", "transfer-encoding", "host"})
_VOLUMES = 80
_HELD_SECONDS = 60


class Wcp:
    """A context manager that serves; `calls` holds namespace and managed object id of each RegisterVM that came."""

    def __init__(self, simulator: VCenterSimulator, supervisor: Supervisor, authority: Authority) -> None:
        self.calls: list[tuple[str, str]] = []
        self.overrides: dict[str, Any] = {}
        """The network override of each call, by managed object id; None for none."""
        self.faults: dict[str, Failure] = {}
        """What the tasks of VMs fail with, by name."""
        self.in_desired_state: set[str] = set()
        """VMs that are registered elsewhere as RegisterVM is called for them, without a task, by managed object id."""
        self.volumes = threading.Event()
        """Tasks go beyond 80 % only while it is set."""
        self.volumes.set()
        self.at_login: Callable[[], None] = self.do_nothing
        self.before_answer: Callable[[], None] = self.do_nothing
        self.ca_file: Path = authority.certificate
        self._restoring = threading.Lock()
        self._simulator = simulator
        self._supervisor = supervisor
        pair = authority.issue("wcp", loopback_server=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"wcp": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def server(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.volumes.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def do_nothing(self) -> None:
        """Let a request take its course."""

    def restore(self, point: RestorePoint, name: str, *, into: str) -> str:
        """Have the VADP vendor restore a VM, for the plugin's eyes and the player's; return its id."""
        saved = point.of(name)
        with self._restoring:  # no VM is registered that only one of both has
            moid = self._simulator.restore(
                name,
                folder=into,
                bios_uuid=saved.bios_uuid,
                instance_uuid=saved.instance_uuid,
                extra_config=saved.extra_config,
            )
            vadp.restore(self._supervisor.vcenter, saved, folder=into, moid=moid)
        return moid

    def register(self, namespace: str, moid: str) -> str:
        """Begin to register a VM, for any caller, and return the task's id."""
        with self._restoring:
            machine = self._supervisor.vcenter.vm(moid)
        task = self._simulator.begin_registration(moid, percent=0)
        fault = self.faults.get(machine.name) if machine else None
        work = self._supervisor.wcp.register(moid, namespace=namespace, fault=fault)
        threading.Thread(target=self._play, args=(task, work), daemon=True).start()
        return f"{task._GetMoId()}:simulated"

    def answer(self, path: str, body: bytes) -> tuple[int, str] | None:
        """Return status and body of the answer to RegisterVM; None for any other request."""
        if path == LOGIN:
            self.at_login()
        if not (match := _REGISTER.fullmatch(path)):
            return None
        request = json.loads(body)
        moid = request["vm"]
        self.calls.append((match[1], moid))
        self.overrides[moid] = request.get("network_config_override")
        if moid in self.in_desired_state:
            work = self._supervisor.wcp.register(moid, namespace=match[1])
            threading.Thread(target=work.finish, daemon=True).start()  # the answer does not wait: its caller would not
            return 400, json.dumps({"error_type": "ALREADY_IN_DESIRED_STATE", "messages": []})
        task = self.register(match[1], moid)
        self.before_answer()
        return 200, json.dumps(task)

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Pass a request on to the simulator."""
        trust = ssl.create_default_context(cafile=str(self._simulator.ca_file))
        connection = http.client.HTTPSConnection(self._simulator.server, context=trust, timeout=15)
        headers = {key: value for key, value in handler.headers.items() if key.lower() not in _KEPT_TO_ONE_HOP}
        try:
            connection.request(handler.command, handler.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _play(self, task: Any, work: Registration) -> None:
        while work.advance() is State.RUNNING:
            task.UpdateProgress(percentDone=work.progress)
            if work.progress == _VOLUMES:
                self.volumes.wait(_HELD_SECONDS)
        self._simulator.end_registration(task, error=f"{work.error}: as the test wants" if work.error else "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wcp: Wcp

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.wcp.answer(self.path, body)
        if answer is not None:
            status, headers, content = answer[0], [("Content-Type", "application/json")], answer[1].encode()
        else:
            status, headers, content = self.wcp.forward(self, body)
        self.send_response(status)
        for key, value in headers:
            if key.lower() not in _KEPT_TO_ONE_HOP:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Print nothing."""
