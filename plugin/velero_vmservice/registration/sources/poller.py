"""Ask every registration source that the settings name, each in its turn."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from velero_vmservice.registration.model import Source
from velero_vmservice.registration.sources.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Collection

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.registration.merge import Answer
    from velero_vmservice.registration.port import RegistrationSource
    from velero_vmservice.registration.round_cache import Look


class RegistrationSources:
    """The sources beside Kubernetes; it never raises, for one that is away is a note."""

    def __init__(self, sources: Collection[RegistrationSource], *, clock: Clock) -> None:
        self._sources = tuple(sources)
        self._turns = Turns(clock)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sources."""
        return tuple(source.name for source in self._sources)

    def answers(
        self,
        namespace: str,
        vms: Collection[ExpectedVm],
        look: Look | None = None,
        *,
        until: float = float("inf"),
    ) -> list[Answer]:
        """Return what each source says, or why it could not be asked; without VMs no source is asked.

        `look` is what this round has seen already, as for one source; a vCenter that is not asked is noted there, so
        that no other source waits for it either. After `until` no other source is begun with.
        """
        if not vms:
            return []
        answers = [
            self._turns.ask(source.name, namespace, partial(source.observe, namespace, vms, look), until=until)
            for source in self._sources
        ]
        if look is not None and look.vsphere is None and look.vsphere_problem is None:
            look.vsphere_problem = self._turns.away(Source.VCENTER)
        return answers
