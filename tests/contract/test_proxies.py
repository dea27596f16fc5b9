"""Proxies between the plugin and what it asks: S3 and Kubernetes take the way that Velero takes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.contract import s3_servers, servers
from tests.contract.certificates import self_signed
from tests.contract.object_store_contract import put
from tests.contract.socks_server import socks_proxy
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.errors import InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the test host's own proxies out."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def _api(hosts: list[str]) -> Iterator[str]:
    """Serve an API server without any Secret, for every host that a request names; yields its URL."""

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        hosts.append(environ["HTTP_HOST"])
        documents: dict[str, Any] = {
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [{"name": "secrets", "kind": "Secret", "namespaced": True}]},
        }
        body = documents.get(environ["PATH_INFO"], {"items": []})
        return servers.answering("200 OK", "application/json", json.dumps(body).encode())(environ, start)

    with servers.served(application) as url:
        yield url


def _kubeconfig(file: Path, server: str, **cluster: str) -> str:
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": {"server": server} | cluster}],
                "users": [{"name": "it", "user": {}}],
            }
        )
    )
    return str(file)


def _list_secrets() -> list[str]:
    cluster = kubernetes.connect(timeout_seconds=5.0, clock=SystemClock())
    return [manifest.name for manifest in cluster.list(SECRET, "shop")]


def test_kubernetes_is_asked_through_the_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts: list[str] = []
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", "http://api.example.test:6443"))
    with _api(hosts) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)

        assert _list_secrets() == []
    assert set(hosts) == {"api.example.test:6443"}


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.0/8"])
def test_kubernetes_on_loopback_is_asked_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", servers.refused())
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with _api([]) as url:
        monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", url))

        assert _list_secrets() == []


def test_the_proxy_of_a_kubeconfig_comes_before_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[str] = []
    monkeypatch.setenv("HTTP_PROXY", servers.refused())
    monkeypatch.setenv("NO_PROXY", "*")
    with _api(hosts) as proxy:
        config = _kubeconfig(tmp_path / "config", "http://api.example.test:6443", **{"proxy-url": proxy})
        monkeypatch.setenv("KUBECONFIG", config)

        assert _list_secrets() == []
    assert set(hosts) == {"api.example.test:6443"}


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS5"])
def test_kubernetes_is_asked_through_a_socks_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """The proxy resolves the server's name, with a login as with none."""
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", "http://api.example.test:6443"))
    with _api([]) as url, socks_proxy(url, username="us er", password="p@ss") as (proxy, hosts):
        monkeypatch.setenv("HTTP_PROXY", f"{scheme}://us%20er:p%40ss@{proxy}")

        assert _list_secrets() == []
    assert set(hosts) == {("api.example.test", 6443)}


def test_kubernetes_is_asked_through_the_socks_proxy_of_a_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with _api([]) as url, socks_proxy(url) as (proxy, hosts):
        config = _kubeconfig(tmp_path / "config", "http://[2001:db8::1]:6443", **{"proxy-url": f"socks5://{proxy}"})
        monkeypatch.setenv("KUBECONFIG", config)

        assert _list_secrets() == []
    assert set(hosts) == {("2001:db8::1", 6443)}


def test_kubernetes_behind_a_socks_proxy_that_refuses_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", "https://api.example.test:6443"))
    with socks_proxy(servers.refused(), username="user", password="right") as (proxy, _):
        monkeypatch.setenv("HTTPS_PROXY", f"socks5://user:wrong@{proxy}")

        with pytest.raises(Unavailable, match=rf"authentication failure, at the proxy socks5://{proxy}\)") as caught:
            _list_secrets()
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["socks4", "ftp"])
def test_a_proxy_that_velero_does_not_know_either_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", "https://api.example.test:6443"))
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:secret@proxy.example.test:1080")
    where = rf"{scheme}://proxy\.example\.test:1080"

    with pytest.raises(InvalidSettings, match=rf"api\.example\.test .*{where}") as caught:
        _list_secrets()
    assert "NO_PROXY" in caught.value.hint
    assert "secret" not in str(caught.value)
    with pytest.raises(InvalidSettings, match=rf"s3\.example\.test .*{where}") as caught:
        s3_servers.open_store(s3_servers.location("https://s3.example.test", "b"), tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.0/8", "*"])
def test_storage_on_loopback_is_asked_directly(
    moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    bucket = s3_servers.new_bucket(moto)
    monkeypatch.setenv("HTTP_PROXY", servers.refused())
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example.test:1080")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert not s3_servers.open_store(s3_servers.location(moto, bucket), tmp_path).exists("a.json")


@pytest.mark.parametrize("path_style", [True, False])
def test_storage_is_asked_through_the_proxy(
    moto: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path_style: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The host may begin with the bucket's name, which NO_PROXY knows as well."""
    bucket = s3_servers.new_bucket(moto)
    hosts: list[str] = []
    with s3_servers.altered(lambda environ: hosts.append(environ["HTTP_HOST"])) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
        location = s3_servers.location("http://s3.amazonaws.com", bucket, path_style=path_style)
        store = s3_servers.open_store(location, tmp_path)
        put(store, "a.json", b"{}")

        assert store.get("a.json") == b"{}"
        monkeypatch.setenv("NO_PROXY", ".amazonaws.com")
    assert set(hosts) == {"s3.amazonaws.com" if path_style else f"{bucket}.s3.amazonaws.com"}


def test_storage_behind_tls_is_asked_through_a_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, _ = self_signed(tmp_path)
    with servers.served(s3_servers.moto_application(), tls=context) as url, servers.tunnel(url) as (proxy, hosts):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with servers.served(s3_servers.moto_application()) as plain:
            bucket = s3_servers.new_bucket(plain)
        location = s3_servers.location("https://s3.amazonaws.com", bucket, verify_tls=False)
        store = s3_servers.open_store(location, tmp_path)
        put(store, "a.json", b"{}")

        assert store.get("a.json") == b"{}"
    assert set(hosts) == {b"s3.amazonaws.com:443"}


@pytest.mark.parametrize("path_style", [True, False])
def test_storage_is_asked_through_a_socks_proxy(
    moto: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path_style: bool,  # noqa: FBT001 - a parameter
) -> None:
    bucket = s3_servers.new_bucket(moto)
    with socks_proxy(moto) as (proxy, hosts):
        monkeypatch.setenv("HTTP_PROXY", f"socks5://{proxy}")
        store = s3_servers.open_store(
            s3_servers.location("http://s3.amazonaws.com", bucket, path_style=path_style), tmp_path
        )
        put(store, "a.json", b"{}")

        assert store.get("a.json") == b"{}"
    assert set(hosts) == {("s3.amazonaws.com" if path_style else f"{bucket}.s3.amazonaws.com", 80)}


def test_storage_behind_tls_is_asked_through_a_socks_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's certificate is checked for its own name."""
    context, authorities = self_signed(tmp_path, "s3.amazonaws.com")
    with servers.served(s3_servers.moto_application(), tls=context) as url, socks_proxy(url) as (proxy, hosts):
        with servers.served(s3_servers.moto_application()) as plain:
            bucket = s3_servers.new_bucket(plain)
        monkeypatch.setenv("HTTPS_PROXY", f"socks5://{proxy}")
        store = s3_servers.open_store(
            s3_servers.location("https://s3.amazonaws.com", bucket, path_style=True, authorities=authorities), tmp_path
        )
        put(store, "a.json", b"{}")

        assert store.get("a.json") == b"{}"
        other = s3_servers.location("https://other.example.test", bucket, path_style=True, authorities=authorities)
        with pytest.raises(InvalidSettings, match="certificate is not trusted"):
            s3_servers.open_store(other, tmp_path).get("a.json")
    assert set(hosts) == {("s3.amazonaws.com", 443), ("other.example.test", 443)}


def test_storage_behind_a_socks_proxy_that_is_away_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = servers.refused().removeprefix("http://")
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://user:secret@{proxy}")
    store = s3_servers.open_store(s3_servers.location("https://s3.example.test", "b"), tmp_path)

    with pytest.raises(Unavailable, match=rf"\(Connection refused, at the proxy socks5://{proxy}\)") as caught:
        store.get("a.json")
    assert caught.value.hint == f"look at the proxy socks5://{proxy}, or except the storage in NO_PROXY"
    assert "secret" not in str(caught.value)


def test_a_proxy_for_everything_is_ignored_as_velero_ignores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example.test:1080")
    with _api([]) as url:
        monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", url))

        assert _list_secrets() == []


def test_a_proxy_s_address_that_is_no_url_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", "https://api.example.test:6443"))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@[")

    with pytest.raises(InvalidSettings, match=r"api\.example\.test.*the proxy's address is not valid") as caught:
        _list_secrets()
    assert "secret" not in str(caught.value)
