"""The checklist before a restore: a capture's applications, each judged against the namespace that it goes into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.preflight.restoring import RestoreKind, judge
from velero_vmservice.preflight.state import RecordedState, changes
from velero_vmservice.supervisor import observe

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import VmFacts
    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.preflight.captured import CapturedApplications
    from velero_vmservice.preflight.state import ClaimChange, RecordedNamespace
    from velero_vmservice.preflight.target import Target, Targets
    from velero_vmservice.vmoperator.virtual_machine import ObservedVm


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreCheck:
    """What was found before a restore."""

    kind: RestoreKind
    verdicts: Sequence[ApplicationVerdict]
    """In the namespaces of the capture."""
    targets: Mapping[str, Target]
    """By the namespace of the capture."""

    def powered_on(self) -> Iterator[tuple[str, ObservedVm]]:
        """Yield each VM to be replaced that is on, with its namespace."""
        for each in self.verdicts:
            target = self.targets[each.namespace]
            for name in each.vms:
                live = target.state.machines.get(name)
                if live is not None and live.power_state == "PoweredOn":
                    yield target.state.namespace, live


class BeforeRestore:
    """Makes the checks, and keeps the state that a restore in place replaces; writes nothing to the cluster."""

    def __init__(self, *, cluster: Cluster, clock: Clock, targets: Targets) -> None:
        self._cluster = cluster
        self._clock = clock
        self._targets = targets

    def check(
        self,
        kind: RestoreKind,
        captured: CapturedApplications,
        applications: Sequence[ApplicationVerdict],
        *,
        mapping: Mapping[str, str],
        recorded: bool,
    ) -> RestoreCheck:
        """Judge applications of a capture, each against its namespace or the one that this is mapped to."""
        namespaces = sorted({each.namespace for each in applications})
        vcenters = self._targets.vcenters() if kind is RestoreKind.FAILOVER else frozenset[str]()
        targets = {
            name: self._targets.look(mapping.get(name, name), vms_of(captured, applications, name), vcenters=vcenters)
            for name in namespaces
        }
        return RestoreCheck(
            kind=kind,
            verdicts=[
                judge(
                    kind,
                    each,
                    vms_of(captured, [each], each.namespace),
                    targets[each.namespace],
                    recorded=recorded,
                )
                for each in applications
            ],
            targets=targets,
        )

    def record(self, capture: str, applications: Collection[ApplicationVerdict]) -> RecordedState:
        """Return the VMs of the applications and their PVCs as they are now."""
        names = sorted({each.namespace for each in applications})
        return RecordedState(
            recorded_at=self._clock.now().isoformat(),
            capture=capture,
            namespaces=tuple(
                self._targets.record(name, {vm for each in applications if each.namespace == name for vm in each.vms})
                for name in names
            ),
        )

    def compare(self, state: RecordedState) -> Sequence[ClaimChange]:
        """Return what became of the PVCs that were recorded."""
        return [change for recorded in state.namespaces for change in self._changes(recorded)]

    def _changes(self, recorded: RecordedNamespace) -> Iterator[ClaimChange]:
        yield from changes(recorded, observe.look_at_vms(self._cluster, self._clock, recorded.namespace))


def vms_of(
    captured: CapturedApplications, applications: Collection[ApplicationVerdict], namespace: str
) -> Sequence[VmFacts]:
    """Return the facts of the applications' VMs in a namespace."""
    facts = captured.facts.get(namespace)
    names = {vm for each in applications if each.namespace == namespace for vm in each.vms}
    return [vm for vm in facts.machines if vm.name in names] if facts else []
