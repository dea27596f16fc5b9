"""One look at a namespace that is restored into: what is there, and what each registration source says of its VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from velero_vmservice.report.stage import Stage
from velero_vmservice.restore import order
from velero_vmservice.restore.model import expected_vms
from velero_vmservice.supervisor import observe
from velero_vmservice.vmoperator.references import referred_kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.restore.replay.state.namespace_round import NamespaceRound
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun

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
