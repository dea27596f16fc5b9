"""The system's clock, behind a port, so that tests can set the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from velero_vmservice.velero.schedule import local_zone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

LOCAL_TIME: Final = Path("/etc/localtime")


class SystemClock:
    """The operating system's time."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back, unaffected by changes of the system's time."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Pause the thread."""
        time.sleep(seconds)


def zone_of_process(environment: Mapping[str, str], *, local_time: Path = LOCAL_TIME) -> tzinfo:
    """Return the local time zone by Go's rules: that of TZ, else the system's, else UTC."""
    if (variable := environment.get("TZ")) is not None:
        return local_zone(variable)
    try:
        with local_time.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
