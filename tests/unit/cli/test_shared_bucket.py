"""Two clusters store below one prefix of a bucket: each takes its own captures, and another's where that is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, obj
from tests.unit.captures.scene import FRONT, OTHER, TIER
from tests.unit.cli.capture_scene import NEW, OLD, Scene
from velero_vmservice.kube.manifest import NAMESPACE as NAMESPACES
from velero_vmservice.kube.manifest import ObjectRef, compact_time

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine

OURS, THEIRS = "uid-of-our-cluster", "uid-of-the-other-cluster"
DAY = 24 * 3600.0
LIVE = (TIER, FRONT, OTHER)


class Shared(Scene):
    """Our capture of an application that is lost, and later ones of the same names in another cluster."""

    def __init__(self, command: CommandLine) -> None:
        super().__init__(command)
        for key in list(self.world.store.list("vadp/")):
            self.world.store.delete(key)
        self.world.clock.advance(DAY)
        self.ours = self.capture(OURS, OLD)
        self.theirs = [self.capture(THEIRS, version) for version in (OLD, NEW)]
        self.lost()
        self.connect(OURS)

    def connect(self, uid: str) -> None:
        """Let the API server be that of this cluster; '' where its namespace kube-system may not be read."""
        self.world.cluster.remove(ObjectRef(NAMESPACES, "", "kube-system"))
        if uid:
            meta = {"uid": uid}
            self.world.cluster.seed(obj("Namespace", "kube-system", api="v1", namespace="", meta=meta))
        self.world.restart()

    def started(self) -> str:
        """Return the capture that was restored last."""
        report = self.report()
        return f"{report.backup}/{compact_time(report.backup_started)}"

    def json(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.command(*arguments, "-o", "json").out))

    def capture(self, uid: str, version: str) -> str:
        self.connect(uid)
        return str(self.world.take(version).ref)


@pytest.fixture(name="shared")
def _shared(command: CommandLine) -> Shared:
    return Shared(command)


@pytest.mark.parametrize("source", ["latest", "match", "nightly"])
def test_a_restore_takes_the_own_captures_alone(shared: Shared, source: str) -> None:
    shared.come_back(OLD)
    ran = shared.restore("--from", source, "--yes")
    assert ran.code == 0
    assert shared.started() == shared.ours


@pytest.mark.parametrize("source", ["latest", "nightly", "exact"])
@pytest.mark.parametrize("cluster", [THEIRS, "any"])
def test_a_failover_restores_captures_of_the_cluster_that_is_named(shared: Shared, source: str, cluster: str) -> None:
    shared.come_back(NEW)
    source = shared.theirs[1] if source == "exact" else source
    ran = shared.restore("--from", source, "--from-cluster", cluster, "--yes")
    assert ran.code == 0
    assert shared.started() == shared.theirs[1]


def test_a_capture_of_another_cluster_is_not_restored_unless_its_cluster_is_named(shared: Shared) -> None:
    ran = shared.restore("--from", shared.theirs[0])
    assert ran.code == 3
    assert ran.err.splitlines() == [
        f"velero-vmservice: capture {shared.theirs[0]} is not of this cluster, but of {THEIRS}",
        "hint: check the kubeconfig's context; to restore it here, as after a failover, add --from-cluster " + THEIRS,
    ]
    assert shared.restored == set()
    other = shared.restore("--from", shared.ours, "--from-cluster", THEIRS)
    assert (other.code, shared.restored) == (3, set())


def test_what_is_repeated_names_the_cluster_again(shared: Shared) -> None:
    shared.passing(lambda: None, interrupted=True)
    ran = shared.restore("--from", "latest", "--from-cluster", THEIRS)
    assert ran.err.splitlines()[-1].endswith(f"restore --from {shared.theirs[1]} --from-cluster {THEIRS}")


def test_a_name_that_only_another_cluster_has_is_an_error_with_the_way_on(shared: Shared) -> None:
    shared.connect("uid-of-a-third-cluster")
    for command in (("captures", "show", "nightly"), ("restore", "--from", "nightly")):
        ran = shared.command(*command)
        assert ran.code == 1
        assert f"is of this cluster; the newest of another is {shared.theirs[1]}" in ran.err
    latest = shared.restore("--from", "latest")
    assert (latest.code, "--from-cluster" in latest.err) == (1, True)
    assert shared.command("captures", "show", shared.theirs[1]).code == 0


def test_a_cluster_that_cannot_be_told_is_a_remark(shared: Shared) -> None:
    shared.connect("")
    shared.come_back(OLD)
    ran = shared.restore("--from", shared.theirs[0], "--yes")
    assert ran.code == 0
    assert "whether that is this one is not known, as namespace kube-system cannot be read" in ran.err


def test_the_list_and_a_capture_say_which_cluster_it_is_of(shared: Shared) -> None:
    listed = {entry["capture"]: entry["cluster_id"] for entry in shared.json("captures", "list")["captures"]}
    assert listed[shared.ours] == OURS
    assert {listed[capture] for capture in shared.theirs} == {THEIRS}
    assert THEIRS in shared.command("captures", "list", "-o", "wide").out
    assert f"cluster: {OURS}" in shared.command("captures", "show", "nightly").lines


def test_match_ranks_the_own_captures_unless_another_cluster_is_named(shared: Shared) -> None:
    shared.come_back(OLD)
    assert [entry["capture"] for entry in shared.json("match")["captures"]] == [shared.ours]
    theirs = shared.json("match", "--from-cluster", THEIRS)["captures"]
    assert {entry["capture"] for entry in theirs} == set(shared.theirs)


def test_captures_of_another_cluster_cover_nothing(shared: Shared) -> None:
    shared.world.cluster.seed(*LIVE)
    shared.come_back(OLD)
    entries = shared.json("coverage", "-n", NAMESPACE, "--within", "30d")["objects"]
    covered = {"{name}/{started}".format(**entry["capture"]) for entry in entries}
    assert covered == {shared.ours}


def test_captures_of_another_cluster_neither_replace_the_own_nor_are_pruned_with_them(shared: Shared) -> None:
    shared.world.clock.advance(100 * DAY)
    prune = ("captures", "prune", "--older-than", "1d", "--keep-last", "0")
    verdicts = {entry["capture"]: entry["verdict"] for entry in shared.json(*prune)["captures"]}
    assert verdicts[shared.ours] == "last-good"
    assert {verdicts[capture] for capture in shared.theirs} == {"other-cluster"}
    assert any(line.startswith("kept: 2 captures: it is of another cluster") for line in shared.command(*prune).lines)
    named = shared.json(*prune, "--from-cluster", THEIRS)["captures"]
    assert {entry["capture"]: entry["verdict"] for entry in named if entry["capture"] in shared.theirs} == {
        shared.theirs[0]: "expired",
        shared.theirs[1]: "last-good",
    }
