"""A resource modifier, which Velero applies to what it restores itself, changes what is replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from tests.e2e.saved import saved
from tests.e2e.scene import GROUPS, SERVICES, Scene, specs
from tests.emulator import machines

if TYPE_CHECKING:
    from tests.e2e.cluster import Manifest


def modifier(name: str, *, of: Scene) -> Manifest:
    """Return a resource modifier that gives every service of the backup another port."""
    patch = {"operation": "replace", "path": "/spec/ports/0/port", "value": "8443"}
    rule = {"conditions": {"groupResource": SERVICES}, "patches": [patch]}
    text = yaml.safe_dump({"version": "v1", "resourceModifierRules": [rule]})
    metadata = {"name": name, "namespace": of.server.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"rules.yaml": text}}


def test_resource_modifier_changes_what_is_replayed(scene: Scene, space: str) -> None:
    shop = saved(scene, machines.two_tier("shop", namespace=space))
    shop.lose()
    scene.cluster.create(modifier(space, of=scene))
    scene.start_restore(space, resourceModifier={"kind": "ConfigMap", "name": space})
    scene.wait_described(space, "not registered yet")
    shop.register()
    scene.wait_restored(space)

    ports = {service["metadata"]["name"]: service["spec"]["ports"][0]["port"] for service in scene.all(SERVICES, space)}
    assert ports == {"shop-web": 8443, "shop-db": 8443}
    assert specs(scene.all(GROUPS, space)) == specs(shop.groups, "powerState")
