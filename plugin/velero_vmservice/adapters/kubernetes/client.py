"""The Kubernetes API behind the Cluster port.

Objects stay JSON: a typed model would lose fields of unknown versions, and cost memory on large lists. Every request
has a timeout. Reads are tried again within it, writes never. There are no watches, because a watch on a half-open
connection hangs for ever. The client never deletes and never writes a status.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import stamina
import structlog
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from velero_vmservice.adapters import heap
from velero_vmservice.adapters.failed_requests import counting
from velero_vmservice.adapters.kubernetes.discovery import Discovery
from velero_vmservice.adapters.kubernetes.errors import NoJson, PagesExpired, translated
from velero_vmservice.adapters.kubernetes.event import FIELD_MANAGER, kubernetes_event
from velero_vmservice.adapters.kubernetes.login import log_in, service_account
from velero_vmservice.adapters.transport import tls
from velero_vmservice.adapters.transport.proxies import speaks_socks, through_socks
from velero_vmservice.errors import NotFound, Rejected, Unavailable
from velero_vmservice.kube.manifest import Kind, Manifest, ObjectRef, mapping, sequence
from velero_vmservice.metrics import Api
from velero_vmservice.settings.access import AS_FOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from velero_vmservice.adapters.kubernetes.discovery import Served
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Read
    from velero_vmservice.kube.names import NamedResource
    from velero_vmservice.settings.access import LoginChoice

_log = structlog.get_logger()

PAGE_SIZE: Final = 250
"""Objects on a page, the part of a long list that is in memory at once."""
_ATTEMPTS: Final = 3
_LISTINGS: Final = 2
_MERGE_PATCH: Final = "application/merge-patch+json"
_SHORTEST_SECONDS: Final = 0.1
_PROXY: Final = "look for a proxy before the API server"
_CONNECTIONS: Final = 32
"""One for each gRPC worker thread; with fewer, urllib3 warns and drops connections."""


def connect(*, timeout_seconds: float, clock: Clock, login: LoginChoice = AS_FOUND.login) -> KubernetesCluster:
    """Log in as chosen, or else with KUBECONFIG, or as the pod's service account, or with the user's own kubeconfig.

    Sends no request yet. Raises `InvalidSettings` if there is no way to log in.
    """
    return KubernetesCluster(log_in(login), timeout_seconds=timeout_seconds, clock=clock)


_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
"""Served by every API server, and open to every user (ClusterRole system:basic-user)."""
_REVIEW: Final = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}

_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""Requests only the metadata of each object; a server that does not know it sends whole objects."""


class KubernetesCluster:
    """A Kubernetes API server; safe to use from many threads."""

    def __init__(
        self, settings: client.Configuration, *, timeout_seconds: float, clock: Clock, page_size: int = PAGE_SIZE
    ) -> None:
        settings.retries = False  # otherwise urllib3 makes four attempts, also of writes
        settings.connection_pool_maxsize = _CONNECTIONS
        self._host = str(settings.host)
        self.account = service_account(settings)
        proxy = str(settings.proxy or "")
        if speaks_socks(proxy):
            settings.proxy = None  # otherwise the client needs PySocks
        api = client.ApiClient(settings)
        api.user_agent = FIELD_MANAGER
        api.rest_client.pool_manager.pool_classes_by_scheme = through_socks(tls.POOLS, lambda _: proxy)
        # The client's own discovery is not used: see `discovery`.
        self._client: Any = DynamicClient(api, discoverer=lambda *_: None)  # type: ignore[no-untyped-call]  # untyped
        self._discovery = Discovery(self._discover, clock=clock)
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._page_size = page_size

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        self._client.client.rest_client.pool_manager.clear()

    @property
    def address(self) -> str:
        """Address of the API server; see the port."""
        where = urlsplit(self._host)
        return urlunsplit((where.scheme, where.netloc.rpartition("@")[2], where.path, "", ""))

    def served_versions(self, kind: Kind) -> Sequence[str]:
        """Return the versions served for the kind, as the API server lists them; see the port."""
        return tuple(served.version for served in self._discovery.find(kind.group, kind.name))

    def plural(self, group: str, kind_name: str) -> str:
        """Return the plural under which the kind is served; see the port."""
        return next((served.plural for served in self._discovery.find(group, kind_name)), "")

    def resources(self) -> Sequence[NamedResource]:
        """Return the served resources with all their names; see the port."""
        return self._discovery.resources()

    def serves_group(self, group: str) -> bool:
        """Say whether any version of the API group is served."""
        return self._discovery.serves_group(group)

    def get(self, ref: ObjectRef, *, version: str | None = None) -> Manifest:
        """Return the object; see the port."""
        what = f"cannot read {ref}"
        served = self._discovery.newest(ref.kind.group, ref.kind.name, version)
        if served is None:
            raise NotFound(f"{what}: the API server does not serve that", hint=self._versions_hint(ref.kind))
        return Manifest(self._read(what, served.object(ref.namespace, ref.name)))

    def list(self, kind: Kind, namespace: str) -> Sequence[Manifest]:
        """Return the kind's objects in the namespace; see the port."""
        return self.read_all(kind, namespace, lambda manifest: manifest)

    def read_all(
        self,
        kind: Kind,
        namespace: str,
        read: Callable[[Manifest], Read],
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> Sequence[Read]:
        """Return the result of `read` for each of the kind's objects; see the port."""
        what = f"cannot list {kind.resource} in {f'namespace {namespace}' if namespace else 'all namespaces'}"
        chosen: dict[str, Any] = {}
        if labels:
            chosen["label_selector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        if metadata_only:
            chosen["header_params"] = {"Accept": _METADATA_ONLY}
        for _ in range(_LISTINGS):
            served = self._discovery.newest(kind.group, kind.name)
            if served is None:
                return ()
            try:
                # The API server omits apiVersion and kind in the items of its own kinds.
                named = {"apiVersion": served.api_version, "kind": served.kind}
                items = self._items(what, served.collection(namespace), **chosen)
                whole = (Manifest({**item, **named}) for item in items)
                values = [((manifest.namespace, manifest.name), read(manifest)) for manifest in whole]
            except PagesExpired:
                continue
            except NotFound:
                self._discovery.forget(kind.group)  # a list is a 404 only if its kind or version is gone
                continue
            if len(values) > self._page_size:
                heap.give_back()
            return [value for _, value in sorted(values, key=lambda pair: pair[0])]
        raise Unavailable(
            f"{what}: the list expired while it was read", hint="if it lasts, look at the load of the API server"
        )

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create the object; see the port."""
        kind = Kind(manifest.group, "", manifest.kind_name)
        what = f"cannot create {ObjectRef(kind, manifest.namespace, manifest.name)}"
        served = self._writable(what, kind, manifest.version)
        if manifest.metadata.get("resourceVersion"):
            # The API server refuses it with a 500, like a failure of its own.
            raise Rejected(f"{what}: it has a resourceVersion", hint="strip metadata.resourceVersion")
        path = served.object(manifest.namespace, manifest.name).rpartition("/")[0]
        return Manifest(self._write(what, "post", path, manifest.content, dry_run=dry_run))

    def patch(self, ref: ObjectRef, change: Mapping[str, Any], *, version: str, dry_run: bool = False) -> Manifest:
        """Apply a JSON merge patch; see the port."""
        what = f"cannot patch {ref}"
        path = self._writable(what, ref.kind, version).object(ref.namespace, ref.name)
        return Manifest(self._write(what, "patch", path, change, dry_run=dry_run, content_type=_MERGE_PATCH))

    def allowed(self, verb: str, kind: Kind, namespace: str, *, name: str = "") -> bool:
        """Ask the API server about a right of this process; see the port."""
        attributes = {"verb": verb, "group": kind.group, "resource": kind.plural, "namespace": namespace, "name": name}
        review = {**_REVIEW, "spec": {"resourceAttributes": attributes}}
        what = f"cannot ask whether {verb} of {kind.resource} is allowed"
        answer = self._write(what, "post", _REVIEWS, review, dry_run=False)
        return mapping(answer.get("status")).get("allowed") is True

    def event(self, about: ObjectRef, *, uid: str, reason: str, message: str, warning: bool = False) -> None:
        """Record an Event; see the port."""
        try:
            served = self._discovery.newest(about.kind.group, about.kind.name)
            self.create(
                kubernetes_event(
                    about,
                    api_version=served.api_version if served else "",
                    uid=uid,
                    reason=reason,
                    message=message,
                    warning=warning,
                    now=self._clock.now(),
                )
            )
        except Exception as error:  # noqa: BLE001 - the port promises that an Event never fails its caller
            _log.warning("event not recorded", object=str(about), event_reason=reason, cause=str(error))

    def _writable(self, what: str, kind: Kind, version: str) -> Served:
        if served := self._discovery.newest(kind.group, kind.name, version):
            return served
        raise Rejected(f"{what}: the API server does not serve {version}", hint=self._versions_hint(kind))

    def _versions_hint(self, kind: Kind) -> str:
        served = ", ".join(self.served_versions(kind))
        return f"served versions of {kind.name}: {served or 'none; install its CRD or use a cluster that has it'}"

    def _discover(self, path: str) -> Mapping[str, Any]:
        return self._read(f"cannot discover {path}", path)

    def _items(self, what: str, path: str, **chosen: Any) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._read(what, path, limit=self._page_size, **chosen, **({"_continue": token} if token else {}))
            for item in _objects(what, sequence(page.get("items"))):
                item["metadata"].pop("managedFields", None)
                yield item
            token = mapping(page.get("metadata")).get("continue", "")
            if not token:
                return
            page.clear()
            heap.give_back()  # the page, and other memory freed since the last long list

    def _read(self, what: str, path: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer of a read, tried again while its timeout lasts."""
        deadline = self._clock.monotonic() + self._timeout_seconds
        for attempt in stamina.retry_context(
            on=Unavailable,
            attempts=_ATTEMPTS,
            timeout=self._timeout_seconds,
            wait_initial=0.1,
            wait_max=1.0,
            wait_jitter=0.1,
        ):
            with attempt, counting(Api.KUBERNETES), translated(what):
                try:
                    limits = _limits(deadline - self._clock.monotonic())
                    return _json(self._client.request("get", path, **parameters, **limits))
                except ApiException as error:
                    if error.status == HTTPStatus.GONE and "_continue" in parameters:
                        raise PagesExpired from error
                    raise
        raise AssertionError  # the last attempt returns or raises

    def _write(
        self, what: str, method: str, path: str, body: Mapping[str, Any], *, dry_run: bool, **parameters: str
    ) -> Any:
        """Return the answer of a write, sent once; the next observation shows whether a lost answer was a success."""
        if dry_run:
            parameters["dry_run"] = "All"
        options = {"body": dict(body), "field_manager": FIELD_MANAGER, **parameters, **_limits(self._timeout_seconds)}
        with counting(Api.KUBERNETES), translated(what):
            return _json(self._client.request(method, path, **options))


def _limits(seconds: float) -> dict[str, Any]:
    """Return the time limits of one request; connecting and reading together take no longer than `seconds`.

    The timeout is a pair: some versions of the client ignore a single float and wait for ever.
    """
    left = max(seconds, _SHORTEST_SECONDS)
    return {"_request_timeout": (left / 3, left * 2 / 3), "serialize": False}


def _json(response: Any) -> dict[str, Any]:
    try:
        answer = json.loads(response.data)
    except (ValueError, RecursionError) as error:
        raise NoJson from error
    if not isinstance(answer, dict):
        raise NoJson
    return answer


def _objects(what: str, listed: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a page; raises `Unavailable` if the answer is not a list of objects."""
    for item in listed or ():
        if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
            raise Unavailable(f"{what}: the answer is not a list of objects", hint=_PROXY)
        yield item
