"""`doctor` over real HTTP: an emulated API server with Velero's objects, and moto for the buckets."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from tests.clock import SettableClock
from tests.contract import s3_servers
from tests.emulator.kubernetes.kmock_api import EmulatedApi, emulated_api
from tests.unit.doctor.deployments import deployment
from velero_vmservice.adapters.kubernetes.client import KubernetesCluster
from velero_vmservice.adapters.velero.storage_locations import BackupStorageLocations
from velero_vmservice.app import assemble
from velero_vmservice.doctor.checks import Check, CheckState, Examiner
from velero_vmservice.settings.reading import Settings
from velero_vmservice.supervisor.vsphere_plugin import BLOCKED_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STORAGE = "storage in location default"


@pytest.fixture(name="api")
def _api() -> Iterator[EmulatedApi]:
    with emulated_api() as api:
        yield api


def in_velero(kind: str, name: str, *, api_version: str = "v1", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "velero"}, **rest}


def install(api: EmulatedApi, url: str, bucket: str, *, access: str = "ReadWrite", **changes: Any) -> None:
    """Put Velero's namespace, Deployment, location and credential there."""
    encoded = base64.b64encode(s3_servers.CREDENTIALS.encode()).decode()
    spec = {
        "provider": "aws",
        "default": True,
        "accessMode": access,
        "objectStorage": {"bucket": bucket},
        "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": url},
        "credential": {"name": "cloud-credentials", "key": "cloud"},
    }
    api.seed(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "velero"}},
            in_velero("Secret", "cloud-credentials", data={"cloud": encoded}),
            in_velero(
                "BackupStorageLocation",
                "default",
                api_version="velero.io/v1",
                spec=spec,
                status={"phase": "Available"},
            ),
            deployment(**changes),
        ]
    )


def examined(api: EmulatedApi, *, velero_namespace: str = "velero", **settings: Any) -> Mapping[str, Check]:
    configuration = client.Configuration()
    configuration.host = api.url
    clock = SettableClock()
    cluster = KubernetesCluster(configuration, timeout_seconds=2.0, clock=clock)
    chosen = Settings.model_validate(settings).model_copy(update={"velero_namespace": velero_namespace})
    locations = BackupStorageLocations(cluster, chosen, clock=clock)
    try:
        plugin = assemble(chosen, cluster=cluster, locations=locations, clock=clock)
        return {check.name: check for check in plugin.examination.checks(Examiner())}
    finally:
        locations.close()


def not_ok(made: Mapping[str, Check]) -> dict[str, CheckState]:
    return {name: check.state for name, check in made.items() if check.state is not CheckState.OK}


def test_a_sound_installation(api: EmulatedApi, moto: str) -> None:
    bucket = s3_servers.new_bucket(moto)
    install(api, moto, bucket)
    made = examined(api)
    assert not_ok(made) == {}
    assert (
        made[STORAGE].established == f"list, write once, read and delete work at s3://{bucket}/plugins/vmservice/doctor"
    )
    assert made["Supervisor"].established.startswith("VCF 9.0+: serves VirtualMachineGroup at ")
    assert "Contents" not in s3_servers.bare_client(moto).list_objects_v2(Bucket=bucket)


def test_a_bucket_that_does_not_exist(api: EmulatedApi, moto: str) -> None:
    install(api, moto, "no-such-bucket")
    made = examined(api)
    assert not_ok(made) == {STORAGE: CheckState.FAILED}
    assert 'bucket "no-such-bucket"' in made[STORAGE].established
    assert made[STORAGE].hint


def test_a_location_that_is_read_only_is_not_written(api: EmulatedApi, moto: str) -> None:
    bucket = s3_servers.new_bucket(moto)
    install(api, moto, bucket, access="ReadOnly")
    assert not_ok(examined(api)) == {STORAGE: CheckState.WARNING}


def test_a_server_that_ignores_the_condition_still_refuses_a_second_writer(
    api: EmulatedApi, ignoring_conditions: str
) -> None:
    install(api, ignoring_conditions, s3_servers.new_bucket(ignoring_conditions))
    assert not_ok(examined(api)) == {}


def test_a_server_that_denies_writes(api: EmulatedApi) -> None:
    denied = s3_servers.s3_error("403 Forbidden", "AccessDenied")
    with s3_servers.altered(
        lambda environ: denied if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].count("/") > 1 else None
    ) as url:
        install(api, url, s3_servers.new_bucket(url))
        made = examined(api)
    assert not_ok(made) == {STORAGE: CheckState.FAILED}
    assert made[STORAGE].established.startswith("write failed: cannot store")


def test_a_right_that_is_denied(api: EmulatedApi, moto: str) -> None:
    install(api, moto, s3_servers.new_bucket(moto))
    api.denied |= {("list", "virtualmachines.vmoperator.vmware.com"), ("create", "events")}
    assert not_ok(examined(api)) == {
        "right to list virtualmachines.vmoperator.vmware.com in all namespaces": CheckState.FAILED,
        "right to create events in Velero's namespace": CheckState.WARNING,
    }


def test_an_older_velero_and_a_short_timeout(api: EmulatedApi, moto: str) -> None:
    args = ["server", "--default-item-operation-timeout=1h"]
    install(api, moto, s3_servers.new_bucket(moto), image="velero/velero:v1.12.0", args=args)
    assert not_ok(examined(api)) == {
        "Velero's version": CheckState.WARNING,
        "operation timeout": CheckState.WARNING,
    }


def test_a_namespace_without_velero(api: EmulatedApi, moto: str) -> None:
    install(api, moto, s3_servers.new_bucket(moto))
    made = examined(api, velero_namespace="elsewhere")
    assert made["Velero's Deployment"].state is CheckState.UNKNOWN
    assert made["default location"].state is CheckState.FAILED


def test_a_namespace_that_is_not_known_leaves_what_needs_none(api: EmulatedApi, moto: str) -> None:
    install(api, moto, s3_servers.new_bucket(moto))
    made = examined(api, velero_namespace="")
    assert made["locations"].established == "Velero's namespace is not known"
    assert made["Supervisor"].state is CheckState.OK
    of_rights = {check.state for name, check in made.items() if name.endswith("in all namespaces")}
    assert of_rights == {CheckState.OK}


def test_the_default_list_of_the_plugin_for_vsphere(api: EmulatedApi, moto: str) -> None:
    install(api, moto, s3_servers.new_bucket(moto))
    api.seed([in_velero("ConfigMap", BLOCKED_RESOURCES, data={"virtualmachines.vmoperator.vmware.com": "true"})])
    name = "list of velero-plugin-for-vsphere"
    assert "taken over when the next backup or restore begins" in examined(api)[name].established
    assert not_ok(examined(api, vsphere_plugin="leave")) == {name: CheckState.WARNING}


def test_an_api_server_that_does_not_answer_is_asked_once_for_rights(api: EmulatedApi, moto: str) -> None:
    install(api, moto, s3_servers.new_bucket(moto))
    with api.outage():
        made = examined(api)
    assert made["API server"].state is CheckState.FAILED
    assert {check.state for name, check in made.items() if name != "API server"} == {CheckState.UNKNOWN}
    assert sum("not asked" in check.established for check in made.values()) == len(made) - 2
