"""A real S3 server on loopback, versitygw, and the one account that may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from tests.e2e.build import binary
from tests.e2e.processes import Process, free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from types_boto3_s3 import S3Client


class ObjectStore:
    """versitygw over a folder; it checks signatures and checksums, as a real service does."""

    access_key = "e2e-access-key"
    secret_key = "e2e-secret-key"
    region = "us-east-1"
    credentials = f"[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self._port}"
        self.data = directory / "data"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        # The sidecar folder (object attributes) must not begin with the data folder's path.
        attributes, accounts = (self.directory / name for name in ("attributes", "accounts"))
        for folder in (self.data, attributes, accounts):
            folder.mkdir(parents=True, exist_ok=True)
        self.process = Process(
            [
                binary("versitygw"),
                f"--port=127.0.0.1:{self._port}",
                f"--iam-dir={accounts}",
                "posix",
                f"--sidecar={attributes}",
                self.data,
            ],
            log=self.directory / "versitygw.log",
            environment={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
        )
        self.restart()

    def restart(self) -> None:
        """Start the server again on the same port and data, after `stop` or a kill."""
        self.process.start()
        self.process.wait_ready(self._answers, deadline=30)

    def stop(self) -> None:
        """Stop the server."""
        if hasattr(self, "process"):
            self.process.stop(patience=5)

    def client(self) -> S3Client:
        """Return an S3 client of the one account."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5),
        )

    def create_bucket(self, name: str) -> None:
        """Create a bucket."""
        self.client().create_bucket(Bucket=name)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys of all objects below a prefix, sorted."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object's content."""
        return self.client().get_object(Bucket=bucket, Key=key)["Body"].read()

    def _answers(self) -> bool:
        try:
            self.client().list_buckets()
        except BotoCoreError:
            return False
        return True
