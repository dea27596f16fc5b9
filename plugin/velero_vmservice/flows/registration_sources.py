"""Ask every registration source that the settings name, and make one answer of what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core.combine import Answer, combine
from velero_vmservice.core.errors import VmServiceError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.core.ports import RegistrationSource
    from velero_vmservice.core.registration import Registration, Wanted


class RegistrationSources:
    """Several sources as one; it never raises, for one that is away is a note and all of them are a reason to wait."""

    def __init__(self, sources: Collection[RegistrationSource]) -> None:
        self._sources = tuple(sources)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sources."""
        return tuple(one.name for one in self._sources)

    def observe(self, namespace: str, machines: Collection[Wanted]) -> Mapping[str, Registration]:
        """Return one answer for each machine, by name; each source is asked once."""
        return combine([one.name for one in machines], self.answers(namespace, machines))

    def answers(self, namespace: str, machines: Collection[Wanted]) -> list[Answer]:
        """Return what each source says, or why it could not be asked; nobody is asked about nobody."""
        return [_ask(one, namespace, machines) for one in self._sources] if machines else []


def _ask(source: RegistrationSource, namespace: str, machines: Collection[Wanted]) -> Answer:
    try:
        return Answer(source=source.name, found=source.observe(namespace, machines))
    except VmServiceError as error:
        return Answer(source=source.name, problem=str(error))
