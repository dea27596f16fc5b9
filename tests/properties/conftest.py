from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir
from structlog.testing import LogCapture

if TYPE_CHECKING:
    from collections.abc import Iterator

# Out of pytest's sight: it refuses to collect beside a directory of Hypothesis.
set_hypothesis_home_dir(Path(__file__).parents[2] / ".build" / "hypothesis")

# The same examples on every machine; time is nobody's claim here.
settings.register_profile("repository", deadline=None, derandomize=True, database=None)
settings.load_profile("repository")


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> Iterator[None]:
    structlog.configure(processors=[LogCapture()], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
