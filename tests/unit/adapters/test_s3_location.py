from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.session
import pytest

from velero_vmservice.adapters.s3_location import S3Location, connect

if TYPE_CHECKING:
    from pathlib import Path

CREDENTIALS = "[default]\naws_access_key_id = one\naws_secret_access_key = two\n"


REGIONS = ("eu-west-1", "us-gov-west-1", "cn-north-1", "eu-isoe-west-1", "us-east-1", "moon-1")


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_the_endpoint_that_botocore_knows(region: str, tmp_path: Path) -> None:
    location = S3Location(bucket="backups", region=region, credentials=CREDENTIALS, source="BackupStorageLocation")
    ours = connect(location, timeout_seconds=5, directory=tmp_path)
    plain = botocore.session.Session().create_client("s3", region_name=region)
    assert ours.meta.endpoint_url == plain.meta.endpoint_url
    assert ours.meta.region_name == plain.meta.region_name
