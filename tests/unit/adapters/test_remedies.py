"""An adapter knows what failed, and not whether its caller asks again: a command that ends does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from velero_vmservice.adapters import error_table
from velero_vmservice.adapters.kubernetes import errors as kubernetes_errors
from velero_vmservice.adapters.registration_engine import errors as registration_engine_errors
from velero_vmservice.adapters.s3 import errors as s3_errors
from velero_vmservice.adapters.vcenter import errors as vcenter_errors

if TYPE_CHECKING:
    from types import ModuleType


@pytest.mark.parametrize(
    "module",
    [kubernetes_errors, registration_engine_errors, s3_errors, vcenter_errors],
    ids=lambda module: module.__name__.split(".")[-2],
)
def test_no_remedy_promises_that_the_call_is_made_again(module: ModuleType) -> None:
    values = vars(module).values()
    remedies = [value.remedy for value in values if isinstance(value, error_table.Meaning)]
    hints = [value for value in values if isinstance(value, str)]
    promises = ("made again", "asked again", "tried again")
    assert remedies or hints
    assert [text for text in (*remedies, *hints) if any(promise in text for promise in promises)] == []
