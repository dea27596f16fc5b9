"""VMs that no captured object stands for: a restore waits for them, reports on them and creates nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import group, obj, restore, service, vm, vsphere_namespace, with_policy
from velero_vmservice import documents
from velero_vmservice.errors import Forbidden, InvalidItem, InvalidSettings, Unavailable
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.restore.source.vms_alone import VmsAlone
from velero_vmservice.velero.actions import CALLER
from velero_vmservice.velero.runs import RestoreRun, read_replay_id, replay_id

if TYPE_CHECKING:
    from tests.unit.world import World
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.velero.actions import RestoreOutcome

ALONE, OTHER = vm("alone", labels={"keep": "yes"}, power="PoweredOn"), vm("other")
PREFIX = "restores/again/20260301T120000Z/"
RESULT = f"{PREFIX}virtualmachines/shop/without-application.json"
VMS = "virtualmachines.vmoperator.vmware.com"


def account(name: str = "default") -> dict[str, Any]:
    return obj("ServiceAccount", name, api="v1")


def back_up(world: World, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    """Back up a namespace as a Velero does that calls for every VM and leaves it out; return the items."""
    world.cluster.seed(*objects)
    caller = CALLER.set("launched")
    for manifest in objects:
        if manifest["kind"] == "VirtualMachine":
            world.withhold(manifest)
    items = world.back_up(*objects)
    CALLER.reset(caller)
    world.app.actions.ended("launched")
    return items


def anchored(world: World, item: dict[str, Any] | None = None, **spec: Any) -> RestoreOutcome:
    stored = item or account()
    return world.app.actions.restore["vms"].execute(stored, stored, restore(**spec))


def test_a_restore_of_a_namespace_with_only_vms_waits_for_them_and_gets_a_report(world: World) -> None:
    back_up(world, ALONE, OTHER)
    world.lose(ALONE, OTHER)
    outcome = anchored(world)
    assert (outcome.skip, outcome.item) == (False, account())
    world.round([outcome.operation_id])
    progress = world.round([outcome.operation_id])[outcome.operation_id]
    assert (progress.completed, progress.done, progress.total, progress.units) == (False, 0, 2, "VMs")
    world.cluster.seed(vm("alone", labels={"keep": "yes"}, uid="new"), vm("other", uid="new-2"))
    assert world.finish([outcome.operation_id])[outcome.operation_id].error == ""
    assert world.writes() == []
    result = world.document(RESULT)
    assert (result["kind"], result["namespace"], result["name"]) == ("VirtualMachines", "shop", "")
    assert (result["stage"], result["selected"]) == ("verified", ["alone", "other"])
    report = world.document(f"{PREFIX}report.json")
    assert report["outcome"] == "verified"
    assert [(vm_result["name"], vm_result["registered"]) for vm_result in report["machines"]] == [
        ("alone", True),
        ("other", True),
    ]
    page = world.store.get(f"{PREFIX}report.html").decode()
    assert page.count("VMs without an application") >= 2


def test_a_vm_that_does_not_come_fails_under_the_policys_deadline(world: World) -> None:
    back_up(world, ALONE)
    world.lose(ALONE)
    asks = with_policy(**{"registered-within": "1m"})
    operation = anchored(world, **asks).operation_id
    progress = world.finish([operation], **asks)[operation]
    assert progress.error.startswith("VirtualMachines of shop: the policy's registered-within=1m is over: alone")


def test_a_restored_vm_is_compared_with_what_it_was(world: World) -> None:
    back_up(world, ALONE)
    world.lose(ALONE)
    operation = anchored(world).operation_id
    world.cluster.seed(vm("alone", uid="new", power="PoweredOff"))
    world.finish([operation])
    (machine,) = world.document(f"{PREFIX}report.json")["machines"]
    assert (machine["power_before"], machine["power_after"]) == ("PoweredOn", "PoweredOff")
    assert "label keep" in [deviation["attribute"] for deviation in machine["deviations"]]
    steps = world.document(f"{PREFIX}report.json")["next_steps"]
    assert any("kubectl -n shop patch virtualmachine alone " in step for step in steps)


def test_vms_of_applications_need_no_operation_of_their_own(world: World) -> None:
    back_up(world, vm("web-1", labels={"app": "web"}), service("front", {"app": "web"}))
    assert anchored(world).operation_id == ""


def test_other_service_accounts_and_backups_without_the_plugin_are_left_to_velero(world: World) -> None:
    assert anchored(world).operation_id == ""
    back_up(world, ALONE)
    assert anchored(world, account("builder")).operation_id == ""
    assert world.app.actions.restore["vms"].applies_to().included_resources == ("serviceaccounts",)


@pytest.mark.parametrize(
    ("spec", "waited_for"),
    [
        ({"excludedResources": [VMS]}, None),
        ({"includedResources": ["serviceaccounts"]}, None),
        ({"labelSelector": {"matchLabels": {"keep": "yes"}}}, ["alone"]),
        ({"includedNamespaces": ["shop"]}, ["alone", "other"]),
    ],
)
def test_the_filters_of_the_restore_hold_for_vms_too(
    world: World, spec: dict[str, Any], waited_for: list[str] | None
) -> None:
    back_up(world, ALONE, OTHER)
    operation = anchored(world, **spec).operation_id
    assert bool(operation) is (waited_for is not None)
    if waited_for:
        world.finish([operation], **spec)
        assert world.document(RESULT)["selected"] == waited_for


def test_a_store_that_is_away_is_asked_again(world: World) -> None:
    back_up(world, ALONE)
    world.restart()
    world.store.calls.fail("get", Unavailable("away"))
    operation = anchored(world).operation_id
    assert operation
    world.store.calls.heal()
    world.clock.advance(60)
    assert world.finish([operation])[operation].error == ""


UNWATCHED = "the VMs without an application of namespace shop are not watched: "


@pytest.mark.parametrize(
    "error", [Forbidden("denied", hint="allow s3:GetObject"), InvalidSettings("no such bucket", hint="name another")]
)
def test_a_store_that_denies_fails_the_wait_with_its_cause_in_the_report(world: World, error: VmServiceError) -> None:
    back_up(world, ALONE)
    world.lose(ALONE)
    world.restart()
    world.store.calls.fail("get", error, on="captures/")
    operation = anchored(world).operation_id
    progress = world.finish([operation])[operation]
    assert progress.error == f"VirtualMachines of shop: {UNWATCHED}{error}; then repeat the restore"
    report = world.document(f"{PREFIX}report.json")
    assert (report["outcome"], report["objects"][0]["reason"]) == (
        "failed",
        f"{UNWATCHED}{error}",
    )
    assert f"{UNWATCHED}{error.message}" in report["next_steps"][0]
    assert UNWATCHED in world.store.get(f"{PREFIX}report.html").decode()


def test_rights_that_are_granted_by_the_first_poll_are_enough(world: World) -> None:
    back_up(world, ALONE)
    world.restart()
    world.store.calls.fail("get", Forbidden("denied"))
    operation = anchored(world).operation_id
    world.store.calls.heal()
    world.clock.advance(60)
    assert world.finish([operation])[operation].error == ""
    assert world.document(RESULT)["selected"] == ["alone"]


@pytest.mark.parametrize("body", [b"{", None])
def test_a_seal_that_is_damaged_or_missing_says_that_they_are_not_watched(world: World, body: bytes | None) -> None:
    back_up(world, ALONE)
    (seal,) = (key for key in world.store.list("captures/") if key.endswith("capture.json"))
    if body is None:
        world.store.delete(seal)
    else:
        world.store.replace(seal, body, sha256=documents.digest(body))
    world.restart()
    operation = anchored(world).operation_id
    progress = world.finish([operation])[operation]
    assert progress.error.startswith(f"VirtualMachines of shop: {UNWATCHED}")
    assert seal in progress.error


def test_a_backup_that_died_before_its_seal_and_had_no_such_vm_is_left_to_velero(world: World) -> None:
    world.cluster.seed(vm("web-1", group="tier"), group("tier", ["web-1"]))
    world.capture(group("tier", ["web-1"]))
    assert anchored(world).operation_id == ""


@pytest.mark.parametrize(
    ("spec", "is_said"), [({}, True), ({"excludedResources": [VMS]}, False), ({"excludedNamespaces": ["bank"]}, False)]
)
def test_a_report_says_which_vms_nothing_has_looked_at(world: World, spec: dict[str, Any], *, is_said: bool) -> None:
    items = back_up(world, vm("teller", namespace="bank"), vm("web-1", group="tier"), group("tier", ["web-1"]))
    operations = world.replay_all(items, **spec)
    world.finish(operations, **spec)
    warnings = world.document(f"{PREFIX}report.json")["warnings"]
    sentence = "This restore has not looked at these VMs without an application in namespace bank: teller. "
    assert [warning.startswith(sentence) for warning in warnings] == [True] * is_said
    assert all("velero-vmservice restore --resume again looks at them" in warning for warning in warnings)


# Objects that the Restore leaves out.

WEB = {"app": "web"}
SERVED, MEMBER = vm("web-1", labels=WEB), vm("db-1", group="tier")
BOTH = vm("web-2", labels=WEB, group="tier")
TIER, FRONT = group("tier", ["db-1", "web-2"], meta={"labels": {"keep": "yes"}}), service("front", WEB)


@pytest.mark.parametrize(
    ("spec", "watched"),
    [
        ({}, None),
        ({"excludedResources": ["virtualmachineservices.vmoperator.vmware.com"]}, ["web-1"]),
        ({"excludedResources": ["vmservice"]}, ["web-1"]),
        ({"excludedResources": ["vmg"]}, ["db-1"]),
        ({"excludedResources": ["vmg", "vmservice"]}, ["db-1", "web-1", "web-2"]),
        ({"excludedResources": ["vmservice", VMS]}, None),
        ({"labelSelector": {"matchLabels": {"keep": "yes"}}}, None),
        ({"orLabelSelectors": [{"matchLabels": WEB}]}, ["web-1", "web-2"]),
    ],
)
def test_vms_of_objects_that_the_restore_leaves_out_are_watched(
    world: World, spec: dict[str, Any], watched: list[str] | None
) -> None:
    back_up(world, SERVED, MEMBER, BOTH, TIER, FRONT)
    operation = anchored(world, **spec).operation_id
    assert bool(operation) is (watched is not None)
    run = RestoreRun.read(Manifest(restore(**spec)))
    planned = [replay for replay in world.app.backup_objects.captured(run, spec) if replay.plural == "virtualmachines"]
    assert bool(planned) is (watched is not None)
    if watched:
        world.finish([operation], **spec)
        assert world.document(RESULT)["selected"] == watched
        needed = world.app.planning.needed(planned, run, world.app.replays.policy(run))
        assert [needed_vm.name for needed_vm in needed.machines["shop"]] == watched
        report = world.document(f"{PREFIX}report.json")
        assert [needed_vm["name"] for needed_vm in report["machines"]] == watched


def test_vms_of_a_nested_group_that_the_restore_leaves_out_are_watched(world: World) -> None:
    keep = {"labels": {"keep": "yes"}}
    root = group("root", ["/tier", "lead"], meta=keep)
    tier = group("tier", ["db-1"], parent="root")
    lead, member = (vm(name, group=of, labels={"keep": "yes"}) for name, of in (("lead", "root"), ("db-1", "tier")))
    back_up(world, lead, member, root, tier)
    spec = {"labelSelector": {"matchLabels": {"keep": "yes"}}}
    operation = anchored(world, **spec).operation_id
    world.finish([operation], **spec)
    assert world.document(RESULT)["selected"] == ["db-1"]


def test_they_do_not_hold_back_a_strict_restore_of_applications(world: World) -> None:
    tier, machine = group("tier", ["web-1"]), vm("web-1", group="tier")
    items = back_up(world, ALONE, machine, tier)
    world.lose(ALONE, machine, tier)
    asks = with_policy(mode="strict")
    alone, (replay,) = anchored(world, **asks).operation_id, world.replay_all(items, **asks)
    world.cluster.seed(vm("web-1", group="tier", uid="new"))
    for _ in range(4):
        polled = world.round([alone, replay], **asks)
    assert polled[replay].description.startswith("verified")
    assert not polled[alone].completed


def test_a_mapped_namespace_and_a_restart_are_followed(world: World) -> None:
    back_up(world, ALONE)
    spec = {"namespaceMapping": {"shop": "shop-2"}}
    operation = anchored(world, **spec).operation_id
    world.restart()
    world.cluster.seed(vm("alone", namespace="shop-2", uid="new"))
    world.finish([operation], **spec)
    assert world.document(f"{PREFIX}virtualmachines/shop-2/shop.json")["source_namespace"] == "shop"


def test_a_service_that_has_the_name_of_a_mapped_namespace_is_not_taken_for_its_vms(world: World) -> None:
    items = back_up(world, ALONE, service("shop", {"app": "none"}))
    spec = {"namespaceMapping": {"shop": "shop-2"}}
    world.cluster.seed(vsphere_namespace("shop-2"))
    alone, (replay,) = anchored(world, **spec).operation_id, world.replay_all(items, **spec)
    for _ in range(4):
        polled = world.round([alone, replay], **spec)
    assert polled[replay].description.startswith("verified")
    assert polled[alone].description.startswith("waiting: alone: not registered yet")


def test_a_seal_that_is_gone_is_not_taken_for_one_without_vms(world: World) -> None:
    back_up(world, ALONE)
    operation = anchored(world).operation_id
    (seal,) = (key for key in world.store.list("captures/") if key.endswith("capture.json"))
    world.store.delete(seal)
    world.restart()
    progress = world.finish([operation])[operation]
    assert "the seal of Backup nightly is gone" in progress.error


def test_a_backup_without_the_plugin_has_no_vms_without_an_application_once_the_store_answers(world: World) -> None:
    world.store.calls.fail("get", Unavailable("away"))
    operation = anchored(world).operation_id
    world.store.calls.heal()
    world.clock.advance(60)
    progress = world.finish([operation])[operation]
    assert (progress.error, "every VM" in progress.description) == ("", False)
    assert "there is no VM to wait for" in progress.description


@pytest.mark.parametrize(
    ("power", "powered"),
    [("captured", ["VirtualMachine shop/alone"]), ("on", ["VirtualMachine shop/alone", "VirtualMachine shop/other"])],
)
def test_a_policy_powers_them_on_by_their_own_power_state(world: World, power: str, powered: list[str]) -> None:
    back_up(world, ALONE, OTHER)
    world.lose(ALONE, OTHER)
    asks = with_policy(power=power)
    operation = anchored(world, **asks).operation_id
    world.cluster.seed(vm("alone", uid="new"), vm("other", uid="new-2"))
    progress = world.finish([operation], **asks)[operation]
    assert (progress.error, "to go on" in progress.description) == ("", False)
    assert world.writes() == [("patch", ref) for ref in powered]
    running = [
        powered_vm.name
        for powered_vm in map(world.live, ["VirtualMachine"] * 2, ["alone", "other"])
        if _runs(powered_vm)
    ]
    assert [f"VirtualMachine shop/{name}" for name in running] == powered
    assert world.document(f"{PREFIX}report.json")["outcome"] == "verified"


def _runs(machine: Manifest) -> bool:
    return machine.status.get("powerState") == "PoweredOn"


def test_a_vm_that_does_not_run_in_time_is_reported_under_the_policys_deadline(world: World) -> None:
    back_up(world, ALONE)
    world.lose(ALONE)
    asks = with_policy(power="on", powered_within="2m")
    operation = anchored(world, **asks).operation_id
    world.cluster.seed(vm("alone", uid="new"))
    world.cluster.calls.fail("patch", Forbidden("may not patch", hint="grant patch on virtualmachines"))
    progress = world.finish([operation], **asks)[operation]
    assert "the policy's powered-within=2m is over: may not patch: grant patch on virtualmachines" in progress.error


def test_a_policy_leaves_a_vm_to_a_group_that_is_there_and_not_restored(world: World) -> None:
    back_up(world, vm("alone", group="tier", power="PoweredOn"))
    world.cluster.seed(group("tier", ["alone"]), vm("alone", group="tier", uid="new"))
    asks = with_policy(power="on")
    operation = anchored(world, **asks).operation_id
    description = world.finish([operation], **asks)[operation].description
    assert "alone is left to its group tier, which this restore does not replay" in description
    assert world.writes() == []


def test_a_policy_powers_them_on_beside_a_group_that_powers_its_own_vms(world: World) -> None:
    machine, tier = vm("web-1", group="tier", power="PoweredOn"), group("tier", ["web-1"], powerState="PoweredOn")
    items = back_up(world, ALONE, machine, tier)
    world.lose(ALONE, machine, tier)
    asks = with_policy(power="captured")
    alone, (replay,) = anchored(world, **asks).operation_id, world.replay_all(items, **asks)
    world.cluster.seed(vm("alone", uid="new"), vm("web-1", group="tier", uid="new-2"))
    assert [progress.error for progress in world.finish([alone, replay], **asks).values()] == ["", ""]
    assert set(world.patched()) == {"VirtualMachine shop/alone", "VirtualMachineGroup shop/tier"}


def test_two_namespaces_that_are_mapped_into_one_are_waited_for_both(world: World) -> None:
    back_up(world, ALONE, vm("teller", namespace="bank"))
    spec = {"namespaceMapping": {"shop": "dr", "bank": "dr"}}
    of_bank = {**account(), "metadata": {"name": "default", "namespace": "bank"}}
    operations = [anchored(world, **spec).operation_id, anchored(world, of_bank, **spec).operation_id]
    world.cluster.seed(vm("alone", namespace="dr", uid="1"), vm("teller", namespace="dr", uid="2"))
    assert [progress.error for progress in world.finish(operations, **spec).values()] == ["", ""]
    report = world.document(f"{PREFIX}report.json")
    assert [result["selected"] for result in report["objects"]] == [["teller"], ["alone"]]


def test_the_operation_id_is_of_its_own_kind(world: World) -> None:
    back_up(world, ALONE)
    operation = anchored(world).operation_id
    assert operation.startswith("vms-v1:")
    replay = read_replay_id(operation)
    assert replay_id(replay) == operation
    assert (replay.plural, replay.namespace, replay.target) == ("virtualmachines", "shop", "shop")
    with pytest.raises(InvalidItem):
        read_replay_id(operation.replace("vms-v1:", "replay-v1:"))


def test_registration_and_plan_know_them(world: World) -> None:
    back_up(world, ALONE, OTHER)
    world.lose(OTHER)
    run, policy = RestoreRun.read(Manifest(restore())), world.app.replays.policy(RestoreRun.read(Manifest(restore())))
    replays = world.app.backup_objects.replayed(run, {})
    (planned,) = world.app.planning.plan(replays, run, policy)
    assert (str(planned.ref), planned.step.action, planned.step.ready) == ("VirtualMachines of shop", "wait", 1)
    needed = world.app.planning.needed(replays, run, policy)
    assert [needed_vm.name for needed_vm in needed.machines["shop"]] == ["alone", "other"]


def test_objects_that_the_backup_left_out_are_in_the_report(world: World) -> None:
    certificate = obj("Certificate", "tls", api="cert-manager.io/v1")
    machine, tier = vm("web-1", group="tier"), group("tier", ["web-1"])
    world.cluster.seed(tier, machine)
    world.withhold(certificate)
    back_up(world, machine)
    operation = anchored(world).operation_id
    world.finish([operation])
    left_out = world.document(f"{PREFIX}report.json")["not_in_backup"]
    assert left_out[0].startswith("VirtualMachineGroup shop/tier is not captured")
    assert "web-1" in left_out[0]
    assert "1 certificates.cert-manager.io" in left_out[1]
    assert "Not in the backup" in world.store.get(f"{PREFIX}report.html").decode()


def test_each_namespace_is_worked_out_once_for_the_report(world: World) -> None:
    spec = {"excludedResources": ["vmservice"]}
    back_up(world, SERVED, MEMBER, BOTH, TIER, FRONT)
    run = RestoreRun.read(Manifest(restore(**spec)))
    vms = VmsAlone(cluster=world.cluster, restore_points=world.app.restore_points, clock=world.clock)
    world.cluster.calls.made.clear()
    assert vms.by_namespace(run) == {"shop": ("web-1",)}
    assert world.cluster.calls.counts["resources"] == 1
