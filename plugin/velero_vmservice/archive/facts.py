"""What is known about a VM and about a namespace at backup, as it is stored and read back.

At restore the facts show whether a VM is the same one, what it still lacks, and which claims are its disks.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, ConfigDict
from pydantic.dataclasses import dataclass

from velero_vmservice.documents import Document, Name, Names, Pairs
from velero_vmservice.kube.manifest import (
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_GROUP,
    VIRTUAL_MACHINE_SERVICE,
    Manifest,
    is_true,
    mapping,
)
from velero_vmservice.text import shared_pairs
from velero_vmservice.vmoperator import marks, virtual_machine
from velero_vmservice.vmoperator.groups import GroupFacts
from velero_vmservice.vmoperator.references import bootstrap, references
from velero_vmservice.vmoperator.stability import unsettled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="ignore"))
class VmFacts:
    """One VirtualMachine at the time of the backup, read back like a `Document`; slots, so that 10,000 fit."""

    name: Name
    uid: str = ""
    unique_id: str = ""
    bios_uuid: str = ""
    instance_uuid: str = ""
    power_state: Name = ""
    backup_version: str = ""
    group_name: Name = ""
    zone: Name = ""
    addresses: tuple[str, ...] = ()
    labels: Pairs = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    bootstrap: Names = ()
    """Names of the Secrets and ConfigMaps that `spec.bootstrap` refers to."""
    recorded: bool = True
    """False for a node of a guest cluster, for which VM Operator keeps no record."""
    record: Literal["current", "outdated", "unknown"] = "unknown"
    """What VM Operator says of the record that the VADP backup carries (absent in 8.0 U3)."""
    volumes: dict[str, str] = field(default_factory=dict)
    """Volume names to claim names; a restore keeps the former and changes the latter."""
    lifecycle_annotations: Pairs = field(default_factory=dict)
    """The created-at and upgraded-to annotations, which a restore in place keeps (guide 8.1.3)."""
    user_annotations: Names = ()
    """Names only: a value may be large or secret, and a short secret can be guessed from its digest."""
    instance_id: str = ""
    """The instance id of cloud-init, which a restore to a new VM resets (guide 8.1.5)."""
    image: Name = ""
    restored: bool = False
    """Whether the VM already carried RegisterVM's mark, which is never removed."""
    failed_over: bool = False
    manager_id: Name = ""
    """Id of the vCenter that the VM belonged to, where an annotation says so (guide 6.4)."""
    unsettled: Names = ()
    """What kept it from being stable, as `vmoperator.stability` has it."""
    references: Annotated[dict[str, tuple[str, ...]], AfterValidator(shared_pairs)] = field(default_factory=dict)
    """By `resource.group`, names of objects that a restore does not recreate: class, policies, networks."""
    interfaces: Pairs | None = None
    """The `Subnet.notation` that each interface is on, '' for a network of another kind; None where not recorded."""


class ServiceFacts(Document):
    """One VirtualMachineService at the time of the backup; one that was being deleted has none."""

    name: str
    selector: Pairs = {}
    labels: Pairs = {}


class NamespaceFacts(Document):
    """The VMs, groups and services of one namespace at the time of the backup."""

    schema_version: Literal[1] = 1
    namespace: str
    backup: str = ""
    """Name of the Backup; '' in a document of an earlier release, as is its start time."""
    backup_started: str = ""
    backup_uid: str = ""
    observed_at: str
    machines: tuple[VmFacts, ...] = ()
    groups: tuple[GroupFacts, ...] = ()
    services: tuple[ServiceFacts, ...] = ()
    provider: str = ""
    """The kind of load balancer that VM Operator assumed (`vmoperator.load_balancer`); '' if not recorded."""
    unbound_claims: dict[str, str] | None = None
    """Claims of its VMs that were not bound, with their phase, '' for one that did not exist; None if not known."""

    @cached_property
    def by_name(self) -> Mapping[str, VmFacts]:
        """The VMs by name."""
        return {vm.name: vm for vm in self.machines}

    @cached_property
    def groups_by_name(self) -> Mapping[str, GroupFacts]:
        """The groups by name."""
        return {group.name: group for group in self.groups}

    @cached_property
    def services_by_name(self) -> Mapping[str, ServiceFacts]:
        """The services by name."""
        return {service.name: service for service in self.services}

    @cached_property
    def by_label(self) -> Mapping[tuple[str, str], Sequence[VmFacts]]:
        """The VMs by label; without this index 200 services in a namespace would compare each VM 200 times."""
        carriers = defaultdict[tuple[str, str], list[VmFacts]](list)
        for vm in self.machines:
            for label in vm.labels.items():
                carriers[label].append(vm)
        return dict(carriers)

    @cached_property
    def has_versions(self) -> bool:
        """Whether VM Operator records backup versions here, which it does not in vSphere 8.0 U3."""
        return any(vm.backup_version for vm in self.machines)

    def labels(self, kind_name: str, name: str) -> Mapping[str, str] | None:
        """Return the labels of a VM, group or service; None if they are unknown."""
        by_kind: Mapping[str, Mapping[str, VmFacts | GroupFacts | ServiceFacts]] = {
            VIRTUAL_MACHINE.name: self.by_name,
            VIRTUAL_MACHINE_GROUP.name: self.groups_by_name,
            VIRTUAL_MACHINE_SERVICE.name: self.services_by_name,
        }
        entry = by_kind[kind_name].get(name)
        return entry.labels if entry else None

    def claims(self) -> frozenset[str]:
        """Return the claims that are disks of recorded VMs, which RegisterVM brings back."""
        return frozenset(claim for vm in self.machines if vm.recorded for claim in vm.claims)


def vm_facts(vm: Manifest) -> VmFacts:
    """Read a VirtualMachine of any served version (vm-service 4.6)."""
    spec, status = vm.spec, vm.status
    volumes = virtual_machine.volumes(vm)
    return VmFacts(
        name=vm.name,
        uid=vm.uid,
        unique_id=str(status.get("uniqueID", "")),
        bios_uuid=str(status.get("biosUUID") or spec.get("biosUUID") or ""),
        instance_uuid=str(status.get("instanceUUID") or spec.get("instanceUUID") or ""),
        power_state=virtual_machine.power_state(vm),
        backup_version=vm.annotations.get(marks.BACKUP_VERSION_ANNOTATION, ""),
        group_name=str(spec.get("groupName", "")),
        zone=str(status.get("zone") or vm.labels.get(marks.ZONE_LABEL, "")),
        addresses=virtual_machine.addresses(vm),
        labels={str(key): str(value) for key, value in vm.labels.items()},
        claims=tuple(sorted(set(volumes.values()))),
        bootstrap=bootstrap(vm),
        recorded=virtual_machine.is_recorded(vm),
        record=_record(vm),
        volumes=volumes,
        lifecycle_annotations=virtual_machine.lifecycle_annotations(vm),
        user_annotations=virtual_machine.user_annotations(vm),
        instance_id=virtual_machine.instance_id(vm),
        image=virtual_machine.image(vm),
        restored=marks.RESTORED_ANNOTATION in vm.annotations,
        failed_over=marks.FAILED_OVER_ANNOTATION in vm.annotations,
        manager_id=str(vm.annotations.get(marks.MANAGER_ID_ANNOTATION, "")),
        unsettled=tuple(state.value for state in unsettled(vm)),
        references=references(vm),
        interfaces={name: subnet.notation if subnet else "" for name, subnet in virtual_machine.interfaces(vm).items()},
    )


def unbound_claims(vms: Iterable[VmFacts], phases: Mapping[str, str]) -> dict[str, str]:
    """Return the claims of VMs that are not bound, with their phase; '' for one that is not among the phases."""
    claims = {claim: phases.get(claim, "") for vm in vms if vm.recorded for claim in vm.claims}
    return {claim: phase for claim, phase in sorted(claims.items()) if phase != "Bound"}


def difference(expected: VmFacts, *, instance_uuid: str, bios_uuid: str) -> str:
    """Say how a VM's UUIDs differ from the backup's, if every UUID known on both sides differs."""
    pairs = (
        ("instance UUID", instance_uuid, expected.instance_uuid),
        ("BIOS UUID", bios_uuid, expected.bios_uuid),
    )
    known = [(what, actual, wanted) for what, actual, wanted in pairs if actual and wanted]
    if not known or any(actual.lower() == wanted.lower() for _, actual, wanted in known):
        return ""
    what, actual, wanted = known[0]
    return f"{what} {actual}, the backup has {wanted}"


def service_facts(service: Manifest) -> ServiceFacts:
    """Read a VirtualMachineService of any served version."""
    return ServiceFacts(
        name=service.name,
        selector={str(key): str(value) for key, value in mapping(service.spec.get("selector")).items()},
        labels={str(key): str(value) for key, value in service.labels.items()},
    )


def _record(vm: Manifest) -> Literal["current", "outdated", "unknown"]:
    condition = vm.condition("VirtualMachineBackupUpToDate")
    if condition is None:
        return "unknown"
    return "current" if is_true(condition) else "outdated"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedVm:
    """A VM to look for: by name, and by UUIDs if they were captured."""

    name: str
    instance_uuid: str = ""
    bios_uuid: str = ""
    facts: VmFacts | None = None
    """The captured facts; some sources compare more than UUIDs."""
    captured_at: str = ""
    """When the backup read it, RFC 3339; '' if unknown."""

    @property
    def is_node(self) -> bool:
        """Whether it is a guest cluster's node without a record, which no VADP job can restore."""
        return self.facts is not None and not self.facts.recorded

    @property
    def expected(self) -> VmFacts | None:
        """The VM's facts at the backup; None if only its name is known."""
        if self.facts is not None or not (self.instance_uuid or self.bios_uuid):
            return self.facts
        return VmFacts(name=self.name, instance_uuid=self.instance_uuid, bios_uuid=self.bios_uuid)
