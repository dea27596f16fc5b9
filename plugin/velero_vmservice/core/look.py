"""What a round has seen of a namespace so far, so that nobody looks where somebody else has looked already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from velero_vmservice.core.observation import Observation


@dataclass(slots=True, kw_only=True)
class Look:
    """One round's look at one namespace: whoever looks leaves what is seen to those who are asked next.

    It is let go of with the round: an answer never rests on an earlier one, and thousands of machines are held once.
    """

    observed: Observation | None = None
    """In Kubernetes."""
