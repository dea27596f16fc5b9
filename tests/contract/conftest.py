"""What every contract test may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite(
    "tests.contract.object_store_contract",
    "tests.contract.cluster_contract",
    "tests.contract.registration_contract",
    "tests.registration_engine.asking",
)

from tests.contract import s3_servers  # noqa: E402 - after the registration above

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="moto", scope="session")
def _moto() -> Iterator[str]:
    """The URL of moto's S3, over real HTTP."""
    with s3_servers.moto() as url:
        yield url


@pytest.fixture(name="refusing_conditions", scope="session")
def _refusing_conditions() -> Iterator[str]:
    """A server that answers 501 to conditional writes."""
    with s3_servers.altered(s3_servers.refuses(s3_servers.CONDITION)) as url:
        yield url


@pytest.fixture(name="ignoring_conditions", scope="session")
def _ignoring_conditions() -> Iterator[str]:
    """A server that overwrites whatever the condition says."""
    with s3_servers.altered(s3_servers.ignores(s3_servers.CONDITION)) as url:
        yield url


@pytest.fixture(name="refusing_checksums", scope="session")
def _refusing_checksums() -> Iterator[str]:
    """A server that answers 501 to checksum headers."""
    with s3_servers.altered(s3_servers.refuses(s3_servers.CHECKSUM)) as url:
        yield url


@pytest.fixture(name="refusing_both", scope="session")
def _refusing_both() -> Iterator[str]:
    """A server that knows neither."""
    with s3_servers.altered(s3_servers.refuses(s3_servers.CONDITION, s3_servers.CHECKSUM)) as url:
        yield url
