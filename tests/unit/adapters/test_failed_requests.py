"""Failures of other systems, counted by our code and by a cause of a closed list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from grpc import StatusCode
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ReadTimeoutError

from velero_vmservice.adapters.failed_requests import counting
from velero_vmservice.adapters.kubernetes import errors as kubernetes
from velero_vmservice.adapters.registration_engine import errors as engine
from velero_vmservice.adapters.registration_engine.tls import HungUp
from velero_vmservice.adapters.s3 import errors as s3
from velero_vmservice.adapters.vcenter.errors import from_answer
from velero_vmservice.errors import VmServiceError
from velero_vmservice.metrics import REGISTRY, Api
from velero_vmservice.reachability import STORES

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = "BackupStorageLocation velero/counted"
PLACE = s3.Place(bucket="captures", endpoint="https://s3.example.com", source=SOURCE)


def counted(api: str) -> dict[tuple[str, str], float]:
    """Code and cause of what is counted for a system, and how often."""
    (family,) = (family for family in REGISTRY.collect() if family.name == "vmservice_api_errors")
    return {
        (sample.labels["code"], sample.labels["cause"]): sample.value
        for sample in family.samples
        if sample.labels["api"] == api
    }


def new(before: dict[tuple[str, str], float], api: str) -> dict[tuple[str, str], float]:
    return {key: value - before.get(key, 0) for key, value in counted(api).items() if value != before.get(key)}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    STORES.answered(SOURCE)


def client_error(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("raised", "key"),
    [
        (client_error("AccessDenied", 403), ("forbidden", "AccessDenied")),
        (client_error("SlowDown", 503), ("unavailable", "SlowDown")),
        (client_error("made-up-by-a-server", 503), ("unavailable", "503")),
        (EndpointConnectionError(endpoint_url="https://s3.example.com"), ("unavailable", "EndpointConnectionError")),
        (ZeroDivisionError(), ("unavailable", "unforeseen")),
    ],
)
def test_storage(raised: Exception, key: tuple[str, str]) -> None:
    before = counted("s3")
    with pytest.raises(VmServiceError), s3.translated("store", "captures/a", PLACE):
        raise raised
    assert new(before, "s3") == {key: 1}
    assert STORES.failures()[SOURCE] == key[0]
    with s3.translated("store", "captures/a", PLACE):
        pass
    assert SOURCE not in STORES.failures()


@pytest.mark.parametrize(
    ("raised", "key"),
    [
        (ApiException(status=403), ("forbidden", "403")),
        (ApiException(status=500), ("unavailable", "500")),
        (ApiException(status=999), ("rejected", "ApiException")),
        (ReadTimeoutError(None, "", ""), ("unavailable", "ReadTimeoutError")),  # type: ignore[arg-type] # not used
    ],
)
def test_kubernetes(raised: Exception, key: tuple[str, str]) -> None:
    before = counted("kubernetes")
    with pytest.raises(VmServiceError), counting(Api.KUBERNETES), kubernetes.translated("cannot read Pod a/b"):
        raise raised
    assert new(before, "kubernetes") == {key: 1}


@pytest.mark.parametrize("status", [404, 409])
def test_an_answer_of_a_sound_api_server_is_no_failure(status: int) -> None:
    before = counted("kubernetes")
    with pytest.raises(VmServiceError), counting(Api.KUBERNETES), kubernetes.translated("cannot read Pod a/b"):
        raise ApiException(status=status)
    assert new(before, "kubernetes") == {}


def test_vcenter_and_an_engine() -> None:
    vcenter, registration = counted("vcenter"), counted("registration")
    from_answer("cannot call RegisterVM", 401, None)
    engine.translate(
        StatusCode.DEADLINE_EXCEEDED, "", target="engine:8443", namespace="shop", hung_up=lambda: HungUp.SPEAKS_TLS
    )
    assert new(vcenter, "vcenter") == {("forbidden", "401"): 1}
    assert new(registration, "registration") == {("unavailable", "DEADLINE_EXCEEDED"): 1}
