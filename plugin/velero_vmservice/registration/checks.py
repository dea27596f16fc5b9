"""What can be checked where a registration goes wrong, and how: the guide's checks (11.1 to 11.6) as data.

Commands are for a person to run: they read, and one that changes something says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from velero_vmservice.kube.manifest import VM_OPERATOR_GROUP
from velero_vmservice.vmoperator import marks, releases
from velero_vmservice.vsphere.extra_config import SPELLINGS, Key
from velero_vmservice.vsphere.vm import RELOCATE
from velero_vmservice.vsphere.wcp import TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: what it shows, and its commands, both as format strings.

    To fill in are `{ns}`, `{vm}` and `{moid}`, quoted for the shell; `{ps_vm}`, the name quoted for PowerShell; and
    `{ps_machine}`, the PowerShell command that gets the VM: by its id, or by its name in the namespace's folder.
    """

    text: str
    commands: tuple[str, ...] = ()


ALL_OF_ITS_NAME: Final = "Get-VM -Name {ps_vm} | Select-Object Id, Folder"
_EXTRA_CONFIG: Final = "({ps_machine}).ExtensionData.Config.ExtraConfig"


def _extra_config(key: Key) -> str:
    spellings = ", ".join(f"'{spelling}'" for spelling in SPELLINGS[key])
    return f"{_EXTRA_CONFIG} | Where-Object {{{{ $_.Key -in {spellings} }}}}"


RECORD: Final = Check(
    text="the VM's ExtraConfig must hold the record of the VirtualMachine, under one of two names; without it the"
    " VADP job lost it, or the VM is not of VM Service",
    commands=(_extra_config(Key.VM),),
)
DISKS_RECORDED: Final = Check(
    text="a VM with PVCs also needs the list of their disks; a restore over a VirtualMachine needs the backup version",
    commands=(_extra_config(Key.CLAIM_DISKS), _extra_config(Key.BACKUP_VERSION)),
)
UNPACKED: Final = Check(
    text="unpacked, the record says at which API version it was made, which must be"
    f" {releases.SUPPORTED[0]} or newer; one that cannot be unpacked is damaged",
    commands=(
        (
            "[IO.StreamReader]::new([IO.Compression.GZipStream]::new([IO.MemoryStream]::new("
            f"[Convert]::FromBase64String(({_extra_config(Key.VM)} | Sort-Object Key | Select-Object -First 1)"
            ".Value)),"
            " [IO.Compression.CompressionMode]::Decompress)).ReadToEnd() -split '\\n' -match '^apiVersion:'"
        ),
    ),
)
AUTOMATIC: Final = Check(
    text="VCF 9.0 and later register by themselves only where enableAutomaticRegistration is true; earlier ones unless"
    " disableAutomaticRegistration is true",
    commands=(_extra_config(Key.ENABLE), _extra_config(Key.DISABLE)),
)
FOLDER: Final = Check(
    text="the VM must be in the folder that bears the namespace's name ({ns}); other folders may have VMs of"
    " its name too",
    commands=(ALL_OF_ITS_NAME,),
)
TASKS: Final = Check(
    text="its recent tasks show whether RegisterVM was called, how far it is and how it ended; the guide gives it"
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
SAME_UUID: Final = Check(
    text="no other VM of the namespace may have the same BIOS UUID",
    commands=(
        "kubectl get vm -n {ns} -o custom-columns=NAME:.metadata.name,BIOS:.status.biosUUID",
        "({ps_machine}).ExtensionData.Config.Uuid",
    ),
)
DISKS: Final = Check(
    text="the CnsRegisterVolumes say what keeps a disk from being registered",
    commands=("kubectl get cnsregistervolume -n {ns} -o wide", "kubectl describe cnsregistervolume -n {ns}"),
)
DATASTORE: Final = Check(
    text="datastore: it must be accessible from the hosts of the Supervisor",
    commands=("{ps_machine} | Get-Datastore | Select-Object Name, State, Accessible",),
)
DISK_FILE: Final = Check(
    text="disk file: each must be where the record says it is; one that still has a snapshot's child is not restored",
    commands=("{ps_machine} | Get-HardDisk | Select-Object Name, Filename",),
)
CNS: Final = Check(
    text="CNS: its service in vCenter and the CSI driver's pods must be up",
    commands=(
        "service-control --status vsan-health",
        "kubectl get pods -n vmware-system-csi",
        "kubectl logs -n vmware-system-csi -l app=vsphere-csi-controller --all-containers --tail=100",
    ),
)
CLAIMS: Final = Check(
    text="each PVC of the VM must be Bound; RegisterVM names those of restored disks restored-…",
    commands=("kubectl get pvc -n {ns} -o wide",),
)
STATUS: Final = Check(
    text="registration must be complete: the VirtualMachine has a uniqueID and VirtualMachineCreated is True",
    commands=("kubectl get vm -n {ns} {vm} -o jsonpath='{{.status}}'", "kubectl describe vm -n {ns} {vm}"),
)
PAUSE: Final = Check(
    text="no annotation may pause it; once no RegisterVM task runs any more, this changes it back",
    commands=(
        "kubectl get vm -n {ns} {vm} -o jsonpath='{{.metadata.annotations}}'",
        f"kubectl annotate vm -n {{ns}} {{vm}} {' '.join(f'{name}-' for name in marks.PAUSE_ANNOTATIONS)}",
    ),
)
PAUSED_BY: Final = Check(
    text=f"VM Operator's label {marks.PAUSED_LABEL} tells who pauses it: devops is such an annotation; admin is"
    " vmservice.virtualmachine.pause in its ExtraConfig, which only a vSphere administrator removes; both is both",
    commands=(
        "kubectl get vm -n {ns} {vm} -o jsonpath='{{.metadata.labels}}'",
        f"{_EXTRA_CONFIG} | Where-Object {{{{ $_.Key -eq 'vmservice.virtualmachine.pause' }}}}",
    ),
)
VADP: Final = Check(
    text=f"the VADP restore must have ended; while it runs, this prints {RELOCATE}",
    commands=(f"({{ps_machine}}).ExtensionData.DisabledMethod | Where-Object {{{{ $_ -eq '{RELOCATE}' }}}}",),
)
REVERT: Final = Check(
    text="a VM that is being reverted to a snapshot is not registered by itself, nor is it afterwards (guide"
    " 7.2.1); it has this annotation then, or its spec names the snapshot",
    commands=(
        f"kubectl get vm -n {{ns}} {{vm}} -o yaml | grep {marks.SNAPSHOT_REVERT_ANNOTATION}",
        "kubectl get vm -n {ns} {vm} -o jsonpath='{{.spec.currentSnapshotName}}{{.spec.currentSnapshot.name}}'",
    ),
)
WHICH: Final = Check(
    text="which VM the VirtualMachine stands for, and since when; with the same UUIDs it is the restored one",
    commands=(
        (
            "kubectl get vm -n {ns} {vm} -o custom-columns=NAME:.metadata.name,CREATED:.metadata.creationTimestamp,"
            "ID:.status.uniqueID,INSTANCE:.status.instanceUUID,BIOS:.status.biosUUID"
        ),
        "({ps_machine}).ExtensionData.Config | Format-List InstanceUuid, Uuid",
    ),
)
RELEASE: Final = Check(
    text="which release the Supervisor is: up to v1alpha2 it is vSphere 8.0 U3; one that serves v1alpha3 is VCF 9.0 or"
    " later, and registers over a VirtualMachine",
    commands=(f"kubectl api-versions | grep {VM_OPERATOR_GROUP}",),
)
EVENTS: Final = Check(
    text="its events",
    commands=("kubectl get events -n {ns} --field-selector involvedObject.name={vm}",),
)
