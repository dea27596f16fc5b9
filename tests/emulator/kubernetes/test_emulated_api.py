"""The emulated API, where the product relies on what a real API server does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import BadRequestError, ConflictError, ForbiddenError, NotFoundError

from tests.emulator.kubernetes.api_resources import resources
from tests.emulator.kubernetes.kmock_api import EmulatedApi, emulated_api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEWEST = "vmoperator.vmware.com/v1alpha5"


@pytest.fixture
def api() -> Iterator[EmulatedApi]:
    with emulated_api() as running:
        running.seed([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
        yield running


@pytest.fixture
def machines(api: EmulatedApi, tmp_path: Path) -> Any:
    client = DynamicClient(api.new_client(), cache_file=str(tmp_path / "discovery.json"))
    return client.resources.get(api_version=NEWEST, kind="VirtualMachine")


def machine(name: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": name}}
    return {"apiVersion": NEWEST, "kind": "VirtualMachine", "metadata": metadata, "spec": {"a": 1}, **fields}


def test_discovery_prefers_the_newest_version(api: EmulatedApi, tmp_path: Path):
    client = DynamicClient(api.new_client(), cache_file=str(tmp_path / "discovery.json"))
    matches = client.resources.search(group="vmoperator.vmware.com", kind="VirtualMachine")
    assert [each.api_version for each in matches if each.preferred] == ["v1alpha5"]
    assert {each.api_version for each in matches} == {"v1alpha2", "v1alpha3", "v1alpha4", "v1alpha5"}


def test_every_served_version_shows_the_same_object(api: EmulatedApi, machines: Any, tmp_path: Path):
    machines.create(machine("db"))
    client = DynamicClient(api.new_client(), cache_file=str(tmp_path / "other.json"))
    old = client.resources.get(api_version="vmoperator.vmware.com/v1alpha3", kind="VirtualMachine")
    assert old.get(name="db", namespace="shop").apiVersion == "vmoperator.vmware.com/v1alpha3"


def test_a_cluster_can_lack_groups_and_be_no_supervisor():
    with emulated_api(resources(supervisor=False, without=["virtualmachinegroups"])) as bare:
        text = bare.client.rest_client.request("GET", f"{bare.url}/apis").response.data.decode()
        kinds = bare.client.rest_client.request("GET", f"{bare.url}/apis/{NEWEST}").response.data.decode()
    assert "wcp.vmware.com" not in text
    assert "virtualmachinegroups" not in kinds


def test_a_dry_run_answers_and_changes_nothing(machines: Any):
    machines.create(machine("db"), dry_run="All")
    with pytest.raises(NotFoundError):
        machines.get(name="db", namespace="shop")
    machines.create(machine("db"))
    change = {"metadata": {"name": "db"}, "spec": {"a": 2}}
    tried = machines.patch(body=change, namespace="shop", content_type="application/merge-patch+json", dry_run="All")
    assert tried.spec.a == 2
    assert machines.get(name="db", namespace="shop").spec.a == 1
    with pytest.raises(ConflictError) as caught:
        machines.create(machine("db"), dry_run="All")
    assert caught.value.summary().count("AlreadyExists") == 1


def test_status_is_a_resource_of_its_own(machines: Any):
    made = machines.create(machine("db", status={"uniqueID": "vm-1"}))
    assert made.status is None
    change = {"metadata": {"name": "db"}, "spec": {"a": 2}, "status": {"uniqueID": "vm-1"}}
    merge = "application/merge-patch+json"
    changed = machines.status.patch(body=change, namespace="shop", content_type=merge)
    assert (changed.spec.a, changed.status.uniqueID, changed.metadata.generation) == (1, "vm-1", 1)
    changed = machines.patch(body=change, namespace="shop", content_type=merge)
    assert (changed.spec.a, changed.metadata.generation) == (2, 2)


def test_an_update_of_an_old_version_is_a_conflict(machines: Any):
    old = machines.create(machine("db")).to_dict()
    machines.replace({**old, "spec": {"a": 2}})
    with pytest.raises(ConflictError):
        machines.replace({**old, "spec": {"a": 3}})


def test_lists_are_paged_and_selected(api: EmulatedApi, machines: Any):
    api.seed([machine(f"m-{number}") for number in range(5)])
    first = machines.get(namespace="shop", limit=2)
    second = machines.get(namespace="shop", limit=2, _continue=first.metadata["continue"])
    assert [item.metadata.name for item in (*first.items, *second.items)] == ["m-0", "m-1", "m-2", "m-3"]
    chosen = machines.get(namespace="shop", label_selector="app in (m-1,m-2),app!=m-2")
    assert [item.metadata.name for item in chosen.items] == ["m-1"]


def test_finalizers_hold_an_object_and_a_missing_namespace_refuses_one(machines: Any):
    machines.create(machine("db", metadata={"name": "db", "namespace": "shop", "finalizers": ["example.com/hold"]}))
    machines.delete(name="db", namespace="shop")
    assert machines.get(name="db", namespace="shop").metadata.deletionTimestamp
    release = {"metadata": {"name": "db", "finalizers": None}}
    machines.patch(body=release, namespace="shop", content_type="application/merge-patch+json")
    with pytest.raises(NotFoundError):
        machines.get(name="db", namespace="shop")
    lost = {**machine("db"), "metadata": {"name": "db", "namespace": "nowhere"}}
    with pytest.raises(NotFoundError, match="nowhere"):
        machines.create(lost)


@pytest.mark.parametrize(
    "query",
    [
        {"label_selector": "restore-uid=8f2c/2026"},
        {"label_selector": "app in (a/b)"},
        {"label_selector": "two/slashes/name=a"},
        {"label_selector": "app=web)"},
        {"field_selector": "spec.groupName=shop"},
    ],
    ids=lambda query: next(iter(query.values())),
)
def test_a_selector_that_makes_no_sense_is_refused(machines: Any, query: dict[str, str]):
    with pytest.raises(BadRequestError):
        machines.get(namespace="shop", **query)


def test_nothing_is_created_in_a_namespace_on_its_way_out(api: EmulatedApi, machines: Any):
    gone = {"name": "gone", "deletionTimestamp": "2026-11-22T19:31:12Z", "finalizers": ["kubernetes"]}
    api.seed([{"apiVersion": "v1", "kind": "Namespace", "metadata": gone}])
    with pytest.raises(ForbiddenError, match="being terminated"):
        machines.create({**machine("db"), "metadata": {"name": "db", "namespace": "gone"}})


def test_faults_strike_what_they_are_meant_for(api: EmulatedApi, machines: Any):
    with api.fails(403, verb="list", resource="virtualmachines"):
        with pytest.raises(ForbiddenError):
            machines.get(namespace="shop")
        machines.create(machine("db"))
    with api.fails(503, times=1), pytest.raises(ApiException):
        machines.get(namespace="shop")
    with api.outage(), pytest.raises(urllib3.exceptions.HTTPError):
        machines.get(namespace="shop")
    with api.hangs(verb="list"), pytest.raises(urllib3.exceptions.HTTPError):
        machines.get(namespace="shop", _request_timeout=(1, 0.2))
    assert len(machines.get(namespace="shop").items) == 1
    assert api.count("create", "virtualmachines") == 1
