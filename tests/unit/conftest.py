from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import LogCapture

from tests.unit.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="world")
def _world() -> World:
    return World()


@pytest.fixture(name="log", autouse=True)
def _log() -> Iterator[LogCapture]:
    """Events of this test; nothing is printed."""
    capture = LogCapture()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    yield capture
    structlog.reset_defaults()
