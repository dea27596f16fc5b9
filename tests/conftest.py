"""How Hypothesis works in every suite, whichever of them runs."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

# Out of pytest's sight: it refuses to collect beside a directory of Hypothesis.
set_hypothesis_home_dir(Path(__file__).parents[1] / ".build" / "hypothesis")

# The same examples on every VM; no test claims a time, and a loaded machine fails none.
settings.register_profile(
    "repository", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repository")
