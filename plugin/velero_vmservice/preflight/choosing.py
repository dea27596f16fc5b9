"""The newest capture that holds an application: what a check or a drill is made from where none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.captures.matching import ranking
from velero_vmservice.captures.matching.choosing import MatchRequest
from velero_vmservice.errors import Corrupt, NotFound, NotRestorable
from velero_vmservice.preflight.captured import read_captured
from velero_vmservice.preflight.checklist import bears_one_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from velero_vmservice.captures.catalogue import Catalogue
    from velero_vmservice.captures.matching.choosing import CaptureChoice
    from velero_vmservice.preflight.captured import CapturedApplications

LATEST: Final = "latest"
MATCH: Final = "match"
"""The words that `--from` reserves."""
MOST_READ: Final = 50
"""Captures that are read, the newest first."""


def named(catalogue: Catalogue, reference: str, names: Collection[str], *, location: str = "") -> CapturedApplications:
    """Return the capture NAME or NAME/TIME, or the latest one that holds the applications; raises as both do."""
    if reference == LATEST:
        return latest(catalogue, names, location=location)
    return read_captured(catalogue.find(reference, location=location))


def latest(catalogue: Catalogue, names: Collection[str], *, location: str = "") -> CapturedApplications:
    """Return the newest sealed capture that holds these applications, or the newest where none is named.

    A damaged capture is passed over. Raises `NotFound` if there is none, and what the catalogue raises.
    """
    listing = catalogue.list(location=location)
    for capture in [capture for capture in listing.captures if capture.sealed][:MOST_READ]:
        try:
            captured = read_captured(capture)
        except (Corrupt, NotFound, NotRestorable):
            continue
        if all(any(bears_one_of(each, [name]) for each in captured.applications) for name in names):
            return captured
    if listing.unread:
        raise listing.unread[0]
    what = f"holds {', '.join(names)}" if names else "is there"
    raise NotFound(
        f"no sealed capture {what}", hint="capture now: velero-vmservice capture -n NAMESPACE --vadp-job JOB"
    )


def matching(choice: CaptureChoice, names: Sequence[str]) -> tuple[CapturedApplications, Sequence[str]]:
    """Return the capture that fits the VMs as they are registered now best, as a restore would choose it.

    With it comes what could not be read: a better capture may be among it. Where not one application is named, all VMs
    of a capture are compared. Raises `NotRestorable` if no capture is known to fit, `Corrupt` for a damaged one, and
    what cluster and stores raise.
    """
    application = names[0] if len(names) == 1 else ""
    ranked = choice.ranked(MatchRequest(application=application))
    best = ranking.best(ranked.matches)
    if best is None:
        raise NotRestorable(
            "no capture is known to fit the VMs that are registered now",
            hint="see velero-vmservice match, and name a capture: --from NAME/TIME",
        )
    return read_captured(ranked.stored[best.candidate.ref]), ranked.problems
