"""Random applications: trees of groups, services with overlapping selectors, what was there before, a policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.unit.builders import group, service, vm, with_policy
from tests.unit.power import SET_AT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.unit.builders import Json

ON = "PoweredOn"
LONG_AGO = "2026-01-01T00:00:00Z"
VMS = ("vm-1", "vm-2", "vm-3", "vm-4", "vm-5")
GROUPS = ("a", "b", "c", "d", "e")
SERVICES = ("back", "front", "zone")


@dataclass(frozen=True)
class Application:
    """What was backed up, and what is there when it is restored."""

    parents: Mapping[str, str]
    """Each group's parent, '' for a root."""
    grouped: Mapping[str, str]
    """Each VM's group, '' for none."""
    selected: Mapping[str, frozenset[str]]
    """Each service's VMs."""
    power: Mapping[str, str] = field(default_factory=dict)
    """What a group's spec.powerState said."""
    ran: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    """VMs that were never lost."""
    alike: frozenset[str] = frozenset()
    """Objects that are there, as captured."""
    different: frozenset[str] = frozenset()
    """Objects that are there, and differ."""
    policy: Mapping[str, str] = field(default_factory=dict)

    @property
    def spec(self) -> dict[str, Any]:
        """What a person writes on the Restore."""
        return with_policy(**self.policy)

    @property
    def strict(self) -> bool:
        return self.policy.get("mode") == "strict"

    def members(self, group_name: str) -> list[str]:
        return [name for name, of in self.grouped.items() if of == group_name]

    def children(self, group_name: str) -> list[str]:
        return [name for name, parent in self.parents.items() if parent == group_name]

    def chain(self, group_name: str) -> Iterator[str]:
        """Yield a group and the groups above it."""
        while group_name:
            yield group_name
            group_name = self.parents[group_name]

    def tree(self, group_name: str) -> Iterator[str]:
        """Yield a group and the groups below it."""
        yield group_name
        for child in self.children(group_name):
            yield from self.tree(child)

    def needs(self, name: str) -> list[str]:
        """Return the VMs that an object needs."""
        return self.members(name) if name in self.parents else sorted(self.selected[name])

    def needed(self) -> set[str]:
        return {machine for name in (*self.parents, *self.selected) for machine in self.needs(name)}

    def objects(self) -> list[Json]:
        groups = [
            group(
                name,
                self.members(name),
                [f"/{child}" for child in self.children(name)],
                parent=parent,
                **({"powerState": self.power[name]} if self.power.get(name) else {}),
            )
            for name, parent in self.parents.items()
        ]
        return [*groups, *(service(name, {name: ""}) for name in self.selected)]

    def vm(self, name: str, *, uid: str, power: str = "PoweredOff", paused: bool = False) -> Json:
        labels = {label: "" for label, machines in self.selected.items() if name in machines}
        annotations = {"vmoperator.vmware.com/paused": ""} if paused else {}
        ip = "192.0.2.1" if power == ON else ""
        spec = {"powerState": ON} if power == ON else {}
        meta = {"annotations": annotations}
        return vm(name, labels=labels, group=self.grouped[name], uid=uid, power=power, ip=ip, meta=meta, spec=spec)

    def machines(self) -> list[Json]:
        """Return the VMs as they were at backup."""
        return [
            self.vm(name, uid=f"uid-of-{name}", power=ON if name in self.ran else "PoweredOff") for name in self.grouped
        ]

    def there_before(self) -> Iterator[Json]:
        """Yield the objects that were not lost, some of them edited since."""
        for manifest in self.objects():
            name = manifest["metadata"]["name"]
            content = {**manifest, "metadata": {**manifest["metadata"], "labels": {"edited": "1"}}}
            if name in self.alike:
                if manifest["spec"].get("powerState") == ON:
                    content["metadata"]["annotations"] = {SET_AT: LONG_AGO}
                    content["status"] = {"lastUpdatedPowerStateTime": LONG_AGO}
                yield content
            elif name in self.different:
                spec = {key: value for key, value in manifest["spec"].items() if key not in ("powerState", "ports")}
                ports = [{"name": "other", "protocol": "TCP", "port": 9, "targetPort": 9}]
                edited = {"ports": ports} if manifest["kind"] == "VirtualMachineService" else {"bootOrder": []}
                yield {**content, "spec": {**spec, **edited}}

    def runs_at_the_end(self, name: str) -> bool:
        """Say whether a VM is to run, for an application of which nothing was there before."""
        runs = name in self.ran and name in self.kept
        if name not in self.needed() or self.policy.get("power", "leave") == "leave":
            return runs
        spoken_for = any(self.power.get(group_name) == ON for group_name in self.chain(self.grouped[name]))
        return self.policy["power"] == "on" or spoken_for or name in self.ran


@st.composite
def applications(draw: st.DrawFn, *, fresh: bool = False) -> Application:
    """Draw an application; `fresh` ones find nothing that was there before."""
    groups = GROUPS[: draw(st.integers(0, len(GROUPS)))]
    machines = VMS[: draw(st.integers(1, len(VMS)))]
    parents = {name: draw(st.sampled_from(["", *groups[:at]])) for at, name in enumerate(groups)}
    renamed = dict(zip(groups, draw(st.permutations(groups)), strict=True))  # parents do not come first by name
    parents = {renamed[name]: renamed.get(parent, "") for name, parent in parents.items()}
    services = SERVICES[: draw(st.integers(0 if groups else 1, len(SERVICES)))]
    names = st.sets(st.sampled_from([*parents, *services]), max_size=0 if fresh else 3).map(frozenset)
    alike, subsets = draw(names), st.sets(st.sampled_from(machines)).map(frozenset)
    return Application(
        parents=parents,
        grouped={name: draw(st.sampled_from(["", *groups])) for name in machines},
        selected={name: draw(subsets) for name in services},
        power={name: draw(st.sampled_from(["", ON, "PoweredOff"])) for name in groups},
        ran=draw(subsets),
        kept=draw(subsets),
        alike=alike,
        different=draw(names) - alike,
        policy={
            "mode": draw(st.sampled_from(["best-effort", "strict"])),
            "power": draw(st.sampled_from(["leave", "captured", "on"])),
            "conflict": draw(st.sampled_from(["retain", "update"])),
            "label_mismatch": draw(st.sampled_from(["warn", "wait", "fail"])),
        },
    )
