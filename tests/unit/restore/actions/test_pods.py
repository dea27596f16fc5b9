from __future__ import annotations

import copy
from typing import Any

from tests.unit.builders import obj, restore
from tests.unit.world import World

TIED = {
    "kubernetes.io/psp": "x",
    "mac": "04:50:56:00:00:01",
    "vlan": "None",
    "vmware-system-ephemeral-disk-uuid": "1",
    "vmware-system-image-references": "{}",
    "vmware-system-vm-moid": "vm-1",
    "vmware-system-vm-uuid": "2",
    "vmware-system-network": "n",
    "nsx.vmware.com/attachment": "a",
    "nsx.vmware.com/mac": "m",
}
OWN = {"prometheus.io/scrape": "true", "vmware-system": "kept", "nsx.vmware.com/other": "kept", "macs": "kept"}


def pod(annotations: dict[str, str]) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": "esx-1"}
    return obj("Pod", "p", api="v1", meta={"annotations": annotations, "labels": {"mac": "kept"}}, spec=spec)


def execute(world: World, item: dict[str, Any]) -> dict[str, Any]:
    outcome = world.app.actions.restore["pods"].execute(item, pod({}), restore())
    assert (outcome.skip, outcome.operation_id) == (False, "")
    return dict(outcome.item)


def test_the_ten_go_and_nothing_else_changes() -> None:
    given = pod({**TIED, **OWN})
    before = copy.deepcopy(given)
    assert execute(World(), given) == pod(OWN)
    assert given == before


def test_a_pod_that_is_not_tied_is_not_touched() -> None:
    assert execute(World(), pod(OWN)) == pod(OWN)
    assert execute(World(), obj("Pod", "p", api="v1")) == obj("Pod", "p", api="v1")


def test_elsewhere_these_are_the_users_annotations() -> None:
    assert execute(World(supervisor="no"), pod(TIED)) == pod(TIED)


def test_velero_calls_the_plugin_for_pods() -> None:
    assert World().app.actions.restore["pods"].applies_to().included_resources == ("pods",)
