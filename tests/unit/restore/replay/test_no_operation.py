"""Velero may ask for an operation of an older release: an action that starts none now has completed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.builders import backup, restore

if TYPE_CHECKING:
    from tests.unit.world import World


def test_withhold_is_done_with_any_operation(world: World) -> None:
    action = world.app.actions.backup["withhold"]
    action.cancel("of another release", backup())
    assert action.progress("of another release", backup()).completed


@pytest.mark.parametrize("name", ["pods", "leave"])
def test_an_action_without_operations_has_completed_any_operation(world: World, name: str) -> None:
    action = world.app.actions.restore[name]
    action.cancel("of another release", restore())
    progress = action.progress("of another release", restore())
    assert progress.completed
    assert not progress.error
