from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from velero_vmservice.adapters.s3.client import connect
from velero_vmservice.adapters.s3.endpoints import LeanLoader
from velero_vmservice.adapters.s3.location import S3Location

if TYPE_CHECKING:
    from pathlib import Path

CREDENTIALS = "[default]\naws_access_key_id = one\naws_secret_access_key = two\n"
REGIONS = ("eu-west-1", "us-gov-west-1", "cn-north-1", "eu-isoe-west-1", "us-east-1", "moon-1")


def endpoints(loader: Loader) -> EndpointResolver:
    return EndpointResolver(loader.load_data_with_path("endpoints")[0])


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("service", ["s3", "sts", "sso", "portal.sso", "oidc"])
def test_the_endpoints_of_the_store_and_of_its_token_services_are_botocores(service: str, region: str) -> None:
    lean, whole = endpoints(LeanLoader()), endpoints(Loader())
    assert lean.construct_endpoint(service, region) == whole.construct_endpoint(service, region)


def test_other_services_are_left_out() -> None:
    assert "eu-west-1" in endpoints(Loader()).get_available_endpoints("ec2")
    assert endpoints(LeanLoader()).get_available_endpoints("ec2") == []


@pytest.mark.parametrize("region", REGIONS)
def test_a_client_of_the_store_has_the_endpoint_of_its_region(region: str, tmp_path: Path) -> None:
    location = S3Location(bucket="backups", region=region, credentials=CREDENTIALS, source="BackupStorageLocation")
    ours = connect(location, timeout_seconds=5, directory=tmp_path)
    plain = botocore.session.Session().create_client("s3", region_name=region)
    assert ours.meta.endpoint_url == plain.meta.endpoint_url
    assert ours.meta.region_name == plain.meta.region_name
