"""The meaning of one failure: the form of all error tables, for Kubernetes, S3, vCenter and registration engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.text import one_line

if TYPE_CHECKING:
    from velero_vmservice.errors import VmServiceError

LONGEST_QUOTE: Final = 200
"""The most characters quoted from another system's text."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """The error to raise, and its texts; the table's owner fills in placeholders such as `{source}`."""

    kind: type[VmServiceError]
    cause: str
    """'' if only the other system's own text is known."""
    remedy: str
    quoted: bool = False
    """Whether the other system's own text adds to the cause."""

    def error(self, what: str, quote: str = "", *, longest: int = LONGEST_QUOTE, **placeholders: str) -> VmServiceError:
        """Return the error for a failed attempt, e.g. `cannot read Pod a/b`; `quote` is the other system's text."""
        cause = self.cause.format(**placeholders)
        quote = one_line(quote, longest) if self.quoted else ""
        reason = f"{cause} ({quote})" if cause and quote else cause or quote
        return self.kind(f"{what}: {reason}", hint=self.remedy.format(**placeholders))
