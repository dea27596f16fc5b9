"""Namespaces with many VMs, as they are before a loss and while they come back.

VM Operator is not played: what it would have written of a VM is written with the VM. VMs and claims go
straight into etcd, as the API server would have stored them: to create 10,000 of them takes minutes.
"""

from __future__ import annotations

import base64
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client, config

from tests.emulator import machines
from tests.emulator.kubernetes.cluster import VM_OPERATOR_API
from tests.emulator.vm_operator.records import BACKUP_VERSION
from tests.emulator.vm_operator.vm_controller import MANAGER_ID, PAUSED
from tests.emulator.wcp import registered_vm
from tests.emulator.wcp.registered_vm import KEPT_IN_PLACE, RestoreKind
from tests.waiting import wait_until
from velero_vmservice.adapters.kubernetes.client import PAGE_SIZE as PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.e2e.cluster import Cluster
    from tests.emulator.kubernetes.cluster import Object

VM: Final = "virtualmachines"
GROUP: Final = "virtualmachinegroups"
SERVICE: Final = "virtualmachineservices"
CLAIM: Final = "persistentvolumeclaims"
_APIS: Final = {"backups": "apis/velero.io/v1", "cnsregistervolumes": "apis/cns.vmware.com/v1alpha1"}
_ROOTS: Final = 10
"""One group in so many is the parent of those after it."""
_DISKS: Final = 10
"""One VM in so many has a data volume."""
_THREADS: Final = 8
_TRANSACTION: Final = 100
"""Puts in one transaction: etcd takes 128 of them, and 1.5 MiB."""
_ETCD_URL: Final = "--listen-client-urls="
_SETTLED_SECONDS: Final = 180
_MERGE: Final = "application/merge-patch+json"
_CONDITIONS: Final = (
    "VirtualMachineBackupUpToDate",
    "VirtualMachineBootstrapReady",
    "VirtualMachineClassReady",
    "VirtualMachineConditionPlacementReady",
    "VirtualMachineCreated",
    "VirtualMachineImageReady",
    "VirtualMachineNetworkReady",
    "VirtualMachinePowerStateSynced",
    "VirtualMachineReconcileReady",
    "VirtualMachineStorageReady",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How many there are; every VM is behind one service and in one group, groups have parents."""

    machines: int
    services: int
    groups: int

    def __str__(self) -> str:
        return f"{self.machines:,} VMs, {self.services:,} services, {self.groups:,} groups"

    @property
    def late(self) -> Sequence[int]:
        """The VMs that come back last: one behind each service, and no group is without."""
        return range(0, self.machines, self.machines // self.services)

    def vms(self, namespace: str) -> list[Object]:
        """Return the VMs as they run before the loss."""
        return [self._vm(namespace, number) for number in range(self.machines)]

    def objects(self, namespace: str) -> Iterator[tuple[str, Object]]:
        """Yield the groups and services, each with its plural."""
        leaves: dict[str, list[tuple[str, str]]] = {}
        for number in range(self.machines):
            leaves.setdefault(self._leaf(number), []).append(("VirtualMachine", _vm_name(number)))
        for root in range(0, self.groups, _ROOTS):
            children = [_group_name(leaf) for leaf in range(root + 1, min(root + _ROOTS, self.groups))]
            order = [[("VirtualMachineGroup", name)] for name in children]
            yield GROUP, machines.group(_group_name(root), namespace=namespace, order=order)
            for name in children:
                order = [leaves.get(name, [])]
                yield GROUP, machines.group(name, namespace=namespace, order=order, parent=_group_name(root))
        for number in range(self.services):
            selector = {"app": _app(number)}
            yield SERVICE, machines.service(f"service-{number:04}", namespace=namespace, selector=selector)

    def _vm(self, namespace: str, number: int) -> Object:
        made = machines.virtual_machine(
            _vm_name(number),
            namespace=namespace,
            labels={"app": _app(number * self.services // self.machines), "tier": "web"},
            group=self._leaf(number),
            volumes=("data",) if number % _DISKS == 0 else (),
            secret="bootstrap",
        )
        annotations = {BACKUP_VERSION: "1760000000000", MANAGER_ID: "1d4ca1f8-3d1b-4a42-9f0e-1a3c5b7d9e21"}
        made["metadata"]["annotations"] = annotations | dict.fromkeys(KEPT_IN_PLACE, "v1.10.0") | {"owner": "bench"}
        return _with_status(made, number)

    def _leaf(self, number: int) -> str:
        leaves = [group for group in range(self.groups) if group % _ROOTS]
        return _group_name(leaves[number * len(leaves) // self.machines])


def restored(vm: Object, number: int, namespace: str, *, paused: bool) -> Object:
    """Return a VM as RegisterVM brings it into a namespace, with its pause or without."""
    claims = {volume["name"]: f"restored-{number:06x}" for volume in vm["spec"]["volumes"]}
    back = registered_vm.created(vm, namespace=namespace, kind=RestoreKind.NEW, claims=claims, keep_owners=False)
    if not paused:
        del back["metadata"]["annotations"][PAUSED]
    return _with_status(back, number)


class RefusedError(AssertionError):
    """The API server, or etcd, has not done what it was asked for."""


class Writer:
    """The administrator's hand: writes many objects at once, and reads what others read as a bare client does."""

    def __init__(self, cluster: Cluster) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)
        self._host = settings.host
        self._etcd_url = next(word.removeprefix(_ETCD_URL) for word in cluster.etcd.argv if word.startswith(_ETCD_URL))
        self._pool = urllib3.PoolManager(
            maxsize=_THREADS,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            ca_certs=settings.ssl_ca_cert,
        )

    def create(self, path: str, objects: Iterable[Object]) -> list[Object]:
        """Create objects below a path and return them as stored, in the same order."""
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(lambda manifest: self._ask("POST", path, manifest), objects))

    def store(self, plural: str, namespace: str, objects: Sequence[Object]) -> None:
        """Write objects of one shape, status included, past the API server, which has looked at the first of them."""
        if not objects:
            return
        first = self._ask("POST", f"{collection(plural, namespace)}?dryRun=All", objects[0])
        group = VM_OPERATOR_API.partition("/")[0] + "/" if plural == VM else ""
        for start in range(0, len(objects), _TRANSACTION):
            batch = objects[start : start + _TRANSACTION]
            puts = [
                {
                    "requestPut": {
                        "key": _encoded(f"/registry/{group}{plural}/{namespace}/{_name(item)}".encode()),
                        "value": _encoded(json.dumps(_stored(item, first)).encode()),
                    }
                }
                for item in batch
            ]
            self._send("POST", f"{self._etcd_url}/v3/kv/txn", {"success": puts})

    def settle(self, path: str, count: int) -> None:
        """Wait until the API server's cache has taken in so many stored objects, and it answers again."""
        wait_until(lambda: self._counted(path) == count, _SETTLED_SECONDS, f"{count} objects at {path}")

    def _counted(self, path: str) -> int:
        try:
            return self.list(path)
        except RefusedError:
            return -1

    def patch(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Merge a change into each object that is named by its path."""
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda path: self._ask("PATCH", path, changes[path], content=_MERGE), changes))

    def get(self, path: str) -> Object:
        return self._ask("GET", path)

    def list(self, path: str) -> int:
        """Read a list in pages of the size that the product asks for; return how many objects it has."""
        count, token = 0, ""
        while True:
            page = self._ask("GET", f"{path}?limit={PAGE}" + (f"&continue={token}" if token else ""))
            count += len(page["items"])
            token = page["metadata"].get("continue", "")
            if not token:
                return count

    def _ask(self, method: str, path: str, body: Any = None, *, content: str = "application/json") -> Object:
        return self._send(method, f"{self._host}{path}", body, content=content)

    def _send(self, method: str, url: str, body: Any = None, *, content: str = "application/json") -> Object:
        given = {} if body is None else {"body": json.dumps(body), "headers": {"Content-Type": content}}
        answer = self._pool.request(method, url, **given)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(f"{method} {url}: {answer.status} {answer.data[:1000]!r}")
        decoded: Object = json.loads(answer.data)
        return decoded


def _stored(item: Object, first: Object) -> Object:
    """Return an object as the API server would store it, after what it made of another of its shape."""
    metadata = {**first["metadata"], "uid": str(uuid.uuid4()), **item["metadata"]}
    return {**first, **item, "metadata": metadata, "spec": {**first["spec"], **item["spec"]}}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _name(item: Object) -> str:
    name: str = item["metadata"]["name"]
    return name


def collection(plural: str, namespace: str) -> str:
    """Return the path of a kind's objects in a namespace."""
    api = f"apis/{VM_OPERATOR_API}" if plural.startswith(VM[:-1]) else _APIS.get(plural, "api/v1")
    return f"/{api}/namespaces/{namespace}/{plural}"


def populate(writer: Writer, namespace: str, vms: Sequence[Object]) -> None:
    """Write VMs and their bound claims."""
    bound = [claim | {"status": {"phase": "Bound"}} for vm in vms for claim in machines.claims_of(vm)]
    writer.store(CLAIM, namespace, bound)
    writer.store(VM, namespace, vms)


def release(writer: Writer, namespace: str, numbers: Iterable[int]) -> None:
    """Have RegisterVM take its pause away."""
    where = collection(VM, namespace)
    unpaused = {"metadata": {"annotations": {PAUSED: None}}}
    writer.patch({f"{where}/{_vm_name(number)}": unpaused for number in numbers})


def _with_status(vm: Object, number: int) -> Object:
    """Add what VM Operator says of a VM that it has reconciled."""
    spec, on = vm["spec"], vm["spec"]["powerState"] == "PoweredOn"
    address = {"primaryIP4": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"} if on else {}
    volumes = [{"name": volume["name"], "type": "Managed", "attached": True} for volume in spec["volumes"]]
    conditions = [
        {"type": kind, "status": "True", "reason": "True", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}
        for kind in _CONDITIONS
    ]
    status = {
        "uniqueID": f"vm-{number}",
        "biosUUID": spec["biosUUID"],
        "instanceUUID": spec["instanceUUID"],
        "powerState": spec["powerState"],
        "nodeName": f"esx-{number % 16}.example.com",
        "zone": f"zone-{number % 3}",
        "hardwareVersion": 21,
        "network": address,
        "volumes": volumes,
        "conditions": conditions,
    }
    return {**vm, "status": status}


def _vm_name(number: int) -> str:
    return f"machine-{number:05}"


def _group_name(number: int) -> str:
    return f"group-{number:03}"


def _app(number: int) -> str:
    return f"app-{number:04}"
