"""Bytes to values and back, and errors to what Velero understands.

The only place that knows gRPC codes. Whatever an action raises leaves here as a status with words for the person
on call; a traceback stays in the sidecar's own log. `Progress` never answers with an error, for Velero would fail
the operation for good.
"""

from __future__ import annotations

import contextvars
import secrets
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import orjson
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from velero_vmservice import errors, metrics
from velero_vmservice.archive.schema import captures_of
from velero_vmservice.kube.manifest import compact_time, mapping
from velero_vmservice.pb import velero_generated_pb2 as pb
from velero_vmservice.report.store import results_of
from velero_vmservice.text import on_one_line
from velero_vmservice.velero import actions
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from grpc import ServicerContext

log = structlog.get_logger()

Action = TypeVar("Action")

MOST_LEVELS: Final = 128
"""Kubernetes' deepest objects, CustomResourceDefinitions, stay well below. What follows takes more: the JSON parser of
stored documents ends at 200 levels, the writer of items at 254, and a copy takes two frames of the stack a level.
"""

_CODES: Final[dict[type[errors.VmServiceError], StatusCode]] = {
    errors.InvalidItem: StatusCode.INVALID_ARGUMENT,  # the same bytes will never become valid
    errors.InvalidSettings: StatusCode.FAILED_PRECONDITION,  # an administrator must change a setting first
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.AlreadyExists: StatusCode.ALREADY_EXISTS,
    errors.Corrupt: StatusCode.DATA_LOSS,  # do not retry, do not replay
    errors.Forbidden: StatusCode.PERMISSION_DENIED,  # an administrator must act
    errors.Conflict: StatusCode.ABORTED,
    errors.Rejected: StatusCode.FAILED_PRECONDITION,
    errors.Unavailable: StatusCode.UNAVAILABLE,  # the same call may succeed later
}
PROGRESS_SECONDS: Final = 4.5
"""How long Velero waits for one answer about an operation."""
_MOST_CHARACTERS: Final = 2_000
"""A status travels in a header, of which receivers accept as little as 8 KiB."""

for _call in ("backup Execute", "restore Execute", "delete Execute"):
    for _code in errors.CODES:
        metrics.CALLS_FAILED.labels(_call, _code)

_DAMAGED: Final = "use another backup, as this one may be damaged"

_NEVER: Final = Timestamp(seconds=-62_135_596_800)
"""The zero of Go's time, which Velero leaves out; it would show a missing time as 1970."""


@contextmanager
def answering(context: ServicerContext, *, call: str, action: str) -> Iterator[None]:
    """Answer a call, and bind what every line logged meanwhile carries; each call has a context of its own.

    An error becomes a gRPC status, which Velero logs and counts; so the line about it is ours alone.
    """
    structlog.contextvars.bind_contextvars(action=action, call=call)
    began = time.monotonic()
    try:
        yield
    except errors.VmServiceError as error:
        metrics.CALLS_FAILED.labels(call, error.code).inc()
        log.error("call failed", cause=str(error), code=error.code, raised=_cause(error), private=True)
        _abort(context, _status_code(error), explain(error))
    except Exception as error:  # noqa: BLE001 - the edge: anything less would read "transport is closing"
        metrics.CALLS_FAILED.labels(call, errors.Defect.code).inc()
        _abort(context, StatusCode.INTERNAL, _incident(error))
    finally:
        metrics.CALLS.labels(call).observe(time.monotonic() - began)


def progress(ask: Callable[[], actions.Progress]) -> pb.OperationProgress:
    """Answer how far an operation is; never raises.

    A fault that may pass is described and asked about again, until Velero's own time limit. So is a defect of
    ours: a repaired sidecar can go on. An error that will stay fails the operation. Velero polls the operations of
    all its restores one after the other, so none may hold the others up: what takes longer goes on by itself, and
    the next poll finds how it ended.
    """
    try:
        return _progress(_soon(ask))
    except TimeoutError:
        text = f"waiting: no answer from the API server or the bucket within {PROGRESS_SECONDS:.1f} s; asking on"
        answer = actions.Progress(completed=False, description=text, updated=datetime.now(UTC))
    except errors.VmServiceError as error:
        log.info("progress unknown", cause=str(error), code=error.code, raised=_cause(error))
        text = _readable(explain(error))
        if error.transient:
            answer = actions.Progress(completed=False, description=f"waiting: {text}", updated=datetime.now(UTC))
        else:
            answer = actions.Progress(completed=True, error=text, description="failed", updated=datetime.now(UTC))
    except Exception as error:  # noqa: BLE001 - an error answer would fail the operation for good
        answer = actions.Progress(completed=False, description=_incident(error), updated=datetime.now(UTC))
    return _progress(answer)


def item(raw: bytes) -> dict[str, Any]:
    """Read the object a call is about, and name it in every further line of the call.

    Velero files a warning under these very fields: `velero backup describe` shows it beside the object.
    """
    content = _object(raw, "the item")
    names = _metadata(content)
    fields = {"resource": content.get("kind"), "namespace": names.get("namespace"), "name": names.get("name")}
    structlog.contextvars.bind_contextvars(**{key: str(value) for key, value in fields.items() if value})
    return content


def backup(raw: bytes) -> dict[str, Any]:
    """Read the Backup of a call, and name it in every further line as Velero does."""
    return _run(raw, "backup", captures_of)


def restore(raw: bytes) -> dict[str, Any]:
    """Read the Restore of a call, and name it in every further line as Velero does."""
    return _run(raw, "restore", results_of)


def operation(operation_id: str) -> str:
    """Name an operation in every further line of the call; ids may carry a whole object, so only their end."""
    structlog.contextvars.bind_contextvars(operation=f"…{operation_id[-24:]}" if operation_id[24:] else operation_id)
    return operation_id


def written(content: Mapping[str, Any]) -> bytes:
    """Write one object; raises `InvalidItem` if it is nested deeper than any Kubernetes object."""
    try:
        return orjson.dumps(content)
    except TypeError as error:
        raise errors.InvalidItem(f"the item cannot be written as JSON: {error}", hint=_DAMAGED, goes_on=True) from error


def named(table: Mapping[str, Action], plugin: str) -> Action:
    """Return the action a request means by its full name; raises `NotFound`."""
    prefix, _, name = plugin.rpartition("/")
    if prefix != PLUGIN_NAME or name not in table:
        raise errors.NotFound(
            f"this release of the plugin has no action {plugin!r}",
            hint="restart Velero, so that it asks the plugin for its actions again",
        )
    return table[name]


def selector(selected: actions.ResourceSelector) -> pb.ResourceSelector:
    """Write which items an action is called for."""
    return pb.ResourceSelector(
        includedResources=selected.included_resources,
        excludedResources=selected.excluded_resources,
    )


def explain(error: errors.VmServiceError) -> str:
    """Return what failed, the remedy, and the code under which the runbook has more."""
    return f"{error} [{error.code}]"


def _soon(ask: Callable[[], actions.Progress]) -> actions.Progress:
    """Return what `ask` returns or raises; raises `TimeoutError` when it takes longer than a poll may."""
    answer: Future[actions.Progress] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            answer.set_result(context.run(ask))
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
            answer.set_exception(error)

    threading.Thread(target=work, name="progress", daemon=True).start()
    return answer.result(timeout=PROGRESS_SECONDS)


def _run(raw: bytes, what: str, prefix: Callable[[str, str], str]) -> dict[str, Any]:
    structlog.contextvars.bind_contextvars(**_names_of_run(raw, what, prefix))
    return _same_again(raw, f"the {what}")


@lru_cache(maxsize=16)
def _names_of_run(raw: bytes, what: str, prefix: Callable[[str, str], str]) -> Mapping[str, str]:
    """Return what every line about a run bears: the Velero object, and where in the bucket lies what the run stores."""
    content = _same_again(raw, f"the {what}")
    names = _metadata(content)
    namespace_and_name = "/".join(str(names[key]) for key in ("namespace", "name") if names.get(key))
    started = compact_time(mapping(content.get("status")).get("startTimestamp"))
    run = prefix(str(names.get("name")), started).rstrip("/") if started else ""
    return {what: namespace_and_name, "run": run}


def _metadata(content: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = content.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


@lru_cache(maxsize=16)
def _same_again(raw: bytes, what: str) -> dict[str, Any]:
    """Read a Backup or Restore: Velero sends the same one with each of thousands of items. Values are never changed."""
    return _object(raw, what)


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        content = orjson.loads(raw)
    except ValueError as error:  # nested too deep as well
        raise errors.InvalidItem(f"{what} that Velero sent is no JSON: {error}", hint=_DAMAGED, goes_on=True) from error
    if not isinstance(content, dict):
        raise errors.InvalidItem(f"{what} that Velero sent is no JSON object", hint=_DAMAGED, goes_on=True)
    # Counting is cheap, and hardly an object has as many brackets as it would need.
    if raw.count(b"{") + raw.count(b"[") > MOST_LEVELS and is_too_deep(content):
        levels = MOST_LEVELS
        raise errors.InvalidItem(
            f"{what} that Velero sent is nested deeper than {levels} levels", hint=_DAMAGED, goes_on=True
        )
    return content


def _progress(answer: actions.Progress) -> pb.OperationProgress:
    return pb.OperationProgress(
        completed=answer.completed,
        err=on_one_line(answer.error),
        nCompleted=answer.done,
        nTotal=answer.total,
        operationUnits=on_one_line(answer.units),
        description=on_one_line(answer.description),
        started=_timestamp(answer.started),
        updated=_timestamp(answer.updated),
    )


def _cause(error: errors.VmServiceError) -> str:
    return repr(error.__cause__) if error.__cause__ else ""


def _incident(error: Exception) -> str:
    """Log a defect in full, for us, and return what others may read about it."""
    incident = secrets.token_hex(4)
    metrics.INTERNAL_ERRORS.inc()
    log.error("internal error", incident=incident, exc_info=error, private=True)
    bound = structlog.contextvars.get_contextvars()
    name = "/".join(str(bound[key]) for key in ("namespace", "name") if key in bound)
    about = " ".join(str(bound[key]) for key in ("action", "call", "resource") if key in bound)
    return _readable(
        f"internal error {incident} ({type(error).__name__}) in {about} {name}; the log of the plugin's sidecar "
        f"has the details under {incident}: please report them"
    )


def _status_code(error: errors.VmServiceError) -> StatusCode:
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return StatusCode.INTERNAL


def _abort(context: ServicerContext, code: StatusCode, text: str) -> NoReturn:
    context.abort(code, _readable(text))


def _readable(text: str) -> str:
    """Return words that fit into a status: one line of bounded length, in which nothing is hidden."""
    line = on_one_line(text)
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"


def _timestamp(moment: datetime | None) -> Timestamp:
    if moment is None:
        return _NEVER
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp


def is_too_deep(content: Any) -> bool:
    """Say whether a value of JSON has more than `MOST_LEVELS` objects and arrays within each other."""
    level = [content] if isinstance(content, (dict, list)) else []
    for _ in range(MOST_LEVELS):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return bool(level)
