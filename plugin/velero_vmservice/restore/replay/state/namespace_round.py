"""The last look at a target namespace, and what each VM waited for over all looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from velero_vmservice.interning import shared
from velero_vmservice.registration.gate import registered_gate
from velero_vmservice.restore.replay.state.operation import TIMELINE_LENGTH
from velero_vmservice.supervisor.lost_owner import Sighting, never_seen
from velero_vmservice.supervisor.readiness import Gate, Stability, gate, remarks
from velero_vmservice.text import enumerate_some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.supervisor.namespace_state import NamespaceState

READY: Final = "ready"
"""What a VM's timeline ends with (docs/report.md)."""


@dataclass(slots=True)
class NamespaceRound:
    """The last look at a target namespace, or why there is none."""

    at: float
    observed: NamespaceState | None = None
    problem: VmServiceError | None = None
    """Why there is no observation; None while nothing went wrong."""
    names: frozenset[str] = frozenset()
    """Of core Services and Endpoints, those that the look kept."""
    cycles: Mapping[str, str] = field(default_factory=dict)
    """Groups that contain themselves, with the chain in words."""
    present: Mapping[Kind, Collection[str]] = field(default_factory=dict)
    """Names of the objects that VMs refer to and nothing recreates."""
    referred_at: float = float("-inf")
    stability: Stability = field(default_factory=Stability)
    looked_at: str = ""
    """ISO time of the look."""
    registrations: Mapping[str, Registration] = field(default_factory=dict)
    """What all registration sources said of each VM that is waited for."""
    beside: dict[Kind, frozenset[str]] = field(default_factory=dict)
    """Names of what belongs to restored VMs beside them, by kind, as of the look of `beside_at`."""
    unlisted: dict[Kind, str] = field(default_factory=dict)
    """Kinds of those that could not be listed, and why."""
    beside_at: float = float("-inf")
    timelines: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """What each VM waited for, and since when."""

    def gates(self, subject: Subject) -> dict[str, Gate]:
        """Return the gate of each VM that the object needs."""
        if self.observed is None:
            return {}
        vms, volumes = self.observed.machines, self.observed.volumes
        expected, groups = {facts.name: facts for facts in subject.topology.machines}, self.observed.group_uids()
        gates = {}
        for name in subject.topology.needs:
            vm, facts, registration = vms.get(name), expected.get(name), self.registrations.get(name)
            vm_gate = registered_gate(gate(vm, facts, volumes), registration)
            if vm is None:
                vm_gate = vm_gate.advising(never_seen(facts, registration.owners if registration else (), groups))
            gates[name] = self.stability.settle(
                name,
                vm_gate,
                present=vm is not None,
                observed_at=self.observed.at,
                sighting=Sighting.of(vm, facts, groups) if vm else None,
            )
        for name, vm_gate in gates.items():
            self._remember(name, READY if vm_gate.ready else vm_gate.reason)
        return gates

    def mind(self, subject: Subject) -> tuple[str, ...]:
        """Return what could not be looked at, and what is said beside the state of the VMs of an object."""
        if self.observed is None:
            return ()
        expected, noted = {vm.name: vm for vm in subject.topology.machines}, dict[str, list[str]]()
        for name in subject.topology.needs:
            for note in self._notes(self.observed, name, expected.get(name)):
                noted.setdefault(note, []).append(name)
        total = len(subject.topology.needs)
        notes = (
            note if len(names) == total else f"{enumerate_some(names, most=3)}: {note}" for note, names in noted.items()
        )
        return tuple(dict.fromkeys((*self.observed.unseen.values(), *notes)))

    def _notes(self, observed: NamespaceState, name: str, expected: VmFacts | None) -> Iterator[str]:
        """Yield what is said of a VM, but for what the decision's own warnings say of it by name."""
        notes = self.registrations[name].notes if name in self.registrations else ()
        vm = observed.machines.get(name) if notes else None
        warned = tuple(remarks(vm, expected)) if vm and expected else ()
        yield from (note for note in notes if note not in warned)

    def _remember(self, name: str, reason: str) -> None:
        """Keep a change of what a VM waits for in its timeline."""
        timeline = self.timelines.get(name, ())
        if len(timeline) < TIMELINE_LENGTH and (not timeline or timeline[-1][1] != reason):
            self.timelines[name] = shared((*timeline, (self.looked_at, reason)))
