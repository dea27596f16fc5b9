"""Proxies between the plugin and what it asks: S3 and Kubernetes take the way that Velero takes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.contract import servers
from velero_vmservice.adapters import kubernetes
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.core.errors import InvalidSettings
from velero_vmservice.core.manifest import SECRET

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


def test_kubernetes_behind_a_socks_proxy_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", _kubeconfig(tmp_path / "config", "https://api.example.test:6443"))
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:secret@proxy.example.test:1080")

    with pytest.raises(InvalidSettings, match=r"api\.example\.test .*socks5://proxy\.example\.test:1080") as caught:
        _list_secrets()
    assert "NO_PROXY" in caught.value.hint
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
