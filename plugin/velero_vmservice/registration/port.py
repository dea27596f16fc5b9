"""What is asked of a registration source, and what every implementation MUST hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.registration.model import Registration, Source
    from velero_vmservice.registration.round_cache import Look


class RegistrationSource(Protocol):
    """Anything that can say how far the registration of restored VMs is.

    The contract suite `tests/contract/registration_contract.py` runs against each implementation.
    """

    @property
    def name(self) -> Source:
        """Return which source it is."""

    def observe(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what is known of each VM by name, in a bounded number of requests however many are asked for.

        `look` is what this round has seen of the namespace: a source that needs it does not look there again, and one
        that looks leaves there what others may need.

        MUST answer for every VM, `State.UNKNOWN` included. Raises `Unavailable` while the source is away or
        slow, `Forbidden` when it denies, `InvalidSettings` when it is set up wrongly; never answers from a stale look.
        """
