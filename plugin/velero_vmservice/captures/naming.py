"""What a person names by NAME or NAME/TIME among what lies in the buckets: captures, and drills of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from velero_vmservice.errors import InvalidItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Stored(Protocol):
    """What lies in a bucket below its name and start time."""

    @property
    def started(self) -> str:
        """UTC, compact."""


StoredT = TypeVar("StoredT", bound=Stored)


class Flaw(StrEnum):
    """Why the newest of a name is not meant by the name alone."""

    UNSEALED = "has no seal: it was stopped before its end, or goes on"
    EMPTY = "holds no group, service or VM"
    OTHER_CLUSTER = "is of another cluster"
    """Never meant by the name alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver(Generic[StoredT]):
    """What is newer than what a name stands for."""

    stored: StoredT
    flaw: Flaw

    @property
    def sentence(self) -> str:
        """Say what is passed over, and why."""
        return f"{self.stored} {self.flaw}; it is newer, and passed over unless it is named with its time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Generic[StoredT]):
    """What a reference stands for."""

    meant: Sequence[StoredT]
    """Several where several buckets or makers have it; none where it is not there."""
    passed_over: Sequence[PassedOver[StoredT]] = ()

    @property
    def stored(self) -> StoredT:
        """What is meant, where it is one."""
        return self.meant[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """NAME, the newest of that name that is whole and holds anything, or NAME/TIME, exactly that one."""

    name: str
    started: str = ""

    @classmethod
    def read(cls, reference: str) -> Reference:
        """Read what a person typed; raises `InvalidItem` for what is none."""
        name, slash, started = reference.partition("/")
        if not name or (slash and not started) or "/" in started:
            raise InvalidItem(f'"{reference}" is neither NAME nor NAME/TIME', hint="copy it from the list")
        return cls(name=name, started=started)

    def among(self, newest_first: Iterable[StoredT], flaw: Callable[[StoredT], Flaw | None]) -> Named[StoredT]:
        """Return what it stands for; where all of a name are flawed, the newest of the least flawed.

        Of a name that others alone have it stands for nothing, and all are passed over.

        Args:
            newest_first: all of the name.
            flaw: what is wrong with one; asked the newest first, and no further than it takes.
        """
        of_name = [stored for stored in newest_first if self.started in ("", stored.started)]
        if self.started or not of_name:
            return Named(meant=of_name)
        flaws = list[PassedOver[StoredT]]()
        for stored in of_name:
            its_flaw = flaw(stored)
            if its_flaw is None:
                return Named(meant=_alike(stored, of_name, flaw), passed_over=_newer(flaws, stored))
            flaws.append(PassedOver(stored=stored, flaw=its_flaw))
        own = [each for each in flaws if each.flaw is not Flaw.OTHER_CLUSTER]
        if not own:
            return Named(meant=(), passed_over=flaws)
        least = next((each.stored for each in own if each.flaw is Flaw.EMPTY), own[0].stored)
        return Named(meant=_alike(least, of_name, flaw), passed_over=_newer(flaws, least))


def _alike(chosen: StoredT, stored: Iterable[StoredT], flaw: Callable[[StoredT], Flaw | None]) -> Sequence[StoredT]:
    of_its_time = [each for each in stored if each.started == chosen.started]
    return of_its_time if len(of_its_time) == 1 else [each for each in of_its_time if flaw(each) is flaw(chosen)]


def _newer(flaws: Iterable[PassedOver[StoredT]], chosen: StoredT) -> Sequence[PassedOver[StoredT]]:
    return [each for each in flaws if each.stored.started > chosen.started]
