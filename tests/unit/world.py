"""One Supervisor, one bucket and the plugin, called as Velero calls it; VMs and controllers are played by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from tests.clock import SettableClock
from tests.fakes.cluster import MemoryCluster
from tests.fakes.registration import MemoryRegistration
from tests.fakes.store import MemoryLocations, MemoryStore
from tests.fakes.vcenter import MemoryVCenter
from tests.unit import power
from tests.unit.builders import NAMESPACE, backup, condition, m, obj, restore, vsphere_namespace
from velero_vmservice.app import App, assemble
from velero_vmservice.errors import NotFound
from velero_vmservice.kube import manifest as kinds
from velero_vmservice.kube.manifest import Manifest, ObjectRef
from velero_vmservice.registration.model import Source
from velero_vmservice.restore.policy import RestorePolicy
from velero_vmservice.settings.reading import RestrictedSettings, Settings
from velero_vmservice.settings.registration import EngineSettings, RegistrationSettings, VCenterSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.unit.builders import Json
    from velero_vmservice.velero.actions import BackupOutcome, Progress, RestoreOutcome

CAPTURES = "captures/nightly/20260301T120000Z/"
POLL_SECONDS = 10.0
ROUNDS = 30


class RecordedProbe:
    """A network in which every port answers, but for those that `silent` says why."""

    def __init__(self) -> None:
        self.silent: dict[tuple[str, int], str] = {}
        self.requests: list[tuple[str, int]] = []

    def connect(self, host: str, port: int, *, seconds: float) -> str:
        assert seconds > 0
        self.requests.append((host, port))
        return self.silent.get((host, port), "")


@dataclass(frozen=True)
class MemoryVsphere:
    """A vCenter in memory in both of its roles."""

    vcenter: MemoryVCenter

    @property
    def inventory(self) -> MemoryVCenter:
        return self.vcenter

    @property
    def register_vm(self) -> MemoryVCenter:
        return self.vcenter


class World:
    """A Supervisor (or `supervisor="no"`) with a namespace, a bucket and one process of the plugin.

    `sources` and `mode` are those of `registration:`; `vsphere` and `engine` are there to be asked in any case.
    """

    def __init__(
        self,
        *,
        supervisor: str = "yes",
        restore: RestorePolicy | None = None,
        sources: Iterable[str] = (),
        mode: str = "observe",
        vsphere_plugin: str = "detect",
        **settings: Any,
    ) -> None:
        self.clock = SettableClock()
        self.vsphere = MemoryVsphere(MemoryVCenter(clock=self.clock))
        self.engine = MemoryRegistration(Source.ENGINE)
        self.cluster = MemoryCluster(clock=self.clock)
        self.cluster.seed(vsphere_namespace(), backup())
        self.store = MemoryStore()
        self.store.now = self.clock.now
        self.locations = MemoryLocations({"default": self.store})
        self.settings = Settings(
            velero_namespace="velero",
            restricted=RestrictedSettings(supervisor=supervisor, **settings),
            vsphere_plugin=vsphere_plugin,
            restore=restore or RestorePolicy(),
            registration=RegistrationSettings.model_validate({"sources": ["kubernetes", *sources], "mode": mode}),
            vcenter=VCenterSettings(server="vc.example.com", user="velero", password=SecretStr("-")),
            engine=EngineSettings(target="engine.example.com:8443"),
        )
        self.probe = RecordedProbe()
        self.app = self.start()

    def start(self, *, vcenter: bool = True) -> App:
        """Start a process that remembers nothing, beside or after the one before; it may know no vCenter."""
        return assemble(
            self.settings,
            cluster=self.cluster,
            locations=self.locations,
            clock=self.clock,
            probe=self.probe,
            vsphere=self.vsphere if vcenter else None,
            engine=self.engine,
        )

    def restart(self) -> None:
        self.app = self.start()

    # Backup.

    def capture(self, item: Mapping[str, Any], **rest: Any) -> BackupOutcome:
        return self.app.actions.backup["capture"].execute(item, backup(**rest))

    def withhold(self, item: Mapping[str, Any], **rest: Any) -> BackupOutcome:
        return self.app.actions.backup["withhold"].execute(item, backup(**rest))

    def seal(self, operation: str, **rest: Any) -> Progress:
        return self.app.actions.backup["capture"].progress(operation, backup(**rest))

    def back_up(self, *objects: Json) -> list[Json]:
        """Seed the objects, back up our two kinds as Velero does, seal; return the items of the tarball."""
        self.cluster.seed(*objects)
        items, operations = [], set()
        ours = [manifest for manifest in objects if manifest["kind"] in _OURS]
        for manifest in sorted(ours, key=lambda o: (o["kind"], _key(o))):
            outcome = self.capture(self.live(manifest["kind"], manifest["metadata"]["name"], _key(manifest)[0]).content)
            items.append(dict(outcome.item))
            operations.add(outcome.operation_id)
        for operation in operations:
            assert self.seal(operation).completed
        return items

    def lose(self, *objects: Json) -> None:
        """Delete what the objects name, and what their controllers made of them."""
        for manifest in objects:
            namespace, name = _key(manifest)
            for kind in (_KINDS[manifest["kind"]], kinds.SERVICE, kinds.ENDPOINTS):
                self.cluster.remove(ObjectRef(kind, namespace, name))

    # Restore.

    def replay(self, item: Json, **spec: Any) -> RestoreOutcome:
        """Call Execute as Velero does: the item has lost its status and most of its metadata."""
        kept = {key: value for key, value in item["metadata"].items() if key in _KEPT}
        stripped = {key: value for key, value in item.items() if key != "status"} | {"metadata": kept}
        return self.app.actions.restore["replay"].execute(stripped, item, restore(**spec))

    def replay_all(self, items: Iterable[Json], **spec: Any) -> list[str]:
        outcomes = [self.replay(item, **spec) for item in items]
        assert all(outcome.skip for outcome in outcomes)
        return [outcome.operation_id for outcome in outcomes]

    def poll(self, operation: str, **spec: Any) -> Progress:
        return self.app.actions.restore["replay"].progress(operation, restore(**spec))

    def round(self, operations: Iterable[str], **spec: Any) -> dict[str, Progress]:
        """Poll each operation as Velero does; ten seconds pass before, VM Operator works after."""
        self.clock.advance(POLL_SECONDS)
        polled = {operation: self.poll(operation, **spec) for operation in operations}
        self.vm_operator(*(spec.get("namespaceMapping", {}).values() or [NAMESPACE]))
        return polled

    def polled(self, operation: str, **spec: Any) -> Progress:
        """Return what a round says of one operation."""
        return self.round([operation], **spec)[operation]

    def finish(self, operations: list[str], **spec: Any) -> dict[str, Progress]:
        """Poll until every operation has completed."""
        last: dict[str, Progress] = {}
        for _ in range(ROUNDS):
            last |= self.round(
                [operation for operation in operations if operation not in last or not last[operation].completed],
                **spec,
            )
            if all(progress.completed for progress in last.values()):
                return last
        raise AssertionError("\n".join(progress.description for progress in last.values()))

    def vm_operator(self, *namespaces: str) -> None:
        """Do what VM Operator's controllers would have done by now."""
        for namespace in namespaces or (NAMESPACE,):
            machines = self.cluster.list(kinds.VIRTUAL_MACHINE, namespace)
            groups = self.cluster.list(kinds.VIRTUAL_MACHINE_GROUP, namespace)
            for group in groups:
                self._link(group, [*machines, *groups])
            power.play(self.cluster, self.clock, namespace)
            machines = self.cluster.list(kinds.VIRTUAL_MACHINE, namespace)
            for service in self.cluster.list(kinds.VIRTUAL_MACHINE_SERVICE, namespace):
                self._generate(service, machines)

    def _link(self, group: Manifest, members: list[Manifest]) -> None:
        """Become the owner of each member that agrees, then call it linked."""
        named = [
            {"kind": kind, "name": name, "conditions": [condition("GroupLinked")]}
            for boot in group.spec.get("bootOrder", [])
            for kind, name in ((member["kind"], member["name"]) for member in boot["members"])
            for member in members
            if (member.kind_name, member.name) == (kind, name) and member.spec.get("groupName") == group.name
        ]
        for member in members:
            if {"kind": member.kind_name, "name": member.name} in [
                {"kind": member["kind"], "name": member["name"]} for member in named
            ]:
                self._own(group, member)
        group = self.live("VirtualMachineGroup", group.name, group.namespace)
        self.cluster.seed({**group.editable(), "status": {**group.status, "members": named}})

    def _own(self, group: Manifest, member: Manifest) -> None:
        live = self.live(member.kind_name, member.name, member.namespace)
        references = live.metadata.get("ownerReferences", ())
        others = [reference for reference in references if reference["name"] != group.name]
        api = group.content["apiVersion"]
        owner = {"apiVersion": api, "kind": group.kind_name, "name": group.name, "uid": group.uid}
        content = live.editable()
        content["metadata"]["ownerReferences"] = [*others, owner]
        self.cluster.seed(content)

    def _generate(self, service: Manifest, machines: Iterable[Manifest]) -> None:
        selector = service.spec.get("selector") or {}
        chosen = [vm for vm in machines if selector and selector.items() <= vm.labels.items()]
        entries = [
            {"ip": vm.status["network"]["primaryIP4"], "targetRef": {"kind": "VirtualMachine", "name": vm.name}}
            for vm in chosen
            if vm.status.get("network")
        ]
        owner = {"apiVersion": service.content["apiVersion"], "kind": service.kind_name, "name": service.name}
        meta = {"ownerReferences": [{**owner, "uid": service.uid, "controller": True}]}
        named = {"api": "v1", "namespace": service.namespace, "meta": meta}
        self.cluster.seed(
            obj("Service", service.name, spec={"type": "LoadBalancer"}, **named),
            obj("Endpoints", service.name, subsets=[{"addresses": entries}] if entries else [], **named),
        )

    # Looking.

    def live(self, kind: str, name: str, namespace: str = NAMESPACE) -> Manifest:
        return self.cluster.get(ObjectRef(_KINDS[kind], namespace, name))

    def exists(self, kind: str, name: str, namespace: str = NAMESPACE) -> bool:
        try:
            self.live(kind, name, namespace)
        except NotFound:
            return False
        return True

    def created(self) -> list[str]:
        """Return what was created through the plugin, in order."""
        return [subject for method, subject in self.cluster.calls.made if method == "create"]

    def writes(self) -> list[tuple[str, str]]:
        """Return what was written through the plugin, in order, trials left out."""
        return [(method, subject) for method, subject in self.cluster.calls.made if method in ("create", "patch")]

    def patched(self) -> list[str]:
        return [subject for method, subject in self.writes() if method == "patch"]

    def document(self, key: str) -> Json:
        content: Json = json.loads(self.store.get(key))
        return content


_KEPT = {"name", "namespace", "labels", "annotations"}
_KINDS = {
    kind.name: kind
    for kind in (kinds.VIRTUAL_MACHINE, kinds.VIRTUAL_MACHINE_SERVICE, kinds.VIRTUAL_MACHINE_GROUP, kinds.SERVICE)
}
_OURS = {kind.name for kind in kinds.CAPTURED_KINDS}


def _key(content: Mapping[str, Any]) -> tuple[str, str]:
    manifest = m(content)
    return (manifest.namespace, manifest.name)
