"""What one look at a target namespace says, with its groups and what is linked to them: what a restore decides on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.kube.manifest import (
    CNS_REGISTER_VOLUME,
    ENDPOINTS,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    Manifest,
    condition,
    is_true,
    mapping,
    sequence,
)
from velero_vmservice.supervisor.readiness import Volumes
from velero_vmservice.text import one_line
from velero_vmservice.vmoperator.groups import boot_order_members

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from velero_vmservice.kube.manifest import Kind, ObjectRef
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm

FOLDER_ANNOTATION: Final = "vmware-system-vm-folder"
"""Annotation of a vSphere Namespace: the managed object id of its folder."""

OBSERVED_KINDS = (
    CNS_REGISTER_VOLUME,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    SERVICE,
    ENDPOINTS,
)
"""Beside VMs and claims: one bounded LIST of each per namespace and round, however many objects are replayed."""

_TROUBLES: Final = (
    (
        ("not found", "no such file", "does not exist", "could not find"),
        "the disk file: it is missing or named otherwise",
    ),
    (("datastore",), "its datastore: it is not accessible"),
    (
        ("cns", "unavailable", "connection", "timeout", "timed out", "deadline"),
        "CNS and vCenter: one of them does not answer",
    ),
)
"""The subjects of errors, the most specific first: the error about a missing file names its datastore too."""
_ANY_TROUBLE: Final = "its datastore, its disk file or CNS"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRegistration:
    """A disk whose registration has not ended, from a CnsRegisterVolume (guide 11.3).

    RegisterVM stays at 80 % while CNS makes the disks first class disks and CSI makes their claims. CNS tries again by
    itself, so an error is a reason to check, not an end.
    """

    name: str
    """The name of the CnsRegisterVolume."""
    claim: str
    error: str
    """The error from CNS, as one bounded line; '' if there is none."""
    since: str
    """The time of the request for registration, RFC 3339."""

    def __str__(self) -> str:
        if not self.error:
            return f"its disk is being registered, CnsRegisterVolume {self.name}"
        return f"its disk cannot be registered: {self.error}, CnsRegisterVolume {self.name}; look at {self.trouble}"

    @property
    def trouble(self) -> str:
        """What to check among the guide's three causes (11.3); all of them if the error is unclear."""
        error = self.error.lower()
        causes = (cause for signs, cause in _TROUBLES if any(sign in error for sign in signs))
        return next(causes, _ANY_TROUBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceState:
    """One look at a namespace."""

    namespace: str
    at: float
    """Monotonic seconds."""
    exists: bool = True
    """Whether the namespace exists."""
    vsphere_namespace: bool = True
    folder: str = ""
    """Managed object id of the namespace's folder in vCenter; '' if it is unknown."""
    machines: Mapping[str, ObservedVm] = field(default_factory=dict)
    volumes: Volumes = field(default_factory=Volumes)
    disks: Mapping[str, DiskRegistration] = field(default_factory=dict)
    """Claims to their disks whose registration has not ended."""
    groups: Mapping[str, Manifest] = field(default_factory=dict)
    services: Mapping[str, Manifest] = field(default_factory=dict)
    """VirtualMachineServices by name."""
    generated: Mapping[str, Manifest] = field(default_factory=dict)
    """Core Services by name."""
    endpoints: Mapping[str, Manifest] = field(default_factory=dict)
    present: Mapping[Kind, Collection[str]] = field(default_factory=dict)
    """Names of objects that VMs may refer to and a restore does not recreate, for each kind that could be listed."""
    unseen: Mapping[Kind, str] = field(default_factory=dict)
    """Kinds that could not be listed, with the reasons."""
    bios_uuids: Mapping[str, str] = field(default_factory=dict)
    """BIOS UUIDs in lower case to their VMs; RegisterVM refuses a second VM with the same UUID (guide 7.1.1)."""

    def live(self, ref: ObjectRef) -> Manifest | None:
        """Return the live object of one of our two kinds; None for VMs without an application."""
        if ref.kind == VIRTUAL_MACHINE_GROUP:
            return self.groups.get(ref.name)
        return self.services.get(ref.name) if ref.kind == VIRTUAL_MACHINE_SERVICE else None

    def group_uids(self) -> Mapping[str, str]:
        """Return the UID of each live group by name."""
        return {name: group.uid for name, group in self.groups.items()}


def observe(
    namespace: Manifest | None,
    lists: Mapping[Kind, Iterable[Manifest]],
    *,
    machines: Iterable[ObservedVm],
    claims: Iterable[tuple[str, str]],
    name: str,
    at: float,
    present: Mapping[Kind, Collection[str]],
    unseen: Mapping[Kind, str] | None = None,
) -> NamespaceState:
    """Make an observation from lists.

    VMs and claims are already read, claims only as names and phases, because there may be thousands.
    """
    without = unseen or {}
    vms = {vm.name: vm for vm in machines}
    registrations = map(read_disk_registration, lists.get(CNS_REGISTER_VOLUME, ()))
    disks = {disk.claim: disk for disk in registrations if disk is not None}

    def by_name(kind: Kind) -> dict[str, Manifest]:
        return {manifest.name: manifest for manifest in lists.get(kind, ())}

    return NamespaceState(
        namespace=name,
        at=at,
        exists=NAMESPACE in without or namespace is not None,
        vsphere_namespace=NAMESPACE in without or (namespace is not None and is_vsphere_namespace(namespace)),
        folder=folder(namespace) if namespace is not None else "",
        machines=vms,
        bios_uuids={vm.bios_uuid.lower(): vm.name for vm in vms.values() if vm.bios_uuid},
        volumes=Volumes(
            phases=dict(claims),
            registering={claim: str(disk) for claim, disk in disks.items()},
            known=PERSISTENT_VOLUME_CLAIM not in without,
        ),
        disks=disks,
        groups=by_name(VIRTUAL_MACHINE_GROUP),
        services=by_name(VIRTUAL_MACHINE_SERVICE),
        generated=by_name(SERVICE),
        endpoints=by_name(ENDPOINTS),
        present=present,
        unseen=without,
    )


def claim_phase(claim: Manifest) -> tuple[str, str]:
    """Return a claim's name and phase."""
    return claim.name, str(claim.status.get("phase", ""))


def folder(namespace: Manifest) -> str:
    """Return the managed object id of a vSphere Namespace's folder, or ''."""
    return namespace.annotations.get(FOLDER_ANNOTATION, "")


def is_vsphere_namespace(namespace: Manifest) -> bool:
    """Say whether vCenter made the namespace: then it has the annotations for folder and resource pool.

    VMs can only be registered into such a namespace. Velero creates missing namespaces as plain ones, and copies the
    annotations from the backup; then only Velero owns these (`metadata.managedFields`).
    """
    marks = [*(f"f:{key}" for key in namespace.annotations), *(f"f:{key}" for key in namespace.labels)]
    marks = [mark for mark in marks if mark.startswith("f:vmware-system-") or mark == "f:vSphereClusterID"]
    owners = {str(entry.get("manager")) for entry in _owning(namespace, marks)}
    return bool(marks) and not (owners and all(owner.startswith("velero") for owner in owners))


def _owning(namespace: Manifest, marks: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    for entry in sequence(namespace.metadata.get("managedFields")):
        fields = mapping(mapping(mapping(entry).get("fieldsV1")).get("f:metadata"))
        owned = {*mapping(fields.get("f:annotations")), *mapping(fields.get("f:labels"))}
        if not owned.isdisjoint(marks):
            yield entry


def read_disk_registration(registration: Manifest) -> DiskRegistration | None:
    """Read a CnsRegisterVolume; None if it is done, or has no claim."""
    claim = registration.spec.get("pvcName")
    if not claim or registration.status.get("registered"):
        return None
    return DiskRegistration(
        name=registration.name,
        claim=str(claim),
        error=one_line(str(registration.status.get("error") or "")),
        since=str(registration.metadata.get("creationTimestamp", "")),
    )


def children(observed: NamespaceState, group: str) -> list[str]:
    """Return the groups that a live group lists, in boot order."""
    members = boot_order_members(observed.groups[group])
    return [member.name for member in members if member.kind == VIRTUAL_MACHINE_GROUP.name]


def groups_below(observed: NamespaceState, root: str) -> list[str]:
    """Return the live groups below a group, itself first, in boot order."""
    below, todo = list[str](), [root]
    while todo:
        name = todo.pop()
        if name in below or name not in observed.groups:
            continue
        below.append(name)
        todo += reversed(children(observed, name))
    return below


def linked_members(observed: NamespaceState, group: Manifest) -> frozenset[tuple[str, str]]:
    """Return kind and name of each member that VM Operator currently links to a live group.

    The GroupLinked condition alone may be out of date: a status outlives the member that it describes, and for newly
    registered VMs it still describes the lost ones.
    """
    return frozenset(
        (kind, name)
        for entry in map(mapping, sequence(group.status.get("members")))
        for kind, name in [(str(entry.get("kind") or VIRTUAL_MACHINE.name), str(entry.get("name")))]
        if _is_linked(entry, group) and _is_of_now(entry, kind, name, observed, group)
    )


def _is_linked(entry: Mapping[str, Any], group: Manifest) -> bool:
    """Say whether the condition is True and, if it has a generation, of the group's present one."""
    linked = condition(entry, "GroupLinked")
    generation = (linked or {}).get("observedGeneration")
    return is_true(linked) and not (generation and generation < group.metadata.get("generation", 0))


def _is_of_now(entry: Mapping[str, Any], kind: str, name: str, observed: NamespaceState, group: Manifest) -> bool:
    """Say whether a member's entry describes the present object of that name.

    VM Operator makes the group an owner of a member before it marks it as linked; a placed entry has the member's UID
    (virtualmachinegroup_controller.go, reconcileMember, reconcilePlacement).
    """
    owners: Collection[tuple[str, str]]
    if kind == VIRTUAL_MACHINE.name:
        vm = observed.machines.get(name)
        if vm is None:
            return False
        uid, owners = vm.uid, vm.owner_groups
    else:
        child = observed.groups.get(name)
        if child is None:
            return False
        uid = child.uid
        owners = {(owner.name, owner.uid) for owner in child.owners if owner.kind == VIRTUAL_MACHINE_GROUP.name}
    if entry.get("uid") and uid and entry["uid"] != uid:
        return False
    return not group.uid or (group.name, group.uid) in owners


def vms_of(observed: NamespaceState, groups: Collection[str]) -> list[ObservedVm]:
    """Return the VMs that are linked members of the groups, by name."""
    names = {
        member.name
        for name in groups
        if name in observed.groups
        for member in boot_order_members(observed.groups[name])
        if member.kind == VIRTUAL_MACHINE.name
    }
    vms = [observed.machines[name] for name in sorted(names) if name in observed.machines]
    return [vm for vm in vms if vm.group_name in groups]
