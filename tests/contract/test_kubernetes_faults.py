"""What the Kubernetes client does when the API server is away, slow, confused or says no."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from tests.clock import SettableClock
from tests.contract import servers
from tests.contract.certificates import self_signed
from tests.contract.cluster_contract import secret
from tests.emulator.kubernetes.kmock_api import emulated_api
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.errors import (
    AlreadyExists,
    Conflict,
    DryRunUnsupported,
    Forbidden,
    InvalidItem,
    InvalidSettings,
    NotFound,
    Rejected,
    Unavailable,
    VmServiceError,
)
from velero_vmservice.kube.manifest import SECRET, VIRTUAL_MACHINE_GROUP, Kind, Manifest, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.emulator.kubernetes.kmock_api import EmulatedApi

_A = ObjectRef(SECRET, "shop", "a")
_SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


@pytest.fixture(name="api")
def _api() -> Iterator[EmulatedApi]:
    with emulated_api() as api:
        api.seed([_SHOP, dict(secret("shop", "a").content)])
        yield api


@pytest.fixture(name="clock")
def _clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(name="cluster")
def _cluster(api: EmulatedApi, clock: SettableClock) -> KubernetesCluster:
    """Return a client that has already discovered what it needs."""
    cluster = _client(api.url, clock=clock)
    assert cluster.list(SECRET, "shop")
    api.forget_calls()
    return cluster


def _client(url: str, *, timeout_seconds: float = 5.0, page_size: int = 500, clock: Any = None) -> KubernetesCluster:
    settings = client.Configuration()
    settings.host = url
    return KubernetesCluster(
        settings, timeout_seconds=timeout_seconds, clock=clock or SystemClock(), page_size=page_size
    )


def test_a_read_is_tried_again(api: EmulatedApi, cluster: KubernetesCluster) -> None:
    with api.fails(503, verb="get", resource="secrets", times=2):
        assert cluster.get(_A).name == "a"
    with api.fails(500, verb="list", resource="secrets", times=2):
        assert len(cluster.list(SECRET, "shop")) == 1

    assert (api.count("get", "secrets"), api.count("list", "secrets")) == (3, 3)


def test_a_write_is_sent_once(api: EmulatedApi, cluster: KubernetesCluster) -> None:
    with api.fails(503, resource="secrets"):
        with pytest.raises(Unavailable, match="cannot create Secret shop/b"):
            cluster.create(secret("shop", "b"))
        with pytest.raises(Unavailable, match="cannot patch Secret shop/a"):
            cluster.patch(_A, {"data": {}}, version="v1")

    assert (api.count("create", "secrets"), api.count("patch", "secrets")) == (1, 1)


def test_a_lasting_failure_is_reported_with_the_servers_text(api: EmulatedApi, cluster: KubernetesCluster) -> None:
    with (
        api.fails(503, resource="secrets", message="etcd has no leader"),
        pytest.raises(Unavailable, match="cannot read Secret shop/a: etcd has no leader: check the API server"),
    ):
        cluster.get(_A)


def test_missing_rights_name_the_remedy_and_are_not_tried_again(api: EmulatedApi, cluster: KubernetesCluster) -> None:
    sentence = 'secrets is forbidden: User "system:serviceaccount:velero:velero" cannot list resource "secrets"'
    with (
        api.fails(403, resource="secrets", message=sentence),
        pytest.raises(Forbidden, match="grant that verb") as caught,
    ):
        cluster.list(SECRET, "shop")

    assert sentence in str(caught.value)
    assert api.count("list", "secrets") == 1


@pytest.mark.parametrize(
    "excerpt",
    [
        'admission webhook "default.validating.virtualmachineservice" denied the request: spec.ports: required',
        'services "web" is forbidden: exceeded quota: objects, requested: count/services=1',
        'secrets "b" is forbidden: unable to create new content in namespace shop because it is being terminated',
    ],
)
def test_a_refusal_of_admission_is_no_missing_right(api: EmulatedApi, cluster: KubernetesCluster, excerpt: str) -> None:
    with api.fails(403, verb="create", message=excerpt), pytest.raises(Rejected, match=re.escape(excerpt)):
        cluster.create(secret("shop", "b"))


def test_a_webhook_without_dry_run_is_distinguished_from_one_that_refuses(
    api: EmulatedApi, cluster: KubernetesCluster
) -> None:
    text = 'admission webhook "x.example.com" does not support dry run'
    with api.fails(400, verb="create", message=text), pytest.raises(DryRunUnsupported, match=re.escape(text)):
        cluster.create(secret("shop", "b"), dry_run=True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (401, Forbidden), (409, Conflict), (413, Rejected), (422, Rejected), (429, Unavailable)],
)
def test_a_status_has_its_meaning(
    api: EmulatedApi, cluster: KubernetesCluster, status: int, kind: type[VmServiceError]
) -> None:
    with api.fails(status, verb="create", message="so it is"), pytest.raises(kind, match="shop/b: so it is"):
        cluster.create(secret("shop", "b"))


def test_an_outage_is_unavailable_and_over_when_it_is_over(api: EmulatedApi, cluster: KubernetesCluster) -> None:
    with api.outage():
        with pytest.raises(Unavailable, match="cannot read Secret shop/a: the API server cannot be reached"):
            cluster.get(_A)
        with pytest.raises(Unavailable, match="cannot create Secret shop/b"):
            cluster.create(secret("shop", "b"))

    assert cluster.get(_A).name == "a"


def test_an_outage_during_discovery_is_not_taken_for_a_kind_that_is_not_served(api: EmulatedApi) -> None:
    cluster = _client(api.url)
    with api.fails(503, verb="discover"):
        with pytest.raises(Unavailable, match="cannot discover"):
            cluster.list(SECRET, "shop")
        with pytest.raises(Unavailable, match="cannot discover"):
            cluster.serves_group("vmoperator.vmware.com")

    assert cluster.list(SECRET, "shop")


def test_an_api_server_that_hangs_is_given_up(api: EmulatedApi, clock: SettableClock) -> None:
    cluster = _client(api.url, timeout_seconds=0.3, clock=clock)
    assert cluster.list(SECRET, "shop")
    with api.hangs(resource="secrets"):
        with pytest.raises(Unavailable, match="cannot read Secret shop/a: the API server did not answer in time"):
            cluster.get(_A)
        with pytest.raises(Unavailable, match="cannot create Secret shop/b: the API server did not answer in time"):
            cluster.create(secret("shop", "b"))


def test_a_kind_installed_later_is_found_and_an_absent_one_is_not_asked_for_all_the_time(
    clock: SettableClock,
) -> None:
    script = _Script(
        {
            "/apis": [_groups(), _groups("later.example.com")],
            "/apis/later.example.com/v1": [_resources("laters", "Later")],
            "/apis/later.example.com/v1/namespaces/shop/laters": [{"items": [{"metadata": {"name": "a"}}]}],
        }
    )
    later = Kind("later.example.com", "laters", "Later")
    with servers.served(script) as url:
        cluster = _client(url, clock=clock)
        for _ in range(50):
            assert not cluster.list(later, "shop")
        assert script.paths == ["/apis"]

        clock.advance(5)
        (manifest,) = cluster.list(later, "shop")

    assert (manifest.content["apiVersion"], manifest.kind_name) == ("later.example.com/v1", "Later")


def test_a_version_that_appears_later_is_used(clock: SettableClock) -> None:
    script = _Script(
        {
            "/apis": [_groups("g.example.com"), _groups("g.example.com", "v1", "v2")],
            "/apis/g.example.com/v1": [_resources("things", "Thing")],
            "/apis/g.example.com/v2": [_resources("things", "Thing")],
        }
    )
    kind = Kind("g.example.com", "things", "Thing")
    with servers.served(script) as url:
        cluster = _client(url, clock=clock)
        before = cluster.served_versions(kind)
        clock.advance(61)

        assert (list(before), list(cluster.served_versions(kind))) == (["v1"], ["v1", "v2"])


def test_a_kind_that_was_removed_is_no_longer_listed(clock: SettableClock) -> None:
    script = _Script(
        {
            "/apis": [_groups("g.example.com"), _groups()],
            "/apis/g.example.com/v1": [_resources("things", "Thing")],
        }
    )
    with servers.served(script) as url:
        assert not _client(url, clock=clock).list(Kind("g.example.com", "things", "Thing"), "shop")

    assert script.paths.count("/apis") == 2


def test_a_list_whose_pages_expired_is_read_again_from_the_start() -> None:
    first = {"metadata": {"continue": "page-2"}, "items": [{"metadata": {"name": "a"}}]}
    last = {"metadata": {}, "items": [{"metadata": {"name": "b"}}]}
    script = _Script(
        {
            "/api/v1": [_resources("secrets", "Secret")],
            "/api/v1/namespaces/shop/secrets": [first, 410, first, last],
        }
    )
    with servers.served(script) as url:
        assert [manifest.name for manifest in _client(url).list(SECRET, "shop")] == ["a", "b"]


def test_a_list_whose_pages_keep_expiring_is_unavailable() -> None:
    first = {"metadata": {"continue": "page-2"}, "items": []}
    script = _Script(
        {
            "/api/v1": [_resources("secrets", "Secret")],
            "/api/v1/namespaces/shop/secrets": [first, 410, first, 410],
        }
    )
    with servers.served(script) as url, pytest.raises(Unavailable, match="expired while it was read"):
        _client(url).list(SECRET, "shop")


def test_an_answer_that_is_no_json_points_at_a_proxy() -> None:
    with (
        servers.served(servers.answering("200 OK", "text/html", b"<html>Log in</html>")) as url,
        pytest.raises(Unavailable, match=r"not JSON.*proxy"),
    ):
        _client(url).list(SECRET, "shop")


def test_a_proxys_denial_is_forbidden() -> None:
    with (
        servers.served(servers.answering("403 Forbidden", "text/html", b"<html>no</html>")) as url,
        pytest.raises(Forbidden, match="cannot discover"),
    ):
        _client(url).list(SECRET, "shop")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_to_a_login_page_is_no_answer_of_an_api_server(status: str) -> None:
    login_page = "https://login.example.test/?token=s3cret"
    with (
        servers.served(servers.answering(status, "text/html", b"<html>log in</html>", Location=login_page)) as url,
        pytest.raises(Unavailable, match=r"not an API server, it redirects to login\.example\.test: ") as caught,
    ):
        _client(url).create(secret("shop", "b"))
    assert "login page before the API server" in caught.value.hint
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        ("403 Forbidden", "text/html", b"<html>no</html>"),
        ("404 Not Found", "text/html; charset=utf-8", b"<html>no</html>"),
        ("400 Bad Request", "text/plain", b"  <!DOCTYPE html>"),
        ("422 Unprocessable", "text/html", b""),
    ],
)
def test_a_page_is_no_answer_of_an_api_server(status: str, kind: str, body: bytes) -> None:
    with (
        servers.served(servers.answering(status, kind, body)) as url,
        pytest.raises(VmServiceError, match="the server there is not an API server, it sends a page") as caught,
    ):
        _client(url).list(SECRET, "shop")
    assert not isinstance(caught.value, (NotFound, Rejected))
    assert "proxy" in caught.value.hint


_ODD: tuple[Any, ...] = (None, 5, "text", [], [5], [[]], {}, {"a": 5}, [{}], [{"name": 5}], [{"metadata": None}])


@pytest.mark.parametrize("odd", _ODD, ids=repr)
@pytest.mark.parametrize("place", ["groups", "versions", "resources", "items", "metadata", "object"])
def test_an_answer_of_any_shape_is_a_product_error(odd: Any, place: str) -> None:
    groups = _groups("example.com")
    if place == "versions":
        groups["groups"][0]["versions"] = odd
    script = {
        "/apis": [{"groups": odd} if place == "groups" else groups],
        "/apis/example.com/v1": [{"resources": odd} if place == "resources" else _resources("things", "Thing")],
        "/apis/example.com/v1/namespaces/shop/things": [
            {"items": odd} if place == "items" else {"items": [], "metadata": odd if place == "metadata" else {}}
        ],
        "/apis/example.com/v1/namespaces/shop/things/a": [odd if place == "object" else {"metadata": {"name": "a"}}],
    }
    kind = Kind("example.com", "things", "Thing")
    with servers.served(_Script(script)) as url:
        cluster = _client(url)
        with suppress(VmServiceError):
            assert not cluster.list(kind, "shop")
        with suppress(VmServiceError):
            assert cluster.get(ObjectRef(kind, "shop", "a")).content is not None


def test_an_answer_that_is_nested_without_an_end_is_not_json() -> None:
    with (
        servers.served(servers.answering("200 OK", "application/json", b"[" * 100_000)) as url,
        pytest.raises(Unavailable, match="the answer is not JSON"),
    ):
        _client(url).list(SECRET, "shop")


def test_an_unknown_authority_is_reported(tmp_path: Path) -> None:
    context, _ = self_signed(tmp_path)
    with (
        servers.served(_Script({}), tls=context) as url,
        pytest.raises(Unavailable, match=r"certificate verify failed.*certificate authority"),
    ):
        _client(url).list(SECRET, "shop")


@pytest.mark.parametrize("name", ["..", "a/../../secrets/b", "a?x=y", "a#b", "a%2fb", ""])
def test_a_name_cannot_lead_a_request_elsewhere(api: EmulatedApi, cluster: KubernetesCluster, name: str) -> None:
    with pytest.raises(InvalidItem, match="not a name of a Kubernetes object"):
        cluster.get(ObjectRef(SECRET, "shop", name))
    with pytest.raises(InvalidItem, match="not a name of a Kubernetes object"):
        cluster.patch(ObjectRef(SECRET, "shop", name), {}, version="v1")

    assert not api.calls


def test_each_write_names_its_field_manager_and_a_dry_run_is_one() -> None:
    script = _Script(
        {
            "/api/v1": [_resources("secrets", "Secret")],
            "/api/v1/namespaces/shop/secrets": [{}],
            "/api/v1/namespaces/shop/secrets/a": [{}],
        }
    )
    with servers.served(script) as url:
        cluster = _client(url)
        cluster.create(secret("shop", "a"), dry_run=True)
        cluster.patch(_A, {"data": {}}, version="v1")

    assert script.queries[-2:] == ["dryRun=All&fieldManager=velero-vmservice", "fieldManager=velero-vmservice"]


def test_an_event_is_recorded_about_the_object(cluster: KubernetesCluster) -> None:
    cluster.event(_A, uid="u-1", reason="ReplayWaiting", message="x" * 5000, warning=True)

    (event,) = cluster.list(Kind("", "events", "Event"), "shop")
    assert event.content["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Secret",
        "namespace": "shop",
        "name": "a",
        "uid": "u-1",
    }
    assert (event.content["type"], event.content["reason"]) == ("Warning", "ReplayWaiting")
    assert len(event.content["message"]) == 1024
    assert event.content["lastTimestamp"] == "2026-03-01T12:00:00Z"


def test_an_event_that_cannot_be_recorded_raises_nothing(api: EmulatedApi, cluster: KubernetesCluster) -> None:
    with api.outage():
        cluster.event(ObjectRef(VIRTUAL_MACHINE_GROUP, "shop", "web"), uid="", reason="Lost", message="nobody reads it")


def test_a_kubeconfig_logs_in(api: EmulatedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "config")))

    cluster = kubernetes.connect(timeout_seconds=5.0, clock=SystemClock())

    assert cluster.get(_A).name == "a"


@pytest.mark.parametrize("content", [None, "", "apiVersion: v1\nkind: Config\n"])
def test_the_lack_of_any_login_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(file))

    with pytest.raises(InvalidSettings, match="cannot log in to Kubernetes"):
        kubernetes.connect(timeout_seconds=5.0, clock=SystemClock())


def test_an_existing_object_and_a_conflict_are_different_errors(api: EmulatedApi, cluster: KubernetesCluster) -> None:
    with pytest.raises(AlreadyExists):
        cluster.create(secret("shop", "a"))
    with pytest.raises(Conflict):
        cluster.patch(_A, {"metadata": {"resourceVersion": "1"}}, version="v1")
    with pytest.raises(NotFound):
        cluster.create(Manifest({**secret("gone", "a").content}))
    assert api.count("create", "secrets") == 2


class _Script:
    """An API server that answers each path with its answers in turn, the last one for ever; a number is an error."""

    def __init__(self, answers: Mapping[str, Sequence[Any]]) -> None:
        self.paths: list[str] = []
        self.queries: list[str] = []
        self._answers = {path: list(given) for path, given in answers.items()}

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.paths.append(path)
        self.queries.append(environ["QUERY_STRING"])
        left = self._answers.get(path, [404])
        answer = left.pop(0) if len(left) > 1 else left[0]
        failed = isinstance(answer, int)
        body = {"kind": "Status", "code": answer, "message": "scripted"} if failed else answer
        status = f"{answer} Scripted" if failed else "200 OK"
        return servers.answering(status, "application/json", json.dumps(body).encode())(environ, start)


def _groups(name: str = "", *versions: str) -> dict[str, Any]:
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions or ("v1",)]
    return {"groups": [{"name": name, "versions": served}] if name else []}


def _resources(plural: str, kind: str) -> dict[str, Any]:
    return {
        "resources": [{"name": plural, "kind": kind, "namespaced": True}, {"name": f"{plural}/status", "kind": kind}]
    }
