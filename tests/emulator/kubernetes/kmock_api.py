"""A Kubernetes API on 127.0.0.1 for tests and the demo that cannot have a real one: kmock over real HTTP.

It runs in a thread of its own, so that synchronous code talks to it through real sockets. Objects and their
semantics live in `api_objects`, requests in `api_requests`; here are the server and its faults: an API that is
away, slow, or says no. It never decides what a Supervisor does: that is the player's part.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import kmock
import yaml
from aiohttp import web
from kubernetes import client

from tests.emulator.kubernetes.api_defaults import Defaults
from tests.emulator.kubernetes.api_objects import Content, Objects, Review, Target
from tests.emulator.kubernetes.api_requests import (
    NAMESPACES,
    NAMESPACES_RESPELLED,
    PRIVILEGED,
    Call,
    answer,
    call_of,
    status_document,
)
from tests.emulator.kubernetes.api_resources import resources

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
    from pathlib import Path

    from tests.emulator.kubernetes.api_resources import Resource

_SEEDED: Final = frozenset({"uid", "creationTimestamp", "deletionTimestamp", "generation"})


@dataclass(slots=True, kw_only=True)
class Fault:
    """A misbehaviour for the calls that match: an error status, or 0 for no answer until it is over."""

    verb: str
    resource: str
    status: int = 0
    message: str = ""
    times: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self, call: Call) -> bool:
        if self.times == 0 or not call.matches(self.verb, self.resource):
            return False
        self.times = None if self.times is None else self.times - 1
        return True


class _Handler(kmock.KubernetesScaffold):
    """kmock with two ways around it: a path it cannot read, and a search through all requests at each new one."""

    def __init__(self, answer: Callable[[kmock.Request], Awaitable[web.StreamResponse]]) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, raw_request: web.BaseRequest) -> web.StreamResponse:
        if raw_request.path == NAMESPACES:
            url = raw_request.rel_url.with_path(NAMESPACES_RESPELLED, keep_query=True)
            raw_request = raw_request.clone(rel_url=url)
        return await super().__call__(raw_request)

    async def _handle(self, request: kmock.Request) -> web.StreamResponse:
        del self._requests[:-1]
        if request.url.path.startswith("/api"):
            return await self._answer(request)
        return await super()._handle(request)


class EmulatedApi:
    """One running API: its address, a client for it, what was asked of it, and the faults a test wants."""

    def __init__(self, served: Sequence[Resource]) -> None:
        self._served = tuple(served)
        self._objects = Objects()
        self._objects.admission.append(Defaults())
        self._faults: list[Fault] = []
        self._calls: list[Call] = []
        self.denied: set[tuple[str, str]] = set()
        """Verbs on `resource.group` names that a client is told to have no right to."""
        self._handler = _Handler(self._answer)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="emulated-api", daemon=True)
        self._thread.start()
        self._run(self._handler.__aenter__())
        self._port: int | None = None
        self._server: kmock.Server | None = None
        self._listen()
        self._clients: list[Any] = []
        self.client = self.new_client(privileged=True)

    def stop(self) -> None:
        for each in self._clients:
            each.close()
        self._close()
        self._run(self._handler.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def new_client(self, *, privileged: bool = False) -> Any:
        """Return another `kubernetes.client.ApiClient`, closed with the API; it never repeats a request.

        `client` is the Supervisor's own, privileged; the product's is one of these, or made from `kubeconfig()`.
        """
        configuration = client.Configuration()
        configuration.host = self.url
        configuration.retries = False
        made = client.ApiClient(configuration)
        if privileged:
            made.set_default_header(PRIVILEGED, "true")  # type: ignore[no-untyped-call]  # theirs
        self._clients.append(made)
        return made

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig for this API."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "emulated",
            "clusters": [{"name": "emulated", "cluster": {"server": self.url}}],
            "users": [{"name": "emulated", "user": {}}],
            "contexts": [{"name": "emulated", "context": {"cluster": "emulated", "user": "emulated"}}],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    @property
    def calls(self) -> Sequence[Call]:
        """Every request so far, in order."""
        return tuple(self._calls)

    def count(self, verb: str = "", resource: str = "") -> int:
        """Count requests; verbs as RBAC names them (`get`, `list`, `create`, `patch`, …)."""
        return sum(call.matches(verb, resource) for call in self.calls)

    def forget_calls(self) -> None:
        self._calls.clear()

    def admit(self, hook: Callable[[Review], None]) -> None:
        """Ask `hook` about every create and update, dry runs too, in the API's own thread."""
        self._objects.admission.append(hook)

    def seed(self, manifests: Sequence[Content]) -> None:
        """Put objects into place without HTTP, with their status, UID and times: for thousands of them."""
        self._run(self._seed(manifests))

    @contextmanager
    def fails(
        self, status: int = 503, *, verb: str = "", resource: str = "", times: int | None = None, message: str = ""
    ) -> Iterator[None]:
        """Answer matching calls with an error status (403 too), always or the next `times` times."""
        with self._in_force(
            Fault(verb=verb, resource=resource, status=status, times=times, message=message or "emulated failure")
        ):
            yield

    @contextmanager
    def hangs(self, *, verb: str = "", resource: str = "", times: int | None = None) -> Iterator[None]:
        """Leave matching calls without an answer until the block ends, then carry them out."""
        with self._in_force(Fault(verb=verb, resource=resource, times=times)):
            yield

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Refuse connections until the block ends; objects are kept."""
        self._close()
        try:
            yield
        finally:
            self._listen()

    @contextmanager
    def _in_force(self, fault: Fault) -> Iterator[None]:
        self._faults.append(fault)
        try:
            yield
        finally:
            self._faults.remove(fault)
            self._loop.call_soon_threadsafe(fault.over.set)

    async def _answer(self, request: kmock.Request) -> web.StreamResponse:
        call = call_of(request)
        self._calls.append(call)
        for fault in tuple(self._faults):
            if fault.strikes(call):
                if fault.status:
                    document = status_document(fault.status, fault.message)
                    return web.json_response(document, status=fault.status)
                await fault.over.wait()
        if call.resource == "selfsubjectaccessreviews":
            return web.json_response(self._review(request.data), status=201)
        status, payload = answer(call, request, self._objects, self._served)
        return web.json_response(payload, status=status)

    def _review(self, review: Any) -> Content:
        """Answer what a client may do: all that is not among `denied`."""
        attributes = review["spec"]["resourceAttributes"]
        resource = ".".join(filter(None, (attributes["resource"], attributes["group"])))
        return {**review, "status": {"allowed": (attributes["verb"], resource) not in self.denied}}

    def _listen(self) -> None:
        self._server = kmock.Server(self._handler, port=self._port)
        self._run(self._server.__aenter__())
        self._port = self._server.port

    def _close(self) -> None:
        if self._server is not None:
            self._run(self._server.__aexit__(None, None, None))
            self._server = None

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _seed(self, manifests: Sequence[Content]) -> None:
        kinds = {(r.group, r.kind): r for r in self._served}
        for manifest in manifests:
            resource = kinds[manifest["apiVersion"].rpartition("/")[0], manifest["kind"]]
            namespace = manifest["metadata"].get("namespace", "") if resource.namespaced else ""
            kept = self._objects.create(Target(resource=resource, namespace=namespace), manifest)
            kept["metadata"] |= {key: manifest["metadata"][key] for key in _SEEDED & manifest["metadata"].keys()}
            kept |= {"status": manifest["status"]} if "status" in manifest else {}


@contextmanager
def emulated_api(served: Sequence[Resource] | None = None) -> Iterator[EmulatedApi]:
    """Run an API for the length of a block; `served` comes from `api_resources.resources(...)`."""
    api = EmulatedApi(resources() if served is None else served)
    try:
        yield api
    finally:
        api.stop()
