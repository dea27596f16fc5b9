"""What the person on call reads when storage fails: the bucket, the key, what to do, and never a secret."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract import s3_servers, servers
from tests.contract.certificates import self_signed
from tests.contract.object_store_contract import digest, put
from velero_vmservice.errors import Forbidden, InvalidSettings, NotFound, Unavailable, VmServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from velero_vmservice.adapters.s3.store import S3Store

_KEY = "captures/b1/objects/a.json"
_OPERATIONS: dict[str, Callable[[S3Store], object]] = {
    "store": lambda store: store.put(_KEY, b"{}", sha256=digest(b"{}")),
    "read": lambda store: store.get(_KEY),
    "look for": lambda store: store.exists(_KEY),
    "list": lambda store: list(store.list(_KEY)),
    "delete": lambda store: store.delete(_KEY),
}


def _refusal(store: S3Store, verb: str, *excerpts: str) -> VmServiceError:
    """Make the call fail and check what every message must hold."""
    with pytest.raises(VmServiceError) as caught:
        _OPERATIONS[verb](store)
    message = str(caught.value)
    assert message.startswith(f'cannot {verb} "{_KEY}" in bucket "the-bucket" at http'), message
    assert caught.value.hint, message
    assert "\n" not in message
    for word in excerpts:
        assert word in message, f"{word!r} is missing in: {message}"
    shown = "".join(traceback.format_exception(caught.value))
    assert s3_servers.SECRET not in shown
    return caught.value


def _store(url: str, directory: Path, *, timeout_seconds: float = 10.0, **changes: Any) -> S3Store:
    """Return a store with a client of its own."""
    location = s3_servers.location(url, "the-bucket", **changes)
    return s3_servers.open_store(location, directory, timeout_seconds=timeout_seconds)


@pytest.fixture(name="scripted", scope="module")
def _scripted() -> Iterator[s3_servers.Scripted]:
    """A server that answers what a test wants."""
    with s3_servers.scripted() as server:
        yield server


@pytest.mark.parametrize("verb", _OPERATIONS)
def test_a_missing_bucket_is_reported_by_every_call(verb: str, moto: str, tmp_path: Path) -> None:
    error = _refusal(_store(moto, tmp_path), verb, "the bucket does not exist", "velero/default")

    assert isinstance(error, InvalidSettings)


@pytest.mark.parametrize(
    ("answer", "kind", "excerpts"),
    [
        (("403 Forbidden", "AccessDenied"), Forbidden, ("access denied", "s3:PutObject", "as the server says it")),
        (("403 Forbidden", "InvalidAccessKeyId"), Forbidden, ("access key", "aws_access_key_id")),
        (("403 Forbidden", "SignatureDoesNotMatch"), Forbidden, ("secret key", "aws_secret_access_key")),
        (("400 Bad Request", "ExpiredToken"), Forbidden, ("expired", "renew")),
        (("403 Forbidden", "RequestTimeTooSkewed"), Forbidden, ("clocks", "NTP")),
        (("301 Moved Permanently", "PermanentRedirect"), InvalidSettings, ("another region", "set the region")),
        (("400 Bad Request", "AuthorizationHeaderMalformed"), Forbidden, ("access key", "aws_access_key_id")),
        (("501 Not Implemented", "NotImplemented"), InvalidSettings, ("does not know this call",)),
        (("400 Bad Request", "KMS.DisabledException"), InvalidSettings, ("encryption key", "as the server says it")),
        (("403 Forbidden", "InvalidObjectState"), InvalidSettings, ("archive",)),
        (("400 Bad Request", "BadDigest"), Unavailable, ("damaged on the way",)),
        (("503 Slow Down", "SlowDown"), Unavailable, ("overloaded", "look at the storage server")),
        (("500 Internal Server Error", "InternalError"), Unavailable, ("overloaded or failing",)),
        (("400 Bad Request", "SomethingNew"), InvalidSettings, ("SomethingNew: as the server says it",)),
    ],
)
@pytest.mark.parametrize("verb", ["store", "read", "list"])
def test_a_refusal_of_the_server_is_explained(
    scripted: s3_servers.Scripted,
    verb: str,
    answer: tuple[str, str],
    kind: type[VmServiceError],
    excerpts: tuple[str, ...],
) -> None:
    scripted.answer = s3_servers.s3_error(*answer)

    assert isinstance(_refusal(scripted.store, verb, *excerpts), kind)


@pytest.mark.parametrize("verb", ["store", "read", "list"])
def test_a_redirect_is_not_followed_for_ever(scripted: s3_servers.Scripted, verb: str) -> None:
    scripted.answer = servers.answering(
        "301 Moved Permanently", "text/html", b"<html>301</html>", location="https://s3.example.com/the-bucket?x=y"
    )

    error = _refusal(scripted.store, verb, "redirects to another address", "(https://s3.example.com/the-bucket)")

    assert isinstance(error, InvalidSettings)


def test_an_unknown_authority_is_reported_and_a_known_one_is_trusted(tmp_path: Path) -> None:
    context, authority = self_signed(tmp_path)
    with servers.served(s3_servers.moto_application(), tls=context) as url:
        error = _refusal(_store(url, tmp_path), "store", "TLS certificate is not trusted", "caCert")
        assert isinstance(error, InvalidSettings)

        trusting = s3_servers.open_store(
            s3_servers.location(url, _bucket(url, tmp_path, authority), authorities=authority), tmp_path
        )
        put(trusting, "a.json", b"{}")
        assert trusting.get("a.json") == b"{}"


def test_an_authority_of_the_environment_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, authority = self_signed(tmp_path)
    file = tmp_path / "authority.pem"
    file.write_text(authority)
    with servers.served(s3_servers.moto_application(), tls=context) as url:
        bucket = _bucket(url, tmp_path, authority)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(file))

        assert not s3_servers.open_store(s3_servers.location(url, bucket), tmp_path).exists("never.json")


@pytest.mark.parametrize("proxy", ["http://[::1", "http://proxy.example.test:port"])
def test_a_proxy_that_is_no_address_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)

    with pytest.raises(VmServiceError) as caught:
        _store("http://s3.example.test", tmp_path).get(_KEY)
    assert "proxy" in str(caught.value)


def test_a_full_temporary_directory_is_reported(tmp_path: Path) -> None:
    _, authority = self_signed(tmp_path)

    with pytest.raises(InvalidSettings, match=r"certificate authorities cannot be written.*room"):
        _store("https://127.0.0.1:9", tmp_path / "gone", authorities=authority)


def test_verification_is_switched_off_only_where_the_location_says_so(tmp_path: Path) -> None:
    context, authority = self_signed(tmp_path)
    with servers.served(s3_servers.moto_application(), tls=context) as url:
        location = s3_servers.location(url, _bucket(url, tmp_path, authority), verify_tls=False)
        store = s3_servers.open_store(location, tmp_path)
        put(store, "a.json", b"{}")

        assert store.exists("a.json")


def test_tls_against_a_plain_server_is_reported(moto: str, tmp_path: Path) -> None:
    store = _store(moto.replace("http://", "https://"), tmp_path)

    assert isinstance(_refusal(store, "store", "does not speak TLS", "http://"), InvalidSettings)


@pytest.mark.parametrize("verb", _OPERATIONS)
def test_a_refused_port_is_unreachable(verb: str, tmp_path: Path) -> None:
    error = _refusal(_store(servers.refused(), tmp_path), verb, "cannot be reached", "Connection refused")

    assert isinstance(error, Unavailable)


def test_a_name_that_does_not_resolve_is_unreachable(tmp_path: Path) -> None:
    store = _store("http://s3.invalid:9000", tmp_path)

    assert isinstance(_refusal(store, "read", "cannot be reached", "s3.invalid", "DNS"), Unavailable)


@pytest.mark.parametrize("verb", ["store", "read", "list"])
def test_a_server_that_hangs_is_given_up(verb: str, tmp_path: Path) -> None:
    with servers.silent() as url:
        error = _refusal(_store(url, tmp_path, timeout_seconds=0.2), verb, "did not answer in time", "s3_timeout")

    assert isinstance(error, Unavailable)


def test_a_body_that_breaks_off_is_unavailable(tmp_path: Path) -> None:
    with servers.breaking_off() as url:
        error = _refusal(_store(url, tmp_path, timeout_seconds=1.0), "read")

    assert isinstance(error, Unavailable)


_PAGES = [b"<html><body>Welcome to nginx!</body></html>", b"<html><p>not closed", b"", b"\x00\xff"]


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "400 Bad Request"])
@pytest.mark.parametrize("body", _PAGES)
@pytest.mark.parametrize("verb", ["store", "read"])
def test_a_web_page_is_not_s3(scripted: s3_servers.Scripted, verb: str, status: str, body: bytes) -> None:
    scripted.answer = servers.answering(status, "text/html", body)

    assert isinstance(_refusal(scripted.store, verb, "is not S3", "S3 URL"), InvalidSettings)


@pytest.mark.parametrize("body", _PAGES)
@pytest.mark.parametrize("verb", ["look for", "list"])
def test_a_list_that_is_no_list_is_an_error_and_never_empty(
    scripted: s3_servers.Scripted, verb: str, body: bytes
) -> None:
    scripted.answer = servers.answering("200 OK", "text/html", body)

    _refusal(scripted.store, verb, "S3", "correct the S3 URL")


def test_a_gateways_own_error_page_is_transient(scripted: s3_servers.Scripted) -> None:
    scripted.answer = servers.answering("502 Bad Gateway", "text/html", b"<html>502</html>")

    assert isinstance(_refusal(scripted.store, "read", "without an S3 answer", "502"), Unavailable)


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1"])
@pytest.mark.parametrize(
    "body",
    [
        "<Region>{}</Region>",
        "<Message>The authorization header is malformed; the region is wrong; expecting '{}'</Message>",
    ],
    ids=["element", "words"],
)
def test_a_malformed_header_is_about_the_region_where_the_answer_names_one(
    scripted: s3_servers.Scripted, body: str, region: str
) -> None:
    document = f"<Error><Code>AuthorizationHeaderMalformed</Code>{body.format(region)}</Error>"
    scripted.answer = servers.answering("400 Bad Request", "application/xml", document.encode())

    error = _refusal(scripted.store, "read", "another region", f"({region})", "set the region")

    assert isinstance(error, InvalidSettings)


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
@pytest.mark.parametrize("verb", _OPERATIONS)
def test_a_page_that_denies_is_no_denial_of_s3(scripted: s3_servers.Scripted, verb: str, status: str) -> None:
    scripted.answer = servers.answering(status, "text/html; charset=utf-8", b"<html>Policy: blocked</html>")

    error = _refusal(scripted.store, verb, "is not S3", f"({status[:3]} text/html", "what answers at http://127.0.0.1")

    assert isinstance(error, InvalidSettings)
    assert "s3:GetObject" not in str(error)


@pytest.mark.parametrize("verb", ["store", "read", "list"])
def test_a_denial_without_a_message_is_a_denial(scripted: s3_servers.Scripted, verb: str) -> None:
    scripted.answer = servers.answering("403 Forbidden", "application/xml", b"")

    assert isinstance(_refusal(scripted.store, verb, "access denied", "s3:GetObject"), Forbidden)


def test_a_proxy_that_denies_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = servers.answering("403 Forbidden", "text/html", b"<html>ERR_ACCESS_DENIED</html>")
    with servers.served(page) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("http://", "http://user:word@"))
        error = _refusal(_store("http://s3.example.test:9000", tmp_path), "read", f"what answers at the proxy {proxy}")

    assert isinstance(error, InvalidSettings)
    assert "word" not in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "excerpts"),
    [
        ("403 Forbidden", Unavailable, ("the proxy lets nothing through", "NO_PROXY")),
        ("502 Bad Gateway", Unavailable, ("the proxy lets nothing through", "NO_PROXY")),
    ],
)
def test_a_proxy_that_refuses_a_tunnel_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, kind: type[VmServiceError], excerpts: tuple[str, ...]
) -> None:
    with servers.served(servers.answering(status, "text/html", b"<html></html>")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        error = _refusal(_store("https://s3.example.test", tmp_path), "read", *excerpts, proxy)

    assert isinstance(error, kind)


def test_a_proxy_that_wants_a_login_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = servers.answering("407 Proxy Authentication Required", "text/html", b"<html></html>")
    with servers.served(page) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        error = _refusal(_store("http://s3.example.test", tmp_path), "read", "asks for a login", proxy)

    assert isinstance(error, InvalidSettings)


def test_a_login_page_is_reported_with_its_address(scripted: s3_servers.Scripted) -> None:
    page = servers.answering("302 Found", "text/html", b"", location="https://sso.example.com/login?back=here")
    scripted.answer = page

    assert isinstance(_refusal(scripted.store, "read", "(https://sso.example.com/login)"), InvalidSettings)


_DEEP = b"<Error>" + b"<a>" * 2_000 + b"</a>" * 2_000 + b"</Error>"


@pytest.mark.parametrize("verb", _OPERATIONS)
def test_an_answer_that_breaks_the_library_is_reported(scripted: s3_servers.Scripted, verb: str) -> None:
    scripted.answer = servers.answering("400 Bad Request", "application/xml", _DEEP)

    _refusal(scripted.store, verb, "what answers at http://127.0.0.1")


@pytest.mark.parametrize(
    ("requested", "settings"),
    [
        ({"server_side_encryption": "AES256"}, ["config.serverSideEncryption"]),
        ({"kms_key_id": "alias/velero", "tagging": "a=b&c=d"}, ["config.kmsKeyId", "config.tagging"]),
        ({"kms_key_id": "alias/velero", "of_settings": True}, ["bucket.kms_key_id"]),
    ],
)
def test_a_setting_that_the_server_does_not_know_is_named(
    requested: dict[str, Any], settings: list[str], moto: str, tmp_path: Path
) -> None:
    headers = ("x-amz-server-side-encryption", "x-amz-tagging")
    with s3_servers.altered(s3_servers.refuses(*headers)) as url:
        bucket = s3_servers.new_bucket(moto)
        store = s3_servers.open_store(s3_servers.location(url, bucket, **requested), tmp_path)
        with pytest.raises(InvalidSettings, match="does not know what") as caught:
            put(store, "a.json", b"{}")
    assert not caught.value.transient
    assert [name for name in settings if name not in str(caught.value)] == []


def test_of_several_settings_the_one_that_the_server_names_is_reported(
    scripted: s3_servers.Scripted, tmp_path: Path
) -> None:
    document = b"<Error><Code>NotImplemented</Code><Header>x-amz-tagging</Header></Error>"
    scripted.answer = servers.answering("501 Not Implemented", "application/xml", document)
    url = scripted.store.place.endpoint

    error = _refusal(_store(url, tmp_path, tagging="a=b&c=d", kms_key_id="k"), "list", "config.tagging")

    assert "config.kmsKeyId" not in str(error)


@pytest.mark.parametrize("region", ["minio ", "eu central", "eu-central-1\n"])
def test_a_region_that_is_no_name_is_refused(region: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"not a region's name.*velero/default"):
        _store("http://127.0.0.1:9", tmp_path, region=region)


def test_a_missing_object_is_not_found_with_the_place_where_it_was_looked_for(moto: str, tmp_path: Path) -> None:
    bucket = s3_servers.new_bucket(moto)
    store = s3_servers.open_store(s3_servers.location(moto, bucket), tmp_path)

    with pytest.raises(NotFound, match=re.escape(f'"{_KEY}" in bucket "{bucket}" at {moto}')):
        store.get(_KEY)


@pytest.mark.parametrize(
    ("credentials", "excerpt"),
    [
        (f"aws_secret_access_key = {s3_servers.SECRET}\n", "spec.credential"),
        (f"[other]\naws_access_key_id = AKID\naws_secret_access_key = {s3_servers.SECRET}\n", "spec.credential"),
        ("[default]\nregion = eu-west-1\n", "no credentials for profile default"),
        (f"[default]\naws_secret_access_key = {s3_servers.SECRET}\n", "one of the two keys alone"),
        ("[default]\naws_access_key_id = AKID\n", "one of the two keys alone"),
        (f"[default]\ncredential_process = touch {s3_servers.SECRET}\n", "start a program for profile default"),
    ],
    ids=["no section", "other profile", "no keys", "no id", "no secret", "a program"],
)
def test_unusable_credentials_are_refused_before_the_server_is_asked(
    credentials: str, excerpt: str, tmp_path: Path
) -> None:
    location = s3_servers.location("http://127.0.0.1:9", "the-bucket", credentials=credentials)

    with pytest.raises(InvalidSettings, match=re.escape(excerpt)) as caught:
        s3_servers.open_store(location, tmp_path)
    assert 'bucket "the-bucket"' in str(caught.value)
    assert "velero/default" in str(caught.value)
    assert s3_servers.SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_credentials_at_all_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moto: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    error = _refusal(_store(moto, tmp_path, credentials=""), "store", "no usable credentials", "spec.credential")

    assert isinstance(error, InvalidSettings)


def test_a_location_never_shows_its_secrets() -> None:
    location = s3_servers.location("http://127.0.0.1:9", "b", customer_key=s3_servers.SECRET.encode())

    assert s3_servers.SECRET not in repr(location)


def _bucket(url: str, directory: Path, authority: str) -> str:
    """Make a bucket behind TLS."""
    name = "behind-tls"
    s3_servers.client(s3_servers.location(url, name, authorities=authority), directory).create_bucket(Bucket=name)
    return name
