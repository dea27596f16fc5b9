"""What a report and an error say is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from velero_vmservice.errors import advised, with_remedy
from velero_vmservice.vsphere.registervm_errors import TABLE

if TYPE_CHECKING:
    from velero_vmservice.vsphere.registervm_errors import ErrorEntry


@pytest.mark.parametrize(
    ("hint", "sentence"),
    [
        ("", ""),
        ("grant it.", "Grant it; then repeat the restore."),
        ("check that the VADP restore has ended", "Check that the VADP restore has ended; then repeat the restore."),
        ("use another restore point", "Use another restore point; then repeat the restore."),
        ("it was removed; repeat the restore to go on", "It was removed; repeat the restore to go on."),
        ("restore from another backup", "Restore from another backup."),
    ],
)
def test_a_hint_becomes_a_sentence_that_ends_with_the_restore(hint: str, sentence: str) -> None:
    assert advised(hint) == sentence


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.code)
def test_whatever_code_ended_it_the_restore_is_to_be_repeated(entry: ErrorEntry) -> None:
    assert advised(entry.remedy).endswith("; then repeat the restore.")


@pytest.mark.parametrize(
    ("words", "remedy", "said"),
    [
        ("it failed", "", "it failed"),
        ("it failed", "Mend it; then repeat the restore.", "it failed | to do: Mend it; then repeat the restore."),
        ("it failed: mend it", "Mend it; then repeat the restore.", "it failed: mend it; then repeat the restore"),
        ("it failed: repeat the restore", "Repeat the restore.", "it failed: repeat the restore"),
    ],
)
def test_an_error_says_what_to_do_once(words: str, remedy: str, said: str) -> None:
    assert with_remedy(words, remedy) == said
