"""Ask an engine, and look at what the person on call reads when that fails."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.clock import SettableClock
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.errors import VmServiceError
from velero_vmservice.settings.registration import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from velero_vmservice.registration.model import State


def source_at(target: str, **changes: Any) -> RegistrationEngine:
    settings: dict[str, Any] = {"timeout_seconds": 10.0} | changes
    return RegistrationEngine(EngineSettings(target=target, **settings), SettableClock())


def state_of(target: str, **changes: Any) -> State:
    return source_at(target, **changes).observe("shop", [ExpectedVm(name="db-0")])["db-0"].state


def refusal(target: str, *excerpts: str, **changes: Any) -> VmServiceError:
    """Let the question fail and check what every message must hold."""
    with pytest.raises(VmServiceError) as caught:
        state_of(target, **changes)
    message = str(caught.value)
    assert caught.value.hint, message
    assert message.isprintable(), message
    assert len(message) < 600, message
    for word in excerpts:
        assert word in message, f"{word!r} is missing in: {message}"
    return caught.value


def refused(target: str, *excerpts: str, **changes: Any) -> VmServiceError:
    """Let the question fail on the way, or at the engine."""
    return refusal(target, f'at {target} about namespace "shop": ', *excerpts, **changes)


@contextmanager
def hanging_up(*, after: bytes) -> Iterator[str]:
    """Accept, read, send something and hang up; yields host and port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(after)
            self.request.recv(65536)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
