from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import claim, group, look, m, obj, registration, service, vm, vsphere_namespace
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, ObjectRef
from velero_vmservice.supervisor.namespace_state import is_vsphere_namespace, observe


def test_one_look_answers_every_question() -> None:
    observed = look(
        vm("web-1"),
        claim("a"),
        claim("b", "Pending"),
        group("tier", meta={"uid": "g1"}),
        service("front"),
        obj("Service", "front", api="v1"),
        obj("Endpoints", "front", api="v1"),
        at=7.0,
    )
    assert (observed.namespace, observed.at, observed.vsphere_namespace) == ("shop", 7.0, True)
    assert list(observed.machines) == ["web-1"]
    assert observed.volumes.phases == {"a": "Bound", "b": "Pending"}
    assert observed.group_uids() == {"tier": "g1"}
    assert list(observed.generated) == list(observed.endpoints) == ["front"]
    assert observed.live(ObjectRef(VIRTUAL_MACHINE_GROUP, "shop", "tier")) is observed.groups["tier"]
    assert observed.live(ObjectRef(VIRTUAL_MACHINE_SERVICE, "shop", "front")) is observed.services["front"]
    assert observed.live(ObjectRef(VIRTUAL_MACHINE_SERVICE, "shop", "tier")) is None


@pytest.mark.parametrize(
    ("status", "excerpt"),
    [
        ({}, "is being registered"),
        ({"registered": False}, "is being registered"),
        ({"registered": False, "error": "datastore is away"}, "datastore is away"),
        ({"registered": True}, ""),
    ],
)
def test_a_disk_that_is_being_registered(status: dict[str, Any], excerpt: str) -> None:
    registering = look(registration("restored-a1", **status)).volumes.registering
    assert excerpt in registering.get("restored-a1", "")
    assert ("restored-a1" in registering) is bool(excerpt)


@pytest.mark.parametrize(
    ("namespace", "want"),
    [
        (vsphere_namespace(), True),
        (obj("Namespace", "x", api="v1", namespace="", meta={"labels": {"vSphereClusterID": "domain-c8"}}), True),
        (obj("Namespace", "x", api="v1", namespace=""), False),
        (obj("Namespace", "x", api="v1", namespace="", meta={"labels": {"kubernetes.io/metadata.name": "x"}}), False),
    ],
)
def test_a_vsphere_namespace_bears_its_marks(namespace: dict[str, Any], want: bool) -> None:  # noqa: FBT001 - a table
    assert is_vsphere_namespace(m(namespace)) is want


def owned_by(*managers: str) -> list[dict[str, Any]]:
    """Return the managed fields of a namespace whose marks these managers have written."""
    marks = {"f:annotations": {"f:vmware-system-vm-folder": {}}, "f:labels": {"f:vSphereClusterID": {}}}
    return [{"manager": manager, "fieldsV1": {"f:metadata": marks}} for manager in managers]


@pytest.mark.parametrize(
    ("managers", "want"), [(("velero-server",), False), (("velero-server", "wcp"), True), (("wcp",), True)]
)
def test_a_namespace_whose_marks_velero_alone_has_copied_is_a_plain_one(
    managers: tuple[str, ...],
    want: bool,  # noqa: FBT001 - a table
) -> None:
    namespace = vsphere_namespace()
    kubectl = {"manager": "kubectl", "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}}
    namespace["metadata"] |= {"labels": {"vSphereClusterID": "domain-c8"}}
    namespace["metadata"] |= {"managedFields": [kubectl, *owned_by(*managers)]}
    assert is_vsphere_namespace(m(namespace)) is want


def test_a_namespace_that_is_not_there_is_none() -> None:
    assert not observe(None, {}, machines=(), claims=(), name="shop", at=0.0, present={}).vsphere_namespace
