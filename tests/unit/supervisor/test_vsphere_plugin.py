"""The list of velero-plugin-for-vsphere is taken over when a backup or a restore begins, and nothing of it is lost."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.markdown import ROOT
from tests.unit.builders import obj, service
from tests.unit.world import World
from velero_vmservice.errors import Conflict, Forbidden, Unavailable
from velero_vmservice.kube.manifest import CONFIG_MAP, ObjectRef

if TYPE_CHECKING:
    from structlog.testing import LogCapture

LIST = "velero-vsphere-plugin-blocked-resources-list"
KEPT = "velero-plugin-for-vmservice/taken-over"
REF = ObjectRef(CONFIG_MAP, "velero", LIST)
SERVICES = "virtualmachineservices.vmoperator.vmware.com"
SUBNETS = "subnets.crd.nsx.vmware.com"
CERTIFICATES = "certificates.cert-manager.io"
SUBNET = obj("Subnet", "lab", api="crd.nsx.vmware.com/v1alpha1")
SKIP = "velero.io/skip-from-backup"


def blocked(*resources: str) -> dict[str, Any]:
    return obj("ConfigMap", LIST, api="v1", namespace="velero", data=dict.fromkeys(resources, "true"))


def begin_backup(world: World) -> None:
    for action in world.app.actions.backup.values():
        action.applies_to()


def begin_restore(world: World) -> None:
    for action in world.app.actions.restore.values():
        action.applies_to()


def listed(world: World) -> set[str]:
    return set(world.cluster.get(REF).content.get("data") or {})


def kept(world: World) -> dict[str, Any]:
    annotation: dict[str, Any] = json.loads(world.cluster.get(REF).annotations[KEPT])
    return annotation


@pytest.mark.parametrize("begin", [begin_backup, begin_restore])
def test_keys_are_removed_when_a_backup_or_restore_begins_and_kept_in_an_annotation(begin: Any) -> None:
    world = World()
    world.cluster.seed(blocked(SERVICES, SUBNETS, "virtualmachines.vmoperator.vmware.com"))

    begin(world)

    assert listed(world) == set()
    annotation = kept(world)
    assert annotation["keys"] == {
        SERVICES: "true",
        SUBNETS: "true",
        "virtualmachines.vmoperator.vmware.com": "true",
    }
    assert annotation["by"] == "velero-plugin-for-vmservice"
    assert "vsphere_plugin: leave" in annotation["undo"]
    assert [(event.about, event.reason) for event in world.cluster.events] == [(REF, "TakenOver")]


def test_a_list_without_keys_of_this_plugin_is_not_written_again(world: World) -> None:
    world.cluster.seed(blocked(SERVICES))
    begin_backup(world)
    begin_backup(world)
    begin_restore(world)
    assert world.cluster.calls.counts["patch"] == 1


def test_a_refused_object_stays_withheld_and_is_skipped_at_restore(world: World, log: LogCapture) -> None:
    world.cluster.seed(blocked(SUBNETS, SERVICES))
    begin_backup(world)
    world.clock.advance(60)

    assert SKIP in world.withhold(SUBNET).item["metadata"]["annotations"]
    world.restart()
    assert SUBNETS in world.app.actions.backup["withhold"].applies_to().included_resources
    assert SUBNETS in world.app.actions.restore["leave"].applies_to().included_resources
    world.capture(service("front"))
    assert not [
        line for line in log.entries if line["event"] == "velero-plugin-for-vsphere will refuse what is captured"
    ]


def test_a_list_that_was_reset_is_taken_over_again_without_losing_a_key(world: World) -> None:
    world.cluster.seed(blocked("widgets.example.com"))
    begin_backup(world)
    world.cluster.patch(REF, {"data": {SERVICES: "true"}}, version="v1")

    begin_restore(world)

    assert listed(world) == set()
    assert set(kept(world)["keys"]) == {"widgets.example.com", SERVICES}


def test_a_resource_removed_from_the_restricted_ones_stays_in_the_list() -> None:
    world = World(remove=(CERTIFICATES,))
    world.cluster.seed(blocked(CERTIFICATES, SERVICES))
    begin_backup(world)
    assert listed(world) == {CERTIFICATES}


@pytest.mark.parametrize(
    ("policy", "supervisor", "taken_over"),
    [("detect", "yes", True), ("detect", "no", False), ("take-over", "no", True), ("leave", "yes", False)],
)
def test_the_setting_decides_and_a_supervisor_where_it_is_left_at_its_default(
    policy: str,
    supervisor: str,
    taken_over: bool,  # noqa: FBT001 - a table
) -> None:
    world = World(supervisor=supervisor, vsphere_plugin=policy)
    world.cluster.seed(blocked(SERVICES))
    begin_backup(world)
    begin_restore(world)
    assert (listed(world) == set()) is taken_over


def test_a_list_that_was_taken_over_counts_no_more_once_the_setting_says_leave(world: World) -> None:
    world.cluster.seed(blocked(SUBNETS))
    begin_backup(world)
    left = World(vsphere_plugin="leave")
    left.cluster = world.cluster
    left.restart()
    assert left.withhold(SUBNET).item == SUBNET


def test_the_documented_command_makes_a_patch_of_the_annotation_that_gives_the_list_back(world: World) -> None:
    world.cluster.seed(before := blocked(SERVICES, SUBNETS, "widgets.example.com"))
    begin_backup(world)
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"(sed '.*') > list.json", page)
    annotation = world.cluster.get(REF).annotations[KEPT]

    made = subprocess.run(["sh", "-c", command], input=annotation, capture_output=True, text=True, check=True)

    world.cluster.patch(REF, json.loads(made.stdout), version="v1")
    assert world.cluster.get(REF).content["data"] == before["data"]


@pytest.mark.parametrize("error", [Forbidden("denied"), Unavailable("away")], ids=lambda error: error.code)
@pytest.mark.parametrize("begin", [begin_backup, begin_restore])
def test_a_right_that_is_missing_is_a_warning_and_no_error(
    world: World, log: LogCapture, error: Exception, begin: Any
) -> None:
    world.cluster.seed(blocked(SERVICES))
    world.cluster.calls.fail("patch", error)
    begin(world)
    (line,) = [line for line in log.entries if line["event"] == "blocked resources not taken over"]
    assert line["log_level"] == "warning"
    assert line["object"] == f"ConfigMap velero/{LIST}"
    assert listed(world) == {SERVICES}


def test_a_list_that_another_process_changes_meanwhile_is_read_again(world: World) -> None:
    world.cluster.seed(blocked(SERVICES))
    world.cluster.calls.fail("patch", Conflict("changed"), times=1)
    begin_backup(world)
    assert listed(world) == set()


@pytest.mark.parametrize("annotation", ["", "{", "[]", '{"keys": 1}'])
def test_an_annotation_that_another_hand_has_changed_stops_nothing(world: World, annotation: str) -> None:
    list_of_another_hand = blocked(SERVICES)
    list_of_another_hand["metadata"]["annotations"] = {KEPT: annotation}
    world.cluster.seed(list_of_another_hand)
    begin_backup(world)
    assert set(kept(world)["keys"]) == {SERVICES}


def test_without_the_other_plugin_nothing_is_written_or_logged(world: World, log: LogCapture) -> None:
    begin_backup(world)
    begin_restore(world)
    assert world.cluster.calls.counts["patch"] == 0
    assert not log.entries
