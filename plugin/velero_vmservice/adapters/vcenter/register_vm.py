"""RegisterVM: the call over REST, its task and event over SOAP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from velero_vmservice.adapters.vcenter import query as vcenter_query
from velero_vmservice.adapters.vcenter.errors import LONGEST_FAULT, fault_text
from velero_vmservice.adapters.vcenter.query import moid_of
from velero_vmservice.errors import Forbidden, NotFound, Unavailable
from velero_vmservice.text import one_line
from velero_vmservice.vsphere import network_override
from velero_vmservice.vsphere.vm import RegisterEvent, RegisterTask, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from velero_vmservice.adapters.vcenter.query import Properties
    from velero_vmservice.adapters.vcenter.session import VCenterSession
    from velero_vmservice.clock import Clock
    from velero_vmservice.vsphere.network_override import NetworkOverride

TASK_TYPE: Final = "com.vmware.wcp.vmservice.registervm"
SUCCESS_EVENT: Final = "com.vmware.wcp.RegisterVM.success"
FAILURE_EVENT: Final = "com.vmware.wcp.RegisterVM.failure"
TASK_PROPERTIES: Final = (
    "info.descriptionId",
    "info.state",
    "info.progress",
    "info.error",
    "info.queueTime",
    "info.completeTime",
)
EVENTS_SINCE: Final = timedelta(hours=24)
MOST_EVENTS: Final = 1000
_SLACK: Final = timedelta(seconds=5)
"""Allowance for the duration of a request in a comparison of two clocks."""
_LONGEST_ID: Final = 256


class VCenterRegisterVm:
    """The RegisterVm port on a real vCenter."""

    def __init__(self, session: VCenterSession, *, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def call(self, namespace: str, moid: str, override: NetworkOverride) -> str:
        """Call RegisterVM; see the port."""
        body: dict[str, Any] = {"vm": moid}
        if override:
            body["network_config_override"] = network_override.body(override)
        path = f"/api/vcenter/namespaces/instances/{quote(namespace, safe='')}/registervm"
        what = f"call RegisterVM for {moid} in namespace {namespace}"
        answer = self._session.post(what, path, body)
        task = answer.get("value") if isinstance(answer, dict) else answer
        if not isinstance(task, str) or not task.strip() or len(task) > _LONGEST_ID or not task.isprintable():
            raise Unavailable(
                f"RegisterVM for {moid} was answered without a task ({one_line(repr(answer))})",
                hint="look for a proxy before vCenter; the task is looked for meanwhile",
            )
        return task

    def task(self, task_id: str) -> RegisterTask:
        """Return the state of a task; see the port."""
        moid = task_id.partition(":")[0]  # the REST API adds vCenter's own id
        reference = self._session.moref("Task", moid)
        query = vcenter_query.of_objects(self._session.sdk, [reference], {self._session.sdk.vim.Task: TASK_PROPERTIES})
        try:
            tasks = self._session.soap(
                f"read task {one_line(task_id)}",
                lambda content: dict(vcenter_query.retrieve(self._session.sdk, content, query)),
            )
        except NotFound:
            tasks = {}
        properties = next(iter(tasks.values()), None)
        return read_task(task_id, properties) if properties else RegisterTask(id=task_id, state=TaskState.UNKNOWN)

    def latest(self, moid: str, since: datetime) -> RegisterTask | None:
        """Return the newest task of a VM; see the port. Times are compared by vCenter's clock."""
        sdk = self._session.sdk
        vm = self._session.moref("VirtualMachine", moid)
        query = vcenter_query.of_objects(sdk, [vm], {sdk.vim.Task: TASK_PROPERTIES}, tasks=True)
        try:
            tasks = self._session.soap(
                f"read the tasks of {moid}", lambda content: list(vcenter_query.retrieve(sdk, content, query))
            )
        except NotFound:
            return None
        newest = newest_task(filter(None, (register_task(task, properties) for task, properties in tasks)))
        if newest is None or newest.queued_at is None:
            return None
        begin = since + (self._session.current_time() - self._clock.now()) - _SLACK
        return newest if newest.queued_at >= begin else None


def newest_task(tasks: Iterable[RegisterTask]) -> RegisterTask | None:
    """Return the newest of several tasks."""
    return max(tasks, key=lambda task: (task.queued_at is not None, task.queued_at, task.id), default=None)


def register_task(task: Any, properties: Properties) -> RegisterTask | None:
    """Read a task; None if it is not a task of RegisterVM."""
    return read_task(moid_of(task), properties) if properties.get("info.descriptionId") == TASK_TYPE else None


def read_task(task_id: str, properties: Properties) -> RegisterTask:
    """Read a task's properties; a value without sense is unknown."""
    name = str(properties.get("info.state", ""))
    percent = properties.get("info.progress")
    fault = properties.get("info.error")
    return RegisterTask(
        id=task_id,
        state=next((state for state in TaskState if state == name), TaskState.UNKNOWN),
        percent=percent if isinstance(percent, int) else None,
        message=fault_text(fault) if fault is not None else "",
        queued_at=_utc(properties.get("info.queueTime")),
        ended_at=_utc(properties.get("info.completeTime")),
    )


def read_events(session: VCenterSession, folders: Iterable[Any], *, now: datetime) -> dict[str, RegisterEvent]:
    """Return the newest RegisterVM event of each VM below the folders, by managed object id.

    An account without the right to events sees none, which is enough: tasks and the Supervisor show the state too.
    """
    newest: dict[str, RegisterEvent] = {}
    for folder in folders:
        try:
            events = session.soap("read events", lambda content, at=folder: _query(session, content, at, now))  # type: ignore[misc]
        except Forbidden:
            return {}
        for moid, read in filter(None, map(read_event, events or ())):
            known = newest.get(moid)
            if known is None or (known.at is not None and read.at is not None and known.at <= read.at):
                newest[moid] = read
    return newest


def read_event(event: Any) -> tuple[str, RegisterEvent] | None:
    """Read an event and the managed object id of its VM; None if it is not an event of RegisterVM."""
    kind = getattr(event, "eventTypeId", None)
    if kind not in (SUCCESS_EVENT, FAILURE_EVENT):
        return None
    texts = (getattr(event, "message", None), getattr(event, "fullFormattedMessage", None))
    read = RegisterEvent(
        succeeded=kind == SUCCESS_EVENT,
        message=" ".join(str(text) for text in texts if text)[:LONGEST_FAULT],
        at=_utc(getattr(event, "createdTime", None)),
    )
    return _vm_of(event), read


def _query(session: VCenterSession, content: Any, folder: Any, now: datetime) -> Any:
    spec = session.sdk.vim.event.EventFilterSpec
    return content.eventManager.QueryEvents(
        spec(
            entity=spec.ByEntity(entity=folder, recursion="all"),
            time=spec.ByTime(beginTime=now - EVENTS_SINCE),
            eventTypeId=[SUCCESS_EVENT, FAILURE_EVENT],
            maxCount=MOST_EVENTS,
        )
    )


def _vm_of(event: Any) -> str:
    vm = getattr(getattr(event, "vm", None), "vm", None)
    if vm is not None:
        return moid_of(vm)
    return str(getattr(event, "objectId", "") or "")


def _utc(moment: Any) -> datetime | None:
    """Return a time without pyvmomi's own time zone class; None if it is not a time."""
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None
