"""A Backup in another namespace than the settings name: its location is another one, whatever its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import backup, service, vm
from velero_vmservice.errors import InvalidSettings

if TYPE_CHECKING:
    from tests.unit.world import World

_OTHER = "openshift-adp"


def _moved(content: dict[str, Any]) -> dict[str, Any]:
    return content | {"metadata": content["metadata"] | {"namespace": _OTHER}}


def test_a_capture_says_so_and_stores_nothing(world: World) -> None:
    world.cluster.seed(vm("web-1"), service("front"))

    with pytest.raises(InvalidSettings, match="velero_namespace"):
        world.app.actions.backup["capture"].execute(service("front"), _moved(backup()))
    assert not list(world.store.list(""))


def test_a_purge_says_so_and_removes_nothing(world: World) -> None:
    (item,) = world.back_up(service("front"))
    stored = list(world.store.list(""))

    with pytest.raises(InvalidSettings, match="velero_namespace"):
        world.app.actions.delete["purge"].execute(item, _moved(backup()))
    assert list(world.store.list("")) == stored
