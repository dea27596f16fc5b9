"""The guide's troubleshooting (11.1 to 11.6) as data: for each topic and error code what to check, and how.

Commands are for a person to run: they read, and what they change is said to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import VM_OPERATOR_GROUP
from velero_vmservice.vmoperator import marks
from velero_vmservice.vmoperator.releases import api_versions
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key
from velero_vmservice.vsphere.registervm_errors import (
    CLAIM_FAILED,
    DUPLICATE_BIOS_UUID,
    EXISTS,
    INVALID_RECORD,
    NOT_IN_FOLDER,
    TOO_OLD,
    VM_NOT_FOUND,
)
from velero_vmservice.vsphere.vm import RELOCATE
from velero_vmservice.vsphere.wcp import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping


class Topic(StrEnum):
    """What can be asked about, beside an error code."""

    NOT_TRIGGERED = "not-triggered"
    STUCK = "stuck-at-80"
    POWER_ON = "power-on"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to look at: what it tells, and the commands, format strings both.

    To fill in are `{ns}`, `{vm}` and `{moid}`, quoted for the shell; `{ps_vm}`, the name quoted for PowerShell; and
    `{ps_machine}`, the PowerShell command that gets the VM: by its id, or by its name in the namespace's folder.
    """

    words: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The checks of one topic, in the order in which they are worth making."""

    title: str
    source: str
    also: frozenset[str]
    """Other words by which a user may ask for it."""
    checks: tuple[Check, ...]


_ALL_OF_ITS_NAME: Final = "Get-VM -Name {ps_vm} | Select-Object Id, Folder"
_EXTRA_CONFIG: Final = "({ps_machine}).ExtensionData.Config.ExtraConfig"


def _extra_config(key: Key) -> str:
    spellings = ", ".join(f"'{spelling}'" for spelling in SPELLINGS[key])
    return f"{_EXTRA_CONFIG} | Where-Object {{{{ $_.Key -in {spellings} }}}}"


_RECORD: Final = Check(
    words="the VM's ExtraConfig must hold the record of the VirtualMachine, under one of two names; without it the"
    " VADP job lost it, or the VM is not of VM Service",
    commands=(_extra_config(Key.VM),),
)
_DISKS_RECORDED: Final = Check(
    words="a VM with PVCs also needs the list of their disks; a restore over a VirtualMachine needs the backup version",
    commands=(_extra_config(Key.CLAIM_DISKS), _extra_config(Key.BACKUP_VERSION)),
)
_UNPACKED: Final = Check(
    words="unpacked, the record says at which API version it was made, which must be"
    f" {api_versions.SUPPORTED[0]} or newer; one that cannot be unpacked is damaged",
    commands=(
        (
            "[IO.StreamReader]::new([IO.Compression.GZipStream]::new([IO.MemoryStream]::new("
            f"[Convert]::FromBase64String(({_extra_config(Key.VM)} | Sort-Object Key | Select-Object -First 1)"
            ".Value)),"
            " [IO.Compression.CompressionMode]::Decompress)).ReadToEnd() -split '\\n' -match '^apiVersion:'"
        ),
    ),
)
_AUTOMATIC: Final = Check(
    words="VCF 9.0 and later register by themselves only where enableAutomaticRegistration is true; earlier ones unless"
    " disableAutomaticRegistration is true",
    commands=(_extra_config(Key.ENABLE), _extra_config(Key.DISABLE)),
)
_FOLDER: Final = Check(
    words="the VM must be in the folder that bears the namespace's name ({ns}); other folders may have VMs of"
    " its name too",
    commands=(_ALL_OF_ITS_NAME,),
)
_TASKS: Final = Check(
    words="its recent tasks show whether RegisterVM was called, how far it is and how it ended; the guide gives it"
    f" {TIMEOUT_SECONDS / 60:.0f} minutes. vCenter forgets a task minutes after its end, and keeps WCP's event of it",
    commands=(
        (
            "({ps_machine}).ExtensionData.RecentTask | ForEach-Object {{ (Get-View $_).Info }} |"
            " Where-Object {{ $_.DescriptionId -eq 'com.vmware.wcp.vmservice.registervm' }} |"
            " Format-List Key, State, Progress, QueueTime, CompleteTime,"
            " @{{n='Error';e={{$_.Error.LocalizedMessage}}}}"
        ),
        (
            "{ps_machine} | Get-VIEvent -MaxSamples 1000 |"
            " Where-Object {{ $_.EventTypeId -like 'com.vmware.wcp.RegisterVM.*' }} |"
            " Format-List CreatedTime, EventTypeId, FullFormattedMessage"
        ),
    ),
)
_SAME_UUID: Final = Check(
    words="no other VM of the namespace may have the same BIOS UUID",
    commands=(
        "kubectl get vm -n {ns} -o custom-columns=NAME:.metadata.name,BIOS:.status.biosUUID",
        "({ps_machine}).ExtensionData.Config.Uuid",
    ),
)
_DISKS: Final = Check(
    words="the CnsRegisterVolumes say what keeps a disk from being registered",
    commands=("kubectl get cnsregistervolume -n {ns} -o wide", "kubectl describe cnsregistervolume -n {ns}"),
)
_DATASTORE: Final = Check(
    words="datastore: it must be accessible from the hosts of the Supervisor",
    commands=("{ps_machine} | Get-Datastore | Select-Object Name, State, Accessible",),
)
_DISK_FILE: Final = Check(
    words="disk file: each must be where the record says it is; one that still has a snapshot's child is not restored",
    commands=("{ps_machine} | Get-HardDisk | Select-Object Name, Filename",),
)
_CNS: Final = Check(
    words="CNS: its service in vCenter and the CSI driver's pods must be up",
    commands=(
        "service-control --status vsan-health",
        "kubectl get pods -n vmware-system-csi",
        "kubectl logs -n vmware-system-csi -l app=vsphere-csi-controller --all-containers --tail=100",
    ),
)
_CLAIMS: Final = Check(
    words="each PVC of the VM must be Bound; RegisterVM names those of restored disks restored-…",
    commands=("kubectl get pvc -n {ns} -o wide",),
)
_STATUS: Final = Check(
    words="registration must be complete: the VirtualMachine has a uniqueID and VirtualMachineCreated is True",
    commands=("kubectl get vm -n {ns} {vm} -o jsonpath='{{.status}}'", "kubectl describe vm -n {ns} {vm}"),
)
_PAUSE: Final = Check(
    words="no annotation may pause it; once no RegisterVM task runs any more, this changes it back",
    commands=(
        "kubectl get vm -n {ns} {vm} -o jsonpath='{{.metadata.annotations}}'",
        f"kubectl annotate vm -n {{ns}} {{vm}} {' '.join(f'{name}-' for name in marks.PAUSE_ANNOTATIONS)}",
    ),
)
_PAUSED_BY: Final = Check(
    words=f"VM Operator's label {marks.PAUSED_LABEL} tells who pauses it: devops is such an annotation; admin is"
    " vmservice.virtualmachine.pause in its ExtraConfig, a vSphere administrator's to take away; both is both",
    commands=(
        "kubectl get vm -n {ns} {vm} -o jsonpath='{{.metadata.labels}}'",
        f"{_EXTRA_CONFIG} | Where-Object {{{{ $_.Key -eq 'vmservice.virtualmachine.pause' }}}}",
    ),
)
_VADP: Final = Check(
    words=f"the VADP restore must have ended; while it runs, this prints {RELOCATE}",
    commands=(f"({{ps_machine}}).ExtensionData.DisabledMethod | Where-Object {{{{ $_ -eq '{RELOCATE}' }}}}",),
)
_REVERT: Final = Check(
    words="a VM that is being reverted to a snapshot is not registered by itself, nor is it afterwards (guide"
    " 7.2.1); it has this annotation then, or its spec names the snapshot",
    commands=(
        f"kubectl get vm -n {{ns}} {{vm}} -o yaml | grep {marks.SNAPSHOT_REVERT_ANNOTATION}",
        "kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.currentSnapshotName}}{{.spec.currentSnapshot.name}}'",
    ),
)
_WHICH: Final = Check(
    words="which VM the VirtualMachine stands for, and since when; with the same UUIDs it is the restored one",
    commands=(
        (
            "kubectl get vm -n {ns} {vm} -o custom-columns=NAME:.metadata.name,CREATED:.metadata.creationTimestamp,"
            "ID:.status.uniqueID,INSTANCE:.status.instanceUUID,BIOS:.status.biosUUID"
        ),
        "({ps_machine}).ExtensionData.Config | Format-List InstanceUuid, Uuid",
    ),
)
_RELEASE: Final = Check(
    words="which release the Supervisor is: up to v1alpha2 it is vSphere 8.0 U3; one that serves v1alpha3 is VCF 9.0 or"
    " later, and registers over a VirtualMachine",
    commands=(f"kubectl api-versions | grep {VM_OPERATOR_GROUP}",),
)
_EVENTS: Final = Check(
    words="its events",
    commands=("kubectl get events -n {ns} --field-selector involvedObject.name={vm}",),
)

TOPICS: Final[Mapping[Topic, Advice]] = {
    Topic.NOT_TRIGGERED: Advice(
        title="registration is not triggered: there is a restored VM, and no RegisterVM task",
        source="guide 11.1",
        also=frozenset({"triggered", "automatic", "auto-registration", "wcp"}),
        checks=(
            _FOLDER,  # the others look there
            _TASKS,
            _RECORD,
            _AUTOMATIC,
            _VADP,
            _REVERT,
            Check(
                words="WCP's log says what it saw (on vCenter)",
                commands=("grep auto-vm-register /var/log/vmware/wcp/wcpsvc.log | tail -n 100",),
            ),
            Check(
                words="if all that is well and a few minutes have passed, call RegisterVM once by hand; this changes"
                " Kubernetes, cannot be cancelled and must not be repeated while its task runs",
                commands=("dcli com vmware vcenter namespaces instances register-VM --namespace {ns} --vm {moid}",),
            ),
        ),
    ),
    Topic.STUCK: Advice(
        title="RegisterVM stands at 80 %: it waits for disks that are not registered",
        source="guide 11.3",
        also=frozenset({"stuck", "80", "disk", "disks", "volume", "volumes", "datastore", "pvc", "cns", "csi"}),
        checks=(_DISKS, _DATASTORE, _DISK_FILE, _CNS, _CLAIMS, _TASKS),
    ),
    Topic.POWER_ON: Advice(
        title="the restored VM does not power on",
        source="guide 11.4",
        also=frozenset({"power", "powered-off", "pause", "paused"}),
        checks=(
            _STATUS,
            _PAUSE,
            _PAUSED_BY,
            Check(
                words="it comes back PoweredOff and stays off until asked to run; a group powers its members, and waits"
                " for every one of them",
                commands=(
                    "kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.powerState}} {{.spec.groupName}}'",
                    "kubectl get virtualmachinegroup -n {ns} -o wide",
                ),
            ),
            Check(
                words="an annotation that keeps it from being powered on is an administrator's to take away",
                commands=(f"kubectl get vm -n {{ns}} {{vm}} -o yaml | grep {marks.POWER_ON_CHECK_PREFIX}",),
            ),
            _CLAIMS,
            _EVENTS,
            Check(
                words="VM Operator's log",
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
                words="what it asks for, and what it has; no address is shown while it is off or without VMware Tools",
                commands=(
                    "kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.network}}'",
                    "kubectl get vm -n {ns} {vm} -o jsonpath='{{.status.network}}'",
                ),
            ),
            Check(
                words="restore to new: cloud-init runs again at the first power-on and configures the network anew;"
                " until then the old settings are in force",
                commands=("kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.bootstrap.cloudInit.instanceID}}'",),
            ),
            Check(
                words="DHCP: the address may be another one than before, after either kind of restore; look for its"
                " lease and renew it in the guest",
            ),
            Check(
                words="static address: a restore in place keeps it; after a restore to new it must be free and of the"
                " network that the VM is on now",
                commands=(
                    "kubectl get vm -n {ns} -o custom-columns=NAME:.metadata.name,IP4:.status.network.primaryIP4",
                ),
            ),
            Check(
                words="DNS and load balancer: records and rules that name the old address must be corrected; a"
                " VirtualMachineService follows by itself",
                commands=("kubectl get virtualmachineservice,endpoints -n {ns} -o wide",),
            ),
            Check(
                words="the networks it names must exist here; with VPC networking they can be mapped when RegisterVM is"
                " called (VCF 9.0+)",
                commands=("kubectl get subnets,subnetsets -n {ns}",),
            ),
            _EVENTS,
        ),
    ),
}

FOR_CODE: Final[Mapping[str, tuple[Check, ...]]] = {
    VM_NOT_FOUND: (
        Check(
            words="the VM's id (the part after VirtualMachine-), and its folder, which must bear the namespace's"
            " name ({ns})",
            commands=(_ALL_OF_ITS_NAME,),
        ),
    ),
    DUPLICATE_BIOS_UUID: (_SAME_UUID,),
    NOT_IN_FOLDER: (_FOLDER,),
    INVALID_RECORD: (_RECORD, _UNPACKED, _DISKS_RECORDED),
    EXISTS: (_WHICH, _RELEASE),
    CLAIM_FAILED: (_DISKS, _DATASTORE, _DISK_FILE, _CNS, _CLAIMS),
    TOO_OLD: (_UNPACKED,),
}
"""What to check after an error of RegisterVM; nothing for codes that are not here."""

FOR_UNKNOWN: Final = (_TASKS, _EVENTS)
"""What to check after an error that has no entry in the guide."""
