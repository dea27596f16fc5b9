"""The boto3 client of a bucket: its login, its time limits, and the certificates that it accepts."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
import botocore.session
import structlog
import urllib3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.httpsession import where as public_authorities

from velero_vmservice import __version__
from velero_vmservice.adapters.s3 import credentials
from velero_vmservice.adapters.s3 import error_meanings as meanings
from velero_vmservice.adapters.s3 import http as s3_http
from velero_vmservice.adapters.s3.endpoints import LeanLoader
from velero_vmservice.adapters.s3.errors import failure, opened
from velero_vmservice.adapters.transport.proxies import proxy_for
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_s3 import S3Client

    from velero_vmservice.adapters.s3.location import S3Location

_log = structlog.get_logger()

_DEFAULT_REGION: Final = "us-east-1"
"""Servers other than AWS accept it; on AWS botocore follows the redirect to the bucket's own region."""

_REGION: Final = re.compile("[A-Za-z0-9-]+")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_ATTEMPTS: Final = 3


def connect(
    location: S3Location, *, timeout_seconds: float, directory: Callable[[], Path], attempts: int = _ATTEMPTS
) -> S3Client:
    """Return a client for the location; sends no request yet.

    An answer is complete within `timeout_seconds`, or the request fails. `directory` returns a directory for
    certificate authorities, if the location has any. It must be private and live as long as the client, because
    botocore reads them for each new connection. Raises `InvalidSettings` for credentials, URL, region or proxy that
    cannot be used.
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        # virtual-hosted by default, like velero-plugin-for-aws: some servers accept nothing else.
        s3={"addressing_style": "path" if location.path_style else "virtual"},
        # We send our own digests and check them; the automatic ones come as trailers that other servers reject
        # or store into the object.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # botocore computes its own user agent for each request, and checks parameters that are typed here anyway.
        user_agent=f"{PLUGIN_NAME}/{__version__}",
        parameter_validation=False,
    )
    verify = _verify(location, directory)
    with opened(location.place):
        client = _client(location, config, verify=verify, seconds=timeout_seconds)
        proxy_for(client.meta.endpoint_url)  # an unusable proxy is reported now
    if location.customer_key and urlsplit(client.meta.endpoint_url).scheme != "https":
        raise InvalidSettings(
            f"cannot open {location.place}: a customer key is never sent over http",
            hint=f"give {location.source} an S3 URL with https://, or another encryption",
        )
    client.meta.events.register_first("needs-retry.s3", _give_up_redirects)
    client.meta.events.register("before-sign.s3.PutObject", _send_whole)
    return client


def _send_whole(request: Any, **_: object) -> None:
    """Send the body right after the head: a wait for `100 Continue` is a round trip for documents of a few kB."""
    del request.headers["Expect"]


def _client(location: S3Location, config: Config, *, verify: bool | str | None, seconds: float) -> S3Client:
    if location.credentials:
        session = botocore.session.Session(session_vars=credentials.ALONE)
    else:
        session = botocore.session.Session(profile=location.profile or None)
    session.register_component("data_loader", LeanLoader())
    session.set_default_client_config(config)  # its retries, for the token service that gives keys for a role
    s3_http.send_bounded(session, verify=verify, seconds=seconds)
    region = location.region or credentials.region(location)
    if region and not _REGION.fullmatch(region):  # botocore's own check misses a line feed at the end
        raise failure(meanings.NO_REGION, region, "open", "", location.place)
    if region:
        # For the token service too: its clients read the session, and botocore does not know AWS_REGION.
        session.set_config_variable("region", region)
    if location.credentials:
        credentials.log_in(session, location, verify=verify, region_name=region or _DEFAULT_REGION)
    boto = boto3.Session(botocore_session=session)
    return boto.client(
        "s3",
        region_name=region or boto.region_name or _DEFAULT_REGION,
        endpoint_url=location.url or None,
        verify=verify,
        config=config,
    )


def _give_up_redirects(response: Any, operation: Any, **_: object) -> None:
    """Fail on a redirect that names no region.

    botocore would ask for the region by a HEAD, which is redirected again, until the stack overflows. A web server that
    redirects http:// to https:// causes this.
    """
    if response is None or response[0].status_code not in _REDIRECTS:
        return
    http, parsed = response
    if "x-amz-bucket-region" not in http.headers and "Region" not in parsed.get("Error", {}):
        raise boto.ClientError(parsed, operation.name)


def _verify(location: S3Location, directory: Callable[[], Path]) -> bool | str | None:
    if not location.verify_tls:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # one for each request; one is enough
        _log.warning("storage certificate not verified", endpoint=location.url, location=location.source)
        return False
    if not location.authorities:
        return None
    # In addition to the public ones, like velero-plugin-for-aws.
    bundle = f"{Path(public_authorities()).read_text('utf-8')}\n{location.authorities}\n"
    file = directory() / f"authorities-{hashlib.sha256(bundle.encode()).hexdigest()[:16]}.pem"
    try:
        if not file.exists():
            file.write_text(bundle, "utf-8")
    except OSError as error:
        raise InvalidSettings(
            f"cannot open {location.place}: its certificate authorities cannot be written to {file}",
            hint="see that the volume of the temporary directory has room and can be written",
        ) from error
    return str(file)
