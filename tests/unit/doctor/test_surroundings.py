from __future__ import annotations

import json

import pytest

from tests.unit.builders import obj
from velero_vmservice.doctor.checks import CheckState
from velero_vmservice.doctor.surroundings import blocked_list_check, supervisor_check
from velero_vmservice.kube.manifest import Manifest
from velero_vmservice.supervisor.vsphere_plugin import BLOCKED_RESOURCES, TAKEN_OVER_ANNOTATION
from velero_vmservice.vmoperator.releases import Generation, SupervisorRelease

VMS, SERVICES = "virtualmachines.vmoperator.vmware.com", "virtualmachineservices.vmoperator.vmware.com"
RELEASE = SupervisorRelease(generation=Generation.VCF_9, evidence="serves groups")
KEPT = {"by": "p", "why": "w", "undo": "u", "at": "t", "keys": {VMS: "true"}}


def listed(*keys: str, taken: bool = False) -> Manifest:
    annotations = {TAKEN_OVER_ANNOTATION: json.dumps(KEPT)} if taken else {}
    content = obj(
        "ConfigMap",
        BLOCKED_RESOURCES,
        api="v1",
        namespace="velero",
        meta={"annotations": annotations},
        data=dict.fromkeys(keys, "true"),
    )
    return Manifest(content)


@pytest.mark.parametrize(
    ("config_map", "policy", "on_supervisor", "state", "established"),
    [
        (None, "detect", True, CheckState.OK, "does not exist"),
        (listed(SERVICES, VMS), "detect", True, CheckState.OK, "taken over when the next backup or restore begins"),
        (listed(SERVICES), "take-over", False, CheckState.OK, "taken over when the next backup or restore begins"),
        (listed(SERVICES), "detect", False, CheckState.WARNING, "vsphere_plugin: detect they stay"),
        (listed(SERVICES), "leave", True, CheckState.WARNING, "a backup of these ends PartiallyFailed"),
        (listed("pods", taken=True), "leave", True, CheckState.OK, "takes care of; 1 keys are taken over"),
    ],
)
def test_what_becomes_of_the_other_plugins_list(
    config_map: Manifest | None, policy: str, *, on_supervisor: bool, state: CheckState, established: str
) -> None:
    check = blocked_list_check(config_map, handled={VMS}, policy=policy, on_supervisor=on_supervisor)
    assert (check.state, established in check.established) == (state, True), check


def test_captured_kinds_stand_first_in_a_list_that_is_cut() -> None:
    others = [f"a{number}.example.com" for number in range(20)]
    check = blocked_list_check(listed(*others, SERVICES), handled=others, policy="leave", on_supervisor=True)
    assert check.established.startswith(f"it blocks {SERVICES}; a0.example.com")


def test_a_cluster_that_is_no_supervisor_is_a_warning() -> None:
    assert supervisor_check(RELEASE, ["v1alpha5"], present=False).state is CheckState.WARNING
    assert supervisor_check(RELEASE, ["v1alpha5"], present=True).established == "VCF 9.0+: serves groups"


def test_a_supervisor_without_groups_is_no_fault_and_is_noted() -> None:
    check = supervisor_check(RELEASE, [], present=True)
    assert check.state is CheckState.OK
    assert check.established.endswith("VirtualMachineGroup is not served, so groups are not restored here")
