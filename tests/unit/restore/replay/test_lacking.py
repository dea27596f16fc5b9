"""What Velero calls no action for is replayed too: its archive lacks it, or the cluster does not serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, backup, group, obj, restore, service, vm, with_policy
from velero_vmservice.errors import PATIENCE_SECONDS, Forbidden, Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP
from velero_vmservice.restore.source.load import Subjects

if TYPE_CHECKING:
    from structlog.testing import LogCapture

    from tests.unit.world import World

WEB = {"app": "web"}
VM, FRONT = vm("web-1", labels=WEB, group="shop"), service("front", WEB)
SHOP = group("shop", ["web-1"])
ACCOUNT = obj("ServiceAccount", "default", api="v1")
RESULTS = "restores/again/20260301T120000Z/"


def back_up(world: World, *, errors: int = 1, refused: str = "VirtualMachineService") -> list[dict[str, Any]]:
    """Back up an application and lose it; return the items of Velero's archive, which lacks a refused kind."""
    items = world.back_up(VM, FRONT, SHOP)
    ended = backup()
    ended["status"] = {**ended["status"], "phase": "PartiallyFailed" if errors else "Completed", "errors": errors}
    world.cluster.seed(ended)
    world.lose(FRONT, SHOP)
    return [item for item in items if item["kind"] != refused]


def begin(world: World, items: list[dict[str, Any]], **spec: Any) -> list[str]:
    """Have Velero call for the account, then for what its archive has; return the operations that it asks about."""
    outcome = world.app.actions.restore["vms"].execute(ACCOUNT, ACCOUNT, restore(**spec))
    assert (outcome.skip, outcome.item) == (False, ACCOUNT)
    return [id_ for id_ in (outcome.operation_id, *world.replay_all(items, **spec)) if id_]


def test_a_service_that_the_archive_lacks_comes_back_with_its_group(world: World, log: LogCapture) -> None:
    operations = begin(world, back_up(world))
    assert len(operations) == 2

    ended = world.finish(operations)

    assert [progress.error for progress in ended.values()] == ["", ""]
    assert world.exists("VirtualMachineService", "front")
    assert world.exists("VirtualMachineGroup", "shop")
    result = world.document(f"{RESULTS}virtualmachineservices/{NAMESPACE}/front.json")
    assert result["stage"] == "verified"
    assert {item["name"] for item in world.document(f"{RESULTS}report.json")["objects"]} >= {"front", "shop"}
    (line,) = [line for line in log.entries if line["event"] == "replayed from its capture alone"]
    assert line["object"] == f"VirtualMachineService {NAMESPACE}/front"


def test_velero_sees_what_is_waited_for(world: World) -> None:
    items = back_up(world)
    world.lose(VM)
    account, shop = begin(world, items)
    world.round([account, shop])
    progress = world.round([account, shop])[account]
    assert not progress.completed
    assert f"VirtualMachineService {NAMESPACE}/front: " in progress.description


def test_a_service_that_cannot_come_back_is_an_error_of_the_restore(world: World) -> None:
    items = back_up(world)
    world.lose(VM)
    asks = with_policy(**{"registered-within": "1m"})
    ended = world.finish(begin(world, items, **asks), **asks)
    account, _ = ended.values()
    assert (
        f"VirtualMachineService {NAMESPACE}/front: failed: the policy's registered-within=1m is over" in account.error
    )
    assert not world.exists("VirtualMachineService", "front")


def test_a_backup_without_errors_lacks_nothing_and_needs_no_operation_more(world: World) -> None:
    items = back_up(world, errors=0)
    outcome = world.app.actions.restore["vms"].execute(ACCOUNT, ACCOUNT, restore())
    assert outcome.operation_id == ""
    world.finish(world.replay_all(items))
    assert not world.exists("VirtualMachineService", "front")


def test_the_filters_of_the_restore_hold(world: World) -> None:
    spec = {"excludedResources": ["virtualmachineservices.vmoperator.vmware.com"]}
    world.finish(begin(world, back_up(world), **spec), **spec)
    assert not world.exists("VirtualMachineService", "front")
    assert world.exists("VirtualMachineGroup", "shop")


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
def test_a_process_that_is_killed_leaves_it_to_the_next(world: World, rounds: int) -> None:
    operations = begin(world, back_up(world))
    for _ in range(rounds):
        world.round(operations)
    world.restart()
    ended = world.finish(operations)
    assert [progress.error for progress in ended.values()] == ["", ""]
    assert world.exists("VirtualMachineService", "front")
    assert world.created().count(f"VirtualMachineService {NAMESPACE}/front") == 1


def test_an_object_that_failed_before_a_restart_is_still_an_error(world: World) -> None:
    items = back_up(world)
    world.lose(VM)
    asks = with_policy(**{"registered-within": "1m"})
    operations = begin(world, items, **asks)
    while not world.store.exists(f"{RESULTS}virtualmachineservices/{NAMESPACE}/front.json"):
        world.round(operations[:1], **asks)
        world.clock.advance(10)
    world.restart()
    account = world.finish(operations[:1], **asks)[operations[0]]
    assert f"VirtualMachineService {NAMESPACE}/front failed" in account.error


def test_a_seal_that_cannot_be_read_yet_is_waited_for(world: World) -> None:
    operations = begin(world, back_up(world))
    world.restart()
    world.store.calls.fail("get", Unavailable("away"))
    assert not any(progress.completed for progress in world.round(operations).values())
    world.store.calls.heal()
    world.clock.advance(60)
    assert [progress.error for progress in world.finish(operations).values()] == ["", ""]
    assert world.exists("VirtualMachineService", "front")


def test_what_keeps_the_seal_from_being_read_is_told_meanwhile(world: World) -> None:
    operations = begin(world, back_up(world))
    world.restart()
    world.store.calls.fail("get", Forbidden("the bucket denies it"))
    account = (world.round(operations), world.round(operations))[-1][operations[0]]
    assert not account.completed
    assert "lacks: the bucket denies it" in account.description
    world.store.calls.heal()
    world.clock.advance(60)
    assert [progress.error for progress in world.finish(operations).values()] == ["", ""]


def broken_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def captured(*_: Any) -> Any:
        raise StopIteration("what only the log may say")

    monkeypatch.setattr(Subjects, "captured", captured)


def test_a_defect_that_passes_delays_what_the_archive_lacks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    operations = begin(world, back_up(world))
    world.restart()
    with monkeypatch.context() as defect:
        broken_list(defect)
        account, shop = (world.round(operations), world.round(operations))[-1].values()
        assert not account.completed
        assert account.description.startswith("verified: ")
        assert "cannot tell which captured objects Velero's archive lacks: internal error" in account.description
        assert shop.description.startswith("waiting")
    account, shop = world.finish(operations).values()
    assert (account.error, "internal error" in account.description) == ("", False)
    assert world.exists("VirtualMachineService", "front")
    assert world.exists("VirtualMachineGroup", "shop")


def test_a_defect_that_lasts_is_an_error_of_the_account_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_list(monkeypatch)
    operations = begin(world, back_up(world))
    world.round(operations)
    world.clock.advance(PATIENCE_SECONDS)
    account, shop = world.finish(operations).values()
    assert "cannot tell which captured objects Velero's archive lacks: internal error" in account.error
    assert "what only the log may say" not in account.error
    assert (shop.error, world.exists("VirtualMachineGroup", "shop")) == ("", True)
    assert not world.exists("VirtualMachineService", "front")


def test_a_restore_that_velero_gives_up_gives_up_on_it_too(world: World) -> None:
    items = back_up(world)
    world.lose(VM)
    account, _ = begin(world, items)
    world.round([account])
    world.app.actions.restore["vms"].cancel(account, restore())
    result = world.document(f"{RESULTS}virtualmachineservices/{NAMESPACE}/front.json")
    assert result["stage"] == "cancelled"


@pytest.mark.parametrize("method", ["get", "list"])
def test_a_store_that_fails_as_the_restore_begins_loses_nothing(world: World, method: str) -> None:
    items = back_up(world)
    world.restart()
    world.store.calls.fail(method, Unavailable("away"))
    outcome = world.app.actions.restore["vms"].execute(ACCOUNT, ACCOUNT, restore())
    world.store.calls.heal()
    world.clock.advance(60)
    operations = [id_ for id_ in (outcome.operation_id, *world.replay_all(items)) if id_]
    assert [progress.error for progress in world.finish(operations).values()] == [""] * len(operations)
    assert world.exists("VirtualMachineService", "front")


def test_an_object_that_velero_asks_about_after_all_goes_on_as_its_own(world: World) -> None:
    operations = begin(world, back_up(world, refused=""))
    world.restart()
    account, *others = operations
    world.poll(account)
    world.clock.advance(10)
    world.poll(account)  # Velero began its first round anew: the others are asked about later

    ended_well = world.finish([account, *others])

    assert [progress.error for progress in ended_well.values()] == [""] * len(operations)
    assert world.created().count(f"VirtualMachineService {NAMESPACE}/front") == 1


def test_a_store_that_refuses_its_result_holds_the_operation_open(world: World) -> None:
    operations = begin(world, back_up(world))
    world.store.calls.fail("put", Unavailable("away"))
    for _ in range(10):
        progress = world.round(operations)[operations[0]]
        world.clock.advance(10)
    assert world.exists("VirtualMachineService", "front")
    assert not progress.completed
    world.store.calls.heal()
    assert [ended.error for ended in world.finish(operations).values()] == ["", ""]
    assert world.document(f"{RESULTS}virtualmachineservices/{NAMESPACE}/front.json")["stage"] == "verified"


def test_a_cancelled_operation_begins_nothing_after_a_restart(world: World) -> None:
    account, shop = begin(world, back_up(world))
    world.restart()
    world.app.actions.restore["vms"].cancel(account, restore())
    world.finish([shop])
    assert not world.exists("VirtualMachineService", "front")


def test_a_cancelled_object_says_what_it_waited_for(world: World) -> None:
    items = back_up(world)
    world.lose(VM)
    account, _ = begin(world, items)
    world.round([account])
    world.app.actions.restore["vms"].cancel(account, restore())
    reason = world.document(f"{RESULTS}virtualmachineservices/{NAMESPACE}/front.json")["reason"]
    assert "itemOperationTimeout" in reason
    assert "web-1: not registered yet" in reason


def test_a_strict_restore_creates_nothing_before_it_knows_what_the_archive_lacks(world: World) -> None:
    items = back_up(world)
    world.lose(VM)
    asks = with_policy(mode="strict", **{"registered-within": "1m"})
    ended = world.finish(begin(world, items, **asks), **asks)
    assert all(progress.error for progress in ended.values())
    assert world.created() == []


def test_groups_on_a_supervisor_without_groups_are_an_error_and_the_services_come_back(world: World) -> None:
    """Velero leaves out what the cluster does not serve, and calls no action for it."""
    items = back_up(world, errors=0, refused="VirtualMachineGroup")
    world.cluster.serve(VIRTUAL_MACHINE_GROUP)
    account, _ = operations = begin(world, items)

    ended = world.finish(operations)

    assert f"VirtualMachineGroup {NAMESPACE}/shop: failed: " in ended[account].error
    assert "this Supervisor does not serve virtualmachinegroups.vmoperator.vmware.com" in ended[account].error
    assert world.exists("VirtualMachineService", "front")
    result = world.document(f"{RESULTS}virtualmachinegroups/{NAMESPACE}/shop.json")
    assert result["stage"] == "failed"


def test_groups_that_the_restore_leaves_out_are_no_error_on_a_supervisor_without_groups(world: World) -> None:
    items = back_up(world, errors=0, refused="VirtualMachineGroup")
    world.cluster.serve(VIRTUAL_MACHINE_GROUP)
    spec = {"excludedResources": [VIRTUAL_MACHINE_GROUP.resource]}
    ended = world.finish(begin(world, items, **spec), **spec)
    assert {progress.error for progress in ended.values()} == {""}
    assert world.exists("VirtualMachineService", "front")


GENERATED = obj("Service", "front", api="v1")
CLAIM = obj("PersistentVolumeClaim", "web-1-data", api="v1")
CRD = obj("CustomResourceDefinition", "things.example.com", api="apiextensions.k8s.io/v1", namespace="")
NO_ACCOUNT: list[dict[str, Any]] = [
    {"excludedResources": ["serviceaccounts"]},
    {"includedResources": ["virtualmachineservices", "virtualmachinegroups", "services"]},
    {"labelSelector": {"matchLabels": {"team": "shop"}}},
]


def left(world: World, *items: dict[str, Any], **spec: Any) -> list[str]:
    """Have Velero call `leave` for items, and for no ServiceAccount; return the operations that it asks about."""
    action = world.app.actions.restore["leave"]
    outcomes = [action.execute(item, item, restore(**spec)) for item in items]
    return [outcome.operation_id for outcome in outcomes if outcome.operation_id]


def labelled(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], "labels": {"team": "shop"}}}


@pytest.fixture(name="archive")
def _archive(world: World) -> list[dict[str, Any]]:
    """Return what Velero's archive has of an application: its group, and not its service."""
    items = world.back_up(VM, labelled(FRONT), labelled(SHOP))
    ended = backup()
    world.cluster.seed({**ended, "status": {**ended["status"], "phase": "PartiallyFailed", "errors": 1}})
    world.lose(FRONT, SHOP)
    return [item for item in items if item["kind"] == "VirtualMachineGroup"]


@pytest.mark.parametrize("spec", NO_ACCOUNT)
def test_a_group_stands_for_what_the_archive_lacks_where_no_account_is_restored(
    world: World, archive: list[dict[str, Any]], spec: dict[str, Any]
) -> None:
    operations = world.replay_all(archive, **spec)

    ended = world.finish(operations, **spec)

    assert [progress.error for progress in ended.values()] == [""]
    assert world.exists("VirtualMachineGroup", "shop")
    assert world.exists("VirtualMachineService", "front")


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("spec", NO_ACCOUNT)
def test_another_item_of_the_namespace_stands_for_it_where_there_is_no_group(
    world: World, spec: dict[str, Any]
) -> None:
    operations = left(world, CRD, GENERATED, GENERATED, **spec)
    assert len(operations) == 1

    ended = world.finish(operations, **spec)

    assert [progress.error for progress in ended.values()] == [""]
    assert world.exists("VirtualMachineService", "front")


@pytest.mark.usefixtures("archive")
def test_what_cannot_come_back_is_an_error_of_the_item_that_stands_for_it(world: World) -> None:
    world.lose(VM)
    spec = {"excludedResources": ["serviceaccounts"], **with_policy(**{"registered-within": "1m"})}
    (operation,) = left(world, GENERATED, **spec)
    ended = world.finish([operation], **spec)
    assert f"VirtualMachineService {NAMESPACE}/front: failed: " in ended[operation].error


def test_a_backup_without_accounts_is_restored_with_what_its_archive_lacks(
    world: World, archive: list[dict[str, Any]]
) -> None:
    taken = backup()
    by_label = {**taken["spec"], "labelSelector": {"matchLabels": {"team": "shop"}}}
    world.cluster.seed({**taken, "spec": by_label, "status": {**taken["status"], "errors": 1}})
    world.finish(world.replay_all(archive))
    assert world.exists("VirtualMachineService", "front")


def call_for_account(world: World) -> str:
    return str(world.app.actions.restore["vms"].execute(ACCOUNT, ACCOUNT, restore()).operation_id)


@pytest.mark.parametrize("items", [[], [GENERATED]])
def test_what_the_archive_lacks_comes_back_where_it_lacks_the_account_too(
    world: World, archive: list[dict[str, Any]], items: list[dict[str, Any]]
) -> None:
    operations = [*left(world, *items), *world.replay_all(archive)]
    assert [progress.error for progress in world.finish(operations).values()] == [""] * (len(items) + 1)
    assert world.exists("VirtualMachineGroup", "shop")
    assert world.exists("VirtualMachineService", "front")


@pytest.mark.usefixtures("archive")
def test_nothing_else_stands_for_it_once_velero_has_called_for_the_account(world: World) -> None:
    assert left(world, CLAIM) == []  # Velero restores claims first
    account = call_for_account(world)
    assert left(world, CLAIM, GENERATED) == []
    world.finish([account])
    assert world.exists("VirtualMachineService", "front")


@pytest.mark.usefixtures("archive")
def test_a_claim_stands_for_it_where_the_filters_leave_the_account_out(world: World) -> None:
    spec = {"excludedResources": ["serviceaccounts"]}
    (operation,) = left(world, CLAIM, CLAIM, GENERATED, **spec)
    world.clock.advance(3600)
    assert left(world, GENERATED, **spec) == []
    world.finish([operation], **spec)
    assert world.exists("VirtualMachineService", "front")


@pytest.mark.usefixtures("archive")
def test_an_account_that_is_restored_late_stands_for_nothing_twice(world: World) -> None:
    """Velero's `--restore-resource-priorities` may put ServiceAccounts last."""
    (operation,) = left(world, GENERATED)
    assert call_for_account(world) == ""
    world.finish([operation])
    assert world.created().count(f"VirtualMachineService {NAMESPACE}/front") == 1


@pytest.mark.parametrize("method", ["get", "list"])
def test_a_store_that_fails_as_a_restore_without_accounts_begins_loses_nothing(
    world: World, archive: list[dict[str, Any]], method: str
) -> None:
    spec = {"excludedResources": ["serviceaccounts"]}
    world.restart()
    world.store.calls.fail(method, Unavailable("away"))
    operations = world.replay_all(archive, **spec)
    world.store.calls.heal()
    world.clock.advance(60)
    assert [progress.error for progress in world.finish(operations, **spec).values()] == [""]
    assert world.exists("VirtualMachineService", "front")
