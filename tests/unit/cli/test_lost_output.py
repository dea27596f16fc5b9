"""What a command stores or changes does not depend on its output: a closed pipe and a full disk lose lines alone."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
import pytest

from tests.unit.builders import NAMESPACE, service, vm, vsphere_namespace
from tests.unit.captures.scene import FRONT, OTHER, TIER, WithoutVelero
from tests.unit.captures.scenes import GOLD, HOUR, taken_twice
from tests.unit.world import World
from velero_vmservice.cli.views import standard_streams
from velero_vmservice.vadp.capturing import CaptureRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.command_line import CommandLine

FULL_DISK = [
    "velero-vmservice: the output could not be written: No space left on device",
    "hint: the command has run to its end: what it stores or changes is done",
]


def closed_pipe() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def full_disk() -> TextIO:
    return Path("/dev/full").open("w", encoding="utf-8")


class Output:
    """A standard output that takes nothing, and how a command ends that was done in spite of it."""

    def __init__(self, stream: TextIO, code: int, errors: list[str]) -> None:
        self.stream = stream
        self.code = code
        self.errors = errors


@pytest.fixture(name="lost", params=["closed pipe", "full disk"])
def _lost(request: pytest.FixtureRequest) -> Iterator[Output]:
    lost = Output(closed_pipe(), 0, []) if request.param == "closed pipe" else Output(full_disk(), 1, FULL_DISK)
    with lost.stream:
        yield lost


def check_done(command: CommandLine, lost: Output, *arguments: str) -> None:
    """Run a command without output, and compare its end."""
    command.patch.setattr(sys, "stdout", lost.stream)
    ran = command(*arguments)
    errors = [line for line in ran.err.splitlines() if not line.startswith("note: ")]
    assert (ran.code, errors) == (lost.code, lost.errors)


@pytest.mark.parametrize("form", ["table", "json", "name"])
def test_a_capture_is_sealed(command: CommandLine, lost: Output, form: str) -> None:
    world = WithoutVelero()
    world.cluster.seed(TIER, FRONT)
    world.register("1700000000000")
    command.connects_to(world.start)
    check_done(command, lost, "capture", "-n", NAMESPACE, "-o", form)
    assert [key for key in world.store.list("vadp/") if key.endswith("/capture.json")]


def test_a_restore_goes_on_to_its_end(command: CommandLine, lost: Output) -> None:
    world = WithoutVelero()
    world.take("1700000000000")
    command.connects_to(world.start)
    command.patch.setenv("VMSERVICE_BUCKET", json.dumps({"name": "captures"}))
    command.patch.setattr("velero_vmservice.configured.load", lambda **_: world.settings)
    world.lose(TIER, FRONT, OTHER, vm("web-1"), vm("web-2"))
    command.waits(world, lambda: world.register("1700000000000", uid="new", namespace=NAMESPACE))
    check_done(command, lost, "restore", "--from", "latest", "-y")
    assert world.exists("VirtualMachineService", "front")
    assert [key for key in world.store.list("restores/") if key.endswith("/report.json")]


def test_pruning_removes_what_it_lists(command: CommandLine, lost: Output) -> None:
    world = taken_twice()
    world.clock.advance(100 * 24 * HOUR)
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold"))
    world.clock.advance(3 * 24 * HOUR)
    command.connects_to(world.start)
    check_done(command, lost, "captures", "prune", "--older-than", "30d", "--keep-last", "1", "--delete")
    assert not list(world.store.list(f"vadp/{GOLD}"))


def test_a_drill_stores_its_report(command: CommandLine, lost: Output) -> None:
    world = WithoutVelero()
    world.cluster.seed(vsphere_namespace("drill"))
    world.take("1700000000000")
    command.connects_to(world.start)
    check_done(command, lost, "drill", "run", "--into", "drill")
    assert [key for key in world.store.list("drills/") if key.endswith("/report.json")]


def test_a_watch_that_is_no_longer_read_ends(command: CommandLine) -> None:
    world = World()
    world.back_up(vm("web-1", labels={"app": "web"}), service("front", {"app": "web"}))
    world.lose(vm("web-1"), service("front", {}))
    command.connects_to(world.start)
    command.waits(world, interrupted=True)
    with closed_pipe() as stream:
        command.patch.setattr(sys, "stdout", stream)
        ran = command("registration", "status", "nightly", "--watch")
    assert (ran.code, ran.err) == (141, "")


def test_a_lost_standard_error_ends_nothing_either(command: CommandLine) -> None:
    with closed_pipe() as stream:
        command.patch.setattr(sys, "stderr", stream)
        assert command("plan").code == 2


def test_a_line_of_standard_error_is_written_at_once_as_python_does(command: CommandLine) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8", buffering=1) as stream, os.fdopen(reader, encoding="utf-8") as answer:
        command.patch.setattr(sys, "stderr", stream)
        with standard_streams.lossy():
            sys.stderr.write("a line\n")
            assert answer.readline() == "a line\n"


def test_text_that_the_encoding_lacks_is_spelled_out(command: CommandLine) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="latin-1") as stream:
        command.patch.setattr(sys, "stdout", stream)
        with standard_streams.lossy():
            click.echo("\u2713")
    with os.fdopen(reader, encoding="latin-1") as answer:
        assert answer.read() == "\\u2713\n"


def test_a_pipe_that_does_not_block_gets_every_byte() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    content = b"x" * 1_000_000
    parts: list[bytes] = []

    def read() -> None:
        with os.fdopen(reader, "rb") as pipe:
            parts.append(pipe.read())

    thread = threading.Thread(target=read)
    thread.start()
    with standard_streams.Stream(writer) as stream:
        left = memoryview(content)
        while left:
            left = left[stream.write(left) :]
    os.close(writer)
    thread.join()
    assert parts == [content]
