"""What is protected, object by object, and why the rest is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, backup, group, obj, service, vm
from tests.unit.world import World
from velero_vmservice.captures.coverage import Coverage, Gap, State
from velero_vmservice.captures.coverage_page import render
from velero_vmservice.errors import InvalidSettings, NotFound, Unavailable
from velero_vmservice.kube.manifest import BACKUP_STORAGE_LOCATION, VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.vadp.capturing import CaptureRequest
from velero_vmservice.velero.runs import Maker

if TYPE_CHECKING:
    from tests.unit.builders import Json

START = datetime(2026, 3, 1, 13, tzinfo=UTC)
MONTH = timedelta(days=35)
JANUARY = {"creationTimestamp": "2026-01-01T00:00:00Z"}


def old(content: Json) -> Json:
    content["metadata"] |= JANUARY
    return content


def shop() -> tuple[Json, ...]:
    return (
        old(vm("web-1", labels={"app": "web"}, group="web")),
        old(group("web", ["web-1"])),
        old(service("front", {"app": "web"})),
        old(vm("lonely")),
    )


@pytest.fixture(name="world")
def _world() -> World:
    world = World()
    world.clock.set(START)
    location = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
    world.cluster.seed(location, obj("Namespace", NAMESPACE, api="v1", namespace=""), *shop())
    return world


def take(world: World, **request: Any) -> None:
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), **{"job": "gold", **request}))


def covered(world: World, *namespaces: str, within: timedelta = MONTH) -> Coverage:
    return world.app.covering.of(namespaces, within=within)


def gaps(coverage: Coverage) -> dict[str, tuple[Gap, ...]]:
    return {f"{entry.live.ref.kind.name} {entry.live.ref.name}": entry.gaps for entry in coverage.entries}


def test_what_a_capture_of_the_command_holds_is_protected_with_its_job_and_restore_point(world: World) -> None:
    take(world, restore_point="4711")
    coverage = covered(world)
    assert {entry.state for entry in coverage.entries} == {State.PROTECTED}
    assert [(str(entry.live.ref), str(entry.live.application)) for entry in coverage.entries] == [
        ("VirtualMachineGroup shop/web", "VirtualMachineGroup shop/web"),
        ("VirtualMachineService shop/front", "VirtualMachineGroup shop/web"),
        ("VirtualMachine shop/web-1", "VirtualMachineGroup shop/web"),
        ("VirtualMachine shop/lonely", "None"),
    ]
    for entry in coverage.entries:
        assert entry.capture is not None
        assert (entry.capture.ref.maker, entry.capture.ref.name) == (Maker.COMMAND, "gold")
        assert (entry.capture.vadp_job, entry.capture.restore_point) == ("gold", "4711")


def test_without_a_capture_nothing_is_protected(world: World) -> None:
    assert gaps(covered(world)) == {
        "VirtualMachineGroup web": (Gap.NO_CAPTURE,),
        "VirtualMachineService front": (Gap.NO_CAPTURE,),
        "VirtualMachine web-1": (Gap.NO_CAPTURE,),
        "VirtualMachine lonely": (Gap.NO_CAPTURE, Gap.NO_APPLICATION),
    }


def test_a_capture_without_a_seal_protects_nothing(world: World) -> None:
    take(world)
    world.store.delete("vadp/gold/20260301T130000Z/capture.json")
    by_object = gaps(covered(world))
    assert by_object["VirtualMachineGroup web"] == (Gap.UNSEALED,)
    assert by_object["VirtualMachine web-1"] == (Gap.UNSEALED,)
    assert by_object["VirtualMachine lonely"] == (Gap.NO_CAPTURE, Gap.NO_APPLICATION)


def test_a_velero_backup_protects_groups_and_services_and_vms_of_a_named_job(world: World) -> None:
    world.back_up(*shop())
    ended = backup()
    ended["status"]["phase"] = "Completed"
    world.cluster.seed(ended)
    by_object = gaps(covered(world))
    assert by_object["VirtualMachineService front"] == ()
    assert by_object["VirtualMachine web-1"] == (Gap.NO_VADP_JOB,)


def test_an_older_capture_that_names_the_job_protects_the_vm(world: World) -> None:
    take(world)
    world.clock.advance(60.0)
    take(world, job="")
    by_name = {entry.live.ref.name: entry for entry in covered(world).entries}
    web_1, front = by_name["web-1"], by_name["front"]
    assert web_1.gaps == ()
    assert web_1.capture is not None
    assert front.capture is not None
    assert (web_1.capture.ref.name, front.capture.ref.name) == ("gold", "capture")


def test_what_was_created_or_changed_since_the_capture_is_not_protected(world: World) -> None:
    take(world)
    later = {"creationTimestamp": "2026-03-01T13:30:00Z"}
    world.cluster.seed(
        vm("web-1", labels={"app": "web"}, group="web", meta=later),
        old(service("front", {"app": "web", "tier": "front"})),
    )
    by_object = gaps(covered(world))
    assert by_object["VirtualMachine web-1"] == (Gap.CREATED_SINCE,)
    assert by_object["VirtualMachineService front"] == (Gap.CHANGED_SINCE,)
    assert by_object["VirtualMachineGroup web"] == ()


def test_a_port_that_was_added_and_a_field_that_was_removed_are_changes(world: World) -> None:
    take(world)
    content = old(service("front", {"app": "web"}))
    content["spec"]["loadBalancerSourceRanges"] = ["10.0.0.0/8"]
    world.cluster.seed(content)
    assert gaps(covered(world))["VirtualMachineService front"] == (Gap.CHANGED_SINCE,)


def test_a_finding_that_blocks_and_a_damaged_document_are_told_apart(world: World) -> None:
    world.cluster.seed(old(group("web", ["web-1", "web-1"])))
    take(world)
    key = "vadp/gold/20260301T130000Z/objects/virtualmachineservices/shop/front.json"
    world.store.tamper(key, b"{}")
    by_object = gaps(covered(world))
    assert by_object["VirtualMachineGroup web"] == (Gap.NOT_RESTORABLE,)
    assert by_object["VirtualMachineService front"] == (Gap.DAMAGED, Gap.NOT_RESTORABLE)


def test_a_capture_that_is_too_old_protects_nothing(world: World) -> None:
    take(world)
    world.clock.advance(7200.0)
    assert covered(world, within=timedelta(hours=1)).of_state(State.UNPROTECTED) == 4
    assert covered(world, within=timedelta(hours=3)).of_state(State.PROTECTED) == 4


def test_where_a_seal_cannot_be_read_protection_is_not_known(world: World) -> None:
    take(world)
    world.store.calls.fail("get", Unavailable("the bucket is away"))
    coverage = covered(world)
    assert coverage.of_state(State.UNKNOWN) == 4
    assert [str(error) for error in coverage.unread] == ["the bucket is away"]


def test_nodes_of_guest_clusters_are_counted_and_left_out(world: World) -> None:
    world.cluster.seed(vm("node-1", labels={"capv.vmware.com/cluster.role": "worker"}))
    coverage = covered(world)
    assert coverage.nodes == 1
    assert "node-1" not in {entry.live.ref.name for entry in coverage.entries}


def test_only_the_namespaces_that_are_named_are_looked_at(world: World) -> None:
    world.cluster.seed(vm("mail-1", namespace="mail"))
    assert [str(entry.live.ref) for entry in covered(world, "mail").entries] == ["VirtualMachine mail/mail-1"]
    with pytest.raises(NotFound, match="namespace mial does not exist"):
        covered(world, "mial")


def test_without_a_bucket_there_is_no_answer(world: World) -> None:
    world.cluster.remove(ObjectRef(BACKUP_STORAGE_LOCATION, "velero", "default"))
    with pytest.raises(InvalidSettings, match="no bucket to look in"):
        covered(world)


def test_seals_are_read_no_further_back_than_it_takes(world: World) -> None:
    for _ in range(20):
        take(world)
        world.clock.advance(60.0)
    world.store.calls.made.clear()
    covered(world)
    seals = [key for method, key in world.store.calls.made if method == "get" and key.endswith("/capture.json")]
    assert len(seals) == 8, "a batch that is read side by side"


def test_the_page_shows_every_object_with_its_reason_and_escapes_names(world: World) -> None:
    take(world)
    world.cluster.seed(vm("new-1", meta={"creationTimestamp": "2026-03-01T14:00:00Z"}))
    page = render(covered(world), cluster="https://<supervisor>")
    assert "1 not protected" in page
    assert "no recent capture holds it" in page
    assert "gold/20260301T130000Z" in page
    assert "https://&lt;supervisor&gt;" in page
    assert "<script" not in page


def test_an_application_without_vms_in_its_capture_is_not_protected(world: World) -> None:
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE, NAMESPACE, "web-1"))
    take(world)
    by_object = gaps(covered(world))
    assert Gap.NO_VMS in by_object["VirtualMachineService front"]
    assert Gap.NO_VMS in by_object["VirtualMachineGroup web"]


def test_an_application_whose_vms_are_lost_after_the_capture_stays_protected(world: World) -> None:
    take(world)
    world.cluster.remove(ObjectRef(VIRTUAL_MACHINE, NAMESPACE, "web-1"))
    assert gaps(covered(world))["VirtualMachineService front"] == ()


def test_a_vm_that_joined_the_application_after_the_capture_is_lacking(world: World) -> None:
    take(world)
    world.cluster.seed(old(vm("web-2", labels={"app": "web"})))
    by_object = gaps(covered(world))
    assert by_object["VirtualMachineService front"] == (Gap.LACKS_VMS,)
    assert by_object["VirtualMachineGroup web"] == (Gap.LACKS_VMS,)
    assert by_object["VirtualMachine web-1"] == ()
    assert by_object["VirtualMachine web-2"] == (Gap.NO_CAPTURE,)


def test_an_application_that_the_seal_judges_not_restorable_is_not_protected(world: World) -> None:
    world.cluster.seed(old(vm("web-1", labels={"app": "web"}, group="web", created=False, status={"uniqueID": ""})))
    take(world)
    by_object = gaps(covered(world))
    assert by_object["VirtualMachineService front"] == (Gap.NOT_RESTORABLE,)
    assert by_object["VirtualMachineGroup web"] == (Gap.NOT_RESTORABLE,)
    assert by_object["VirtualMachine lonely"] == ()


def test_a_document_that_cannot_be_read_says_nothing_of_other_objects(world: World) -> None:
    take(world)
    world.cluster.seed(old(service("apart", {"app": "apart"})), old(vm("apart-1", labels={"app": "apart"})))
    world.store.calls.fail("get", Unavailable("the bucket is away"), on="objects/")
    coverage = covered(world)
    by_object = gaps(coverage)
    assert Gap.UNKNOWN in by_object["VirtualMachineService front"]
    assert by_object["VirtualMachineService apart"] == (Gap.NO_CAPTURE,)
    assert len(coverage.unread) == 2


def test_a_capture_of_another_cluster_protects_nothing_here(world: World) -> None:
    def of_cluster(uid: str) -> Json:
        return obj("Namespace", "kube-system", api="v1", namespace="", meta={"uid": uid})

    world.cluster.seed(of_cluster("another"))
    world.restart()
    take(world)
    assert {entry.state for entry in covered(world).entries} == {State.PROTECTED}
    world.cluster.seed(of_cluster("this"))
    world.restart()
    assert gaps(covered(world))["VirtualMachineService front"] == (Gap.NO_CAPTURE,)
    assert gaps(covered(world))["VirtualMachine web-1"] == (Gap.NO_CAPTURE,)
