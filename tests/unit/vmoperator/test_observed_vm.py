"""The observed VM: read alike from every version, small, and strings that repeat kept once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import condition, m, vm
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

VMOP = "vmoperator.vmware.com"


@pytest.mark.parametrize(
    ("probe", "conditions", "serving"),
    [
        (None, [], True),
        ({"tcpSocket": {"port": 80}}, [], False),
        ({"tcpSocket": {"port": 80}}, [condition("Ready", "False")], False),
        ({"tcpSocket": {"port": 80}}, [condition("Ready")], True),
        ({"guestHeartbeat": {}}, [], False),
        ({"guestInfo": [{"key": "ready"}]}, [condition("Ready")], True),
        ({"periodSeconds": 10}, [], True),
    ],
)
def test_a_probe_decides_whether_a_vm_serves(probe: Any, conditions: list[Any], serving: bool) -> None:  # noqa: FBT001 - a table
    spec = {} if probe is None else {"readinessProbe": probe}
    assert read_vm(m(vm("web-1", spec=spec, status={"conditions": conditions}))).serving is serving


def test_a_vm_is_read_with_all_that_a_comparison_after_a_restore_needs() -> None:
    observed_vm = read_vm(
        m(
            vm(
                "web-1",
                claims=["restored-a1b2c3"],
                meta={
                    "annotations": {
                        f"{VMOP}/restored-vm": "",
                        f"{VMOP}/created-at-build-version": "1.2",
                        f"{VMOP}/manager-id": "vc",
                        "example.com/owner": "shop team",
                    }
                },
                spec={"image": {"name": "vmi-1"}, "bootstrap": {"cloudInit": {"instanceID": "i-1"}}},
            )
        )
    )
    assert (observed_vm.restored, observed_vm.failed_over) == (True, False)
    assert observed_vm.lifecycle_annotations == {f"{VMOP}/created-at-build-version": "1.2"}
    assert observed_vm.user_annotations == ("example.com/owner",)
    assert (observed_vm.image, observed_vm.instance_id) == ("vmi-1", "i-1")
    assert observed_vm.volumes == {"restored-a1b2c3": "restored-a1b2c3"}
    assert observed_vm.claims == ("restored-a1b2c3",)


@pytest.mark.parametrize(
    ("given", "reverting"),
    [
        ({}, False),
        ({"meta": {"annotations": {f"{VMOP}/snapshot-revert-in-progress": ""}}}, True),
        ({"spec": {"currentSnapshotName": "before-upgrade"}}, True),
        ({"spec": {"currentSnapshot": {"name": "before-upgrade"}}}, True),
        ({"spec": {"currentSnapshotName": ""}}, False),
    ],
    ids=["no", "under way", "wanted", "wanted, in an older version", "over"],
)
def test_a_snapshot_revert_shows_in_an_annotation_or_in_the_spec(given: dict[str, Any], reverting: bool) -> None:  # noqa: FBT001 - a table
    assert read_vm(m(vm("web-1", **given))).reverting is reverting


def test_strings_that_repeat_are_kept_once() -> None:
    def read(name: str) -> ObservedVm:
        given = vm(name, labels={"tier": "web front"}, spec={"imageName": "Linux 5"})
        return read_vm(m(json.loads(json.dumps(given))))

    first, other = read("web-1"), read("web-2")
    assert next(iter(first.labels.values())) is next(iter(other.labels.values()))
    assert first.image is other.image
