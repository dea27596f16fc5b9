from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clock import SettableClock
from tests.fakes.cluster import MemoryCluster
from tests.unit.builders import Json, obj
from velero_vmservice.errors import Forbidden, Rejected, Unavailable
from velero_vmservice.kube.manifest import CAPABILITIES
from velero_vmservice.supervisor.observe import TargetCapabilities
from velero_vmservice.vmoperator.releases import CAPABILITIES_OBJECT, GROUPS

if TYPE_CHECKING:
    from structlog.testing import LogCapture


@pytest.fixture(name="clock")
def _clock() -> SettableClock:
    return SettableClock()


@pytest.fixture(name="cluster")
def _cluster(clock: SettableClock) -> MemoryCluster:
    return MemoryCluster(clock=clock)


@pytest.fixture(name="target")
def _target(cluster: MemoryCluster, clock: SettableClock) -> TargetCapabilities:
    return TargetCapabilities(cluster=cluster, clock=clock)


def capabilities(*, groups: bool) -> Json:
    status = {"supervisor": {GROUPS: {"activated": groups}}}
    return obj("Capabilities", CAPABILITIES_OBJECT.name, api="iaas.vmware.com/v1alpha1", namespace="", status=status)


def older(*, groups: str) -> Json:
    return obj("ConfigMap", "wcp-cluster-capabilities", api="v1", namespace="kube-system", data={GROUPS: groups})


def test_the_object_is_read_before_the_older_config_map(cluster: MemoryCluster, target: TargetCapabilities) -> None:
    cluster.serve(CAPABILITIES, "v1alpha1")
    cluster.seed(capabilities(groups=True), older(groups="false"))
    assert target.now().groups is True
    assert target.now().source == "Capabilities supervisor-capabilities"


def test_a_supervisor_without_the_object_is_read_from_its_config_map(
    cluster: MemoryCluster, target: TargetCapabilities
) -> None:
    cluster.seed(older(groups="true"))
    assert target.now().groups is True
    assert target.now().source == "ConfigMap kube-system/wcp-cluster-capabilities"


def test_a_supervisor_without_capabilities_is_unknown_and_logged_once(
    target: TargetCapabilities, clock: SettableClock, log: LogCapture
) -> None:
    for _ in range(5):
        assert (target.now().groups, target.now().source) == (None, "")
        clock.advance(61)
    (entry,) = log.entries
    assert "neither Capabilities supervisor-capabilities nor ConfigMap kube-system/" in entry["reason"]
    assert "the served API versions decide what the target can do" in entry["reason"]


def test_many_questions_in_a_minute_are_one_request_and_a_change_is_seen_after_it(
    cluster: MemoryCluster, target: TargetCapabilities, clock: SettableClock
) -> None:
    cluster.serve(CAPABILITIES, "v1alpha1")
    cluster.seed(capabilities(groups=False))
    for _ in range(50):
        assert target.now().groups is False
    assert cluster.calls.counts["get"] == 1
    cluster.seed(capabilities(groups=True))
    clock.advance(61)
    assert target.now().groups is True


def test_a_refusal_is_unknown_and_names_the_missing_right(cluster: MemoryCluster, target: TargetCapabilities) -> None:
    cluster.calls.fail("get", Forbidden("cannot get Capabilities supervisor-capabilities"))
    state = target.now()
    assert (state.groups, state.source) == (None, "")
    assert "allow Velero's service account to get capabilities.iaas.vmware.com" in state.note


@pytest.mark.parametrize("error", [Unavailable("the API server is away"), Rejected("no")])
def test_no_failure_is_raised(cluster: MemoryCluster, target: TargetCapabilities, error: Exception) -> None:
    cluster.calls.fail("get", error)
    assert target.now().groups is None
    assert str(error) in target.now().note


def test_capabilities_stay_known_while_the_api_server_is_away(
    cluster: MemoryCluster, target: TargetCapabilities, clock: SettableClock
) -> None:
    cluster.serve(CAPABILITIES, "v1alpha1")
    cluster.seed(capabilities(groups=False))
    assert target.now().groups is False
    cluster.calls.fail("get", Unavailable("the API server is away"))
    clock.advance(61)
    assert target.now().groups is False
    cluster.calls.heal()
    cluster.seed(capabilities(groups=True))
    clock.advance(61)
    assert target.now().groups is True
