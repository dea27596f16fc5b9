"""The last look at a target namespace, and what each VM waited for over all looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from velero_vmservice.interning import shared
from velero_vmservice.registration.gate import registered_gate
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.restore.model import expected_vms
from velero_vmservice.restore.replay.operation import TIMELINE_LENGTH
from velero_vmservice.supervisor import observe
from velero_vmservice.supervisor.lost_owner import Sighting, never_seen
from velero_vmservice.supervisor.readiness import Gate, Stability, gate, remarks
from velero_vmservice.text import enumerate_some
from velero_vmservice.vmoperator.references import referred_kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.clock import Clock
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun

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
    ready_at: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """When each VM became ready, as its timeline has it."""
    ready: set[str] = field(default_factory=set)
    """The VMs that were ready when their gates were asked for the last time."""

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
            self._remember(name, vm_gate)
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

    def _remember(self, name: str, vm_gate: Gate) -> None:
        """Keep a change of what a VM waits for in its timeline."""
        (self.ready.add if vm_gate.ready else self.ready.discard)(name)
        timeline, text = self.timelines.get(name, ()), READY if vm_gate.ready else vm_gate.reason
        if len(timeline) < TIMELINE_LENGTH and (not timeline or timeline[-1][1] != text):
            self.timelines[name] = shared((*timeline, (self.looked_at, text)))
            if vm_gate.ready:
                self.ready_at[name] = shared((*self.ready_at.get(name, ()), self.looked_at))


REFERENCES_SECONDS: Final = 300.0
"""Objects that VMs refer to and nothing recreates are listed again after this long: a person may have made them."""


class Ask(Protocol):
    """Asks every registration source about VMs that objects need, as `Registering` does."""

    def __call__(
        self, run: RestoreRun, observed: NamespaceState, vms: Collection[ExpectedVm], *, until: float
    ) -> Mapping[str, Registration]:
        """Return one answer for each VM, by name."""


class Looking:
    """Looks for a restore, and for the plan of one: both decide on the same."""

    def __init__(self, *, cluster: Cluster, clock: Clock, ask: Ask) -> None:
        """Put together; `ask` is what tells a restore, which may call RegisterVM, from a plan, which never does."""
        self._cluster = cluster
        self._clock = clock
        self._ask = ask

    def look(
        self, view: NamespaceRound, namespace: str, tasks: Sequence[ReplayOperation], run: RestoreRun, *, until: float
    ) -> None:
        """Look anew; raises what the cluster raises, and there is no observation then."""
        subjects = [task.subject for task in tasks if task.subject is not None]
        if self._clock.monotonic() - view.referred_at > REFERENCES_SECONDS:
            named = {kind for subject in subjects for kind in referred_kinds(subject.topology.machines)}
            view.present = observe.referred(self._cluster, namespace, sorted(named))
            view.referred_at = self._clock.monotonic()
        view.observed, view.registrations = None, {}  # before there is the next: thousands of VMs are not held twice
        view.names = frozenset(task.replay.name for task in tasks)
        view.observed = observe.look(self._cluster, self._clock, namespace, services=view.names, present=view.present)
        waiting = [task.subject for task in tasks if task.subject is not None and task.stage is Stage.WAITING]
        view.registrations = self._ask(run, view.observed, expected_vms(waiting), until=until)
        view.looked_at = self._clock.now().isoformat()
        view.cycles, view.problem = order.cycles(subjects, view.observed), None
