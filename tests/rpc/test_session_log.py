"""What is logged in a call stands in Velero's log, in a form that cannot harm Velero."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
import structlog

from tests.rpc.test_calls import BACKUP, CAPTURE, REPLAY, RESTORE, config_map
from tests.waiting import wait_until

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from tests.rpc.velero_host import PluginProcess


pytestmark = pytest.mark.usefixtures("server")


def test_a_line_tells_which_backup_and_object_it_is_about(
    launch: Callable[..., PluginProcess], own_log: io.StringIO
) -> None:
    velero = launch()
    velero.back_up(CAPTURE, config_map("log"), BACKUP)
    line = velero.log.wait_for("seen")
    assert line["@level"] == "info"
    assert line["@timestamp"].endswith("Z")
    assert line["@timestamp"][-8] == "."
    assert line["backup"] == "velero/nightly"
    assert (line["resource"], line["name"]) == ("ConfigMap", "a")
    assert line["action"] == CAPTURE
    assert json.loads(own_log.getvalue().splitlines()[0])["@message"] == "seen"


def test_every_value_is_a_string_for_velero_panics_on_others(launch: Callable[..., PluginProcess]) -> None:
    velero = launch()
    velero.back_up(CAPTURE, config_map("log"), BACKUP)
    line = velero.log.wait_for("seen")
    assert {type(value) for value in line.values()} == {str}
    assert (line["count"], line["namespace"], line["item"]) == ("3", "7", "a=1")


def test_a_long_line_stays_below_the_64_kib_at_which_velero_splits_it(launch: Callable[..., PluginProcess]) -> None:
    velero = launch()
    velero.back_up(CAPTURE, config_map("long-log"), BACKUP)
    line = velero.log.wait_for("long")
    assert len(json.dumps(line)) < 64 * 1024
    assert "text" not in line
    assert "fields" in line["dropped"]


def test_lines_go_to_their_own_session_only(launch: Callable[..., PluginProcess]) -> None:
    first, other = launch(), launch()
    first.back_up(CAPTURE, config_map("log"), BACKUP)
    other.restore(REPLAY, config_map("log"), config_map(), RESTORE)
    assert first.log.wait_for("seen")["backup"] == "velero/nightly"
    assert other.log.wait_for("seen")["restore"] == "velero/again"
    first.shutdown()
    other.shutdown()
    assert len(first.log.lines) == len(other.log.lines) == 1


def test_a_failed_call_is_left_for_velero_to_log_and_count(
    launch: Callable[..., PluginProcess], own_log: io.StringIO
) -> None:
    velero = launch()
    velero.restore_progress(REPLAY, "break", RESTORE)
    assert "internal error" in own_log.getvalue()
    velero.shutdown()
    assert velero.log.lines == []


def test_a_reader_that_stops_delays_no_call_for_long_and_no_other_session(launch: Callable[..., PluginProcess]) -> None:
    stuck, other = launch(), launch()
    os.kill(stuck.pid, signal.SIGSTOP)
    stuck.back_up(CAPTURE, config_map("chat 3000"), BACKUP)  # more than all buffers on the way hold
    other.back_up(CAPTURE, config_map("log"), BACKUP)
    assert other.log.wait_for("seen")
    os.kill(stuck.pid, signal.SIGCONT)

    def is_read_again() -> bool:
        """Write one more line; the lines before it go out as the reader takes them."""
        stuck.back_up(CAPTURE, config_map("log"), BACKUP)
        return any(line["@message"] == "seen" for line in stuck.log.lines)

    wait_until(is_read_again, 30, "the reader goes on")
    kept = [line for line in stuck.log.lines if line["@message"] == "chatting"]
    assert [line["number"] for line in kept] == [str(number) for number in range(len(kept))]
    lost = stuck.log.wait_for("log lines lost")["lines"]
    assert len(kept) + int(lost) == 3000


def test_lines_outside_of_calls_and_of_libraries_stay_in_the_sidecars_log(own_log: io.StringIO) -> None:
    structlog.get_logger().warning("alone", reason=ValueError("x"))
    logging.getLogger("urllib3").warning("retrying %s", "GET")
    thread = threading.Thread(target=structlog.get_logger().info, args=("from a thread",))
    thread.start()
    thread.join()
    lines = [json.loads(line) for line in own_log.getvalue().splitlines()]
    assert [(line["@level"], line["@message"]) for line in lines] == [
        ("warn", "alone"),
        ("warn", "retrying GET"),
        ("info", "from a thread"),
    ]
    assert lines[1]["logger"] == "urllib3"
