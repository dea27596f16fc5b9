"""What every Cluster must refuse, because an API server does: names, metadata and data that Kubernetes never stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.contract.cluster_objects import secret, vm_service
from velero_vmservice.errors import Conflict, InvalidItem, Rejected
from velero_vmservice.kube.manifest import SECRET, Manifest, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.kube.api import Cluster

REFUSED: Final[Mapping[str, Mapping[str, Any]]] = {
    "name in upper case": {"name": "Upper"},
    "name with an underscore": {"name": "under_score"},
    "name that begins with a dash": {"name": "-dash"},
    "name too long": {"name": "a" * 254},
    "label value with a slash": {"labels": {"restore-uid": "8f2c/20261124T100000Z"}},
    "label value that ends with a dash": {"labels": {"velero.io/restore-name": "ends-with-a-dash-"}},
    "label value too long": {"labels": {"velero.io/restore-name": "a" * 64}},
    "label key with two slashes": {"labels": {"two/slashes/name": "a"}},
    "label key in an upper-case domain": {"labels": {"Upper.example.com/name": "a"}},
    "annotation key with a blank": {"annotations": {"with blank": "a"}},
    "annotation key too long": {"annotations": {"a" * 64: "a"}},
    "annotations too long": {"annotations": {"note": "a" * 256 * 1024}},
    "owner without a UID": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": ""}]},
    "finalizer with blanks": {"finalizers": ["not a name"]},
}
REFUSED_IN_A_PATCH: Final[Mapping[str, Mapping[str, Any]]] = {
    "another name": {"name": "other"},
    "another namespace": {"namespace": "other"},
    "another UID": {"uid": "00000000-0000-0000-0000-000000000000"},
    "a time of deletion": {"deletionTimestamp": "2026-11-22T19:31:12Z"},
    "label value with slashes": {"labels": {"tier": "not/a/value"}},
    "annotations too long": {"annotations": {"note": "a" * 256 * 1024}},
}


class MetadataContract:
    """The part of the suite that is about what is never stored."""

    @pytest.mark.parametrize("metadata", REFUSED.values(), ids=REFUSED)
    def test_metadata_that_kubernetes_refuses_is_rejected(
        self, cluster: Cluster, namespace: str, metadata: dict[str, Any]
    ) -> None:
        refused = secret(namespace, "a").editable()
        refused["metadata"] |= metadata

        with pytest.raises(Rejected):
            cluster.create(Manifest(refused))
        with pytest.raises(Rejected):
            cluster.create(Manifest(refused), dry_run=True)
        assert not cluster.list(SECRET, namespace)

    def test_metadata_at_the_limits_is_taken(self, cluster: Cluster, namespace: str) -> None:
        taken = secret(namespace, "a.b-1" + "c" * 248).editable()
        taken["metadata"]["labels"] = {f"{'a' * 63}.example.com/{'N' * 63}": "A_b.c-9", "empty": "", "long": "9" * 63}
        taken["metadata"]["annotations"] = {"Upper.Example.com/Note": "a" * (256 * 1024 - 22)}

        assert cluster.create(Manifest(taken)).labels == taken["metadata"]["labels"]

    @pytest.mark.parametrize("name", ["9web", "web.example", "Web"])
    def test_a_service_is_named_more_strictly(self, cluster: Cluster, namespace: str, name: str) -> None:
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"port": 80}]},
        }

        with pytest.raises(Rejected):
            cluster.create(Manifest(service))

    @pytest.mark.parametrize(
        ("key", "value"), [("restore-uid", "8f2c/2026"), ("restore-uid", "a" * 64), ("two/slashes/name", "a")]
    )
    def test_a_list_is_not_chosen_by_what_no_label_can_be(
        self, cluster: Cluster, namespace: str, key: str, value: str
    ) -> None:
        with pytest.raises(Rejected):
            cluster.read_all(SECRET, namespace, lambda manifest: manifest, labels={key: value})

    @pytest.mark.parametrize("metadata", REFUSED_IN_A_PATCH.values(), ids=REFUSED_IN_A_PATCH)
    def test_a_patch_keeps_to_the_same_rules(
        self, cluster: Cluster, namespace: str, metadata: dict[str, Any], version: str, web: ObjectRef
    ) -> None:
        before = cluster.create(vm_service(namespace, "web", version))

        with pytest.raises((Rejected, Conflict)):
            cluster.patch(web, {"metadata": metadata}, version=version)
        assert cluster.get(web).metadata == before.metadata

    def test_a_patch_cannot_make_an_object_older(
        self, cluster: Cluster, namespace: str, version: str, web: ObjectRef
    ) -> None:
        before = cluster.create(vm_service(namespace, "web", version))
        change = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7}}

        cluster.patch(web, change, version=version)

        assert cluster.get(web).metadata["creationTimestamp"] == before.metadata["creationTimestamp"]
        assert cluster.get(web).metadata["generation"] == 1

    @pytest.mark.parametrize("name", ["a/b", "..", "a?dryRun=All"])
    def test_a_name_that_leads_elsewhere_is_never_asked_for(self, cluster: Cluster, namespace: str, name: str) -> None:
        with pytest.raises(InvalidItem):
            cluster.get(ObjectRef(SECRET, namespace, name))
        with pytest.raises(InvalidItem):
            cluster.create(secret(namespace, name))

    @pytest.mark.parametrize(
        "data", [{"not a key": "MQ=="}, {"number": 1}, {"text": "not base64"}], ids=["key", "number", "text"]
    )
    def test_data_that_kubernetes_refuses_is_rejected(
        self, cluster: Cluster, namespace: str, data: dict[str, Any]
    ) -> None:
        with pytest.raises(Rejected):
            cluster.create(Manifest(secret(namespace, "a").editable() | {"data": data}))
