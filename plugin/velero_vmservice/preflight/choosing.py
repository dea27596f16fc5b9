"""The capture that a check or a drill is made from: one that is named, the latest, or the one that fits best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.captures.matching import ranking
from velero_vmservice.captures.matching.choosing import LATEST, MatchRequest
from velero_vmservice.errors import NotRestorable
from velero_vmservice.preflight.captured import read_captured

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from velero_vmservice.captures.catalogue import Catalogue
    from velero_vmservice.captures.matching.choosing import CaptureChoice
    from velero_vmservice.captures.matching.shortfall import Lack
    from velero_vmservice.preflight.captured import CapturedApplications


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCapture:
    """What a check or a drill is made from."""

    captured: CapturedApplications
    lacks: Sequence[Lack] = ()
    """What it does not hold, though an earlier one does."""
    remarks: Sequence[str] = ()
    """Which captures are passed over or could not be read, and why, in sentences."""


def named(
    catalogue: Catalogue, choice: CaptureChoice, reference: str, names: Collection[str], *, location: str = ""
) -> ChosenCapture:
    """Return the capture NAME or NAME/TIME, or the latest one that holds the applications; raises as both do."""
    if reference != LATEST:
        of_name = catalogue.named(reference, location=location)
        return ChosenCapture(
            captured=read_captured(of_name.stored),
            lacks=choice.lacks(of_name.stored),
            remarks=[passed.sentence for passed in of_name.passed_over],
        )
    latest = choice.latest(applications=names, location=location)
    return ChosenCapture(captured=read_captured(latest.capture), lacks=latest.lacks, remarks=latest.passed_over)


def matching(choice: CaptureChoice, names: Sequence[str], *, location: str = "") -> ChosenCapture:
    """Return the capture that fits the VMs as they are registered now best, as a restore would choose it.

    Where not one application is named, all VMs of a capture are compared. Raises `NotRestorable` if no capture is known
    to fit, `Corrupt` for a damaged one, and what cluster and stores raise.
    """
    application = names[0] if len(names) == 1 else ""
    ranked = choice.ranked(
        MatchRequest(application=application, location=location, concerns=lambda lack: _is_asked_for(lack, names))
    )
    best = ranking.best(ranked.matches)
    if best is None:
        raise NotRestorable(
            "no capture is known to fit the VMs that are registered now",
            hint="see velero-vmservice match, and name a capture: --from NAME/TIME",
        )
    captured = read_captured(ranked.stored[best.candidate.ref])
    return ChosenCapture(captured=captured, lacks=best.lacks, remarks=ranked.problems)


def _is_asked_for(lack: Lack, names: Collection[str]) -> bool:
    return not names or (lack.application is not None and any(map(lack.application.is_named, names)))
