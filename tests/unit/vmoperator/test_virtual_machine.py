"""Whose a label or annotation is: the keys that the platform's own components write, and those that people do."""

from __future__ import annotations

import pytest

from tests.unit.builders import m, machine, vm
from velero_vmservice.restore.verify.vm import deviations
from velero_vmservice.vmoperator.virtual_machine import is_users, read_vm

PLATFORMS = [
    "vmoperator.vmware.com/backup-version",
    "vmoperator.vmware.com.protected/apply-power-state-time",
    "vmoperator.vmware.com.protected/last-updated-power-state-time",
    "condition.vmoperator.vmware.com.protected/MyCondition",
    "cns.vmware.com.protected/disk-backing",
    "fu.bar.protected",
    "virtualmachineservice.vmoperator.vmware.com/service.healthCheckNodePort",
    "vsphere-cluster-module-group-uuid",
    "vmware-system-vm-uuid",
    "cns.vmware.com/usedby-vm-4a2f",
    "csi.vsphere.volume-requested-topology",
    "nsx.vmware.com/attachment_ref",
    "nsx/restore",
    "nsx-op/pod_name",
    "ncp/healthCheckNodePort",
    "aviinfrasetting.ako.vmware.com/name",
    "velero.io/backup-name",
    "velero-plugin-for-vsphere/item-snapshot-blob",
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "kubectl.kubernetes.io/last-applied-configuration",
]
USERS = [
    "owner",
    "example.com/owner",
    "example.com/protected",
    "protected.example.com/owner",
    "hello.world.protected.against/sub-key",
    "app.kubernetes.io/name",
    "vsphere-cluster-module-group",
    "notvmware.com/owner",
    "argocd.argoproj.io/instance",
]


@pytest.mark.parametrize("key", PLATFORMS)
def test_an_annotation_that_the_platform_writes_is_not_the_users(key: str) -> None:
    assert not is_users(key)


@pytest.mark.parametrize("key", USERS)
def test_an_annotation_that_people_write_is_the_users(key: str) -> None:
    assert is_users(key)


@pytest.mark.parametrize("key", PLATFORMS)
def test_a_vm_without_the_platforms_annotation_deviates_in_nothing(key: str) -> None:
    """A capture of an earlier version lists such a key among the user's."""
    captured = machine(uid="lost", instance_uuid="instance-of-web-1", user_annotations=(key,))
    restored = {"annotations": {"vmoperator.vmware.com/restored-vm": ""}}
    assert deviations(read_vm(m(vm("web-1", meta=restored))), captured) == ()
