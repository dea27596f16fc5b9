"""What every Cluster must hold. Subclass, give `cluster` and `namespace` fixtures, and pytest runs the suite.

`cluster` serves VM Operator's kinds, `namespace` exists, is empty and belongs to the test; a cluster that reads
its lists in pages should have small ones. Nothing here needs a controller, a webhook or a status.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.cluster_objects import secret, vm_service
from tests.contract.metadata_contract import MetadataContract
from velero_vmservice.errors import AlreadyExists, Conflict, NotFound, Rejected
from velero_vmservice.kube.manifest import (
    NAMESPACE,
    SECRET,
    SERVICE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    VM_OPERATOR_GROUP,
    Kind,
    Manifest,
    ObjectRef,
)
from velero_vmservice.kube.names import full_name
from velero_vmservice.vmoperator.releases import newest

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster

_UNSERVED = Kind("nowhere.example.com", "nothings", "Nothing")


class ClusterContract(MetadataContract):
    """The suite."""

    @pytest.fixture(name="cluster")
    def _cluster(self) -> Cluster:
        """Return the cluster under test."""
        raise NotImplementedError

    @pytest.fixture(name="namespace")
    def _namespace(self) -> str:
        """Return the name of an existing, empty namespace."""
        raise NotImplementedError

    @pytest.fixture(name="group_versions")
    def _group_versions(self) -> set[str]:
        """Return versions at which VirtualMachineGroups are served; none where they are not."""
        return {"v1alpha5"}

    @pytest.fixture(name="version")
    def _version(self, cluster: Cluster) -> str:
        """Return the newest served version of VirtualMachineService."""
        version = newest(cluster.served_versions(VIRTUAL_MACHINE_SERVICE))
        assert version
        return version

    @pytest.fixture(name="web")
    def _web(self, namespace: str) -> ObjectRef:
        """Name the object that most tests create."""
        return ObjectRef(VIRTUAL_MACHINE_SERVICE, namespace, "web")

    def test_the_rights_of_the_process_are_asked_for_and_nothing_is_done(
        self, cluster: Cluster, namespace: str
    ) -> None:
        before = [item.name for item in cluster.list(SECRET, namespace)]
        assert cluster.allowed("create", SECRET, namespace)
        assert cluster.allowed("list", SECRET, "")
        assert [item.name for item in cluster.list(SECRET, namespace)] == before

    def test_served_versions_are_those_of_the_kind(self, cluster: Cluster, group_versions: set[str]) -> None:
        assert list(cluster.served_versions(SERVICE)) == ["v1"]
        served = set(cluster.served_versions(VIRTUAL_MACHINE_GROUP))
        assert served >= group_versions
        assert bool(served) is bool(group_versions)
        assert not cluster.served_versions(_UNSERVED)
        assert not cluster.served_versions(Kind(VM_OPERATOR_GROUP, "nothings", "Nothing"))

    def test_a_plural_is_the_servers_own(self, cluster: Cluster) -> None:
        assert cluster.plural("", "Secret") == "secrets"
        assert cluster.plural("", "Endpoints") == "endpoints"  # one without a regular ending
        assert cluster.plural(VM_OPERATOR_GROUP, "VirtualMachineService") == "virtualmachineservices"
        assert cluster.plural(_UNSERVED.group, _UNSERVED.name) == ""
        assert cluster.plural(VM_OPERATOR_GROUP, "Nothing") == ""
        assert cluster.plural("", "VirtualMachineService") == ""

    def test_a_group_is_served_if_any_version_of_it_is(self, cluster: Cluster) -> None:
        assert cluster.serves_group(VM_OPERATOR_GROUP)
        assert cluster.serves_group("")
        assert not cluster.serves_group(_UNSERVED.group)

    def test_resources_are_listed_with_all_their_names(self, cluster: Cluster, group_versions: set[str]) -> None:
        served = cluster.resources()
        resources = {resource.kind.resource: resource for resource in served}

        assert resources["secrets"].names == ("secrets", "secret")
        assert resources[VIRTUAL_MACHINE_SERVICE.resource].kind == VIRTUAL_MACHINE_SERVICE
        assert full_name("vmg", served) == (VIRTUAL_MACHINE_GROUP.resource if group_versions else "vmg")
        assert full_name("vmservice", served) == VIRTUAL_MACHINE_SERVICE.resource
        assert full_name("virtualmachineservice", served) == VIRTUAL_MACHINE_SERVICE.resource
        assert len(resources) == len(served)

    def test_a_created_object_is_read_back(
        self, cluster: Cluster, namespace: str, version: str, web: ObjectRef
    ) -> None:
        created = cluster.create(vm_service(namespace, "web", version))
        manifest = cluster.get(web)

        assert manifest.uid
        assert manifest.uid == created.uid
        assert manifest.metadata["resourceVersion"] == created.metadata["resourceVersion"]
        assert manifest.metadata["creationTimestamp"]
        assert manifest.spec["selector"] == {"app": "web", "tier": "front"}
        assert manifest.annotations["note"] == "kept"
        assert (manifest.group, manifest.kind_name) == (VM_OPERATOR_GROUP, "VirtualMachineService")

    def test_a_status_is_never_created(self, cluster: Cluster, namespace: str, version: str, web: ObjectRef) -> None:
        cluster.create(vm_service(namespace, "web", version))

        assert not cluster.get(web).status.get("loadBalancer", {}).get("ingress")

    def test_creating_what_exists_is_refused_and_changes_nothing(self, cluster: Cluster, namespace: str) -> None:
        cluster.create(secret(namespace, "a", first="MQ=="))

        with pytest.raises(AlreadyExists, match=f"{namespace}/a"):
            cluster.create(secret(namespace, "a", second="Mg=="))
        assert cluster.get(ObjectRef(SECRET, namespace, "a")).content["data"] == {"first": "MQ=="}

    def test_an_object_taken_from_a_cluster_as_it_is_cannot_be_created(self, cluster: Cluster, namespace: str) -> None:
        taken = secret(namespace, "b").editable()
        taken["metadata"]["resourceVersion"] = cluster.create(secret(namespace, "a")).metadata["resourceVersion"]

        with pytest.raises(Rejected, match=r"resourceVersion"):
            cluster.create(Manifest(taken))
        assert [manifest.name for manifest in cluster.list(SECRET, namespace)] == ["a"]

    def test_a_dry_run_creates_nothing(self, cluster: Cluster, namespace: str, version: str, web: ObjectRef) -> None:
        shown = cluster.create(vm_service(namespace, "web", version), dry_run=True)

        assert shown.name == "web"
        with pytest.raises(NotFound):
            cluster.get(web)
        cluster.create(vm_service(namespace, "web", version))
        with pytest.raises(AlreadyExists):
            cluster.create(vm_service(namespace, "web", version), dry_run=True)

    def test_a_namespace_that_does_not_exist_is_not_found(self, cluster: Cluster) -> None:
        with pytest.raises(NotFound, match="no-such-namespace"):
            cluster.create(secret("no-such-namespace", "a"))
        with pytest.raises(NotFound, match="no-such-namespace"):
            cluster.create(secret("no-such-namespace", "a"), dry_run=True)

    def test_a_version_or_kind_that_is_not_served_cannot_be_written(
        self, cluster: Cluster, namespace: str, web: ObjectRef
    ) -> None:
        with pytest.raises(Rejected, match=f"{namespace}/web"):
            cluster.create(vm_service(namespace, "web", "v9alpha9"))
        with pytest.raises(Rejected, match="Nothing"):
            cluster.create(
                Manifest(
                    {
                        "apiVersion": "nowhere.example.com/v1",
                        "kind": "Nothing",
                        "metadata": {"name": "a", "namespace": namespace},
                    }
                )
            )
        with pytest.raises(Rejected, match=f"{namespace}/web"):
            cluster.patch(web, {"metadata": {"labels": {"a": "b"}}}, version="v9alpha9")

    def test_an_object_that_is_not_there_is_not_found(self, cluster: Cluster, namespace: str, web: ObjectRef) -> None:
        with pytest.raises(NotFound, match=f"VirtualMachineService {namespace}/web"):
            cluster.get(web)
        with pytest.raises(NotFound, match=f"Nothing {namespace}/a"):
            cluster.get(ObjectRef(_UNSERVED, namespace, "a"))
        with pytest.raises(NotFound, match=f"{namespace}/web"):
            cluster.patch(web, {"spec": {}}, version=cluster.served_versions(VIRTUAL_MACHINE_SERVICE)[0])

    def test_a_version_that_is_not_served_cannot_be_read(
        self, cluster: Cluster, namespace: str, version: str, web: ObjectRef
    ) -> None:
        cluster.create(vm_service(namespace, "web", version))

        with pytest.raises(NotFound, match=f"{namespace}/web"):
            cluster.get(web, version="v9alpha9")

    def test_reading_answers_at_the_version_asked_for_and_else_the_newest(
        self, cluster: Cluster, namespace: str, version: str, web: ObjectRef
    ) -> None:
        cluster.create(vm_service(namespace, "web", version))

        assert cluster.get(web).version == version
        for served in cluster.served_versions(VIRTUAL_MACHINE_SERVICE):
            assert cluster.get(web, version=served).version == served

    def test_an_object_without_namespace_is_read(self, cluster: Cluster, namespace: str) -> None:
        assert cluster.get(ObjectRef(NAMESPACE, "", namespace)).name == namespace

    def test_a_list_holds_the_namespaces_objects_whole_and_by_name(self, cluster: Cluster, namespace: str) -> None:
        for name in ("c", "a", "e", "b", "d"):
            cluster.create(secret(namespace, name, key="dg=="))

        secrets = cluster.list(SECRET, namespace)

        assert [secret.name for secret in secrets] == ["a", "b", "c", "d", "e"]
        for stored in secrets:
            assert (stored.content["apiVersion"], stored.kind_name) == ("v1", "Secret")
            assert stored.labels["tier"] == "web"
            assert stored.content["data"] == {"key": "dg=="}
            assert stored.uid
            assert "managedFields" not in stored.metadata

    def test_objects_can_be_read_as_they_come_in_the_order_of_a_list(self, cluster: Cluster, namespace: str) -> None:
        for name in ("c", "a", "b"):
            cluster.create(secret(namespace, name, key="dg=="))

        assert cluster.read_all(SECRET, namespace, lambda secret: (secret.name, secret.content["apiVersion"])) == [
            ("a", "v1"),
            ("b", "v1"),
            ("c", "v1"),
        ]

    def test_objects_that_bear_other_labels_are_not_read(self, cluster: Cluster, namespace: str) -> None:
        for number in range(6):
            cluster.create(secret(namespace, f"web-{number}"))
            cluster.create(secret(namespace, f"db-{number}", tier="db"))
        read: list[str] = []

        def name(manifest: Manifest) -> str:
            read.append(manifest.name)
            return manifest.name

        chosen = {"made-by": "contract", "tier": "db"}
        assert cluster.read_all(SECRET, namespace, name, labels=chosen) == [f"db-{number}" for number in range(6)]
        assert sorted(read) == [f"db-{number}" for number in range(6)]
        assert cluster.read_all(SECRET, namespace, name, labels=chosen | {"made-by": "another"}) == []

    def test_metadata_is_all_that_is_read_where_that_is_asked_for(self, cluster: Cluster, namespace: str) -> None:
        cluster.create(secret(namespace, "a"))

        def read(manifest: Manifest) -> tuple[str, str, str, bool]:
            return (
                manifest.name,
                manifest.kind_name,
                manifest.content["apiVersion"],
                bool({"data", "stringData"} & manifest.content.keys()),
            )

        assert cluster.read_all(SECRET, namespace, read, metadata_only=True) == [("a", "Secret", "v1", False)]

    def test_a_list_answers_at_the_newest_version(self, cluster: Cluster, namespace: str, version: str) -> None:
        cluster.create(vm_service(namespace, "web", version))

        (service,) = cluster.list(VIRTUAL_MACHINE_SERVICE, namespace)
        assert service.content["apiVersion"] == f"{VM_OPERATOR_GROUP}/{version}"
        assert service.kind_name == "VirtualMachineService"

    def test_a_list_without_namespace_holds_all(self, cluster: Cluster, namespace: str) -> None:
        cluster.create(secret(namespace, "a"))

        assert namespace in {listed.name for listed in cluster.list(NAMESPACE, "")}
        assert (namespace, "a") in {(secret.namespace, secret.name) for secret in cluster.list(SECRET, "")}

    def test_a_list_of_nothing_is_empty(self, cluster: Cluster, namespace: str) -> None:
        assert not cluster.list(VIRTUAL_MACHINE_GROUP, namespace)
        assert not cluster.list(SECRET, "no-such-namespace")
        assert not cluster.list(_UNSERVED, namespace)

    def test_a_patch_merges(self, cluster: Cluster, namespace: str, version: str, web: ObjectRef) -> None:
        before = cluster.create(vm_service(namespace, "web", version))

        after = cluster.patch(
            web,
            {
                "metadata": {"annotations": {"note": None, "added": "yes"}},
                "spec": {
                    "selector": {"tier": None},
                    "ports": [{"name": "tls", "port": 443, "protocol": "TCP", "targetPort": 8443}],
                },
            },
            version=version,
        )

        assert cluster.get(web).content == after.content
        assert after.uid == before.uid
        assert after.metadata["resourceVersion"] != before.metadata["resourceVersion"]
        assert after.annotations.get("added") == "yes"
        assert "note" not in after.annotations
        assert after.spec["selector"] == {"app": "web"}
        assert after.spec["type"] == "LoadBalancer"
        assert [port["name"] for port in after.spec["ports"]] == ["tls"]

    def test_a_dry_run_patches_nothing(self, cluster: Cluster, namespace: str, version: str, web: ObjectRef) -> None:
        before = cluster.create(vm_service(namespace, "web", version))

        shown = cluster.patch(web, {"metadata": {"labels": {"new": "yes"}}}, version=version, dry_run=True)

        assert shown.labels.get("new") == "yes"
        assert cluster.get(web).labels == before.labels

    def test_a_patch_never_writes_the_status(
        self, cluster: Cluster, namespace: str, version: str, web: ObjectRef
    ) -> None:
        cluster.create(vm_service(namespace, "web", version))

        cluster.patch(web, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}}, version=version)

        assert not cluster.get(web).status.get("loadBalancer", {}).get("ingress")

    def test_a_patch_of_an_older_state_is_a_conflict(self, cluster: Cluster, namespace: str) -> None:
        ref = ObjectRef(SECRET, namespace, "a")
        before = cluster.create(secret(namespace, "a")).metadata["resourceVersion"]
        cluster.patch(ref, {"metadata": {"labels": {"tier": "db"}}}, version="v1")
        late: dict[str, Any] = {"metadata": {"resourceVersion": before, "labels": {"tier": "late"}}}

        with pytest.raises(Conflict, match=f"{namespace}/a"):
            cluster.patch(ref, late, version="v1")
        assert cluster.get(ref).labels["tier"] == "db"

    def test_an_event_never_fails(self, cluster: Cluster, namespace: str, version: str, web: ObjectRef) -> None:
        uid = cluster.create(vm_service(namespace, "web", version)).uid

        cluster.event(web, uid=uid, reason="ReplayWaiting", message="web waits for 2 of 3 VMs")
        cluster.event(web, uid=uid, reason="ReplayFailed", message="x" * 5000, warning=True)
        cluster.event(ObjectRef(SECRET, "no-such-namespace", "a"), uid="", reason="Nowhere", message="lost")

    def test_many_threads_may_ask_at_once(self, cluster: Cluster, namespace: str) -> None:
        names = [f"secret-{number}" for number in range(16)]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: cluster.create(secret(namespace, name)), names))
            names_read = list(pool.map(lambda name: cluster.get(ObjectRef(SECRET, namespace, name)).name, names))

        assert names_read == names
