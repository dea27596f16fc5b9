"""A Kubernetes object: untyped JSON with typed access to a few fields.

Manifests are captured and replayed as they are; a model of VirtualMachineService or VirtualMachineGroup would
lose the fields of unknown versions. So the JSON stays, and only the access is typed. Values are never changed in place:
a changed manifest is a new one.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.errors import InvalidItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DAMAGED: Final = "use another backup, as this one holds a damaged item"
VM_OPERATOR_GROUP: Final = "vmoperator.vmware.com"


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """One Kubernetes resource, without its version: `Kind("apps", "deployments", "Deployment")`."""

    group: str
    plural: str
    name: str

    @property
    def resource(self) -> str:
        """Velero's `resource.group` spelling, e.g. `services` or `virtualmachines.vmoperator.vmware.com`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


VIRTUAL_MACHINE: Final = Kind(VM_OPERATOR_GROUP, "virtualmachines", "VirtualMachine")
VIRTUAL_MACHINE_SERVICE: Final = Kind(VM_OPERATOR_GROUP, "virtualmachineservices", "VirtualMachineService")
VIRTUAL_MACHINE_GROUP: Final = Kind(VM_OPERATOR_GROUP, "virtualmachinegroups", "VirtualMachineGroup")
VMS_ALONE: Final = Kind(VM_OPERATOR_GROUP, "virtualmachines", "VirtualMachines")
"""The VMs of a namespace that belong to no captured object; a restore has one operation for them, without a name."""
CAPTURED_KINDS: Final = (VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE)

NAMESPACE: Final = Kind("", "namespaces", "Namespace")
SERVICE: Final = Kind("", "services", "Service")
ENDPOINTS: Final = Kind("", "endpoints", "Endpoints")
ENDPOINT_SLICE: Final = Kind("discovery.k8s.io", "endpointslices", "EndpointSlice")
RESOURCE_QUOTA: Final = Kind("", "resourcequotas", "ResourceQuota")
PERSISTENT_VOLUME_CLAIM: Final = Kind("", "persistentvolumeclaims", "PersistentVolumeClaim")
PERSISTENT_VOLUME: Final = Kind("", "persistentvolumes", "PersistentVolume")
CNS_REGISTER_VOLUME: Final = Kind("cns.vmware.com", "cnsregistervolumes", "CnsRegisterVolume")
SECRET: Final = Kind("", "secrets", "Secret")
CONFIG_MAP: Final = Kind("", "configmaps", "ConfigMap")
SERVICE_ACCOUNT: Final = Kind("", "serviceaccounts", "ServiceAccount")
DEFAULT_SERVICE_ACCOUNT: Final = "default"
"""Kubernetes creates one in every namespace, so every backup of a namespace has it."""
POD: Final = Kind("", "pods", "Pod")
DEPLOYMENT: Final = Kind("apps", "deployments", "Deployment")
CUSTOM_RESOURCE_DEFINITION: Final = Kind(
    "apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition"
)
CAPABILITIES: Final = Kind("iaas.vmware.com", "capabilities", "Capabilities")
VIRTUAL_MACHINE_CLASS: Final = Kind(VM_OPERATOR_GROUP, "virtualmachineclasses", "VirtualMachineClass")
"""Namespaced since v1alpha2."""
VIRTUAL_MACHINE_SET_RESOURCE_POLICY: Final = Kind(
    VM_OPERATOR_GROUP, "virtualmachinesetresourcepolicies", "VirtualMachineSetResourcePolicy"
)
STORAGE_CLASS: Final = Kind("storage.k8s.io", "storageclasses", "StorageClass")
"""Not namespaced; vCenter creates one for each storage policy."""
SUBNET: Final = Kind("crd.nsx.vmware.com", "subnets", "Subnet")
SUBNET_SET: Final = Kind("crd.nsx.vmware.com", "subnetsets", "SubnetSet")
VIRTUAL_NETWORK: Final = Kind("vmware.com", "virtualnetworks", "VirtualNetwork")
NETWORK: Final = Kind("netoperator.vmware.com", "networks", "Network")
NETWORK_SETTINGS: Final = Kind("netoperator.vmware.com", "networksettings", "NetworkSettings")
BACKUP: Final = Kind("velero.io", "backups", "Backup")
RESTORE: Final = Kind("velero.io", "restores", "Restore")
SCHEDULE: Final = Kind("velero.io", "schedules", "Schedule")
BACKUP_STORAGE_LOCATION: Final = Kind("velero.io", "backupstoragelocations", "BackupStorageLocation")


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Names one object; prints as `VirtualMachineGroup shop/web`, without a name as `VirtualMachines of shop`."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        if not self.name:
            return f"{self.kind.name} of {self.namespace}"
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.name} {where}"


@dataclass(frozen=True, slots=True)
class Owner:
    """One entry of `metadata.ownerReferences`."""

    group: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One Kubernetes object. `content` is never changed in place; `editable()` gives a copy to change."""

    content: Mapping[str, Any]

    @classmethod
    def read(cls, content: object) -> Manifest:
        """Wrap an object as received; raises `InvalidItem` if it lacks apiVersion, kind or a name."""
        if not isinstance(content, dict):
            raise InvalidItem("the item is not a JSON object", hint=_DAMAGED, goes_on=True)
        metadata = content.get("metadata")
        named = isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and metadata["name"]
        if not (isinstance(content.get("apiVersion"), str) and isinstance(content.get("kind"), str) and named):
            raise InvalidItem("the item has no apiVersion, kind or metadata.name", hint=_DAMAGED, goes_on=True)
        return cls(content)

    def editable(self) -> dict[str, Any]:
        """Return a deep copy that may be changed."""
        return copy.deepcopy(dict(self.content))

    def annotated(self, key: str, value: str) -> dict[str, Any]:
        """Return the object with one more annotation; the unchanged parts are shared, not copied.

        A backup does this for every item, and a deep copy would cost more than the rest of the work on a skipped item.
        """
        metadata = {**self.metadata, "annotations": {**self.annotations, key: value}}
        return {**self.content, "metadata": metadata}

    @property
    def metadata(self) -> Mapping[str, Any]:
        return mapping(self.content.get("metadata"))

    @property
    def spec(self) -> Mapping[str, Any]:
        return mapping(self.content.get("spec"))

    @property
    def status(self) -> Mapping[str, Any]:
        return mapping(self.content.get("status"))

    @property
    def kind_name(self) -> str:
        return str(self.content.get("kind", ""))

    @property
    def group(self) -> str:
        """The API group, '' for the core group."""
        group, _, version = str(self.content.get("apiVersion", "")).rpartition("/")
        return group if version else ""

    @property
    def version(self) -> str:
        """The API version without its group, e.g. `v1alpha5`."""
        return str(self.content.get("apiVersion", "")).rpartition("/")[2]

    @property
    def name(self) -> str:
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace", ""))

    @property
    def uid(self) -> str:
        return str(self.metadata.get("uid", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        return mapping(self.metadata.get("labels"))

    @property
    def annotations(self) -> Mapping[str, str]:
        return mapping(self.metadata.get("annotations"))

    @property
    def deleting(self) -> bool:
        """Whether the object's deletion was requested."""
        return bool(self.metadata.get("deletionTimestamp"))

    @property
    def created(self) -> datetime | None:
        """The time of creation; None if it is missing or not a time."""
        try:
            return datetime.fromisoformat(str(self.metadata.get("creationTimestamp"))).astimezone(UTC)
        except ValueError:
            return None

    @property
    def owners(self) -> Sequence[Owner]:
        return tuple(
            Owner(
                group=str(entry.get("apiVersion", "")).rpartition("/")[0],
                kind=str(entry.get("kind", "")),
                name=str(entry.get("name", "")),
                uid=str(entry.get("uid", "")),
            )
            for entry in sequence(self.metadata.get("ownerReferences"))
            if isinstance(entry, dict)
        )

    @property
    def owner_groups(self) -> tuple[tuple[str, str], ...]:
        """Name and UID of each VirtualMachineGroup that owns the object."""
        return tuple((owner.name, owner.uid) for owner in self.owners if owner.kind == VIRTUAL_MACHINE_GROUP.name)

    def condition(self, kind: str) -> Mapping[str, Any] | None:
        """Return the entry of `status.conditions` with that type, if there is one."""
        return condition(self.status, kind)


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the entry of a status' `conditions` with that type, if there is one."""
    for entry in sequence(status.get("conditions")):
        if isinstance(entry, dict) and entry.get("type") == kind:
            return entry
    return None


def is_true(entry: Mapping[str, Any] | None) -> bool:
    """Say whether a condition exists and is True."""
    return entry is not None and entry.get("status") == "True"


def compact_time(timestamp: object) -> str:
    """Return an RFC 3339 time in UTC and without punctuation, as in object keys; '' if it is not a time."""
    try:
        return datetime.fromisoformat(str(timestamp)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except ValueError:
        return ""


def mapping(value: object) -> Mapping[str, Any]:
    """Return the value if it is a JSON object, else an empty one: absent and malformed values are the same."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    """Return the value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else ()
