"""Which requests go through a proxy: every expectation here is what Go's httpproxy answers."""

from __future__ import annotations

import pytest

from velero_vmservice.adapters.transport.proxy_rules import ProxySettings

_PROXY = "http://proxy.example.net:3128"

_EXCEPTED = [
    ("*", "https://s3.example.com"),
    ("a, .b ,*", "https://s3.example.com"),
    ("10.0.0.0/8", "http://10.0.0.5:9000"),
    ("10.1.2.3/8", "http://10.0.0.5:9000"),
    ("10.0.0.0/8", "https://[::ffff:10.0.0.5]"),
    ("2001:db8::/32", "https://[2001:db8::1]:9000"),
    ("10.0.0.5", "http://10.0.0.5:9000"),
    ("10.0.0.5:", "http://10.0.0.5:9000"),
    ("10.0.0.5:9000", "http://10.0.0.5:9000"),
    ("10.0.0.5:443", "https://10.0.0.5"),
    ("[2001:db8::1]:9000", "https://[2001:db8::1]:9000"),
    ("2001:db8::1", "https://[2001:db8::1]"),
    ("example.com", "https://example.com"),
    ("example.com", "https://s3.example.com"),
    ("EXAMPLE.COM", "https://S3.Example.Com"),
    (" other.net , example.com ", "https://s3.example.com"),
    (".example.com", "https://s3.example.com"),
    ("*.example.com", "https://s3.example.com"),
    ("com", "https://s3.example.com"),
    ("example.com:9000", "https://s3.example.com:9000"),
    ("s3.example.com:443", "https://s3.example.com"),
    ("é.example", "https://a.é.example"),
    ("", "http://localhost:9000"),
    ("", "https://127.0.0.2"),
    ("", "https://[::1]:6443"),
    ("", "https://[::ffff:127.0.0.1]"),
]

_PROXIED = [
    ("", "https://s3.example.com"),
    (".example.com", "https://example.com"),
    ("*.example.com", "https://example.com"),
    ("xample.com", "https://example.com"),
    ("example.com:9000", "https://s3.example.com"),
    ("example.com:9000:1", "https://s3.example.com:9000"),
    ("10.0.0.5:9000", "https://10.0.0.5"),
    ("10.0.0.05", "https://10.0.0.5"),
    ("10.0.0.0/255.0.0.0", "https://10.0.0.5"),
    ("10.0.0.0/8:9000", "http://10.0.0.5:9000"),
    ("10.0.0.0/8", "https://s3.example.com"),
    ("[2001:db8::1]", "https://[2001:db8::1]"),
    ("fe80::1%eth0", "https://[fe80::1%eth0]"),
    (":80", "http://example.com"),
    (".5", "https://10.0.0.5"),
    ("localhost", "https://127.1"),
]


@pytest.mark.parametrize(("no_proxy", "url"), _EXCEPTED)
def test_an_excepted_host_is_reached_directly(no_proxy: str, url: str) -> None:
    assert ProxySettings(_PROXY, _PROXY, no_proxy).proxy_for(url) == ""


@pytest.mark.parametrize(("no_proxy", "url"), _PROXIED)
def test_any_other_host_is_reached_through_the_proxy(no_proxy: str, url: str) -> None:
    assert ProxySettings(_PROXY, _PROXY, no_proxy).proxy_for(url) == _PROXY


@pytest.mark.parametrize(
    ("proxy", "url"),
    [
        ("proxy.local:3128", "http://proxy.local:3128"),
        ("10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("proxy.local", "http://proxy.local"),
        ("https://user:word@proxy.local:3128", "https://user:word@proxy.local:3128"),
        ("socks5://proxy.local:1080", "socks5://proxy.local:1080"),
    ],
)
def test_a_proxy_without_a_scheme_is_an_http_proxy(proxy: str, url: str) -> None:
    assert ProxySettings(https=proxy).proxy_for("https://s3.example.com") == url


def test_each_scheme_has_its_own_proxy() -> None:
    settings = ProxySettings(http="http://plain:1", https="http://secure:2")

    assert settings.proxy_for("http://s3.example.com") == "http://plain:1"
    assert settings.proxy_for("https://s3.example.com") == "http://secure:2"
    assert ProxySettings(http="http://plain:1").proxy_for("https://s3.example.com") == ""


def test_the_environment_is_read_as_go_reads_it() -> None:
    variables = {
        "HTTPS_PROXY": "capital:1",
        "https_proxy": "small:1",
        "HTTP_PROXY": "",
        "http_proxy": "small:2",
        "no_proxy": "example.com",
        "ALL_PROXY": "socks5://everything:1080",
    }

    assert ProxySettings.of_environment(variables) == ProxySettings("small:2", "capital:1", "example.com")
    assert ProxySettings.of_environment({"ALL_PROXY": "socks5://everything:1080"}).proxy_for("https://a.b") == ""
