"""The definitions the tests' API server serves: VM Operator's, Velero's, and a plain one for each restricted kind."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e import build
from tests.e2e.releases import NEWEST, Release
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.cluster import Cluster

Manifest = dict[str, Any]

VM_OPERATOR = "vmoperator.vmware.com"
GROUPS = f"virtualmachinegroups.{VM_OPERATOR}"
RESTRICTED_KINDS = Path(__file__).parent / "data" / "restricted_kinds.txt"

# of the definitions made here
_VERSION = "v1alpha1"

# what the real definitions demand of an object
_REQUIRED_SPECS: dict[str, Manifest] = {
    "cnsnodevmattachments.cns.vmware.com": {"nodeuuid": "node-1", "volumename": "volume-1"},
    "cnsregistervolumes.cns.vmware.com": {"pvcName": "claim-1"},
    "virtualmachineservices.vmoperator.vmware.com": {
        "type": "ClusterIP",
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}],
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedKind:
    """A kind that velero-plugin-for-vsphere blocks, as `data/restricted_kinds.txt` has it."""

    plural: str
    group: str
    kind: str
    namespaced: bool

    @property
    def resource(self) -> str:
        """The name Velero and kubectl use, `plural.group`."""
        return f"{self.plural}.{self.group}"


def restricted_kinds() -> list[RestrictedKind]:
    """Return the 57 + 7 kinds in the order of the file."""
    kinds = []
    for line in RESTRICTED_KINDS.read_text().splitlines():
        if line and not line.startswith("#"):
            resource, kind, scope = line.split()
            plural, _, group = resource.partition(".")
            kinds.append(RestrictedKind(plural=plural, group=group, kind=kind, namespaced=scope == "Namespaced"))
    return kinds


def load(source: str) -> list[Manifest]:
    """Return the definitions of one `build.CRD_SOURCES` entry, ready for an API server without webhooks."""
    folder = build.CRDS / source
    if not folder.is_dir():
        raise build.BuildError("the definitions are not there yet; run `python -m tests.e2e.build crds`")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where libyaml is there
    documents = [
        document
        for file in sorted(folder.glob("*.yaml"))
        for document in yaml.load_all(file.read_text(), Loader=loader)
        if document
    ]
    for document in documents:
        # Versions are converted by VM Operator's webhook, which does not run here: the server then only rewrites
        # apiVersion, as for a definition without conversion.
        document["spec"].pop("conversion", None)
        document.pop("status", None)
    return documents


def supervisor(release: Release = NEWEST) -> list[Manifest]:
    """Return all definitions that make an API server look like a Supervisor's of that release."""
    vm_operator = [_as_released(definition, release) for definition in _with_v1alpha6(load("vm-operator"))]
    real = [definition for definition in vm_operator if definition["spec"]["versions"]]
    known = {definition["metadata"]["name"] for definition in real}
    return [*real, *(_anything_goes(kind) for kind in restricted_kinds() if kind.resource not in known)]


def _as_released(definition: Manifest, release: Release) -> Manifest:
    """Return a definition with the versions of a release, stored at the newest; none if it has not that kind."""
    if definition["spec"]["group"] != VM_OPERATOR:
        return definition
    has = release.groups if definition["metadata"]["name"] == GROUPS else release.api
    versions = [version for version in definition["spec"]["versions"] if version["name"] in has]
    for version in versions:
        version["storage"] = version is versions[-1]
        fields = version["schema"]["openAPIV3Schema"]["properties"].get("spec", {}).get("properties", {})
        if not release.groups:
            fields.pop("groupName", None)
    definition["spec"]["versions"] = versions
    return definition


def _with_v1alpha6(definitions: list[Manifest]) -> list[Manifest]:
    """Put v1alpha6 above what VM Operator's newest public release has.

    Only what it adds to the kinds that the product replays is there (api/v1alpha6).
    """
    for definition in definitions:
        versions = definition["spec"]["versions"]
        if definition["spec"]["group"] != VM_OPERATOR or versions[-1]["name"] != "v1alpha5":
            continue
        newer = copy.deepcopy(versions[-1]) | {"name": "v1alpha6"}
        versions[-1]["storage"] = False
        versions.append(newer)
        spec = newer["schema"]["openAPIV3Schema"]["properties"].get("spec", {}).get("properties", {})
        if definition["spec"]["names"]["kind"] == "VirtualMachineGroup":
            spec["bootOrder"]["items"]["properties"]["powerOffDelay"] = {"type": "string"}
        if definition["spec"]["names"]["kind"] == "VirtualMachineService":
            spec["ipFamilies"] = {"type": "array", "items": {"type": "string"}}
            spec["ipFamilyPolicy"] = {"type": "string"}
    return definitions


def serve_as(cluster: Cluster, release: Release) -> None:
    """Have a cluster serve VM Operator's kinds as another Supervisor does; what is stored stays as it is."""
    for definition in cluster.all("customresourcedefinitions.apiextensions.k8s.io"):
        if definition["spec"]["group"] == VM_OPERATOR:
            patch = json.dumps(list(_served_as(definition, release)))
            cluster.kubectl("patch", "crd", definition["metadata"]["name"], "--type=json", f"--patch={patch}")
    wanted = {f"{VM_OPERATOR}/{version}" for version in release.api}

    def is_served() -> bool:
        versions = {version for version in cluster.kubectl("api-versions").split() if version.startswith(VM_OPERATOR)}
        resources = cluster.kubectl("api-resources", "--cached=false", "--no-headers", "-oname").split()
        return versions == wanted and (GROUPS in resources) is bool(release.groups)

    wait_until(is_served, 60, f"{release.newest_api} is the newest that is served")
    cluster.discover_again()


def _served_as(definition: Manifest, release: Release) -> Iterator[Manifest]:
    """Yield the changes to a definition, without the field of VMs that came with groups where there are none."""
    has = release.groups if definition["metadata"]["name"] == GROUPS else release.api
    for number, version in enumerate(definition["spec"]["versions"]):
        path = f"/spec/versions/{number}"
        yield {"op": "replace", "path": f"{path}/served", "value": version["name"] in has}
        fields = version["schema"]["openAPIV3Schema"]["properties"].get("spec", {}).get("properties", {})
        if not release.groups and "groupName" in fields:
            where = "schema/openAPIV3Schema/properties/spec/properties/groupName"
            yield {"op": "remove", "path": f"{path}/{where}"}


def one_of_each_restricted_kind(namespace: str, release: Release = NEWEST) -> list[Manifest]:
    """Return one minimal object of each of the 57 + 7 kinds, the namespaced ones in this namespace."""
    served = {definition["metadata"]["name"]: served_versions(definition) for definition in supervisor(release)}
    objects = []
    for kind in restricted_kinds():
        metadata = {"name": f"one-{namespace}"}
        if kind.namespaced:
            metadata["namespace"] = namespace
        objects.append(
            {
                "apiVersion": f"{kind.group}/{served[kind.resource][-1]}",
                "kind": kind.kind,
                "metadata": metadata,
                "spec": _REQUIRED_SPECS.get(kind.resource, {}),
            }
        )
    return objects


def served_versions(definition: Mapping[str, Any]) -> list[str]:
    """Return the API versions that a definition serves, as written."""
    return [version["name"] for version in definition["spec"]["versions"] if version["served"]]


def _anything_goes(kind: RestrictedKind) -> Manifest:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
    }
    version = {
        "name": _VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version],
        },
    }
