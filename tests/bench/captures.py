"""Capturing one object: what a backup waits for each time Velero hands us an item that we capture.

Execute over the real protocol, through the launcher and the sidecar, with an emulated Kubernetes API and moto as S3
over HTTP; beside it a bare put_object of as many bytes to the same server, which is the part that cannot be saved.
The items are at the newest API version that is served, so none is read again. Every capture is looked for in S3.
"""

from __future__ import annotations

import base64
import json
import secrets
import statistics
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.bench.hot_sidecar import VELERO_NAMESPACE, hot_sidecar
from tests.bench.table import Row
from tests.contract.s3_servers import CREDENTIALS
from tests.e2e.processes import Process, free_ports
from tests.emulator import machines
from tests.rpc.velero_host import PluginProcess
from velero_vmservice.vmoperator.marks import CAPTURE_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.hot_sidecar import HotSidecar

_ACTION = "velero-plugin-for-vmservice/capture"
BUCKET = "velero"
SPACE = "shop"
_WARM_UP = 5
_PEER = "bare put_object"
TARGET = 1.3

Json = dict[str, Any]

BACKUP: Json = {
    "apiVersion": "velero.io/v1",
    "kind": "Backup",
    "metadata": {"name": "bench", "namespace": VELERO_NAMESPACE, "uid": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"},
    "spec": {"includedNamespaces": [SPACE], "storageLocation": "default"},
    "status": {"phase": "InProgress", "startTimestamp": "2026-01-02T03:04:05Z"},
}


def measure(objects: int) -> list[Row]:
    """Capture services and groups, and store as many bytes each without us, in turns."""
    with hot_sidecar() as sidecar, moto(sidecar) as url:
        store = client(url)
        store.create_bucket(Bucket=BUCKET)
        seed(sidecar, url)
        ours: list[float] = []
        theirs: list[float] = []
        with PluginProcess(sidecar.launcher) as plugin:
            for number, item in enumerate(_items(_WARM_UP + objects)):
                if number == _WARM_UP:
                    ours.clear()
                    theirs.clear()
                began = time.perf_counter()
                captured, _ = plugin.back_up(_ACTION, item, BACKUP)
                ours.append(time.perf_counter() - began)
                body = secrets.token_bytes(_size(store, captured))
                began = time.perf_counter()
                store.put_object(Bucket=BUCKET, Key=f"peer/{number}", Body=body)
                theirs.append(time.perf_counter() - began)
    return _rows(ours, theirs)


def _items(count: int) -> Iterator[Json]:
    """Write services and groups over the namespace's VMs, as Velero reads them from the API."""
    names = machines.two_tier(SPACE, web=8, database=2).vm_names
    for number in range(count):
        member = names[number % len(names)]
        if number % 2:
            selector = {"app": SPACE, "tier": "web"}
            item = machines.service(f"service-{number}", namespace=SPACE, selector=selector)
        else:
            item = machines.group(f"group-{number}", namespace=SPACE, order=[[("VirtualMachine", member)]])
        item["metadata"] |= {
            "uid": f"uid-{number}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        yield item


def seed(sidecar: HotSidecar, url: str) -> None:
    """Put an application, and the location that Velero would have, into the API."""
    application = machines.two_tier(SPACE, web=8, database=2)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cloud-credentials", "namespace": VELERO_NAMESPACE},
        "data": {"cloud": base64.b64encode(CREDENTIALS.encode()).decode()},
    }
    location = {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": "default", "namespace": VELERO_NAMESPACE},
        "spec": {
            "provider": "aws",
            "objectStorage": {"bucket": BUCKET},
            "credential": {"name": "cloud-credentials", "key": "cloud"},
            "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": url},
        },
    }
    namespaces = [machines.namespace(SPACE), machines.namespace(VELERO_NAMESPACE)]
    sidecar.api.seed([*namespaces, secret, location, *application.groups, *application.machines])


def _size(store: Any, captured: Json) -> int:
    """Return how many bytes the capture of an item has in S3; raises if it is not there."""
    key = json.loads(captured["metadata"]["annotations"][CAPTURE_ANNOTATION])["key"]
    size: int = store.head_object(Bucket=BUCKET, Key=f"plugins/vmservice/{key}")["ContentLength"]
    return size


@contextmanager
def moto(sidecar: HotSidecar) -> Iterator[str]:
    """Run moto as a process of its own, so that it shares no interpreter with what is measured."""
    port = free_ports(1)[0]
    log = sidecar.directory / "moto.log"
    process = Process([sys.executable, "-m", "moto.server", "-H127.0.0.1", f"-p{port}"], log=log)
    process.start()
    try:
        process.wait_ready(lambda: "Running on" in log.read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()


def client(url: str) -> Any:
    """Return a plain S3 client of that server."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        config=Config(s3={"addressing_style": "path"}),
    )


def _rows(ours: Sequence[float], theirs: Sequence[float]) -> list[Row]:
    def row(statistic: str, our_seconds: float, their_seconds: float, target: float | None = None) -> Row:
        return Row(
            part="c",
            measured=f"Execute of capture, {statistic} of {len(ours)}",
            ours=our_seconds * 1000,
            theirs=their_seconds * 1000,
            unit="ms",
            peer=_PEER,
            target=target,
        )

    return [
        row("median", statistics.median(ours), statistics.median(theirs), TARGET),
        row("p99", _p99(ours), _p99(theirs)),
    ]


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]
