"""Where a bucket lies and how to log in: one value, and the boto3 client made from it.

The value compares by content, so whoever holds two of them knows whether anything changed, a rotated secret or
authority included. What is secret stays out of its representation.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.session
import structlog
import urllib3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.httpsession import where as public_authorities

from velero_vmservice.adapters import tls
from velero_vmservice.adapters.aws_endpoints import LeanLoader
from velero_vmservice.adapters.s3_errors import LIBRARY_ERRORS, Place, translate
from velero_vmservice.core.errors import InvalidSettings

if TYPE_CHECKING:
    import ssl

    from types_boto3_s3 import S3Client

_log = structlog.get_logger()

_DEFAULT_REGION: Final = "us-east-1"
"""Servers other than AWS take it; on AWS botocore follows the redirect to the bucket's own region."""

_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_ATTEMPTS: Final = 3
_CONNECT_SECONDS: Final = 3.0
_CONNECTIONS: Final = 32
"""As many as gRPC worker threads may ask at once, or urllib3 warns and throws connections away."""

_FROM_FILE: Final = frozenset(
    {"shared-credentials-file", "config-file", "assume-role", "assume-role-with-web-identity"}
)
"""What a credentials file may say. Not `custom-process`: nobody's Secret starts a program here. Not the machine's
own role: a location that names a Secret means that Secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Location:
    """A bucket, the way to it and what it asks of writers.

    `credentials` is the text of an AWS credentials file, '' for boto3's default chain. `prefix` has no slash at
    either end. `source` names the location or setting to edit, for messages.
    """

    bucket: str
    source: str
    prefix: str = ""
    region: str = ""
    url: str = ""
    path_style: bool = False
    verify_tls: bool = True
    authorities: str = field(default="", repr=False)
    credentials: str = field(default="", repr=False)
    profile: str = ""
    server_side_encryption: str = ""
    kms_key_id: str = ""
    customer_key: str = field(default="", repr=False)
    tagging: str = ""
    checksums: bool = True
    read_only: bool = False

    @property
    def place(self) -> Place:
        """Name the bucket and its server."""
        return Place(bucket=self.bucket, endpoint=self.url or "Amazon S3", source=self.source)


def connect(location: S3Location, *, timeout_seconds: float, directory: Path, attempts: int = _ATTEMPTS) -> S3Client:
    """Return a client for the location; asks nobody yet.

    Certificate authorities are written to `directory`, which must be private and live as long as the client:
    botocore reads them for each new connection. Raises `InvalidSettings` for credentials, URL or region that
    cannot be used.
    """
    config = Config(
        connect_timeout=min(_CONNECT_SECONDS, timeout_seconds),
        read_timeout=timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        # virtual-hosted unless asked otherwise, like velero-plugin-for-aws: some servers take nothing else.
        s3={"addressing_style": "path" if location.path_style else "virtual"},
        # We send our own digests and check them; the automatic ones come as trailers that other servers reject
        # or store into the object.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = _session(location, config, directory)
        client = session.client(
            "s3",
            region_name=location.region or session.region_name or _DEFAULT_REGION,
            endpoint_url=location.url or None,
            verify=_verify(location, directory),
            config=config,
        )
    except LIBRARY_ERRORS as error:
        raise translate(error, "open", "", location.place) from None  # the cause may quote the credentials
    except ValueError:
        raise InvalidSettings(
            f"cannot open {location.place}: the S3 URL is not valid",
            hint=f"give {location.source} a URL like https://s3.example.com:9000",
        ) from None
    client.meta.events.register_first("needs-retry.s3", _give_up_redirects)
    _check_as_go(client)
    return client


def _check_as_go(client: Any) -> None:
    """Accept the certificates that Velero accepts; botocore has no setting for that, and makes a context per proxy."""
    http = client._endpoint.http_session  # noqa: SLF001 - see above
    make = http._get_ssl_context  # noqa: SLF001

    def context() -> ssl.SSLContext:
        made: ssl.SSLContext = make()
        tls.check_as_go(made)
        return made

    http._get_ssl_context = context  # noqa: SLF001
    http._manager.connection_pool_kw["ssl_context"] = context()  # noqa: SLF001


def _give_up_redirects(response: Any, operation: Any, **_: object) -> None:
    """Fail on a redirect that names no region.

    botocore would ask for the region by a HEAD, which is redirected as well, until its stack is used up: so does
    a web server that sends http:// to https://.
    """
    if response is None or response[0].status_code not in _REDIRECTS:
        return
    http, parsed = response
    if "x-amz-bucket-region" not in http.headers and "Region" not in parsed.get("Error", {}):
        raise boto.ClientError(parsed, operation.name)


def _session(location: S3Location, config: Config, directory: Path) -> boto3.Session:
    core = botocore.session.Session(profile=location.profile or None)
    core.register_component("data_loader", LeanLoader())
    core.set_default_client_config(config)  # its timeouts, for the token service that trades a role for keys
    if location.credentials:
        _load_credentials(core, location, directory)
    return boto3.Session(botocore_session=core)


def _load_credentials(core: botocore.session.Session, location: S3Location, directory: Path) -> None:
    """Read the credentials from a file that only we can read and that is gone when this returns."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=directory) as file:
        file.write(location.credentials)
        file.flush()
        core.set_config_variable("credentials_file", file.name)
        # As in velero-plugin-for-aws: a shared config file is accepted as the credential of a location.
        core.set_config_variable("config_file", file.name)
        core.set_config_variable("profile", location.profile or "default")
        try:
            resolver = core.get_component("credential_provider")
            for provider in tuple(resolver.providers):
                if provider.METHOD not in _FROM_FILE:
                    resolver.remove(provider.METHOD)
            found = core.get_credentials()
        except boto.ConfigParseError:
            raise _unusable(location, "is no AWS credentials file") from None  # the cause quotes the wrong line
    if found is None:
        raise _unusable(location, f"holds no credentials for profile {location.profile or 'default'}")


def _unusable(location: S3Location, why: str) -> InvalidSettings:
    return InvalidSettings(
        f"cannot open {location.place}: the credential of {location.source}, or Velero's own in its absence, {why}",
        hint="it must read [default], aws_access_key_id=…, aws_secret_access_key=…, a line each",
    )


def _verify(location: S3Location, directory: Path) -> bool | str | None:
    if not location.verify_tls:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # one for each request; ours is enough
        _log.warning("storage certificate not verified", endpoint=location.url, source=location.source)
        return False
    if not location.authorities:
        return None
    # Added to the public ones, not in their place, as velero-plugin-for-aws does.
    bundle = f"{Path(public_authorities()).read_text('utf-8')}\n{location.authorities}\n"
    file = directory / f"authorities-{hashlib.sha256(bundle.encode()).hexdigest()[:16]}.pem"
    if not file.exists():
        file.write_text(bundle, "utf-8")
    return str(file)
