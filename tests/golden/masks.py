"""What may differ between two releases without a reader of the data noticing: sentences, versions, digests, one name.

Every masked place is listed by its path; whatever is not listed is compared as it stands. A path names fields with
dots, `[]` for each entry of a list and `[1]` for its second one. An empty value stays empty: whether there is a
sentence counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PROSE: Final = "<sentence>"
VERSION: Final = "<version of the plugin>"
HOLDER: Final = "<random name of the process>"
REVISION: Final = "<revision>"

_VM_SENTENCES = (
    "waiting_for",
    "deviations[].expected",
    "deviations[].found",
    "deviations[].note",
    "notes[]",
    "timeline[][1]",
)
_RESULT_SENTENCES = (
    "reason",
    "earlier.reason",
    "earlier_ends[].reason",
    "notes[]",
    "restore_notes[]",
    "warnings[]",
    "remedy[]",
    "dropped[].reason",
    "ports[].probe",
    "timeline[][1]",
)
CAPTURE_SENTENCES: Final = ("dropped[].reason", "findings[].message")
SEAL_SENTENCES: Final = ("applications[].reasons[].message",)
RESULT_SENTENCES: Final = (*_RESULT_SENTENCES, *(f"machines[].{path}" for path in _VM_SENTENCES))
REPORT_SENTENCES: Final = (
    *(f"objects[].{path}" for path in _RESULT_SENTENCES),
    *(f"machines[].{path}" for path in _VM_SENTENCES),
    "steps[].words",
    "warnings[]",
    "notes[]",
    "not_in_backup[]",
)
PLAN_SENTENCES: Final = (
    "target.evidence",
    "objects[].reason",
    "objects[].remedy",
    "objects[].warnings[]",
    "objects[].dropped[].reason",
    "not_in_backup[]",
)
STATUS_SENTENCES: Final = ("machines[].reason", "machines[].notes[]", "unread[]")
CAPTURE_VERSIONS: Final = ("provenance.plugin",)
DOCUMENT_VERSIONS: Final = ("plugin", "objects[].plugin")
SEAL_DIGESTS: Final = ("objects[].sha256", "namespaces[].sha256")
LINK_DIGESTS: Final = ("sha256", "facts")


def masked(value: Any, paths: Iterable[str], mask: str) -> Any:
    """Return the value with `mask` at each path that holds something."""
    return replaced(value, paths, lambda _: mask)


def replaced(value: Any, paths: Iterable[str], replace: Callable[[Any], Any]) -> Any:
    """Return the value with what `replace` makes of the content at each path that holds something."""
    for path in paths:
        value = _at(value, re.findall(r"[\w-]+|\[\d*\]", path), replace)
    return value


def _at(value: Any, steps: list[str], replace: Callable[[Any], Any]) -> Any:
    if not steps:
        return replace(value) if value else value
    step, *rest = steps
    if step.startswith("["):
        chosen = range(len(value)) if step == "[]" else [int(step[1:-1])]
        return [_at(entry, rest, replace) if number in chosen else entry for number, entry in enumerate(value)]
    if not isinstance(value, dict) or step not in value:
        return value
    return {**value, step: _at(value[step], rest, replace)}
