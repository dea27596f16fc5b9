"""A VM is read alike from every served version: facts about VM Operator, table of section 4.6."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit import builders
from tests.unit.builders import condition, group, m, obj, vm
from velero_vmservice.archive import facts
from velero_vmservice.documents import canonical
from velero_vmservice.vmoperator import groups, marks


@dataclass(frozen=True)
class Case:
    why: str
    given: dict[str, Any]
    want: dict[str, Any] = field(default_factory=dict)


def plain(version: str, status: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return obj("VirtualMachine", "web-1", api=f"vmoperator.vmware.com/{version}", status=status, **rest)


def annotated(*, spec: dict[str, Any] | None = None, **annotations: str) -> dict[str, Any]:
    return vm("web-1", meta={"annotations": annotations}, spec=spec)


IDS = {"uniqueID": "vm-1", "biosUUID": "b", "instanceUUID": "i", "zone": "z1"}
READ = {"unique_id": "vm-1", "bios_uuid": "b", "instance_uuid": "i", "zone": "z1"}

CASES = [
    Case(
        why="v1alpha1 has vmIp and lower-case power states",
        given=plain("v1alpha1", {**IDS, "vmIp": "192.0.2.1", "powerState": "poweredOn", "phase": "Created"}),
        want={**READ, "addresses": ("192.0.2.1",), "power_state": "PoweredOn"},
    ),
    *[
        Case(
            why=f"{version} has network.primaryIP",
            given=plain(
                version,
                {
                    **IDS,
                    "network": {"primaryIP4": "192.0.2.1", "primaryIP6": "2001:db8::1"},
                    "powerState": "Suspended",
                },
            ),
            want={**READ, "addresses": ("192.0.2.1", "2001:db8::1"), "power_state": "Suspended"},
        )
        for version in ("v1alpha2", "v1alpha3", "v1alpha4", "v1alpha5", "v1alpha6")
    ],
    Case(
        why="UUIDs stand in the spec before the status tells them",
        given=plain("v1alpha5", {}, spec={"instanceUUID": "i", "biosUUID": "b"}),
        want={"instance_uuid": "i", "bios_uuid": "b", "unique_id": "", "power_state": ""},
    ),
    Case(
        why="zone label where the status says nothing",
        given=vm("web-1", labels={"topology.kubernetes.io/zone": "z2"}),
        want={"zone": "z2"},
    ),
    Case(
        why="backup version of the annotation, group name, uid",
        given=vm("web-1", group="tier", meta={"annotations": {"vmoperator.vmware.com/backup-version": "1700"}}),
        want={"backup_version": "1700", "group_name": "tier", "uid": "uid-of-web-1"},
    ),
    Case(
        why="claims, without volumes of another kind, each once",
        given=vm("web-1", claims=["b", "a", "a"], spec={"volumes": [{"name": "instance", "instanceVolume": {}}]}),
        want={"claims": ()},
    ),
    Case(why="claims sorted, each once", given=vm("web-1", claims=["b", "a", "a"]), want={"claims": ("a", "b")}),
    Case(
        why="volume names with their claims",
        given=vm("web-1", spec={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "web-1-data"}}]}),
        want={"volumes": {"data": "web-1-data"}, "claims": ("web-1-data",)},
    ),
    Case(
        why="the five annotations with their values, the user's by name only, no others",
        given=annotated(
            **dict.fromkeys((*marks.CREATED_AT_ANNOTATIONS, *marks.UPGRADED_TO_ANNOTATIONS), "1"),
            **{
                "example.com/token": "secret",
                "plain": "",
                "a.vmware.com/x": "",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
        ),
        want={
            "lifecycle_annotations": dict.fromkeys(
                (*marks.CREATED_AT_ANNOTATIONS, *marks.UPGRADED_TO_ANNOTATIONS), "1"
            ),
            "user_annotations": ("example.com/token", "plain"),
        },
    ),
    Case(
        why="cloud-init's instance id of the spec",
        given=annotated(
            **{"vmoperator.vmware.com/cloud-init-instance-id": "old"},
            spec={"bootstrap": {"cloudInit": {"instanceID": "i-1"}}},
        ),
        want={"instance_id": "i-1"},
    ),
    *[
        Case(
            why=f"cloud-init's instance id of the annotation {name}",
            given=annotated(**{f"vmoperator.vmware.com/{name}": "i-1"}, spec={"bootstrap": {"cloudInit": {}}}),
            want={"instance_id": "i-1"},
        )
        for name in ("cloud-init-instance-id", "instance-id")
    ],
    Case(
        why="image of v1alpha3 and later",
        given=vm("web-1", spec={"image": {"kind": "VirtualMachineImage", "name": "vmi-1"}, "imageName": "Linux 5"}),
        want={"image": "vmi-1"},
    ),
    Case(why="image of older versions", given=vm("web-1", spec={"imageName": "vmi-1"}), want={"image": "vmi-1"}),
    Case(
        why="marks of an earlier restore",
        given=annotated(**{"vmoperator.vmware.com/restored-vm": ""}),
        want={"restored": True, "failed_over": False},
    ),
    Case(why="no record known in 8.0 U3", given=vm("web-1"), want={"record": "unknown", "recorded": True}),
    Case(
        why="record current",
        given=vm("web-1", status={"conditions": [condition("VirtualMachineBackupUpToDate")]}),
        want={"record": "current"},
    ),
    Case(
        why="record outdated",
        given=vm("web-1", status={"conditions": [condition("VirtualMachineBackupUpToDate", "False")]}),
        want={"record": "outdated"},
    ),
    *[
        Case(why=f"a node by {label}", given=vm("n", labels={label: "worker"}), want={"recorded": False})
        for label in ("capw.vmware.com/cluster.role", "capv.vmware.com/cluster.role")
    ],
    Case(
        why="a node that is recorded all the same",
        given=vm(
            "n",
            labels={"capv.vmware.com/cluster.role": "worker"},
            meta={"annotations": {"vmoperator.vmware.com/force-enable-backup": "true"}},
        ),
        want={"recorded": True},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_vm(case: Case) -> None:
    vm_facts = facts.vm_facts(m(case.given))
    assert {key: getattr(vm_facts, key) for key in case.want} == case.want


BOOTSTRAPS = [
    Case(
        why="cloudInit with secrets in its config",
        given={
            "cloudInit": {
                "cloudConfig": {
                    "users": [{"name": "root", "passwd": {"name": "passwords", "key": "root"}}],
                    "writeFiles": [{"path": "/x", "content": {"name": "files", "key": "x"}}],
                }
            }
        },
        want={"names": ("files", "passwords")},
    ),
    Case(
        why="raw cloud config",
        given={"cloudInit": {"rawCloudConfig": {"name": "user-data", "key": "user-data"}}},
        want={"names": ("user-data",)},
    ),
    Case(
        why="sysprep",
        given={
            "sysprep": {
                "rawSysprep": {"name": "unattend", "key": "unattend"},
                "sysprep": {"guiUnattended": {"password": {"name": "admin", "key": "password"}}},
            }
        },
        want={"names": ("admin", "unattend")},
    ),
    Case(
        why="linuxPrep",
        given={"linuxPrep": {"password": {"name": "linux", "key": "password"}}},
        want={"names": ("linux",)},
    ),
    Case(
        why="vAppConfig",
        given={
            "vAppConfig": {
                "rawProperties": "ovf",
                "properties": [{"key": "p", "value": {"from": {"name": "props", "key": "p"}}}, {"key": "q"}],
            }
        },
        want={"names": ("ovf", "props")},
    ),
    Case(why="none", given={}, want={"names": ()}),
]


@pytest.mark.parametrize("case", BOOTSTRAPS, ids=lambda c: c.why)
def test_bootstrap_objects(case: Case) -> None:
    assert facts.vm_facts(m(vm("web-1", spec={"bootstrap": case.given}))).bootstrap == case.want["names"]


@pytest.mark.parametrize("key", ["secretName", "configMapName"])
def test_bootstrap_of_v1alpha1(key: str) -> None:
    assert facts.vm_facts(m(vm("web-1", spec={"vmMetadata": {key: "old"}}))).bootstrap == ("old",)


def test_group_members_keep_kind_and_boot_order() -> None:
    given = group("tier", ["web-1", "/inner"], ["web-2"], parent="outer")
    del given["spec"]["bootOrder"][1]["members"][0]["kind"]  # the default kind
    group_facts = groups.group_facts(m(given))
    assert group_facts.group_name == "outer"
    assert [(member.kind, member.name, member.order) for member in group_facts.members] == [
        ("VirtualMachine", "web-1", 0),
        ("VirtualMachineGroup", "inner", 0),
        ("VirtualMachine", "web-2", 1),
    ]


@pytest.mark.parametrize("spec", [{}, {"bootOrder": None}, {"bootOrder": [None, {}, {"members": ["x", None]}]}])
def test_a_group_without_members(spec: dict[str, Any]) -> None:
    assert groups.boot_order_members(m(obj("VirtualMachineGroup", "tier", spec=spec))) == ()


def test_a_document_of_the_older_writer_still_reads() -> None:
    older = {
        "schema_version": 1,
        "namespace": "shop",
        "observed_at": "2026-03-01T12:00:00Z",
        "machines": [{"name": "web-1", "uid": "u", "claims": ["web-1-data"], "labels": {"app": "shop"}}],
    }
    (vm,) = facts.NamespaceFacts.model_validate(older).machines
    assert (vm.name, vm.claims) == ("web-1", ("web-1-data",))
    assert (vm.volumes, vm.references, vm.image, vm.restored) == ({}, {}, "", False)
    assert vm.interfaces is None


def test_the_network_of_each_interface_is_kept_as_an_override_names_it() -> None:
    listed = [
        {"name": "eth0", "network": {"kind": "Subnet", "name": "prod-a"}},
        {"name": "eth1"},
        {"name": "eth2", "network": {"kind": "Network", "name": "vds"}},
    ]
    (given,) = builders.facts(vm("web-1", spec={"network": {"interfaces": listed}})).machines
    assert given.interfaces == {"eth0": "subnet/prod-a", "eth1": "subnetset/", "eth2": ""}


def test_no_value_of_a_users_annotation_is_stored() -> None:
    given = annotated(**{"example.com/password": "correct horse"})
    stored = canonical(builders.facts(given))
    assert b"example.com/password" in stored
    assert b"correct horse" not in stored


def test_a_field_of_a_newer_writer_is_passed_over() -> None:
    newer = canonical(builders.facts(vm("web-1"))).replace(b'"uid":', b'"later":1,"uid":')
    assert facts.NamespaceFacts.model_validate_json(newer) == builders.facts(vm("web-1"))
