from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import LogCapture

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> Iterator[None]:
    structlog.configure(processors=[LogCapture()], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
