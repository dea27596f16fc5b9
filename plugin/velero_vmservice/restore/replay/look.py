"""A namespace that is restored into: the last look at it, and what each VM there waited for over all looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from velero_vmservice.registration.merge import registered_gate
from velero_vmservice.registration.model import tally
from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.restore.model import expected_vms
from velero_vmservice.restore.replay.operation import TIMELINE_LENGTH
from velero_vmservice.supervisor import observe
from velero_vmservice.supervisor.lost_owner import Sighting, never_seen
from velero_vmservice.supervisor.readiness import Stability, gate, remarks
from velero_vmservice.text import enumerate_some, shared
from velero_vmservice.vmoperator.references import referred_kinds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import ExpectedVm, VmFacts
    from velero_vmservice.clock import Clock
    from velero_vmservice.errors import VmServiceError
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.kube.manifest import Kind
    from velero_vmservice.registervm.attempt import ForRestore
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.operation import ReplayOperation
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.supervisor.readiness import Gate

READY: Final = "ready"
"""What a VM's timeline ends with (docs/report.md)."""
REFERENCES_SECONDS: Final = 300.0
"""Objects that VMs refer to and nothing recreates are listed again after this long: a person may have made them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceLook:
    """One look at a target namespace."""

    at: float
    """Monotonic seconds of its end."""
    made: str
    """The same in ISO 8601."""
    observed: NamespaceState
    names: frozenset[str]
    """Of core Services and Endpoints, those that the look kept."""
    cycles: Mapping[str, str]
    """Groups that contain themselves, with the chain in words."""
    registrations: Mapping[str, Registration]
    """What all registration sources together answer about each VM that is waited for."""
    tally: Counter[tuple[str, str]]
    """How many of those are in each state, with each code of RegisterVM, for Prometheus."""

    def gates(self, subject: Subject) -> Iterator[tuple[str, Gate]]:
        """Yield, for each VM that an object needs, its gate by this look alone."""
        vms, volumes = self.observed.machines, self.observed.volumes
        expected, groups = _expected(subject), self.observed.group_uids()
        for name in subject.topology.needs:
            vm, facts, registration = vms.get(name), expected.get(name), self.registrations.get(name)
            vm_gate = registered_gate(gate(vm, facts, volumes), registration)
            if vm is None:
                vm_gate = vm_gate.advising(never_seen(facts, registration.owners if registration else (), groups))
            yield name, vm_gate

    def notes(self, subject: Subject) -> tuple[str, ...]:
        """Return what could not be looked at, and what the sources remark on the VMs of an object."""
        expected, noted = _expected(subject), dict[str, list[str]]()
        for name in subject.topology.needs:
            for note in self._notes(name, expected.get(name)):
                noted.setdefault(note, []).append(name)
        total = len(subject.topology.needs)
        notes = (
            note if len(names) == total else f"{enumerate_some(names, most=3)}: {note}" for note, names in noted.items()
        )
        return tuple(dict.fromkeys((*self.observed.unseen.values(), *notes)))

    def _notes(self, name: str, expected: VmFacts | None) -> Iterator[str]:
        """Yield the remarks on a VM, but for those that the decision's own warnings make by its name."""
        notes = self.registrations[name].notes if name in self.registrations else ()
        vm = self.observed.machines.get(name) if notes else None
        warned = tuple(remarks(vm, expected)) if vm and expected else ()
        yield from (note for note in notes if note not in warned)


@dataclass(slots=True)
class Beside:
    """The objects beside restored VMs that belong to them, as of one look."""

    at: float = float("-inf")
    """The time of that look."""
    names: dict[Kind, frozenset[str]] = field(default_factory=dict)
    unlisted: dict[Kind, str] = field(default_factory=dict)
    """Kinds that could not be listed, and why."""


@dataclass(slots=True)
class TargetNamespace:
    """A namespace that is restored into."""

    name: str
    looked_at: float = float("-inf")
    """When it was last looked at, whether that worked or not."""
    look: NamespaceLook | None = None
    """The last look; None where that failed, or there is none yet."""
    problem: VmServiceError | None = None
    """Why it could not be looked at."""
    present: Mapping[Kind, Collection[str]] = field(default_factory=dict)
    """Names of the objects that VMs refer to and nothing recreates."""
    referred_at: float = float("-inf")
    """When those were listed."""
    stability: Stability = field(default_factory=Stability)
    timelines: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """What each VM waited for, and since when."""
    ready_at: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """When each VM became ready, as its timeline has it."""
    ready: set[str] = field(default_factory=set)
    """The VMs that were ready by the last look that was noted."""
    beside: Beside = field(default_factory=Beside)

    @property
    def observed(self) -> NamespaceState | None:
        return self.look.observed if self.look else None

    def show(self, look: NamespaceLook) -> None:
        """Take over a new look."""
        self.look, self.problem, self.looked_at = look, None, look.at

    def hide(self, problem: VmServiceError, now: float) -> None:
        """Record that it could not be looked at."""
        self.look, self.problem, self.looked_at = None, problem, now

    def gates(self, subject: Subject) -> dict[str, Gate]:
        """Return the gate of each VM that an object needs: open once it has held over two looks."""
        if (look := self.look) is None:
            return {}
        return {name: self._settled(look, name, latest) for name, latest in look.gates(subject)}

    def note(self, subject: Subject) -> None:
        """Note what the last look shows of each VM that an object needs: since when its gate holds, what it waits for.

        Noting one look twice changes nothing.
        """
        if (look := self.look) is None:
            return
        expected, groups = _expected(subject), look.observed.group_uids()
        for name, latest in look.gates(subject):
            vm = look.observed.machines.get(name)
            sighting = Sighting.of(vm, expected.get(name), groups) if vm else None
            self.stability.note(name, latest, observed_at=look.observed.at, sighting=sighting)
            self._note_course(name, self._settled(look, name, latest), look.made)

    def _settled(self, look: NamespaceLook, name: str, latest: Gate) -> Gate:
        present = name in look.observed.machines
        return self.stability.settled(name, latest, present=present, observed_at=look.observed.at)

    def _note_course(self, name: str, settled: Gate, made: str) -> None:
        """Keep a change of what a VM waits for in its timeline."""
        (self.ready.add if settled.ready else self.ready.discard)(name)
        timeline, reason = self.timelines.get(name, ()), READY if settled.ready else settled.reason
        if len(timeline) < TIMELINE_LENGTH and (not timeline or timeline[-1][1] != reason):
            self.timelines[name] = shared((*timeline, (made, reason)))
            if settled.ready:
                self.ready_at[name] = shared((*self.ready_at.get(name, ()), made))


class Ask(Protocol):
    """Asks every registration source about VMs that objects need, as `Registering` does."""

    def __call__(
        self, restore: ForRestore, observed: NamespaceState, vms: Collection[ExpectedVm], *, until: float
    ) -> Mapping[str, Registration]:
        """Return one answer for each VM, by name."""


class Looking:
    """Looks at namespaces, for a restore and for a plan alike: both decide on the same look."""

    def __init__(self, *, cluster: Cluster, clock: Clock, ask: Ask) -> None:
        """Put together; `ask` is what tells a restore, which may call RegisterVM, from a plan, which never does."""
        self._cluster = cluster
        self._clock = clock
        self._ask = ask

    def look(
        self, namespace: TargetNamespace, operations: Sequence[ReplayOperation], restore: ForRestore, *, until: float
    ) -> None:
        """Look again; raises what the cluster raises, and leaves no look then."""
        subjects = [operation.subject for operation in operations if operation.subject is not None]
        if self._clock.monotonic() - namespace.referred_at > REFERENCES_SECONDS:
            named = {kind for subject in subjects for kind in referred_kinds(subject.topology.machines)}
            namespace.present = observe.referred(self._cluster, namespace.name, sorted(named))
            namespace.referred_at = self._clock.monotonic()
        namespace.look = None  # before there is the next: thousands of VMs are not held twice
        names = frozenset(operation.replay.name for operation in operations)
        observed = observe.look(self._cluster, self._clock, namespace.name, services=names, present=namespace.present)
        waiting = [
            operation.subject
            for operation in operations
            if operation.subject is not None and operation.stage is Stage.WAITING
        ]
        registrations = self._ask(restore, observed, expected_vms(waiting), until=until)
        namespace.show(
            NamespaceLook(
                made=self._clock.now().isoformat(),
                observed=observed,
                names=names,
                cycles=order.cycles(subjects, observed),
                registrations=registrations,
                tally=tally(registrations.values()),
                at=self._clock.monotonic(),  # when it ended: one that took long is not repeated at once
            )
        )


def _expected(subject: Subject) -> Mapping[str, VmFacts]:
    return {vm.name: vm for vm in subject.topology.machines}
