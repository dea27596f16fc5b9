"""The real stack, once a session; its logs are shown under every test that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_TAIL = 3000
_running = pytest.StashKey[Stack]()
_log_sizes = pytest.StashKey[dict[str, int]]()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """An API server that looks like a Supervisor's, an S3 server, and Velero servers as tests ask for them."""
    running = Stack(tmp_path_factory.mktemp("stack", numbered=False))
    request.config.stash[_running] = running
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Remember where every log ends, so that a failure shows what was written since."""
    stack = item.config.stash.get(_running, None)
    item.stash[_log_sizes] = {str(log): log.stat().st_size for log in stack.logs()} if stack else {}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the new part of every log of the stack to the report of a failed test."""
    report = yield
    stack = item.config.stash.get(_running, None)
    if report.failed and stack is not None:
        for log in stack.logs():
            with log.open("rb") as file:
                file.seek(item.stash[_log_sizes].get(str(log), 0))
                text = file.read().decode(errors="replace")
            if text:
                report.sections.append((f"{log} during this test, its end", text[-_TAIL:]))
    return report
