"""The registration of one restored disk: what a CnsRegisterVolume says (guide 11.3).

RegisterVM stands at 80 % while CNS makes the disks first class disks and CSI their claims. CNS tries again by itself,
so an error is a reason to look and not an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from velero_vmservice.kube.manifest import Manifest

_TROUBLES: Final = (
    (
        ("not found", "no such file", "does not exist", "could not find"),
        "the disk file: it is missing or named otherwise",
    ),
    (("datastore",), "its datastore: it is not accessible"),
    (
        ("cns", "unavailable", "connection", "timeout", "timed out", "deadline"),
        "CNS and vCenter: one of them does not answer",
    ),
)
"""What an error is about, the most specific first: the error of a missing file names its datastore too."""
_ANY_TROUBLE: Final = "its datastore, its disk file or CNS"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRegistration:
    """A disk whose registration has not ended."""

    name: str
    """Of the CnsRegisterVolume."""
    claim: str
    error: str
    """As CNS says it, one bounded line; '' while nothing is wrong."""
    since: str
    """When the registration was asked for, RFC 3339."""

    def __str__(self) -> str:
        if not self.error:
            return f"its disk is being registered, CnsRegisterVolume {self.name}"
        return f"its disk cannot be registered: {self.error}, CnsRegisterVolume {self.name}; look at {self.trouble}"

    @property
    def trouble(self) -> str:
        """What to look at, of the guide's three (11.3); all of them where the error does not say."""
        error = self.error.lower()
        causes = (cause for signs, cause in _TROUBLES if any(sign in error for sign in signs))
        return next(causes, _ANY_TROUBLE)


def read_disk_registration(registration: Manifest) -> DiskRegistration | None:
    """Read a CnsRegisterVolume; None if it is done, or for no claim."""
    claim = registration.spec.get("pvcName")
    if not claim or registration.status.get("registered"):
        return None
    return DiskRegistration(
        name=registration.name,
        claim=str(claim),
        error=one_line(str(registration.status.get("error") or "")),
        since=str(registration.metadata.get("creationTimestamp", "")),
    )
