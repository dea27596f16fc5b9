"""What of a credential reaches the network, and where to: AWS's token service is played on loopback."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.httpsession import URLLib3Session

from tests.contract import s3_servers, servers
from velero_vmservice.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_KEYS = "aws_access_key_id = AKIDBASE\naws_secret_access_key = s\n"
_ROLE = "arn:aws:iam::123456789012:role/velero"
_TAKEN = """<{0}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{0}Result><Credentials>
<AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></{0}Result></{0}Response>"""


@pytest.fixture(autouse=True)
def _no_credentials_of_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@contextmanager
def _token_service(monkeypatch: pytest.MonkeyPatch, requests: list[dict[str, list[str]]]) -> Iterator[None]:
    """Play AWS's token service, where the environment says that it is; notes what it is asked."""

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        form = parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
        requests.append(form | {"Authorization": [environ.get("HTTP_AUTHORIZATION", "")]})
        start("200 OK", [("Content-Type", "text/xml")])
        return [_TAKEN.format(form["Action"][0]).encode()]

    with servers.served(application) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        yield


def _key_used(directory: Path, credentials: str, **changes: Any) -> str:
    """Return the access key that a request to storage is signed with."""
    headers: list[str] = []
    with s3_servers.altered(lambda environ: headers.append(environ["HTTP_AUTHORIZATION"])) as url:
        location = s3_servers.location(url, s3_servers.new_bucket(url), credentials=credentials, **changes)
        s3_servers.open_store(location, directory).delete("a.json")
    return headers[-1].partition("Credential=")[2].partition("/")[0]


def test_a_role_is_taken_with_the_keys_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[dict[str, list[str]]] = []
    credentials = f"[default]\n{_KEYS}role_arn = {_ROLE} # Velero's\nexternal_id = abc\n"
    with _token_service(monkeypatch, requests):
        assert _key_used(tmp_path, credentials) == "AKIDROLE"

    assert (requests[0]["RoleArn"], requests[0]["ExternalId"]) == ([_ROLE], ["abc"])
    assert "Credential=AKIDBASE/" in requests[0]["Authorization"][0]


def test_the_environments_web_identity_is_used_where_the_secret_names_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[dict[str, list[str]]] = []
    token = tmp_path / "token"
    token.write_text("of-the-service-account")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", _ROLE)
    with _token_service(monkeypatch, requests):
        credentials = f"[default]\nrole_arn = {_ROLE}\nweb_identity_token_file = {token}\n"
        assert _key_used(tmp_path, credentials) == "AKIDROLE"

    assert requests[0]["WebIdentityToken"] == ["of-the-service-account"]


@pytest.mark.parametrize("variable", ["", "AWS_REGION"])
def test_a_web_identity_is_taken_to_the_token_service_of_the_locations_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    requests: list[str] = []
    token = tmp_path / "token"
    token.write_text("of-the-service-account")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "cn-north-1")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", _ROLE)
    credentials = f"[default]\nrole_arn = {_ROLE}\nweb_identity_token_file = {token}\n"
    location = s3_servers.location("", "b", credentials=credentials, region="" if variable else "cn-north-1")

    def send(_: object, request: Any) -> None:
        requests.append(request.url)
        raise EndpointConnectionError(endpoint_url=request.url)

    monkeypatch.setattr(URLLib3Session, "send", send)
    with pytest.raises(EndpointConnectionError):
        s3_servers.client(location, tmp_path).list_objects_v2(Bucket="b")
    assert set(requests) == {"https://sts.cn-north-1.amazonaws.com.cn/"}


def test_a_secret_sends_no_file_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[dict[str, list[str]]] = []
    token = tmp_path / "token"
    token.write_text("of-the-service-account")
    with _token_service(monkeypatch, requests):
        elsewhere = os.environ["AWS_ENDPOINT_URL_STS"]
        services = f"services = x\nendpoint_url = {elsewhere}\n[services x]\nsts =\n  endpoint_url = {elsewhere}\n"
        credentials = f"[default]\nrole_arn = {_ROLE}\nweb_identity_token_file = {token}\n{services}"
        with pytest.raises(InvalidSettings, match=r"web identity.*environment") as caught:
            _key_used(tmp_path, credentials)
    assert requests == []
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in caught.value.hint


def test_endpoints_of_a_secret_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS", raising=False)

    def elsewhere(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        requests.append(environ["PATH_INFO"])
        return servers.answering("500 Internal Server Error", "text/xml", b"")(environ, start)

    with servers.served(elsewhere) as url:
        services = f"services = x\nendpoint_url = {url}\n[services x]\ns3 =\n  endpoint_url = {url}\n"
        assert _key_used(tmp_path, f"[default]\n{_KEYS}{services}") == "AKIDBASE"
    assert requests == []


def test_the_hosts_own_files_say_nothing_beside_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:9\n[profile ci]\nregion = x\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    assert _key_used(tmp_path, f"[default]\n{_KEYS}") == "AKIDBASE"


def test_the_environment_chooses_the_profile_where_the_location_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "ci")
    credentials = f"[default]\n{_KEYS}[ci]\n{_KEYS.replace('AKIDBASE', 'AKIDCI')}"

    assert _key_used(tmp_path, credentials) == "AKIDCI"
    assert _key_used(tmp_path, credentials, profile="default") == "AKIDBASE"


@pytest.mark.parametrize(
    ("variable", "text", "region"),
    [
        ("", "region = eu-north-1", "eu-north-1"),
        ("eu-west-3", "region = eu-north-1", "eu-west-3"),
        ("", "", "us-east-1"),
    ],
)
def test_the_region_comes_from_the_environment_then_from_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, region: str
) -> None:
    monkeypatch.setenv("AWS_REGION", variable)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    location = s3_servers.location("http://127.0.0.1:9", "b", credentials=f"[default]\n{_KEYS}{text}\n")

    assert s3_servers.client(location, tmp_path).meta.region_name == region
