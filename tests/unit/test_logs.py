"""The log lines as they are written: short values that a person can search for."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from velero_vmservice import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before
    logging.getLogger().setLevel(level)


def line(level: str = "info", **fields: Any) -> dict[str, Any]:
    stream = io.StringIO()
    logs.configure(level, stream=stream)
    with structlog.contextvars.bound_contextvars(session="s-1", restore="velero/nightly"):
        structlog.get_logger().info("replayed", **fields)
    written: dict[str, Any] = json.loads(stream.getvalue())
    return written


@pytest.mark.parametrize("vms", [["web-1", "web-2"], ("web-1", "web-2"), frozenset({"web-2", "web-1"})])
def test_a_list_is_one_value_that_can_be_searched_for(vms: Any) -> None:
    assert line(vms=vms)["vms"] == "web-1,web-2"


def test_a_long_list_is_cut_and_says_how_much_is_left_out() -> None:
    names = [f"vm-{number:03}" for number in range(32)]
    assert line(vms=names)["vms"] == f"{','.join(names[:20])} +12 more"


def test_a_mapping_is_written_as_its_keys_and_values() -> None:
    assert line(policy={"mode": "strict", "power": "leave"})["policy"] == "mode=strict,power=leave"


def test_numbers_and_sentences_stay_as_they_are() -> None:
    written = line(vm_count=3, reason="shop-db-1, which is late")
    assert (written["vm_count"], written["reason"]) == (3, "shop-db-1, which is late")


def test_a_key_without_a_value_is_left_out() -> None:
    written = line(vms=(), warnings="", hint=None, vm_count=0, changed=False)
    assert {"vms", "warnings", "hint"} & written.keys() == set()
    assert (written["vm_count"], written["changed"]) == (0, False)


def test_the_session_is_named_at_debug_level_only() -> None:
    assert "session" not in line()
    assert line("debug")["session"] == "s-1"
    assert line()["restore"] == "velero/nightly"


def test_the_session_of_velero_reads_the_same_values() -> None:
    sent = list[bytes]()
    token = logs.SESSION.set(sent.append)
    try:
        line(vms=["web-1", "web-2"])
    finally:
        logs.SESSION.reset(token)
    (copied,) = (json.loads(line) for line in sent)
    assert copied["vms"] == "web-1,web-2"
    assert "session" not in copied


def test_velero_sees_no_error_key_for_it_panics_on_one_that_is_text() -> None:
    sent = json.loads(logs.session_line({"event": "not stored", "error": "the bucket is away"}))
    assert (sent.get("error"), sent["cause"]) == (None, "the bucket is away")
