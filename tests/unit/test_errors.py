"""What a report and an error say is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from velero_vmservice.errors import InReason, NotFound, Remedy, advised
from velero_vmservice.vsphere.registervm_errors import TABLE

if TYPE_CHECKING:
    from velero_vmservice.vsphere.registervm_errors import ErrorEntry


@pytest.mark.parametrize(
    ("hint", "goes_on", "remedy"),
    [
        ("", False, Remedy()),
        ("grant it.", False, Remedy("Grant it; then repeat the restore.", InReason.ACTION)),
        (
            "see why the VADP product could not restore from it",
            False,
            Remedy("See why the VADP product could not restore from it; then repeat the restore.", InReason.ACTION),
        ),
        ("mend it, or repeat the restore", True, Remedy("Mend it, or repeat the restore.", InReason.ALL)),
        ("restore from another backup", True, Remedy("Restore from another backup.", InReason.ALL)),
    ],
)
def test_a_hint_becomes_a_sentence_that_ends_with_the_restore(hint: str, remedy: Remedy, *, goes_on: bool) -> None:
    assert NotFound("it is gone", hint=hint, goes_on=goes_on).remedy == remedy


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.code)
def test_the_remedy_of_every_code_ends_with_repeating_the_restore(entry: ErrorEntry) -> None:
    assert advised(entry.remedy).endswith("; then repeat the restore.")


@pytest.mark.parametrize(
    ("reason", "remedy", "text"),
    [
        ("it failed", Remedy(), "it failed"),
        ("it failed", Remedy("Mend it."), "it failed | to do: Mend it."),
        ("mend it: it failed", Remedy("Mend it."), "mend it: it failed | to do: Mend it."),
        ("it failed: mend it", Remedy("Mend it; …", InReason.ACTION), "it failed: mend it; then repeat the restore"),
        ("it failed: repeat the restore", Remedy("Repeat the restore.", InReason.ALL), "it failed: repeat the restore"),
    ],
)
def test_a_remedy_is_shown_once_by_a_field_and_not_by_the_reasons_text(reason: str, remedy: Remedy, text: str) -> None:
    assert remedy.after(reason) == text
