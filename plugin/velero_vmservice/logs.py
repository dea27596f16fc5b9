"""One log for two places: the sidecar's own standard error, and the log of the backup or restore in progress.

Both get the JSON lines that go-plugin defines (`@message`, `@level`, `@timestamp`, further keys as fields). Lines that
are logged during a call of Velero are copied to the session of that call. Velero trusts those lines:

- it counts a backup's lines of level `warn` and `error` as the backup's warnings and errors
  (velero: pkg/util/logging/log_counter_hook.go), so `error` makes a backup PartiallyFailed;
- it panics on a `namespace`, `resource` or `name` that is not a string (same file), and on an `@message`, `@level` or
  `@timestamp` that is not one (go-plugin: log_entry.go), so every value is sent as a string;
- it panics on an `error` that is not a Go error (same file), and no JSON value is one: so no line has that key, and the
  reason of a failure is `cause`;
- it splits a line of 64 KiB or more (go-plugin: client.go).

Tracebacks are never copied, nor are lines bound with `private=True`.

Values are made for searches: a list is one value, `a,b`, and is cut if it is long. `docs/runbook.md` has the keys, each
with its one meaning.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TextIO

import structlog

from velero_vmservice.text import spelled_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

SESSION: ContextVar[Callable[[bytes], None] | None] = ContextVar("session", default=None)
"""Takes one line, newline included, for the session of the current call."""

_PRIVATE: Final = frozenset({"private", "exc_info", "exception", "stack", "stack_info"})
_VALUE_CHARACTERS: Final = 4_000
_LINE_BYTES: Final = 60_000
"""Below the 64 KiB at which go-plugin splits a line."""
_LISTED: Final = 20
"""The most entries of a list in a line: enough for most applications, and still readable."""
_KEYS_OF_VELERO: Final = {"error": "cause"}
"""Keys that Velero uses itself, and their replacements in lines for Velero."""
_DETAILS: Final = ("session",)
"""Keys bound to every line of a call that matter only in the plugin's own log."""


def configure(level: str = "info", *, stream: TextIO | None = None) -> None:
    """Send everything of at least `level` to `stream` (standard error), libraries' warnings included."""
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
    ]
    chosen = logging.getLevelNamesMapping()[level.upper()]
    brief: list[Processor] = [] if chosen <= logging.DEBUG else [_without_details]
    structlog.configure(
        processors=[*shared, *brief, joined_lists, copy_to_session, structlog.processors.format_exc_info, _as_json],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=out),
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _as_json,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, chosen))


def joined_lists(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Write each list as one value, `a,b` or `a,b +12 more`, and each mapping as `key=value,key=value`.

    A key with an empty value is left out.
    """
    joined = {key: _joined(value) for key, value in event.items()}
    return {key: value for key, value in joined.items() if value is not None and value != ""}


def _joined(value: object) -> object:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={entry}" for key, entry in value.items())
    if not isinstance(value, list | tuple | set | frozenset):
        return value
    entries = [str(entry) for entry in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    more = f" +{len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
    return ",".join(entries[:_LISTED]) + more


def _without_details(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: value for key, value in event.items() if key not in _DETAILS}


def copy_to_session(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Copy the line to the current call's session, if there is one; return it without its own mark."""
    send = SESSION.get()
    if send is not None and not event.get("private"):
        send(session_line({key: value for key, value in event.items() if key not in _PRIVATE}))
    event.pop("private", None)
    return event


def session_line(event: Mapping[str, object]) -> bytes:
    """Return the line for Velero: values are strings of bounded length, the line is shorter than 64 KiB."""
    texts = {_KEYS_OF_VELERO.get(key, key): _text(value) for key, value in _hclog(event).items()}
    line = _dumps(texts)
    if len(line) > _LINE_BYTES:
        kept = {key: value for key, value in texts.items() if key.startswith("@")}
        line = _dumps(kept | {"dropped": f"{len(texts) - len(kept)} fields; the sidecar's own log has them"})
    return line + b"\n"


def _text(value: object) -> str:
    text = spelled_out(value if isinstance(value, str) else _dumps(value).decode())
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}… ({len(text)} characters)"


def _hclog(event: Mapping[str, object]) -> dict[str, object]:
    """Rename the keys to go-plugin's names; they come first, so that users find them too."""
    level = event.get("level", "info")
    lead = {
        "@level": {"warning": "warn", "critical": "error"}.get(str(level), level),
        "@message": event.get("event", ""),
        "@timestamp": event.get("timestamp", ""),
    }
    return lead | {key: value for key, value in event.items() if key not in {"level", "event", "timestamp"}}


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _dumps(_hclog(event)).decode()


def _dumps(value: object) -> bytes:
    """Write JSON without hidden characters: control characters of terminals are JSON escapes."""
    text = json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
    return spelled_out(text).encode()
