"""Restores to report on: a realistic one with every kind of trouble, and a large one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from velero_vmservice.report.model import (
    Change,
    Deviation,
    Dropped,
    MemberResult,
    Port,
    Result,
    VmResult,
)
from velero_vmservice.report.reached import ReachedCluster
from velero_vmservice.report.summary import compose
from velero_vmservice.velero.runs import RestoreRun

if TYPE_CHECKING:
    from velero_vmservice.report.model import Report

GROUP, SERVICE = "VirtualMachineGroup", "VirtualMachineService"
RUN = RestoreRun(
    name="shop-after-incident",
    namespace="velero",
    uid="3f0c6f0e-8f53-4d0e-9d0f-0d7c0a3e9a11",
    started="20261122T200000Z",
    backup="nightly-20261122",
    namespace_mapping={"billing-prod": "billing"},
)
CLUSTER = ReachedCluster(
    address="https://supervisor.example.com:6443",
    uid="6f1d0a52-7c0e-4f2b-9a53-8a1f6f2c1f10",
    velero="velero/velero:v1.18.2",
)
ENDED = "2026-11-23T00:00:00+00:00"
POLICY = {
    "conflict": "retain (existingResourcePolicy)",
    "mode": "best-effort",
    "label mismatch": "warn",
    "capture": "prefer",
    "clusterIp": "drop",
    "VIP": "drop",
    "power": "leave",
}
CAPTURED, OLDER = "1795374005000", "1795287605000"
"""Backup versions, in milliseconds: of the evening's backup, and of the one of the day before."""
_ZONE = "topology.kubernetes.io/zone"


def at(clock: str) -> str:
    """Return the ISO time of a clock reading on the evening of the restore."""
    return f"2026-11-22T{clock}+00:00"


def result(kind: str, name: str, stage: str, reason: str, **rest: Any) -> Result:
    """Build one object's result."""
    namespace = rest.pop("namespace", "shop")
    plural, source = f"{kind.lower()}s", rest.get("source_namespace") or namespace
    timeline = rest.get("timeline") or ((at("20:41:30"), ""),)
    rest.setdefault("replayed", any(text.startswith("replayed: ") for _, text in timeline))
    return Result(
        restore=RUN.name,
        backup=RUN.backup,
        kind=kind,
        namespace=namespace,
        name=name,
        stage=stage,
        reason=reason,
        capture=f"captures/{RUN.backup}/20261122T190000Z/objects/{plural}/{source}/{name}.json",
        **{"started": at("20:00:05"), "ended": timeline[-1][0], **rest},
    )


def machine(name: str, **rest: Any) -> VmResult:
    """Build a VM that came back as the guide says, but for what is given."""
    last = rest.pop("last", 11)
    return VmResult(
        **{
            "namespace": "shop",
            "name": name,
            "registered": True,
            "restore_type": "new",
            "backup_version_captured": CAPTURED,
            "backup_version_found": CAPTURED,
            "backup_version": "equal",
            "addresses_before": (f"10.20.0.{last}",),
            "power_before": "PoweredOn",
            "power_after": "PoweredOff",
            "timeline": ((at("20:00:10"), "not registered yet"), (at("20:38:40"), "ready")),
            **rest,
        }
    )


def members(*names: str, groups: tuple[str, ...] = (), missing: tuple[str, ...] = ()) -> tuple[MemberResult, ...]:
    """Build a group's members: nested groups first, each its own boot order entry."""
    return (
        *(MemberResult(kind=GROUP, name=name, linked=name not in missing, order=at) for at, name in enumerate(groups)),
        *(MemberResult(name=name, linked=name not in missing, order=len(groups)) for name in names),
    )


def power_on(namespace: str, group: str) -> str:
    patch = '{"spec":{"powerState":"PoweredOn"}}'
    return f"kubectl -n {namespace} patch virtualmachinegroup {group} --type merge -p '{patch}'"


def _waited(end: str, text: str, *, stage: str = "verified", waited_for: str) -> tuple[tuple[str, str], ...]:
    return (
        (at("20:00:10"), f"waiting: {waited_for}"),
        (at("20:39:00"), "replayed: created; waiting for VM Operator to take it up"),
        (at(end), f"{stage}: {text}"),
    )


_ABSENT: Any = {
    "registered": False,
    "waiting_for": "not registered yet",
    "restore_type": "",
    "backup_version_found": "",
    "backup_version": "unknown",
    "power_after": "",
    "timeline": ((at("20:00:10"), "not registered yet"),),
}
DB1 = machine("shop-db-1", last=11, group_name="shop-db")
DB2 = machine("shop-db-2", last=12, **_ABSENT)
CACHE = machine(
    "shop-cache-1",
    last=15,
    group_name="shop-cache",
    restore_type="never-lost",
    addresses_after=("10.20.0.15",),
    power_after="PoweredOn",
    timeline=((at("20:00:10"), "ready"),),
)
WEB1 = machine("shop-web-1", last=21, group_name="shop-web")
WEB2 = machine(
    "shop-web-2",
    last=22,
    group_name="shop-web",
    backup_version_found=OLDER,
    backup_version="older",
    timeline=(
        (at("20:00:10"), "not registered yet"),
        (at("20:12:20"), "paused by RegisterVM or an administrator"),
        (at("20:14:00"), "waits for PVC restored-a1b2c3 (registering)"),
        (at("20:38:40"), "ready"),
    ),
)
WEB3 = machine(
    "shop-web-3",
    last=23,
    group_name="shop-web",
    notes=("cloud-init runs again at the first power-on (guide 8.1.5)",),
    deviations=(
        Deviation(attribute="label tier", expected="web", found="wbe", note="the service shop-web does not select it"),
        Deviation(attribute=f"label {_ZONE}", expected="removed", found="zone-b", note="guide 8.1.2, restore to new"),
    ),
)
BILLING = tuple(
    machine(f"billing-{number}", namespace="billing", last=30 + number, group_name="billing", power_after="PoweredOff")
    for number in (1, 2)
)


_CLUSTER_IP = Dropped(path="spec.clusterIp", reason="belongs to the lost cluster's range; policy clusterIp=drop")
_PROBED = Dropped(path="metadata.annotations[ncp/healthCheckNodePort]", reason="residue of the provider")
_SERVED: Any = {"dropped": (_CLUSTER_IP, _PROBED), "addresses_before": ("192.0.2.10",)}
_OUT_OF_TIME = "Velero's time for the operation is over (itemOperationTimeout)"
_UNSELECTED = "shop-web-3 is not selected: its label tier is wbe, not web"


def results() -> tuple[Result, ...]:
    """A two-tier shop with nested groups where much went wrong, and a billing application where nothing did."""
    return (*_shop_groups(), *_shop_services(), *_billing())


def _shop_groups() -> tuple[Result, ...]:
    return (
        result(
            GROUP,
            "shop",
            "incomplete",
            "VirtualMachineGroup shop-db was cancelled",
            action="create",
            members=members(groups=("shop-db", "shop-web"), missing=("shop-db",)),
            power_before="PoweredOn",
            dropped=(Dropped(path="spec.powerState", reason="power is the administrator's: nothing is powered on"),),
            timeline=(
                (at("20:00:12"), "replayed: created"),
                (ENDED, "incomplete: VirtualMachineGroup shop-db was cancelled"),
            ),
        ),
        result(
            GROUP,
            "shop-db",
            "cancelled",
            f"{_OUT_OF_TIME}; it was waiting: shop-db-2: not registered yet",
            action="wait",
            held_by=("VirtualMachine/shop/shop-db-2",),
            parent="shop",
            members=members("shop-db-1", "shop-db-2", missing=("shop-db-1", "shop-db-2")),
            machines=(DB1, DB2),
            timeline=(
                (at("20:00:10"), "waiting: shop-db-1: not registered yet; shop-db-2: not registered yet"),
                (at("20:38:40"), "waiting: shop-db-2: not registered yet"),
                (ENDED, f"cancelled: {_OUT_OF_TIME}"),
            ),
        ),
        result(
            GROUP,
            "shop-web",
            "verified",
            "as expected",
            action="create",
            parent="shop",
            members=members("shop-web-1", "shop-web-2", "shop-web-3", groups=("shop-cache",)),
            machines=(WEB1, WEB2, WEB3),
            trimmed=("spec.bootOrder[0].powerOffDelay",),
            timeline=_waited("20:41:30", "as expected", waited_for="shop-web-2: not registered yet"),
        ),
        result(
            GROUP,
            "shop-cache",
            "verified",
            "was there already, as captured",
            action="skip-identical",
            parent="shop-web",
            members=members("shop-cache-1"),
            machines=(CACHE,),
            timeline=((at("20:00:20"), "verified: was there already, as captured"),),
        ),
    )


def _shop_services() -> tuple[Result, ...]:
    return (
        result(
            SERVICE,
            "shop-web",
            "incomplete",
            _UNSELECTED,
            action="create",
            selected=("shop-web-1", "shop-web-2", "shop-web-3"),
            ports=(
                Port(name="https", port=443, target_port=8443, probe="closed: the VMs are off"),
                Port(name="http", port=80, target_port=8080),
            ),
            addresses_before=("192.0.2.10",),
            addresses_after=("192.0.2.44",),
            notes=("load balancer address: 192.0.2.10 → 192.0.2.44",),
            dropped=(_CLUSTER_IP, _PROBED),
            machines=(WEB1, WEB2, WEB3),
            timeline=_waited("20:41:30", _UNSELECTED, stage="incomplete", waited_for="shop-web-2: not registered yet"),
        ),
        result(
            SERVICE,
            "shop-cache",
            "failed",
            "a Service shop-cache is there that is not VM Operator's, which would overwrite it",
            action="conflict",
            remedy=("Rename or remove that Service, then repeat the restore.",),
            selected=("shop-cache-1",),
            ports=(Port(name="redis", port=6379, target_port=6379),),
            machines=(CACHE,),
            timeline=((at("20:00:14"), "failed: a Service shop-cache is there that is not VM Operator's"),),
        ),
        result(
            SERVICE,
            "shop-admin",
            "retained",
            "exists and differs from the capture in spec.ports[0].port; left as it is, as existingResourcePolicy says",
            action="retain",
            selected=("shop-cache-1",),
            endpoints=("shop-cache-1",),
            ports=(Port(name="admin", port=9443, target_port=9443),),
            changes=(
                Change(path="spec.ports[0].port", captured="8443", live="9443"),
                Change(path="metadata.annotations[nsx.vmware.com/hostname]", captured="admin.shop.example", live=""),
            ),
            machines=(CACHE,),
            timeline=((at("20:00:14"), "retained: exists and differs from the capture"),),
        ),
    )


def _billing() -> tuple[Result, ...]:
    names = tuple(vm.name for vm in BILLING)
    return (
        result(
            GROUP,
            "billing",
            "verified",
            "as expected",
            namespace="billing",
            source_namespace="billing-prod",
            action="create",
            members=members(*names),
            machines=BILLING,
            next_commands=(power_on("billing", "billing"),),
            timeline=_waited("20:39:20", "as expected", waited_for="billing-2: not registered yet"),
        ),
        result(
            SERVICE,
            "billing",
            "verified",
            "as expected",
            namespace="billing",
            source_namespace="billing-prod",
            action="create",
            selected=names,
            ports=(Port(name="api", port=8443, target_port=8443),),
            machines=BILLING,
            timeline=_waited("20:39:20", "as expected", waited_for="billing-2: not registered yet"),
        ),
    )


def sample() -> Report:
    """Return the report of the realistic restore."""
    return compose(RUN, results(), policy=POLICY, ended=ENDED, cluster=CLUSTER)


def large(*, applications: int = 100, machines: int = 10, trouble_at: int = 10) -> Report:
    """Return a report with three objects and some VMs for each application; every tenth of them has trouble."""
    rows: list[Result] = []
    for number in range(applications):
        app, bad = f"app-{number:03}", number % trouble_at == 0
        members_of = tuple(
            machine(
                f"{app}-vm-{number}",
                namespace=app,
                last=number % 250 + 1,
                group_name=app,
                notes=() if bad and not number else ("cloud-init runs again at the first power-on (guide 8.1.5)",),
                **(_ABSENT if bad and not number else {}),
            )
            for number in range(machines)
        )
        names = tuple(vm.name for vm in members_of)
        absent = f"{names[0]}: not registered yet"
        fields: dict[str, Any] = {"timeline": _waited("20:41:30", "as expected", waited_for=absent), "action": "create"}
        stage, reason = "verified", "as expected"
        if bad:
            stage, reason = "cancelled", f"{_OUT_OF_TIME}; it was waiting: {absent}"
            fields = {
                "timeline": ((at("20:00:10"), f"waiting: {absent}"), (ENDED, f"cancelled: {_OUT_OF_TIME}")),
                "action": "wait",
                "held_by": (f"VirtualMachine/{app}/{names[0]}",),
            }
        fields |= {"namespace": app, "machines": members_of}
        linked = members(*names, missing=names if bad else ())
        rows += [
            result(GROUP, app, stage, reason, members=linked, **fields),
            result(SERVICE, f"{app}-web", stage, reason, selected=names, ports=(Port(port=443),), **_SERVED, **fields),
            result(SERVICE, f"{app}-api", stage, reason, selected=names, ports=(Port(port=8443),), **_SERVED, **fields),
        ]
    return compose(RUN, rows, policy=POLICY, ended=ENDED)
