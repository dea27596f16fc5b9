"""Reads a VirtualMachine of any served version, in the same way at backup and at restore.

Fields moved between v1alpha1 and v1alpha6 (vm-service 4.6); callers need not know. An `ObservedVm` holds the fields for
the gates and for the comparison after a restore, never the object, so that 10,000 fit in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from velero_vmservice.kube import terminating
from velero_vmservice.kube.manifest import SUBNET, SUBNET_SET, Manifest, is_true, mapping, sequence
from velero_vmservice.text import shared, shared_names, shared_pairs
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_INTERFACE: Final = "eth0"
"""VM Operator's name for the only interface of a VM that names none."""
MOST_INTERFACES: Final = 10
"""The most network cards of a VM in vSphere."""
LONGEST_NAME: Final = 253
"""The most characters of an object's name in Kubernetes."""
_PROBES: Final = frozenset({"tcpSocket", "guestHeartbeat", "guestInfo"})
"""A readinessProbe without any of these does not count (virtualmachineservice_controller.go)."""


def power_state(vm: Manifest) -> str:
    """Return `PoweredOn`, `PoweredOff`, `Suspended` or '' in today's spelling; v1alpha1 began them in lower case."""
    state = str(vm.status.get("powerState", ""))
    return state[:1].upper() + state[1:]


def addresses(vm: Manifest) -> tuple[str, ...]:
    """Return the primary addresses, v4 first."""
    network = mapping(vm.status.get("network"))
    candidates = (network.get("primaryIP4"), network.get("primaryIP6"), vm.status.get("vmIp"))
    return tuple(str(address) for address in candidates if address)


def volumes(vm: Manifest) -> dict[str, str]:
    """Return the claim of each volume in `spec.volumes` that has one."""
    return dict(_volumes(vm))


def _volumes(vm: Manifest) -> Iterator[tuple[str, str]]:
    for volume in sequence(vm.spec.get("volumes")):
        claim = mapping(mapping(volume).get("persistentVolumeClaim")).get("claimName")
        if claim:
            yield str(volume.get("name") or claim), str(claim)


def image(vm: Manifest) -> str:
    """Return the name of the image, '' if there is none: `spec.image` since v1alpha3, `spec.imageName` before."""
    return str(mapping(vm.spec.get("image")).get("name") or vm.spec.get("imageName") or "")


def instance_id(vm: Manifest) -> str:
    """Return cloud-init's instance id: the spec's, or the annotation's if the spec names none (guide 8.1.5)."""
    cloud_init = mapping(mapping(vm.spec.get("bootstrap")).get("cloudInit"))
    named = (vm.annotations.get(annotation) for annotation in marks.INSTANCE_ID_ANNOTATIONS)
    return str(cloud_init.get("instanceID") or next(filter(None, named), ""))


def lifecycle_annotations(vm: Manifest) -> dict[str, str]:
    """Return the present ones of the five created-at and upgraded-to annotations (guide 8.1.3)."""
    kept = (*marks.CREATED_AT_ANNOTATIONS, *marks.UPGRADED_TO_ANNOTATIONS)
    return {key: str(vm.annotations[key]) for key in kept if key in vm.annotations}


def user_annotations(vm: Manifest) -> tuple[str, ...]:
    """Return the sorted names of the user's annotations."""
    return tuple(sorted(key for key in vm.annotations if is_users(key)))


def is_users(key: str) -> bool:
    """Say whether a label or annotation is the user's, and not the platform's (`policy`)."""
    domain, slash, _ = key.rpartition("/")
    if (domain or key).endswith(marks.PROTECTED):
        return False
    if not slash:
        return not key.startswith(marks.INFRASTRUCTURE_PREFIXES)
    return not any(domain == platform or domain.endswith(f".{platform}") for platform in marks.INFRASTRUCTURE_DOMAINS)


def snapshot_reverted_to(vm: Manifest) -> str:
    """Return the snapshot to which the VM is being reverted; VM Operator empties the field afterwards."""
    reference = mapping(vm.spec.get("currentSnapshot")).get("name")
    return str(vm.spec.get("currentSnapshotName") or reference or "")


def is_created(vm: Manifest) -> bool:
    """Say whether VM Operator has found and read the vSphere VM (update_status.go)."""
    return is_true(vm.condition("VirtualMachineCreated")) or vm.status.get("phase") == "Created"


def is_backup_paused(vm: Manifest) -> bool:
    """Say whether VM Operator has detected a restore or revert, and records nothing until RegisterVM (backup.go)."""
    backup = vm.condition("VirtualMachineBackupUpToDate") or {}
    return backup.get("status") == "False" and backup.get("reason") == "VirtualMachineBackupPaused"


def is_reverting(vm: Manifest) -> bool:
    """Say whether a revert of the VM to a snapshot is requested or under way (guide 7.2.1)."""
    return marks.SNAPSHOT_REVERT_ANNOTATION in vm.annotations or bool(snapshot_reverted_to(vm))


def is_recorded(vm: Manifest) -> bool:
    """Say whether VM Operator records the VM for restore (vmprovider_vm.go, label.go)."""
    node = any(label in vm.labels for label in marks.GUEST_CLUSTER_LABELS)
    return not node or marks.FORCE_BACKUP_ANNOTATION in vm.annotations


@pydantic_dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class Subnet:
    """A subnet in RegisterVM's API and the settings; with slots, because every interface has one."""

    type: Literal["SUBNET", "SUBNETSET"]
    name: str = ""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.type == "SUBNET" and not self.name:
            raise ValueError("needs a name, because it is a SUBNET; a SUBNETSET without a name is the default one")
        return self

    @property
    def notation(self) -> str:
        """Its notation in an override of one restore, and in a capture: `subnet/prod-a`."""
        return f"{self.type.lower()}/{self.name}"

    def __str__(self) -> str:
        kind = "Subnet" if self.type == "SUBNET" else "SubnetSet"
        return f"{kind} {self.name}" if self.name else f"the default {kind}"


def interfaces(vm: Manifest) -> dict[str, Subnet | None]:
    """Return the subnet of each interface by its name; None for a network of another kind.

    A record may list anything, so no more interfaces are read than a VM can have.
    """
    network = mapping(vm.spec.get("network"))
    listed = [mapping(interface) for interface in sequence(network.get("interfaces"))[:MOST_INTERFACES]]
    if not listed and not network.get("disabled"):
        listed = [{}]  # VM Operator adds one, on the default network
    return {
        str(interface.get("name") or DEFAULT_INTERFACE)[:LONGEST_NAME]: _subnet(interface.get("network"))
        for interface in listed
    }


def _subnet(reference: Any) -> Subnet | None:
    named = mapping(reference)
    kind, name = str(named.get("kind") or SUBNET_SET.name), str(named.get("name") or "")[:LONGEST_NAME]
    if kind == SUBNET_SET.name:
        return Subnet(type="SUBNETSET", name=name)
    return Subnet(type="SUBNET", name=name) if kind == SUBNET.name and name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVm:
    """One observation of a VirtualMachine; values that repeat from VM to VM are kept once."""

    name: str
    uid: str
    created_at: str
    """RFC 3339; a VM that RegisterVM brought back under a new UID is younger than its backup."""
    deleting_since: str
    """The time of the request for its deletion; '' if there is none."""
    held_by: tuple[str, ...]
    """The finalizers of a VM that is being deleted."""
    paused: str
    """The cause of a pause, as a clause; '' if it is not paused."""
    unique_id: str
    created: bool
    backup_paused: bool
    reverting: bool
    """Whether a revert to a snapshot is requested or under way (guide 7.2.1)."""
    reverted: bool
    """Whether it ever was."""
    restored: bool
    """Whether it carries RegisterVM's mark; the mark stays after a later power-on (vm-service 4.5)."""
    failed_over: bool
    """Whether it carries the mark of a failover from another vCenter."""
    imported: bool
    """Whether it was imported from vCenter without a backup."""
    instance_uuid: str
    bios_uuid: str
    backup_version: str
    group_name: str
    power_state: str
    asked_power: str
    """`spec.powerState`."""
    power_synced: bool | None
    """VirtualMachinePowerStateSynced; None if VM Operator does not report it."""
    power_checks: tuple[str, ...]
    """Annotations that prevent its power-on by VM Operator (vmprovider_vm.go)."""
    addresses: tuple[str, ...]
    serving: bool
    """False while a readiness probe has not passed."""
    labels: Mapping[str, str]
    lifecycle_annotations: Mapping[str, str]
    """The created-at and upgraded-to annotations (guide 8.1.3)."""
    user_annotations: tuple[str, ...]
    """Names only, as in the facts."""
    instance_id: str
    """The instance id of cloud-init."""
    image: str
    volumes: Mapping[str, str]
    """Volume name to claim name."""
    interfaces: Mapping[str, Subnet | None]
    """The subnet of each interface in `spec.network`, by its name; None for a network of another kind."""
    owner_groups: tuple[tuple[str, str], ...]
    """Name and UID of each VirtualMachineGroup that owns it."""

    @property
    def deleting(self) -> bool:
        """Whether its deletion was requested."""
        return bool(self.deleting_since)

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that are its disks."""
        return tuple(self.volumes.values())


def read_vm(vm: Manifest) -> ObservedVm:
    """Read a VirtualMachine of any served version."""
    status, spec, annotations = vm.status, vm.spec, vm.annotations
    ready, synced = vm.condition("Ready"), vm.condition("VirtualMachinePowerStateSynced")
    return ObservedVm(
        name=intern(vm.name),
        uid=vm.uid,
        created_at=str(vm.metadata.get("creationTimestamp", "")),
        deleting_since=str(vm.metadata.get("deletionTimestamp") or ""),
        held_by=shared_names(terminating.finalizers(vm)) if vm.deleting else (),
        paused=paused_by(vm),
        unique_id=str(status.get("uniqueID", "")),
        created=is_created(vm),
        backup_paused=is_backup_paused(vm),
        reverting=is_reverting(vm),
        reverted=is_true(vm.condition("VirtualMachineSnapshotRevertSucceeded")),
        restored=marks.RESTORED_ANNOTATION in annotations,
        failed_over=marks.FAILED_OVER_ANNOTATION in annotations,
        imported=marks.IMPORTED_ANNOTATION in annotations,
        instance_uuid=str(spec.get("instanceUUID") or status.get("instanceUUID") or ""),
        bios_uuid=str(status.get("biosUUID") or spec.get("biosUUID") or ""),
        backup_version=annotations.get(marks.BACKUP_VERSION_ANNOTATION, ""),
        group_name=intern(str(spec.get("groupName", ""))),
        power_state=intern(power_state(vm)),
        asked_power=intern(str(spec.get("powerState", ""))),
        power_synced=None if synced is None else is_true(synced),
        power_checks=shared_names(key for key in annotations if key.startswith(marks.POWER_ON_CHECK_PREFIX)),
        addresses=addresses(vm),
        serving=not _PROBES & mapping(spec.get("readinessProbe")).keys() or is_true(ready),
        labels=shared_pairs(_text(vm.labels)),
        lifecycle_annotations=shared_pairs(lifecycle_annotations(vm)),
        user_annotations=shared_names(user_annotations(vm)),
        instance_id=instance_id(vm),
        image=intern(image(vm)),
        volumes={intern(name): claim for name, claim in volumes(vm).items()},
        interfaces=shared_pairs(interfaces(vm)),
        owner_groups=shared(vm.owner_groups),
    )


def _text(labels: Mapping[str, object]) -> dict[str, str]:
    return {str(key): str(value) for key, value in labels.items()}


def paused_by(vm: Manifest) -> str:
    """Return the cause of a VM's pause, as a clause; '' if it is not paused."""
    for annotation in marks.PAUSE_ANNOTATIONS:
        if annotation in vm.annotations:
            return f"paused by RegisterVM or an administrator (annotation {annotation})"
    if by := vm.labels.get(marks.PAUSED_LABEL):
        return f"paused by {by} (label {marks.PAUSED_LABEL})"
    return ""
