"""The guide's troubleshooting (11.1 to 11.6) as data: for each topic and error code the checks, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.registration.checks import (
    ALL_OF_ITS_NAME,
    AUTOMATIC,
    CLAIMS,
    CNS,
    DATASTORE,
    DISK_FILE,
    DISKS,
    DISKS_RECORDED,
    EVENTS,
    FOLDER,
    PAUSE,
    PAUSED_BY,
    RECORD,
    RELEASE,
    REVERT,
    SAME_UUID,
    STATUS,
    TASKS,
    UNPACKED,
    VADP,
    WHICH,
    Check,
)
from velero_vmservice.vmoperator import marks
from velero_vmservice.vsphere.registervm_errors import (
    CLAIM_FAILED,
    DUPLICATE_BIOS_UUID,
    EXISTS,
    INVALID_RECORD,
    NOT_IN_FOLDER,
    TOO_OLD,
    VM_NOT_FOUND,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Topic(StrEnum):
    """The topics that can be explained, beside error codes."""

    NOT_TRIGGERED = "not-triggered"
    STUCK = "stuck-at-80"
    POWER_ON = "power-on"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The checks of one topic, in the order in which they are worth making."""

    title: str
    source: str
    also: frozenset[str]
    """Other words by which a user may ask for it."""
    checks: tuple[Check, ...]


TOPICS: Final[Mapping[Topic, Advice]] = {
    Topic.NOT_TRIGGERED: Advice(
        title="registration is not triggered: there is a restored VM, and no RegisterVM task",
        source="guide 11.1",
        also=frozenset({"triggered", "automatic", "auto-registration", "wcp"}),
        checks=(
            FOLDER,  # the others look there
            TASKS,
            RECORD,
            AUTOMATIC,
            VADP,
            REVERT,
            Check(
                text="WCP's log says what it saw (on vCenter)",
                commands=("grep auto-vm-register /var/log/vmware/wcp/wcpsvc.log | tail -n 100",),
            ),
            Check(
                text="if all that is well and a few minutes have passed, call RegisterVM once by hand; this changes"
                " Kubernetes, cannot be cancelled and must not be repeated while its task runs",
                commands=("dcli com vmware vcenter namespaces instances register-VM --namespace {ns} --vm {moid}",),
            ),
        ),
    ),
    Topic.STUCK: Advice(
        title="RegisterVM stands at 80 %: it waits for disks that are not registered",
        source="guide 11.3",
        also=frozenset({"stuck", "80", "disk", "disks", "volume", "volumes", "datastore", "pvc", "cns", "csi"}),
        checks=(DISKS, DATASTORE, DISK_FILE, CNS, CLAIMS, TASKS),
    ),
    Topic.POWER_ON: Advice(
        title="the restored VM does not power on",
        source="guide 11.4",
        also=frozenset({"power", "powered-off", "pause", "paused"}),
        checks=(
            STATUS,
            PAUSE,
            PAUSED_BY,
            Check(
                text="it comes back PoweredOff and stays off until asked to run; a group powers its members, and waits"
                " for every one of them",
                commands=(
                    "kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.powerState}} {{.spec.groupName}}'",
                    "kubectl get virtualmachinegroup -n {ns} -o wide",
                ),
            ),
            Check(
                text="only an administrator may remove an annotation that keeps it from being powered on",
                commands=(f"kubectl get vm -n {{ns}} {{vm}} -o yaml | grep {marks.POWER_ON_CHECK_PREFIX}",),
            ),
            CLAIMS,
            EVENTS,
            Check(
                text="VM Operator's log",
                commands=("kubectl logs -n vmware-system-vmop -l app=vmware-system-vmop --all-containers --tail=100",),
            ),
        ),
    ),
    Topic.NETWORK: Advice(
        title="the restored VM has no network",
        source="guide 11.5",
        also=frozenset({"dhcp", "dns", "ip", "address", "static", "subnet", "load-balancer"}),
        checks=(
            Check(
                text="what it asks for, and what it has; no address is shown while it is off or without VMware Tools",
                commands=(
                    "kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.network}}'",
                    "kubectl get vm -n {ns} {vm} -o jsonpath='{{.status.network}}'",
                ),
            ),
            Check(
                text="restore to new: cloud-init runs again at the first power-on and configures the network anew;"
                " until then the old settings are in force",
                commands=("kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.bootstrap.cloudInit.instanceID}}'",),
            ),
            Check(
                text="DHCP: the address may be another one than before, after either kind of restore; look for its"
                " lease and renew it in the guest",
            ),
            Check(
                text="static address: a restore in place keeps it; after a restore to new it must be free and of the"
                " network that the VM is on now",
                commands=(
                    "kubectl get vm -n {ns} -o custom-columns=NAME:.metadata.name,IP4:.status.network.primaryIP4",
                ),
            ),
            Check(
                text="DNS and load balancer: records and rules that name the old address must be corrected; a"
                " VirtualMachineService follows by itself",
                commands=("kubectl get virtualmachineservice,endpoints -n {ns} -o wide",),
            ),
            Check(
                text="the networks it names must exist here; with VPC networking they can be mapped when RegisterVM is"
                " called (VCF 9.0+)",
                commands=("kubectl get subnets,subnetsets -n {ns}",),
            ),
            EVENTS,
        ),
    ),
}

FOR_CODE: Final[Mapping[str, tuple[Check, ...]]] = {
    VM_NOT_FOUND: (
        Check(
            text="the VM's id (the part after VirtualMachine-), and its folder, which must bear the namespace's"
            " name ({ns})",
            commands=(ALL_OF_ITS_NAME,),
        ),
    ),
    DUPLICATE_BIOS_UUID: (SAME_UUID,),
    NOT_IN_FOLDER: (FOLDER,),
    INVALID_RECORD: (RECORD, UNPACKED, DISKS_RECORDED),
    EXISTS: (WHICH, RELEASE),
    CLAIM_FAILED: (DISKS, DATASTORE, DISK_FILE, CNS, CLAIMS),
    TOO_OLD: (UNPACKED,),
}
"""What to check after an error of RegisterVM; nothing for codes that are not here."""

FOR_UNKNOWN: Final = (TASKS, EVENTS)
"""What to check after an error that has no entry in the guide."""
