"""Velero's side of the plugin protocol, for tests, the demo and the benches.

Does what Velero's go-plugin host does, in its order: execute, read the handshake, connect, check health, open the
broker and stdio streams, call, Shutdown, wait two seconds, kill. Nothing here knows our server.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc

from velero_vmservice.pb import go_plugin_pb2, go_plugin_pb2_grpc
from velero_vmservice.pb import velero_generated_pb2 as generated
from velero_vmservice.pb import velero_generated_pb2_grpc as generated_services
from velero_vmservice.pb import velero_v2_pb2 as v2
from velero_vmservice.pb import velero_v2_pb2_grpc as v2_services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

SHUTDOWN_SECONDS = 2.0
"""After Shutdown, go-plugin gives the process this long before it kills it."""

ENVIRONMENT = {
    "VELERO_PLUGIN": "hello",
    "PLUGIN_MIN_PORT": "10000",
    "PLUGIN_MAX_PORT": "25000",
    "PLUGIN_PROTOCOL_VERSIONS": "2",
}
SERVER_ARGUMENTS = ("--features", "", "--log-level", "info", "--uploader-type=kopia")
"""Velero hands its own arguments to every plugin."""

Json = dict[str, Any]


class StartError(Exception):
    """The process did not become a plugin; Velero would stop, or fail the backup or restore."""


@dataclass(frozen=True)
class Listed:
    kind: str
    name: str
    command: str


@dataclass(frozen=True)
class Ended:
    """How a process ended: by itself after Shutdown, or killed."""

    by_itself: bool
    returncode: int


class PluginProcess:
    """One launched plugin process; a context manager that ends it as Velero does."""

    def __init__(self, command: Path, *, start_seconds: float = 60.0, through: Sequence[str] = ()) -> None:
        self.log = PluginLog()
        self._process = subprocess.Popen(
            [*through, command, *SERVER_ARGUMENTS],
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._threads = [
            threading.Thread(target=_read_lines, args=(self._process.stdout, self._lines.put)),
            threading.Thread(target=_read_lines, args=(self._process.stderr, self.log.take)),
        ]
        for thread in self._threads:
            thread.start()
        self.handshake = ""
        self._channel: grpc.Channel | None = None
        self._done = threading.Event()
        try:
            self.handshake = self._read_handshake(start_seconds)
            self._connect()
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def address(self) -> Path:
        """The socket the handshake named."""
        return Path(self.handshake.split("|")[3])

    # --- what Velero calls ------------------------------------------------------------------------------------

    def list_plugins(self) -> list[Listed]:
        answer = generated_services.PluginListerStub(self.channel).ListPlugins(generated.Empty())
        return [Listed(kind=plugin.kind, name=plugin.name, command=plugin.command) for plugin in answer.plugins]

    @property
    def backup_items(self) -> v2_services.BackupItemActionStub:
        return v2_services.BackupItemActionStub(self.channel)

    @property
    def restore_items(self) -> v2_services.RestoreItemActionStub:
        return v2_services.RestoreItemActionStub(self.channel)

    @property
    def delete_items(self) -> generated_services.DeleteItemActionStub:
        return generated_services.DeleteItemActionStub(self.channel)

    def back_up(self, plugin: str, item: Mapping[str, Any], backup: Mapping[str, Any]) -> tuple[Json, str]:
        """Execute a backup action; return the item for the backup and the operation id."""
        answer = self.backup_items.Execute(v2.ExecuteRequest(plugin=plugin, item=_json(item), backup=_json(backup)))
        return json.loads(answer.item), answer.operationID

    def restore(
        self, plugin: str, item: Mapping[str, Any], stored: Mapping[str, Any], restore: Mapping[str, Any]
    ) -> v2.RestoreItemActionExecuteResponse:
        """Execute a restore action on what is left of an item after Velero's own cleaning, and the item as stored."""
        return self.restore_items.Execute(
            v2.RestoreItemActionExecuteRequest(
                plugin=plugin, item=_json(item), restore=_json(restore), itemFromBackup=_json(stored)
            )
        )

    def backup_progress(self, plugin: str, operation_id: str, backup: Mapping[str, Any]) -> generated.OperationProgress:
        return self.backup_items.Progress(
            v2.BackupItemActionProgressRequest(plugin=plugin, operationID=operation_id, backup=_json(backup))
        ).progress

    def restore_progress(
        self, plugin: str, operation_id: str, restore: Mapping[str, Any]
    ) -> generated.OperationProgress:
        return self.restore_items.Progress(
            v2.RestoreItemActionProgressRequest(plugin=plugin, operationID=operation_id, restore=_json(restore))
        ).progress

    def delete(self, plugin: str, item: Mapping[str, Any], backup: Mapping[str, Any]) -> None:
        """Execute a delete action."""
        self.delete_items.Execute(
            generated.DeleteItemActionExecuteRequest(plugin=plugin, item=_json(item), backup=_json(backup))
        )

    # --- life and death ---------------------------------------------------------------------------------------

    @property
    def channel(self) -> grpc.Channel:
        if self._channel is None:
            raise StartError("not connected")
        return self._channel

    def shutdown(self) -> Ended:
        """End the process as Velero does; repeatable."""
        if self._process.returncode is None:
            with contextlib.suppress(grpc.RpcError):  # like Velero, which ignores it
                go_plugin_pb2_grpc.GRPCControllerStub(self.channel).Shutdown(go_plugin_pb2.Empty())
            self._disconnect()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(SHUTDOWN_SECONDS)
        by_itself = self._process.returncode is not None
        self.kill()
        return Ended(by_itself=by_itself, returncode=self._process.returncode)

    def wait(self, seconds: float) -> int:
        """Return the exit code, with all read that it wrote; raises `TimeoutExpired` if the process lives on."""
        returncode = self._process.wait(seconds)
        for thread in self._threads:
            thread.join(seconds)
        return returncode

    def kill(self) -> None:
        """SIGKILL the process if it lives, and free everything; repeatable."""
        self._disconnect()
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read_handshake(self, seconds: float) -> str:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise StartError("timeout while waiting for plugin to start") from None
        parts = line.decode().strip().split("|")
        if not line:
            raise StartError(f"plugin exited with {self._process.wait()} before we could connect")
        if parts[:3] != ["1", "2", "unix"] or parts[4:5] != ["grpc"]:  # a certificate may follow
            raise StartError(f"unrecognized remote plugin message: {line!r}")
        return line.decode().strip()

    def _connect(self) -> None:
        address = str(self.address)
        self._channel = grpc.insecure_channel(
            f"unix-abstract:{address[1:]}" if address.startswith("@") else f"unix:{address}",
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        health = health_pb2_grpc.HealthStub(self._channel).Check(
            health_pb2.HealthCheckRequest(service="plugin"), timeout=10
        )
        if health.status != health_pb2.HealthCheckResponse.SERVING:
            raise StartError("the plugin does not serve")
        self.broker = go_plugin_pb2_grpc.GRPCBrokerStub(self._channel).StartStream(self._silent())
        self.stdio = go_plugin_pb2_grpc.GRPCStdioStub(self._channel).StreamStdio(Empty())

    def _silent(self) -> Iterator[go_plugin_pb2.ConnInfo]:
        self._done.wait()
        yield from ()

    def _disconnect(self) -> None:
        if self._channel is not None:
            self._done.set()
            self._channel.close()
            self._channel = None


class PluginLog:
    """What a process wrote on standard error, as Velero reads it: JSON lines, other text under `@message`."""

    def __init__(self) -> None:
        self._lines: list[Json] = []
        self._changed = threading.Condition()

    def take(self, line: bytes) -> None:
        if not line:
            return
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"@level": "debug", "@message": line.decode(errors="replace").rstrip("\n"), "text": True}
        with self._changed:
            self._lines.append(entry)
            self._changed.notify_all()

    @property
    def lines(self) -> list[Json]:
        with self._changed:
            return list(self._lines)

    def wait_for(self, message: str, *, seconds: float = 30.0) -> Json:
        """Return the first line with this message; raises `TimeoutError`."""

        def first_line() -> Json | None:
            return next((line for line in self._lines if line.get("@message") == message), None)

        with self._changed:
            line = self._changed.wait_for(first_line, seconds)
            if line is None:
                raise TimeoutError(f"no line {message!r} within {seconds} s; there are {self._lines}")
            return line


def discover(directory: Path) -> list[Listed]:
    """List the plugins of every executable file in a directory, in name order, as Velero does at its start."""
    listed: list[Listed] = []
    for file in sorted(directory.rglob("*")):
        if not file.is_dir() and file.lstat().st_mode & 0o111:
            with PluginProcess(file) as process:
                listed += process.list_plugins()
    identities = [(plugin.kind, plugin.name) for plugin in listed]
    if len(set(identities)) != len(identities):
        raise StartError(f"a plugin is registered twice: {identities}")
    return listed


def _read_lines(stream: Any, take: Callable[[bytes], object]) -> None:
    for line in stream:
        take(line)
    take(b"")


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()
