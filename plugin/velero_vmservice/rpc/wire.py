"""Bytes to values and back, and errors to what Velero understands.

This is the only place that knows gRPC codes. Any exception of an action becomes a status with a text for the person on
call; a traceback stays in the sidecar's own log. `Progress` never answers with an error, because Velero would fail the
operation for good.
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
from typing import TYPE_CHECKING, Any, Final, TypeVar

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
"""Kubernetes' deepest objects, CustomResourceDefinitions, stay well below. Later steps allow more: the parser of stored
documents stops at 200 levels, the writer of items at 254, and a copy takes two stack frames a level.
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
"""The time limit for one answer to Velero about an operation."""
_MOST_CHARACTERS: Final = 2_000
"""A status is sent in a header, and some receivers accept no more than 8 KiB of headers."""

for _call in ("backup Execute", "restore Execute", "delete Execute"):
    for _code in errors.CODES:
        metrics.CALLS_FAILED.labels(_call, _code)

_DAMAGED: Final = "use another backup, as this one may be damaged"

_NEVER: Final = Timestamp(seconds=-62_135_596_800)
"""The zero of Go's time, which Velero does not show; it would show a missing time as 1970."""


@contextmanager
def answering(context: ServicerContext, *, call: str, action: str) -> Iterator[None]:
    """Answer a call, and bind the fields of every line that it logs; each call has a context of its own.

    An error becomes a gRPC status, which Velero logs and counts, so the plugin's line about it stays in its own log.
    """
    structlog.contextvars.bind_contextvars(action=action, call=call)
    began = time.monotonic()
    try:
        yield
    except errors.VmServiceError as error:
        metrics.CALLS_FAILED.labels(call, error.code).inc()
        log.error("call failed", cause=str(error), code=error.code, raised=_cause(error), private=True)
        context.abort(_status_code(error), _readable(explain(error)))
    except Exception as error:  # noqa: BLE001 - the edge: otherwise Velero would log "transport is closing"
        metrics.CALLS_FAILED.labels(call, errors.Defect.code).inc()
        context.abort(StatusCode.INTERNAL, _incident(error))
    finally:
        metrics.CALLS.labels(call).observe(time.monotonic() - began)


def progress(ask: Callable[[], actions.Progress]) -> pb.OperationProgress:
    """Answer with the progress of an operation; never raises.

    A transient fault, and a defect of the plugin, is described, and Velero polls again until its own time limit. A
    permanent error fails the operation. Velero polls the operations of all its restores one after the other, so a slow
    answer must not delay the others: the work continues by itself, and the next poll finds its outcome.
    """
    try:
        return _progress(_soon(ask))
    except TimeoutError:
        text = f"waiting: no answer from the API server or the bucket within {PROGRESS_SECONDS:.1f} s; trying again"
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
    """Read the object of a call, and name it in every further line of the call.

    Velero files a warning by these fields, so `velero backup describe` shows it beside the object.
    """
    content = _object(raw, "the item")
    names = mapping(content.get("metadata"))
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
    """Name an operation in every further line of the call, by the end of its id, which may hold a whole object."""
    structlog.contextvars.bind_contextvars(operation=f"…{operation_id[-24:]}" if operation_id[24:] else operation_id)
    return operation_id


def written(content: Mapping[str, Any]) -> bytes:
    """Write one object; raises `InvalidItem` if it is nested deeper than any Kubernetes object."""
    try:
        return orjson.dumps(content)
    except TypeError as error:
        raise errors.InvalidItem(f"the item cannot be written as JSON: {error}", hint=_DAMAGED, goes_on=True) from error


def named(table: Mapping[str, Action], plugin: str) -> Action:
    """Return the action with this full name; raises `NotFound`."""
    prefix, _, name = plugin.rpartition("/")
    if prefix != PLUGIN_NAME or name not in table:
        raise errors.NotFound(
            f"this release of the plugin has no action {plugin!r}",
            hint="restart Velero, so that it asks the plugin for its actions again",
        )
    return table[name]


def selector(selected: actions.ResourceSelector) -> pb.ResourceSelector:
    """Translate the selector of an action's items."""
    return pb.ResourceSelector(
        includedResources=selected.included_resources,
        excludedResources=selected.excluded_resources,
    )


def explain(error: errors.VmServiceError) -> str:
    """Return what failed, the remedy, and the code, which is in the runbook."""
    return f"{error} [{error.code}]"


def _soon(ask: Callable[[], actions.Progress]) -> actions.Progress:
    """Return what `ask` returns or raises; raises `TimeoutError` if it takes longer than `PROGRESS_SECONDS`."""
    answer: Future[actions.Progress] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            answer.set_result(context.run(ask))
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            answer.set_exception(error)

    threading.Thread(target=work, name="progress", daemon=True).start()
    return answer.result(timeout=PROGRESS_SECONDS)


def _run(raw: bytes, what: str, prefix: Callable[[str, str], str]) -> dict[str, Any]:
    structlog.contextvars.bind_contextvars(**_names_of_run(raw, what, prefix))
    return _same_again(raw, f"the {what}")


@lru_cache(maxsize=16)
def _names_of_run(raw: bytes, what: str, prefix: Callable[[str, str], str]) -> Mapping[str, str]:
    """Return the fields of every line about a run: the Velero object, and the prefix of its documents in the bucket."""
    content = _same_again(raw, f"the {what}")
    names = mapping(content.get("metadata"))
    namespace_and_name = "/".join(str(names[key]) for key in ("namespace", "name") if names.get(key))
    started = compact_time(mapping(content.get("status")).get("startTimestamp"))
    run = prefix(str(names.get("name")), started).rstrip("/") if started else ""
    return {what: namespace_and_name, "run": run}


@lru_cache(maxsize=16)
def _same_again(raw: bytes, what: str) -> dict[str, Any]:
    """Read a Backup or Restore, which Velero sends again with each of thousands of items; never change the value."""
    return _object(raw, what)


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        content = orjson.loads(raw)
    except ValueError as error:  # nesting that is too deep included
        raise errors.InvalidItem(
            f"{what} that Velero sent is not JSON: {error}", hint=_DAMAGED, goes_on=True
        ) from error
    if not isinstance(content, dict):
        raise errors.InvalidItem(f"{what} that Velero sent is not a JSON object", hint=_DAMAGED, goes_on=True)
    # Counting is cheap, and almost no object has this many brackets.
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
    """Log a defect in full in the plugin's own log, and return a text about it for users."""
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


def _readable(text: str) -> str:
    """Return a text that fits into a status: one line of bounded length, without hidden characters."""
    line = on_one_line(text)
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"


def _timestamp(moment: datetime | None) -> Timestamp:
    if moment is None:
        return _NEVER
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp


def is_too_deep(content: Any) -> bool:
    """Say whether a JSON value has more than `MOST_LEVELS` levels of objects and arrays."""
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
