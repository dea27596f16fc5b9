"""A Restore's resource modifier changes what replay creates, as Velero changes everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from structlog.testing import capture_logs

from tests.unit.builders import NAMESPACE, group, m, obj, restore, service, vm, vsphere_namespace
from velero_vmservice.kube.manifest import CONFIG_MAP, VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, ObjectRef
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from tests.unit.world import World

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB, group="shop"), service("front", WEB)
SHOP = group("shop", ["web-1"])
NAMED = {"resourceModifier": {"kind": "ConfigMap", "name": "site-two"}}
PLACE = ObjectRef(CONFIG_MAP, "velero", "site-two")


def modifier(*rules: dict[str, Any]) -> dict[str, Any]:
    text = yaml.safe_dump({"version": "v1", "resourceModifierRules": list(rules)})
    return obj("ConfigMap", "site-two", api="v1", namespace="velero", data={"rules.yaml": text})


def rule(*patches: tuple[str, str, str], resource: str = "**", **conditions: Any) -> dict[str, Any]:
    operations = [{"operation": operation, "path": path, "value": value} for operation, path, value in patches]
    return {"conditions": {"groupResource": resource, **conditions}, "patches": operations}


def begun(world: World, *rules: dict[str, Any], **spec: Any) -> list[str]:
    world.cluster.seed(modifier(*rules))
    items = world.back_up(VM, FRONT, SHOP)
    world.lose(FRONT, SHOP)
    return world.replay_all(items, **NAMED, **spec)


def test_it_is_applied_to_what_is_created(world: World) -> None:
    port = rule(("replace", "/spec/ports/0/port", "8080"), resource=VIRTUAL_MACHINE_SERVICE.resource)
    operations = begun(world, port)

    assert all(progress.error == "" for progress in world.finish(operations, **NAMED).values())

    assert world.live("VirtualMachineService", "front").spec["ports"][0]["port"] == 8080
    assert "ports" not in world.live("VirtualMachineGroup", "shop").spec


def test_conditions_are_about_the_backups_namespace(world: World) -> None:
    world.cluster.seed(vsphere_namespace("blog"), vm("web-1", labels=WEB, group="shop", namespace="blog"))
    label = ("add", "/metadata/labels", '{"site": "two"}')
    spec = {"namespaceMapping": {NAMESPACE: "blog"}}
    operations = begun(world, rule(label, namespaces=[NAMESPACE]), **spec)

    world.finish(operations, **NAMED, **spec)

    assert world.live("VirtualMachineService", "front", "blog").labels["site"] == "two"


def test_a_modifier_writes_no_field_that_is_never_written(world: World) -> None:
    owner = '[{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "1"}]'
    patches = [
        ("add", "/metadata/ownerReferences", owner),
        ("add", "/metadata/finalizers", '["example.com/hold"]'),
        ("add", "/spec/powerState", "PoweredOn"),
        ("add", "/metadata/annotations", '{"note": "kept"}'),
    ]
    operations = begun(world, rule(*patches, resource=VIRTUAL_MACHINE_GROUP.resource))

    ended = world.finish(operations, **NAMED)

    (created,) = (manifest for manifest in world.cluster.list(VIRTUAL_MACHINE_GROUP, NAMESPACE))
    assert created.annotations == {"note": "kept"}
    assert "powerState" not in created.spec
    assert "finalizers" not in created.metadata
    assert not [owner for owner in created.owners if owner.kind == "Pod"]
    assert any(
        "the resource modifier's spec.powerState is left out" in progress.description for progress in ended.values()
    )


def test_a_selector_that_is_changed_chooses_other_vms(world: World) -> None:
    other = vm("db-1", labels={"app": "db"})
    world.cluster.seed(modifier(rule(("replace", "/spec/selector/app", "db"))))
    items = world.back_up(VM, other, FRONT)
    world.lose(VM, other, FRONT)
    (operation,) = world.replay_all(items, **NAMED)

    assert world.polled(operation, **NAMED).description == "waiting: db-1: not registered yet"


@pytest.mark.parametrize(
    "broken",
    [
        {"conditions": {"groupResource": "**"}, "strategicPatches": [{"patchData": "{}"}]},
        rule(("remove", "/spec/nothing", "")),
    ],
    ids=["strategic", "no such field"],
)
def test_a_rule_that_cannot_be_applied_is_in_the_log_the_plan_and_the_report(
    world: World, broken: dict[str, Any]
) -> None:
    with capture_logs() as logs:
        operations = begun(world, broken)
    sentence = "rule 1 of the resource modifier cannot be applied"
    assert [entry["object"] for entry in logs if sentence in entry.get("reason", "")] == [
        "VirtualMachineGroup shop/shop",
        "VirtualMachineService shop/front",
    ]

    wanted = m(restore(**NAMED))
    run = RestoreRun.read(wanted)
    app = world.app
    planned = app.planning.plan(app.backup_objects.captured(run, wanted.spec), run, app.replays.policy(run))
    assert all(
        sentence in " ".join(planned_object.source.remarks) for planned_object in planned if planned_object.source
    )

    ended = world.finish(operations, **NAMED)
    assert all(sentence in progress.description for progress in ended.values())
    assert world.exists("VirtualMachineService", "front")


def test_a_modifier_that_is_gone_is_waited_for(world: World) -> None:
    operations = begun(world, rule(("add", "/spec/new", "1")))
    world.restart()
    world.cluster.remove(PLACE)
    world.clock.advance(60)

    polled = world.round(operations, **NAMED)

    assert all(
        "the resource modifier in ConfigMap velero/site-two is gone" in progress.description
        for progress in polled.values()
    )
    assert not world.exists("VirtualMachineService", "front")
    world.cluster.seed(modifier(rule(("add", "/spec/new", "1"), resource=VIRTUAL_MACHINE_SERVICE.resource)))
    world.finish(operations, **NAMED)
    assert world.live("VirtualMachineService", "front").spec["new"] == 1


def test_another_kind_of_modifier_is_ignored_as_velero_does(world: World) -> None:
    spec = {"resourceModifier": {"kind": "Secret", "name": "site-two"}}
    items = world.back_up(VM, FRONT)
    world.lose(FRONT)
    assert all(progress.error == "" for progress in world.finish(world.replay_all(items, **spec), **spec).values())


def test_one_read_of_the_modifier_serves_every_object(world: World) -> None:
    operations = begun(world, rule(("add", "/metadata/labels", "{}")))
    world.round(operations, **NAMED)
    assert world.cluster.calls.made.count(("get", str(PLACE))) == 1
