"""Objects as the API server shows them, with the fields that matter and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velero_vmservice.archive.facts import NamespaceFacts, VmFacts, service_facts, vm_facts
from velero_vmservice.archive.schema import SavedStatus
from velero_vmservice.archive.topology import topology
from velero_vmservice.kube.manifest import CAPTURED_KINDS, Kind, Manifest, ObjectRef
from velero_vmservice.restore.model import Subject, View
from velero_vmservice.restore.plan import desired
from velero_vmservice.restore.policy import RestorePolicy, effective
from velero_vmservice.supervisor.namespace_state import OBSERVED_KINDS, NamespaceState, claim_phase, observe
from velero_vmservice.velero.runs import RestoreRun
from velero_vmservice.vmoperator.groups import group_facts
from velero_vmservice.vmoperator.virtual_machine import read_vm

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from velero_vmservice.supervisor.readiness import Gate

NAMESPACE = "shop"
STARTED = "2026-03-01T12:00:00Z"
VM_OPERATOR = "vmoperator.vmware.com"

Json = dict[str, Any]


def obj(kind: str, name: str, *, api: str = f"{VM_OPERATOR}/v1alpha5", namespace: str = NAMESPACE, **rest: Any) -> Json:
    """Build any object; `meta` adds to its metadata."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **rest.pop("meta", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def condition(kind: str, status: str = "True", reason: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason}


def vm(
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    group: str = "",
    claims: Iterable[str] = (),
    ip: str = "",
    power: str = "PoweredOff",
    created: bool = True,
    uid: str | None = None,
    meta: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    namespace: str = NAMESPACE,
) -> Json:
    """Build a VirtualMachine that VM Operator has registered and reconciled."""
    volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    return obj(
        "VirtualMachine",
        name,
        namespace=namespace,
        meta={"uid": f"uid-of-{name}" if uid is None else uid, "labels": dict(labels or {}), **(meta or {})},
        spec={
            "instanceUUID": f"instance-of-{name}",
            **({"groupName": group} if group else {}),
            **({"volumes": volumes} if volumes else {}),
            **(spec or {}),
        },
        status={
            "uniqueID": f"vm-{name}",
            "biosUUID": f"bios-of-{name}",
            "powerState": power,
            "conditions": [condition("VirtualMachineCreated")] if created else [],
            **({"network": {"primaryIP4": ip}} if ip else {}),
            **(status or {}),
        },
    )


def service(name: str, selector: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """Build a VirtualMachineService."""
    meta = spec.pop("meta", {})
    more = spec.pop("more", {})
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    chosen = {} if selector is None else {"selector": dict(selector)}
    return obj(
        "VirtualMachineService",
        name,
        meta=meta,
        spec={"type": "LoadBalancer", "ports": ports, **chosen, **spec},
        **more,
    )


def group(
    name: str, *boots: Iterable[str], parent: str = "", meta: Mapping[str, Any] | None = None, **spec: Any
) -> Json:
    """Build a VirtualMachineGroup; each boot lists members, `/name` being a group."""
    order = [
        {
            "members": [
                {
                    "kind": "VirtualMachineGroup" if entry.startswith("/") else "VirtualMachine",
                    "name": entry.lstrip("/"),
                }
                for entry in boot
            ]
        }
        for boot in boots
    ]
    named = {"groupName": parent} if parent else {}
    more = spec.pop("more", {})
    return obj("VirtualMachineGroup", name, meta=meta or {}, spec={"bootOrder": order, **named, **spec}, **more)


def linked(*members: str) -> Json:
    """Build the status of a group that VM Operator has linked these members to."""
    return {
        "members": [
            {
                "kind": "VirtualMachineGroup" if member.startswith("/") else "VirtualMachine",
                "name": member.lstrip("/"),
                "conditions": [condition("GroupLinked")],
            }
            for member in members
        ]
    }


def claim(name: str, phase: str = "Bound") -> Json:
    return obj("PersistentVolumeClaim", name, api="v1", status={"phase": phase})


def registration(claim_name: str, **status: Any) -> Json:
    """Build the CnsRegisterVolume of one claim."""
    name = f"register-{claim_name}"
    return obj("CnsRegisterVolume", name, api="cns.vmware.com/v1alpha1", spec={"pvcName": claim_name}, status=status)


def vsphere_namespace(name: str = NAMESPACE) -> Json:
    annotations = {"vmware-system-vm-folder": "group-v1", "vmware-system-resource-pool": "resgroup-1"}
    return obj("Namespace", name, api="v1", namespace="", meta={"annotations": annotations})


def backup(name: str = "nightly", *, started: str = STARTED, annotations: Mapping[str, str] | None = None) -> Json:
    return obj(
        "Backup",
        name,
        api="velero.io/v1",
        namespace="velero",
        meta={"uid": f"uid-of-{name}", "annotations": dict(annotations or {})},
        spec={"storageLocation": "default"},
        status={"startTimestamp": started},
    )


def restore(
    name: str = "again",
    *,
    of: str = "nightly",
    uid: str = "",
    started: str = STARTED,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Json:
    return obj(
        "Restore",
        name,
        api="velero.io/v1",
        namespace="velero",
        meta={"uid": uid or f"uid-of-{name}", "annotations": dict(annotations or {})},
        spec={"backupName": of, **spec},
        status={"startTimestamp": started},
    )


def with_policy(**policy: str) -> dict[str, dict[str, str]]:
    """Return what a restore takes for its policy: `annotations`, as a person writes them."""
    keys = {key.replace("_", "-"): value for key, value in policy.items()}
    return {"annotations": {f"velero-plugin-for-vmservice/{key}": value for key, value in keys.items()}}


def m(content: Mapping[str, Any]) -> Manifest:
    return Manifest.read(dict(content))


def run(**spec: Any) -> RestoreRun:
    return RestoreRun.read(m(restore(**spec)))


def wanted(
    given: Mapping[str, Any], *, of: RestoreRun | None = None, before: SavedStatus | None = None, **policy: Any
) -> Manifest:
    """Return the object to create in its own namespace, at v1alpha5."""
    return desired.wanted(
        m(given),
        namespace=NAMESPACE,
        run=of or run(),
        version="v1alpha5",
        policy=RestorePolicy(**policy),
        before=before or SavedStatus(),
    )


def subject(given: Mapping[str, Any], *around: Mapping[str, Any], problems: tuple[str, ...] = ()) -> Subject:
    """Return one of our two kinds as it is to be replayed, beside what was around it at backup."""
    kind = next(captured_kind for captured_kind in CAPTURED_KINDS if captured_kind.name == given["kind"])
    ref = ObjectRef(kind, NAMESPACE, given["metadata"]["name"])
    connected = topology(m(given), facts(*around, given))
    return Subject(ref=ref, wanted=wanted(given), topology=connected, problems=problems)


def view(observed: NamespaceState, gates: Mapping[str, Gate], *, of: RestoreRun | None = None, **rest: Any) -> View:
    """Return what a decision rests on; `policy` takes the keys of a RestorePolicy."""
    this = of or run()
    policy = effective(RestorePolicy(**rest.pop("policy", {})), {}, this.existing_resource_policy)
    return View(run=this, policy=policy, observed=observed, gates=gates, **rest)


def facts(*objects: Mapping[str, Any]) -> NamespaceFacts:
    """Return the facts of a namespace that holds these VMs, groups and services."""
    machines = [vm_facts(m(vm)) for vm in objects if vm["kind"] == "VirtualMachine"]
    groups = [group_facts(m(group)) for group in objects if group["kind"] == "VirtualMachineGroup"]
    services = [service_facts(m(service)) for service in objects if service["kind"] == "VirtualMachineService"]
    return NamespaceFacts(
        namespace=NAMESPACE,
        observed_at=STARTED,
        machines=tuple(machines),
        groups=tuple(groups),
        services=tuple(services),
    )


def machine(**known: Any) -> VmFacts:
    return VmFacts(**{"name": "web-1", **known})


def look(
    *objects: Mapping[str, Any],
    namespace: Mapping[str, Any] | None = None,
    at: float = 0.0,
    present: Mapping[Kind, Collection[str]] | None = None,
) -> NamespaceState:
    """Return the observation of a vSphere namespace that holds these objects."""
    manifests = [m(content) for content in objects]
    lists = {
        kind: [manifest for manifest in manifests if (manifest.group, manifest.kind_name) == (kind.group, kind.name)]
        for kind in OBSERVED_KINDS
    }
    return observe(
        m(namespace or vsphere_namespace()),
        lists,
        machines=[read_vm(manifest) for manifest in manifests if manifest.kind_name == "VirtualMachine"],
        claims=[claim_phase(manifest) for manifest in manifests if manifest.kind_name == "PersistentVolumeClaim"],
        name=NAMESPACE,
        at=at,
        present=present or {},
    )
