"""Everything the demo needs on this VM: S3, a Kubernetes API, a played Supervisor, and the real sidecar.

All of it listens on 127.0.0.1 on ports of the system's choice, lives in one temporary directory and ends with the
block. The sidecar and its launcher are the product as it is delivered; the rest is the tests' own stage.
"""

from __future__ import annotations

import stat
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from kubernetes.dynamic import DynamicClient

from tests.contract import s3_servers
from tests.e2e.processes import Process
from tests.emulator.kubernetes.api_objects import Problem
from tests.emulator.kubernetes.kmock_api import EmulatedApi, emulated_api
from tests.emulator.supervisor import Supervisor
from tests.emulator.vm_operator.admission import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.emulator.kubernetes.api_objects import Review

LAUNCHER: Final = "velero-plugin-for-vmservice"
ACCESS_KEY: Final = "demo"
SECRET_KEY: Final = "demo-secret"
REGION: Final = "us-east-1"
VELERO_NAMESPACE: Final = "velero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Velero's bucket, looked at past the product: by a client of the demo's own."""

    name: str
    url: str
    client: Any

    def keys(self, prefix: str = "") -> Sequence[str]:
        listed = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in listed]

    def read(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body


class ChangeFreeze:
    """An admission webhook of the platform team, as a restore meets them: it may refuse new load balancers."""

    REFUSAL: Final = (
        'admission webhook "change-freeze.example.com" denied the request: no new load balancers during the freeze'
    )

    def __init__(self) -> None:
        self.in_force = False

    def review(self, review: Review) -> None:
        """Refuse a new VirtualMachineService of type LoadBalancer while the freeze is in force."""
        is_new_service = review.verb == "CREATE" and review.resource.kind == "VirtualMachineService"
        if self.in_force and is_new_service and review.new["spec"].get("type") == "LoadBalancer":
            raise Problem(403, "Forbidden", self.REFUSAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What runs."""

    api: EmulatedApi
    kubernetes: DynamicClient
    supervisor: Supervisor
    bucket: Bucket
    sidecar: Process
    plugins: Path
    freeze: ChangeFreeze
    environment: Mapping[str, str]
    """What the product's processes are told: the cluster, and the namespace of Velero's objects."""

    @property
    def launcher(self) -> Path:
        """What Velero executes."""
        return self.plugins / LAUNCHER


@contextmanager
def place() -> Iterator[Place]:
    """Start everything; raises `ProcessEndedError` with the sidecar's own words if it does not start."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmservice-demo-")))
        bucket = _bucket(stack.enter_context(s3_servers.moto()))
        api = stack.enter_context(emulated_api())
        freeze = ChangeFreeze()
        api.admit(freeze.review)
        api.admit(Rules().review)
        supervisor = Supervisor(api.client)
        stack.enter_context(supervisor.operator)
        plugins = directory / "plugins"
        plugins.mkdir()
        kubeconfig = api.kubeconfig(directory / "kubeconfig")
        environment = {"KUBECONFIG": str(kubeconfig), "VMSERVICE_VELERO_NAMESPACE": VELERO_NAMESPACE}
        sidecar = _sidecar(directory, plugins, environment)
        stack.callback(sidecar.stop)
        sidecar.start()
        sidecar.wait_ready(lambda: _is_executable(plugins / LAUNCHER))
        cache = str(directory / "discovery.json")
        kubernetes = DynamicClient(api.new_client(), cache_file=cache)  # type: ignore[no-untyped-call]  # theirs
        yield Place(
            api=api,
            kubernetes=kubernetes,
            supervisor=supervisor,
            bucket=bucket,
            sidecar=sidecar,
            plugins=plugins,
            freeze=freeze,
            environment=environment,
        )


def _bucket(url: str) -> Bucket:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="velero")
    return Bucket(name="velero", url=url, client=client)


def _sidecar(directory: Path, plugins: Path, environment: Mapping[str, str]) -> Process:
    return Process(
        [sys.executable, "-m", "velero_vmservice.cli", "serve", "--plugins-dir", plugins],
        log=directory / "sidecar.log",
        environment=environment,
    )


def _is_executable(file: Path) -> bool:
    return file.exists() and bool(file.stat().st_mode & stat.S_IXUSR)
