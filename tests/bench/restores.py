"""A restore that waits: what each of Velero's rounds asks of the real API server, and how long each poll takes.

Every machine but two of each group is back, so that nothing can be replayed; Velero polls every operation, one after
the other, with a process launched for each round. Requests are counted in the API server's own audit log. Then the last
machines come, and the rounds until everything is replayed are counted; nobody plays VM Operator, so nothing is
verified. Last, a restore waits in a namespace of 10,000 machines, for the sidecar's memory.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kubernetes.config import new_client_from_config

from tests.bench.processes import resident_mebibytes
from tests.bench.table import Row
from tests.e2e.sidecar import LAUNCHER, Sidecar
from tests.e2e.stack import Stack
from tests.rpc.velero_host import PluginProcess
from tests.supervisor import machines
from velero_vmservice.adapters.kubernetes import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.velero import VeleroServer

Json = dict[str, Any]

_CAPTURE = "velero-plugin-for-vmservice/capture"
_REPLAY = "velero-plugin-for-vmservice/replay"
_API = "/apis/vmoperator.vmware.com/v1alpha5/namespaces"
_USER_AGENT = "velero-vmservice"
_STARTED = "2026-01-02T03:04:05Z"
_ROUND_SECONDS = 5.2
"""A look serves every poll of 5 s; Velero's own rounds are 10 s apart."""
_WAITING_ROUNDS = 3
_MOST_ROUNDS = 10
_WRITERS = 12
_PER_GROUP = 10
_PER_SERVICE = 5
_MANY_PER_GROUP = 500


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How many machines a restore waits in the midst of; a group for ten of them, a service for five."""

    machines: int
    memory_limit: float = 150.0

    @property
    def groups(self) -> int:
        return self.machines // _PER_GROUP

    @property
    def services(self) -> int:
        return self.machines // _PER_SERVICE

    @property
    def words(self) -> str:
        return f"{self.machines:,} VMs, {self.services} services, {self.groups} groups"


@dataclass(frozen=True, kw_only=True)
class Waited:
    """What one restore cost."""

    requests: float
    """Of the sidecar to the API server in a waiting round, median."""
    polls: Sequence[float]
    """Seconds of each Progress call in the waiting rounds."""
    rounds: int
    """From the last machine to all replayed."""
    bare_list: float
    """Seconds that a bare LIST of the namespace's machines takes, median."""


def measure(*, small: int, large: int, many: int) -> list[Row]:
    """Measure two sizes, and the memory beside `many` machines."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _Place(Path(name)) as place:
        before, after = (place.restore(f"bench-{size}", Scale(machines=size)) for size in (small, large))
        memory = place.wait_beside("bench-many", many)
        velero = resident_mebibytes(place.server.process.pid)
    return [*_rows(Scale(machines=small), before, Scale(machines=large), after), *_memory(many, memory, velero)]


def _rows(small: Scale, before: Waited, large: Scale, after: Waited) -> Iterator[Row]:
    pages = 1 + (large.machines - 1) // PAGE_SIZE
    yield Row(
        part="e",
        measured=f"API requests per waiting round, {large.words}",
        ours=after.requests,
        peer=f"{small.words}, and {pages - 1} more pages of machines",
        theirs=before.requests + pages - 1,
        target=1.0,
    )
    for measured, share in (("median", 0.5), ("p99", 0.99)):
        yield Row(
            part="e",
            measured=f"one Progress call while {large.words} wait, {measured} of {len(after.polls)}",
            ours=_quantile(after.polls, share) * 1000,
            unit="ms",
            peer="bare LIST of the machines",
            theirs=after.bare_list * 1000,
        )
    yield Row(
        part="e",
        measured="rounds from the last VM ready to all replayed",
        ours=float(after.rounds),
        target=3.0,
    )


def _memory(many: int, ours: float, velero: float) -> Iterator[Row]:
    measured = f"memory of the sidecar while a restore waits beside {many:,} VMs"
    yield Row(part="e", measured=measured, ours=ours, unit="MiB", peer="velero server", theirs=velero)
    yield Row(part="e", measured=f"{measured}, limit", ours=ours, unit="MiB", target=Scale(machines=many).memory_limit)


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Place:
    """The real API server, S3, a Velero and our sidecar."""

    def __init__(self, directory: Path) -> None:
        self._stack = Stack(directory, audited=True)
        self._local = threading.local()

    def __enter__(self) -> Self:
        self._stack.start()
        self.server: VeleroServer = self._stack.velero("1.18.2")
        self._sidecar = Sidecar(self.server, VMSERVICE_LOG_LEVEL="info")
        self._sidecar.start()
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._sidecar.stop()
        self._stack.stop()

    def restore(self, space: str, scale: Scale) -> Waited:
        """Back an application up, lose it, and poll its restore until everything is replayed."""
        self._namespace(space)
        everybody = [_machine(space, number, scale) for number in range(scale.machines)]
        ours = [*(_group(space, n) for n in range(scale.groups)), *(_service(space, n) for n in range(scale.services))]
        self._create([*everybody, *ours])
        items = self._back_up(space)
        self._lose(space, ["virtualmachinegroups", "virtualmachineservices", "virtualmachines"])
        late = [one for number, one in enumerate(everybody) if number % _PER_SERVICE == 0]
        self._register([one for one in everybody if one not in late])
        operations = self._restore(space, items)
        requests, polls = [], []
        self._poll(space, operations)
        for _ in range(_WAITING_ROUNDS):
            time.sleep(_ROUND_SECONDS)
            asked = len(self._audited())
            polls += [seconds for seconds, _ in self._poll(space, operations)]
            requests.append(len(self._audited()) - asked)
        bare = [self._timed_list(space) for _ in range(5)]
        self._register(late)
        return Waited(
            requests=statistics.median(requests),
            polls=polls,
            rounds=self._until_replayed(space, operations),
            bare_list=statistics.median(bare),
        )

    def wait_beside(self, space: str, many: int) -> float:
        """Wait for a few machines beside many; return the sidecar's memory in MiB."""
        self._namespace(space)
        everybody = [_machine(space, number, Scale(machines=many), per_group=_MANY_PER_GROUP) for number in range(many)]
        ours = [_group(space, n, size=_MANY_PER_GROUP) for n in range(many // _MANY_PER_GROUP)]
        late = everybody[::_MANY_PER_GROUP]
        self._create([*ours, *late])
        self._register([one for one in everybody if one not in late])
        items = self._back_up(space)
        self._lose(space, ["virtualmachinegroups"])
        for one in late:
            self._request("DELETE", f"{_API}/{space}/virtualmachines/{one['metadata']['name']}")
        self._sidecar.stop()  # a restore is rarely polled by the process that has just made the backup
        self._sidecar.start()
        operations = self._restore(space, items)
        for _ in range(_WAITING_ROUNDS):
            self._poll(space, operations)
            time.sleep(_ROUND_SECONDS)
        return resident_mebibytes(self._sidecar.pid)

    def _until_replayed(self, space: str, operations: Sequence[str]) -> int:
        for count in range(1, _MOST_ROUNDS + 1):
            words = [description for _, description in self._poll(space, operations)]
            if all(one.startswith("replayed") for one in words):
                return count
            time.sleep(_ROUND_SECONDS)
        raise AssertionError(Counter(one[:60] for one in words).most_common(3))

    def _poll(self, space: str, operations: Sequence[str]) -> list[tuple[float, str]]:
        """Poll each operation as Velero does, in a process of its own; return seconds and words of each."""
        told = []
        with PluginProcess(self.server.plugins / LAUNCHER) as plugin:
            for operation in operations:
                began = time.perf_counter()
                answer = plugin.restore_progress(_REPLAY, operation, _restore(self.server.namespace, space))
                told.append((time.perf_counter() - began, answer.description))
        return told

    def _back_up(self, space: str) -> list[Json]:
        backup = _backup(self.server.namespace, space)
        self._stack.cluster.create(backup)
        kinds = ("virtualmachinegroups.vmoperator.vmware.com", "virtualmachineservices.vmoperator.vmware.com")
        found = [one for kind in kinds for one in self._stack.cluster.all(kind, namespace=space)]
        with PluginProcess(self.server.plugins / LAUNCHER) as plugin:
            captured = [plugin.back_up(_CAPTURE, one, backup) for one in found]
            while not plugin.backup_progress(_CAPTURE, captured[0][1], backup).completed:
                time.sleep(0.1)
        return [item for item, _ in captured]

    def _restore(self, space: str, items: Sequence[Json]) -> list[str]:
        with PluginProcess(self.server.plugins / LAUNCHER) as plugin:
            return [
                plugin.restore(_REPLAY, one, one, _restore(self.server.namespace, space)).operationID for one in items
            ]

    def _audited(self) -> list[Json]:
        """Return the sidecar's requests that the API server has written down."""
        audit = self._stack.cluster.audit
        if audit is None:
            raise AssertionError("the API server keeps no audit log")
        lines = (json.loads(line) for line in audit.read_text().splitlines())
        return [one for one in lines if one.get("userAgent", "").startswith(_USER_AGENT)]

    def _namespace(self, space: str) -> None:
        self._stack.cluster.create(machines.namespace(space))

    def _create(self, manifests: Sequence[Json]) -> None:
        self._in_parallel(lambda one: self._request("POST", _collection(one), one), manifests)

    def _register(self, everybody: Sequence[Json]) -> None:
        """Create machines that VM Operator has found and reconciled."""

        def register(one: Json) -> None:
            self._request("POST", _collection(one), one)
            self._request("PATCH", f"{_collection(one)}/{one['metadata']['name']}/status", {"status": _status(one)})

        self._in_parallel(register, everybody)

    def _lose(self, space: str, plurals: Sequence[str]) -> None:
        for plural in plurals:
            self._request("DELETE", f"{_API}/{space}/{plural}")

    def _timed_list(self, space: str) -> float:
        began, token = time.perf_counter(), ""
        while True:
            page = self._request("GET", f"{_API}/{space}/virtualmachines?limit=500&continue={token}")
            token = page["metadata"].get("continue", "")
            if not token:
                return time.perf_counter() - began

    def _in_parallel(self, act: Any, manifests: Sequence[Json]) -> None:
        with ThreadPoolExecutor(_WRITERS) as writers:
            list(writers.map(act, manifests))

    def _request(self, method: str, path: str, body: Json | None = None) -> Json:
        """Send one request as the administrator, each thread on a connection of its own."""
        if not hasattr(self._local, "api"):
            self._local.api = new_client_from_config(str(self._stack.cluster.kubeconfig))
        api = self._local.api
        patch = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        answer = api.rest_client.request(
            method,
            f"{api.configuration.host}{path}",
            headers={"Accept": "application/json", "Content-Type": "application/json", **patch},
            body=body,
        )
        found: Json = json.loads(answer.read())
        if found.get("status") == "Failure":
            raise AssertionError(found["message"])
        return found


def _collection(one: Json) -> str:
    return f"{_API}/{one['metadata']['namespace']}/{one['kind'].lower()}s"


def _machine(space: str, number: int, scale: Scale, *, per_group: int = _PER_GROUP) -> Json:
    del scale
    labels = {"app": "bench", "front": f"front-{number // _PER_SERVICE}", "tier": "web", "owner": "bench"}
    return machines.virtual_machine(
        f"vm-{number:05}", namespace=space, labels=labels, group=f"group-{number // per_group:03}"
    )


def _group(space: str, number: int, *, size: int = _PER_GROUP) -> Json:
    members = [{"kind": "VirtualMachine", "name": f"vm-{number * size + one:05}"} for one in range(size)]
    return _object("VirtualMachineGroup", space, f"group-{number:03}", {"bootOrder": [{"members": members}]})


def _service(space: str, number: int) -> Json:
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    spec = {"type": "ClusterIP", "selector": {"front": f"front-{number}"}, "ports": ports}
    return _object("VirtualMachineService", space, f"front-{number:03}", spec)


def _object(kind: str, space: str, name: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": space}
    return {"apiVersion": "vmoperator.vmware.com/v1alpha5", "kind": kind, "metadata": metadata, "spec": spec}


def _status(one: Json) -> Json:
    spec, name = one["spec"], one["metadata"]["name"]
    created = {"type": "VirtualMachineCreated", "status": "True", "reason": "True", "message": ""}
    created["lastTransitionTime"] = _STARTED
    return {
        "uniqueID": f"moid-{name}",
        "biosUUID": spec["biosUUID"],
        "instanceUUID": spec["instanceUUID"],
        "powerState": "PoweredOff",
        "conditions": [created],
    }


def _backup(namespace: str, space: str) -> Json:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {"name": space, "namespace": namespace},
        "spec": {"includedNamespaces": [space], "storageLocation": "default"},
        "status": {"phase": "Completed", "startTimestamp": _STARTED},
    }


def _restore(namespace: str, space: str) -> Json:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Restore",
        "metadata": {"name": space, "namespace": namespace, "uid": f"uid-of-{space}"},
        "spec": {"backupName": space},
        "status": {"startTimestamp": _STARTED},
    }
