"""Velero, played: which items it hands to which action, in which order, and how it waits for operations.

Speaks to the plugin through its launched process and the real protocol only (`tests.rpc.velero_host`); every poll
launches a process of its own, as Velero does. What an action says is taken at its word here: whether it is true is
looked at elsewhere.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kubernetes.dynamic.exceptions import ConflictError

from tests.demo.velero_objects import VeleroObjects
from tests.emulator.kubernetes.api_resources import RESOURCES
from tests.rpc.velero_host import PluginProcess, discover
from velero_vmservice.pb import velero_v2_pb2 as v2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.demo.place import Place
    from tests.rpc.velero_host import Listed

Json = dict[str, Any]

POLL_SECONDS: Final = 1.0
"""Velero asks every 10 seconds; a demo has less time."""

OPERATION_SECONDS: Final = 180.0
"""Velero's itemOperationTimeout, 4 hours by default."""

SKIP: Final = "velero.io/skip-from-backup"
_FIRST: Final = (
    "persistentvolumes",
    "persistentvolumeclaims",
    "serviceaccounts",
    "secrets",
    "configmaps",
    "pods",
    "endpoints",
    "services",
)
"""What Velero restores before everything else, which follows in the order of the alphabet."""
_NOT_RESTORED: Final = frozenset({"events"})
_SERVER_OWNED: Final = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "ownerReferences",
    "selfLink",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One object in a backup; `resource` is spelled `plural.group`."""

    resource: str
    content: Json

    @property
    def label(self) -> str:
        """The object's kind and name."""
        return f"{self.content['kind']} {self.content['metadata']['name']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What an action asked Velero to wait for."""

    action: str
    id: str
    item: Item


@dataclass(slots=True, kw_only=True)
class Run:
    """One backup or restore: Velero's object, what is in it, what is waited for, what the plugin logged."""

    record: Json
    items: list[Item] = field(default_factory=list)
    left_out: list[Item] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    log: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An operation as Velero last heard of it."""

    operation: Operation
    completed: bool
    error: str
    done: int
    total: int
    units: str
    description: str


class Velero:
    """A Velero server with one plugin."""

    def __init__(self, place: Place) -> None:
        self.launches: list[float] = []
        """Seconds from each exec to a healthy connection."""
        self.objects = VeleroObjects(place.kubernetes)
        self._kubernetes = place.kubernetes
        self._plugins = place.plugins
        self._launcher = place.launcher

    def start(self) -> Sequence[Listed]:
        """Ask every plugin what it offers."""
        return discover(self._plugins)

    def back_up(self, name: str, namespace: str, *, annotations: Mapping[str, str]) -> Run:
        """Back a namespace up, without waiting for operations."""
        run = Run(record=self.objects.start_backup(name, namespace, annotations=annotations))
        with self._launched() as process:
            actions = _resources_of(process, "BackupItemActionV2")
            for item in self._everything(namespace):
                changed = item
                for action, wanted in actions.items():
                    if item.resource not in wanted:
                        continue
                    content, operation = process.back_up(action, changed.content, run.record)
                    changed = Item(resource=item.resource, content=content)
                    if operation:
                        run.operations.append(Operation(action=action, id=operation, item=changed))
                skipped = SKIP in changed.content["metadata"].get("annotations", {})
                (run.left_out if skipped else run.items).append(changed)
        run.log = process.log.lines
        run.record = self.objects.tell(run.record, "WaitingForPluginOperations")
        return run

    def restore(self, name: str, backup: Run) -> Run:
        """Restore a backup into its own namespaces, without waiting for operations."""
        run = Run(record=self.objects.start_restore(name, backup.record["metadata"]["name"]))
        with self._launched() as process:
            actions = _resources_of(process, "RestoreItemActionV2")
            for item in sorted(backup.items, key=_restore_order):
                if item.resource not in _NOT_RESTORED:
                    self._restore_item(process, actions, item, run)
        run.log = process.log.lines
        run.record = self.objects.tell(run.record, "WaitingForPluginOperations")
        return run

    def back_up_alone(self, name: str, namespace: str, *, excluded: Sequence[str]) -> Run:
        """Back a namespace up as Velero does without the plugin, but for some resources."""
        run = Run(record=self.objects.start_backup(name, namespace, annotations={}))
        run.items = [item for item in self._everything(namespace) if item.resource not in excluded]
        run.record = self.objects.end(run.record, "Completed")
        return run

    def restore_alone(self, name: str, backup: Run) -> Run:
        """Restore as Velero does without the plugin: each item at once, and nothing is waited for."""
        run = Run(record=self.objects.start_restore(name, backup.record["metadata"]["name"]))
        for item in sorted(backup.items, key=_restore_order):
            if item.resource not in _NOT_RESTORED:
                self._create(_cleaned(item.content), item, run)
        run.record = self.objects.end(run.record, "Completed")
        return run

    def poll(self, run: Run) -> Iterator[Sequence[State]]:
        """Ask for the operations' progress, one after the other, until none is open; yields what was heard.

        After `OPERATION_SECONDS` the open ones are cancelled and reported as failed.
        """
        states: dict[int, State] = {}
        end = time.monotonic() + OPERATION_SECONDS
        while True:
            began = time.monotonic()
            with self._launched() as process:
                for number, operation in enumerate(run.operations):
                    if number not in states or not states[number].completed:
                        states[number] = _ask(process, operation, run.record, late=began > end)
            yield list(states.values())
            if all(state.completed for state in states.values()):
                return
            time.sleep(max(0.0, began + POLL_SECONDS - time.monotonic()))

    def _launched(self) -> AbstractContextManager[PluginProcess]:
        began = time.monotonic()
        process = PluginProcess(self._launcher)
        self.launches.append(time.monotonic() - began)
        return process

    def _everything(self, namespace: str) -> Iterator[Item]:
        """Yield each object of a namespace, and the volume behind each claim, as Velero's own action adds it."""
        for served in RESOURCES:
            if not served.namespaced or served.group == "velero.io":
                continue
            for content in self._listed(served.api_version(), served.kind, namespace):
                yield Item(resource=f"{served.plural}.{served.group}".rstrip("."), content=content)
                if served.kind == "PersistentVolumeClaim" and (volume := content["spec"].get("volumeName")):
                    volumes = self._kubernetes.resources.get(api_version="v1", kind="PersistentVolume")
                    yield Item(resource="persistentvolumes", content=volumes.get(name=volume).to_dict())

    def _listed(self, api_version: str, kind: str, namespace: str) -> list[Json]:
        resource = self._kubernetes.resources.get(api_version=api_version, kind=kind)
        items: list[Json] = resource.get(namespace=namespace).to_dict()["items"]
        return items

    def _restore_item(
        self, process: PluginProcess, actions: Mapping[str, frozenset[str]], item: Item, run: Run
    ) -> None:
        content = _cleaned(item.content)
        for action, wanted in actions.items():
            if item.resource not in wanted:
                continue
            answer = process.restore(action, content, item.content, run.record)
            if answer.operationID:
                run.operations.append(Operation(action=action, id=answer.operationID, item=item))
            if answer.skipRestore:
                run.left_out.append(item)
                return
        self._create(content, item, run)

    def _create(self, content: Json, item: Item, run: Run) -> None:
        metadata = run.record["metadata"]
        content["metadata"].setdefault("labels", {}).update(
            {"velero.io/backup-name": run.record["spec"]["backupName"], "velero.io/restore-name": metadata["name"]}
        )
        run.items.append(item)
        try:
            self.objects.create(content)
        except ConflictError:
            return  # what exists stays, as existingResourcePolicy says


def _ask(process: PluginProcess, operation: Operation, record: Json, *, late: bool) -> State:
    ask = process.backup_progress if record["kind"] == "Backup" else process.restore_progress
    heard = ask(operation.action, operation.id, record)
    cancelled = late and not heard.completed
    if cancelled and record["kind"] == "Restore":
        body = json.dumps(record).encode()
        process.restore_items.Cancel(
            v2.RestoreItemActionCancelRequest(plugin=operation.action, operationID=operation.id, restore=body)
        )
    return State(
        operation=operation,
        completed=heard.completed or cancelled,
        error="cancelled: the time for the operation is over" if cancelled else heard.err,
        done=heard.nCompleted,
        total=heard.nTotal,
        units=heard.operationUnits,
        description=heard.description,
    )


def _resources_of(process: PluginProcess, kind: str) -> Mapping[str, frozenset[str]]:
    """Ask each action of a kind what it applies to."""
    wanted: dict[str, frozenset[str]] = {}
    for name in [plugin.name for plugin in process.list_plugins() if plugin.kind == kind]:
        if kind == "BackupItemActionV2":
            selector = process.backup_items.AppliesTo(v2.BackupItemActionAppliesToRequest(plugin=name)).ResourceSelector
        else:
            selector = process.restore_items.AppliesTo(
                v2.RestoreItemActionAppliesToRequest(plugin=name)
            ).ResourceSelector
        wanted[name] = frozenset(selector.includedResources)
    return wanted


def _restore_order(item: Item) -> tuple[int, str, str]:
    first = _FIRST.index(item.resource) if item.resource in _FIRST else len(_FIRST)
    return first, item.resource, item.content["metadata"]["name"]


def _cleaned(stored: Json) -> Json:
    """Take off what Velero takes off before it asks an action: the status and what the API server owns."""
    content = copy.deepcopy(stored)
    content.pop("status", None)
    for name in _SERVER_OWNED:
        content["metadata"].pop(name, None)
    return content
