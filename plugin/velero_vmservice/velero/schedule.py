"""The time of a Velero Schedule's next Backup, by the rules of Velero's cron (robfig/cron, ParseStandard)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import durationpy
from cronsim import CronSim, CronSimError

from velero_vmservice.kube.manifest import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.kube.manifest import Manifest

_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ZONED: Final = re.compile(r"(?:CRON_)?TZ=(?P<zone>\S+)\s+(?P<rest>.+)")
_EVERY: Final = "@every "


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The parts of a Schedule that decide on its next backup."""

    name: str
    cron: str
    created: datetime
    template: Mapping[str, Any] = field(default_factory=dict)
    """The spec of its Backups."""
    paused: bool = False
    zone: tzinfo = UTC
    """The local time zone of Velero's server, for an expression without a zone."""

    @classmethod
    def read(cls, schedule: Manifest, *, zone: tzinfo = UTC) -> Schedule:
        """Read a Schedule; without a time of creation it counts as old."""
        return cls(
            name=schedule.name,
            cron=str(schedule.spec.get("schedule", "")),
            created=schedule.created or datetime.min.replace(tzinfo=UTC),
            template=mapping(schedule.spec.get("template")),
            paused=bool(schedule.spec.get("paused")),
            zone=zone,
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """Return its next run; None if it is paused, never runs, or cannot be read."""
        return None if self.paused else next_run(self.cron, moment, zone=self.zone)


def next_run(cron: str, moment: datetime, *, zone: tzinfo = UTC) -> datetime | None:
    """Return the first time after a moment that a cron expression names; None if there is none or it is not valid.

    An expression without a time zone is in `zone`; a zone that this system does not know is UTC.
    """
    zoned = _ZONED.fullmatch(cron.strip())
    expression = zoned["rest"] if zoned else cron.strip()
    if expression.startswith(_EVERY):
        return _after_pause(expression.removeprefix(_EVERY), moment)
    fields = _DESCRIPTORS.get(expression, expression).replace("?", "*")
    try:
        return next(CronSim(fields, moment.astimezone(_zone(zoned["zone"]) if zoned else zone))).astimezone(UTC)
    except (CronSimError, StopIteration, OverflowError):
        return None


def local_zone(variable: str) -> tzinfo:
    """Return the zone of the variable TZ by Go's rules: UTC if it is empty or unknown."""
    return _zone(variable.removeprefix(":")) if variable else UTC


def _after_pause(pause: str, moment: datetime) -> datetime | None:
    try:
        length: timedelta = durationpy.from_str(pause.strip())
        return moment + max(length, timedelta(seconds=1))
    except (durationpy.DurationError, OverflowError):
        return None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a damaged name is a ValueError
        return UTC
