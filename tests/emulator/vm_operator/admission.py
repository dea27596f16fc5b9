"""What VM Operator's webhooks change and refuse, for the three kinds the product touches.

Sources: webhooks/virtualmachineservice/validation, webhooks/virtualmachinegroup/{mutation,validation} and the parts
of webhooks/virtualmachine/validation that restores meet. Pure: an admission hook for the emulated API
(`api.admit(Rules().review)`), and behind HTTPS for a real one (`webhook`).
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tests.emulator.kubernetes.api_objects import Problem
from tests.emulator.vm_operator import conditions
from tests.emulator.vm_operator.group_controller import LAST_POWER_TIME
from tests.emulator.vm_operator.vm_controller import APPLY_POWER_TIME
from tests.emulator.wcp.registered_vm import FAILED_OVER, RESTORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.emulator.kubernetes.api_objects import Review
    from tests.emulator.kubernetes.cluster import Object

_LABEL_1035: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_IMPORTED: Final = "vmoperator.vmware.com/imported-vm"
_LABEL_1123: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL_1123.pattern}(\.{_LABEL_1123.pattern})*")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_TYPES: Final = ("LoadBalancer", "ClusterIP", "ExternalName")
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The webhooks of one Supervisor; capabilities it may lack, and whether the caller is privileged."""

    groups: bool = True
    telco: bool = False
    ipv6: bool = False
    privileged: bool = False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def review(self, review: Review) -> None:
        """Change or refuse one write, as the emulated API asks."""
        rules = replace(self, privileged=self.privileged or review.privileged)
        problems = rules.apply(review.resource.kind, review.new, review.old)
        if problems:
            name = review.new["metadata"].get("name", "")
            message = f'admission webhook denied the request: {review.resource.kind} "{name}": {"; ".join(problems)}'
            raise Problem(403, "Forbidden", message)

    def apply(self, kind: str, new: Object, old: Object | None) -> list[str]:
        """Change `new` in place and return why it is refused, if it is."""
        match kind:
            case "VirtualMachineGroup":
                return [*self._mutate_group(new, old), *self._group(new, old)]
            case "VirtualMachineService":
                return [*_service_changes(new, old), *_service_spec(new), *self._families(new)]
            case "VirtualMachine":
                _forget_owner(new, old)
                return list(self._vm(new, old))
            case _:
                return []

    def _mutate_group(self, new: Object, old: Object | None) -> Iterator[str]:
        _forget_owner(new, old)
        spec, before = new.setdefault("spec", {}), (old or {}).get("spec") or {}
        annotations = new["metadata"].get("annotations") or {}
        wanted, had = spec.get("nextForcePowerStateSyncTime", ""), before.get("nextForcePowerStateSyncTime", "")
        now, forced = conditions.nanostamp(self.clock()), False
        if not wanted and had:
            spec["nextForcePowerStateSyncTime"] = had
        elif wanted.lower() == "now":
            spec["nextForcePowerStateSyncTime"], forced = now, True
        elif wanted != had:
            yield f'spec.nextForcePowerStateSyncTime: Invalid value: "{wanted}": may only be set to "now"'
            return
        if not (forced or spec.get("powerState", "") != before.get("powerState", "")):
            return
        annotations[LAST_POWER_TIME] = now
        inherited = ((old or {}).get("metadata", {}).get("annotations") or {}).get(APPLY_POWER_TIME)
        if annotations.get(APPLY_POWER_TIME) == inherited:
            annotations.pop(APPLY_POWER_TIME, None)
        new["metadata"]["annotations"] = annotations

    def _group(self, new: Object, old: Object | None) -> Iterator[str]:
        spec, before = new["spec"], (old or {}).get("spec") or {}
        if before.get("powerState") and not spec.get("powerState"):
            yield "spec.powerState: Forbidden: cannot be emptied once set"
        if not self.telco and any(step.get("powerOffDelay") for step in spec.get("bootOrder") or ()):
            yield "spec.bootOrder.powerOffDelay: Forbidden: the telco capability is off"
        yield from self._power_stamp(new, old)
        name = new["metadata"].get("name", "")
        members = Counter(
            (member.get("kind", "VirtualMachine"), member["name"])
            for step in spec.get("bootOrder") or ()
            for member in step.get("members") or ()
        )
        yield from (f'spec.bootOrder: Duplicate value: "{"/".join(key)}"' for key, n in members.items() if n > 1)
        if ("VirtualMachineGroup", name) in members:
            yield f'spec.bootOrder: Invalid value: "{name}": the group lists itself'
        if spec.get("groupName") == name:
            yield f'spec.groupName: Invalid value: "{name}": the group names itself'

    def _power_stamp(self, new: Object, old: Object | None) -> Iterator[str]:
        stamp = (new["metadata"].get("annotations") or {}).get(LAST_POWER_TIME, "")
        before = ((old or {}).get("metadata", {}).get("annotations") or {}).get(LAST_POWER_TIME, "")
        fields = ("powerState", "nextForcePowerStateSyncTime")
        same = all(new["spec"].get(field) == ((old or {}).get("spec") or {}).get(field) for field in fields)
        if stamp != before and same and not self.privileged:
            yield f"metadata.annotations[{LAST_POWER_TIME}]: Forbidden: only the webhook sets it"
        if stamp and not _is_time(stamp):
            yield f'metadata.annotations[{LAST_POWER_TIME}]: Invalid value: "{stamp}": must be RFC3339Nano'

    def _families(self, new: Object) -> Iterator[str]:
        for field in ("ipFamilies", "ipFamilyPolicy"):
            if new["spec"].get(field) and not self.ipv6:
                yield f"spec.{field}: Forbidden: the capability for IPv6 workloads is off"

    def _vm(self, new: Object, old: Object | None) -> Iterator[str]:
        if new.get("spec", {}).get("groupName") and not self.groups:
            yield "spec.groupName: Invalid value: the groups capability is off"
        if self.privileged:
            return
        mine = new["metadata"].get("annotations") or {}
        before = (old or {}).get("metadata", {}).get("annotations") or {}
        for key in (RESTORED, FAILED_OVER, _IMPORTED):
            if mine.get(key) != before.get(key):
                yield f"metadata.annotations[{key}]: Forbidden: modifying this annotation is not allowed"


def _forget_owner(new: Object, old: Object | None) -> None:
    """Take the old group off the owners when a member names another one (util/vmopv1/vmgroup.go)."""
    before = ((old or {}).get("spec") or {}).get("groupName")
    if not before or before == (new.get("spec") or {}).get("groupName"):
        return
    owners = new["metadata"].get("ownerReferences") or []
    left = [owner for owner in owners if (owner["kind"], owner["name"]) != ("VirtualMachineGroup", before)]
    if left != owners:
        new["metadata"]["ownerReferences"] = left


def _service_changes(new: Object, old: Object | None) -> Iterator[str]:
    if old is None:
        name = str(new["metadata"].get("name", ""))
        if not _LABEL_1035.fullmatch(name):
            yield f'metadata.name: Invalid value: "{name}": a DNS-1035 label must start with a letter'
        return
    for field in ("type", "clusterIp"):
        if (new["spec"].get(field) or "") != (old["spec"].get(field) or ""):
            yield f"spec.{field}: Forbidden: field is immutable"


def _service_spec(new: Object) -> Iterator[str]:
    spec = new.get("spec") or {}
    kind, address = spec.get("type", ""), spec.get("clusterIp", "")
    if kind not in _TYPES:
        yield f'spec.type: Unsupported value: "{kind}"'
    if kind == "LoadBalancer" and address == "None":
        yield "spec.clusterIp: Invalid value: may not be None for LoadBalancer"
    if kind == "ExternalName":
        if address:
            yield "spec.clusterIp: Forbidden for ExternalName"
        if not spec.get("externalName"):
            yield "spec.externalName: Required value"
        elif not _HOST_NAME.fullmatch(spec["externalName"].removesuffix(".")):
            yield f'spec.externalName: Invalid value: "{spec["externalName"]}"'
    elif address not in {"", "None"} and not _is_address(address):
        yield f'spec.clusterIp: Invalid value: "{address}"'
    if spec.get("loadBalancerSourceRanges") and kind != "LoadBalancer":
        yield "spec.loadBalancerSourceRanges: Forbidden unless the type is LoadBalancer"
    yield from (
        f'spec.loadBalancerSourceRanges: Invalid value: "{source_range}"'
        for source_range in spec.get("loadBalancerSourceRanges") or ()
        if not _is_cidr(source_range.strip())
    )
    yield from (
        f'spec.selector: Invalid value: "{value}"'
        for value in (spec.get("selector") or {}).values()
        if not _LABEL_VALUE.fullmatch(value)
    )
    if not spec.get("ports") and kind != "ExternalName" and address != "None":
        yield "spec.ports: Required value"
    yield from _ports(spec.get("ports") or ())


def _ports(ports: Any) -> Iterator[str]:
    names = Counter(port.get("name") for port in ports)
    pairs = Counter((port.get("protocol"), port.get("port")) for port in ports)
    yield from (f'spec.ports: Duplicate value: "{name}"' for name, count in names.items() if count > 1)
    yield from (f'spec.ports: Duplicate value: "{pair}"' for pair, count in pairs.items() if count > 1)
    for port in ports:
        if not port.get("name") and len(ports) > 1:
            yield "spec.ports.name: Required value"
        if port.get("name") and not _LABEL_1123.fullmatch(port["name"]):
            yield f'spec.ports.name: Invalid value: "{port["name"]}": must be a DNS-1123 label'
        if port.get("protocol") not in _PROTOCOLS:
            yield f'spec.ports.protocol: Unsupported value: "{port.get("protocol")}"'
        for field in ("port", "targetPort"):
            if not 1 <= int(port.get(field) or 0) <= 65535:
                yield f'spec.ports.{field}: Invalid value: "{port.get(field)}"'


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return bool(slash) and bits.isdigit() and _is_address(address)


def _is_time(text: str) -> bool:
    try:
        conditions.parse(text)
    except ValueError:
        return False
    return True
