"""One id joins Velero's log, the plugin's own log and the bucket, through a launched process as Velero makes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import backup, group, restore, vm
from tests.unit.world import World
from velero_vmservice.report.store import REPORT
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from tests.rpc.velero_host import PluginProcess
    from velero_vmservice.rpc.control import PluginServer
    from velero_vmservice.rpc.server import ActionTable

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
CAPTURE, REPLAY = f"{PLUGIN_NAME}/capture", f"{PLUGIN_NAME}/replay"


@pytest.fixture(name="world")
def _world() -> World:
    return World()


@pytest.fixture(name="actions")
def _actions(world: World) -> ActionTable:
    return world.app.actions


def velero_line(line: dict[str, str]) -> str:
    """A plugin's line as Velero's log has it (logrus: keys in order, values quoted where they need it)."""
    fields = {key: value for key, value in line.items() if not key.startswith("@")}
    fields["pluginName"] = PLUGIN_NAME
    written = (
        f'{key}="{value}"' if re.search(r"[^\w./@^+-]", value) else f"{key}={value}" for key, value in fields.items()
    )
    return f'time="2026-03-01T12:00:01Z" level={line["@level"]} msg="{line["@message"]}" {" ".join(sorted(written))}'


def documented_pattern() -> str:
    """What the page has `grep` look for in Velero's log."""
    match = re.search(r"velero backup logs nightly \| grep -o '([^']+)'", PAGE.read_text("utf-8"))
    assert match is not None
    return match[1]


def run_in(line: dict[str, str]) -> str:
    """The id as the documented command finds it."""
    match = re.search(documented_pattern(), velero_line(line))
    assert match is not None, line
    return match[0].removeprefix("run=")


def own_lines(own_log: io.StringIO, run: str) -> list[str]:
    """Messages of the plugin's own log that a search for the id finds."""
    return [json.loads(line)["@message"] for line in own_log.getvalue().splitlines() if f'"run":"{run}"' in line]


def test_a_backup(
    world: World, server: PluginServer, launch: Callable[[], PluginProcess], own_log: io.StringIO
) -> None:
    assert server is not None
    web = group("web", ["web-1"])
    world.cluster.seed(vm("web-1", group="web"), web)
    process = launch()
    _, operation = process.back_up(CAPTURE, world.live("VirtualMachineGroup", "web").content, backup())
    assert process.backup_progress(CAPTURE, operation, backup()).completed
    run = run_in(process.log.wait_for("captured"))
    assert run_in(process.log.wait_for("capture sealed")) == run
    assert {"captured", "capture sealed"} <= set(own_lines(own_log, run))
    assert {key.removeprefix(run) for key in world.store.list(f"{run}/")} == {
        "/capture.json",
        "/namespaces/shop.json",
        "/objects/virtualmachinegroups/shop/web.json",
    }


def test_a_restore(
    world: World, server: PluginServer, launch: Callable[[], PluginProcess], own_log: io.StringIO
) -> None:
    assert server is not None
    (item,) = world.back_up(vm("web-1", group="web"), group("web", ["web-1"]))
    world.lose(group("web", ["web-1"]))
    process = launch()
    operation = process.restore(REPLAY, item, item, restore()).operationID
    while not process.restore_progress(REPLAY, operation, restore()).completed:
        world.clock.advance(10)
        world.vm_operator()
    run = run_in(process.log.wait_for("restore begins"))
    assert run_in(process.log.wait_for("restore ended")) == run
    assert {"restore begins", "replayed", "replay ended", "restore ended"} <= set(own_lines(own_log, run))
    assert f"{run}/{REPORT}" in set(world.store.list(f"{run}/"))
