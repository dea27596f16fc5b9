"""What every registration source says of the machines that a restore waits for; RegisterVM where the settings ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.core import kubernetes_registration, trigger_words
from velero_vmservice.core.combine import Answer, combine
from velero_vmservice.core.errors import VmServiceError
from velero_vmservice.core.registration import State, Wanted
from velero_vmservice.flows import observe
from velero_vmservice.flows.trigger import ForRestore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from velero_vmservice.core.observation import Observation
    from velero_vmservice.core.operation import RestoreRun
    from velero_vmservice.core.plan import Subject
    from velero_vmservice.core.ports import Clock, Cluster
    from velero_vmservice.core.registration import Registration
    from velero_vmservice.flows.registration_sources import RegistrationSources
    from velero_vmservice.flows.trigger import Trigger

TO_REGISTER: Final = frozenset({State.UNKNOWN, State.ABSENT, State.RESTORED, State.REGISTERING, State.FAILED})
"""For these RegisterVM is called, or an earlier call followed; a machine that is registered is left alone."""


class Registering:
    """One look's answer for each machine, from Kubernetes, the other sources and RegisterVM's own course."""

    def __init__(
        self, *, cluster: Cluster, clock: Clock, others: RegistrationSources, trigger: Trigger | None = None
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._others = others
        self.trigger = trigger

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the names of all that are asked."""
        return (kubernetes_registration.NAME, *self._others.names)

    def ask(self, run: RestoreRun, observed: Observation, subjects: Iterable[Subject]) -> Mapping[str, Registration]:
        """Return one answer for each machine that the objects need, by name; nothing where only Kubernetes is asked.

        RegisterVM is called where the settings say so. A source that is away is a note of each machine.
        """
        triggering = self.trigger is not None and self.trigger.enabled
        if not self._others.names and not triggering:
            return {}
        machines = wanted(subjects)
        answers = self._answers(observed, machines)
        told = combine([one.name for one in machines], answers)
        if self.trigger is None or not triggering:
            return told
        to_register = [one for one in machines if told[one.name].state in TO_REGISTER]
        called = _advance(self.trigger, run, observed.namespace, to_register)
        names = {one.name for one in to_register}
        return told | {name: combine([name], [*answers, called])[name] for name in names}

    def look(self, namespace: str, machines: Collection[Wanted]) -> Mapping[str, Registration]:
        """Look at a namespace for the sake of these machines, and ask every source; RegisterVM is not called."""
        try:
            own = self._answers(observe.look_at_machines(self._cluster, self._clock, namespace), machines)
        except VmServiceError as error:
            away = Answer(source=kubernetes_registration.NAME, problem=str(error))
            own = [away, *self._others.answers(namespace, machines)]
        return combine([one.name for one in machines], own)

    def _answers(self, observed: Observation, machines: Collection[Wanted]) -> list[Answer]:
        found = kubernetes_registration.registrations(observed, machines)
        own = Answer(source=kubernetes_registration.NAME, found=found)
        return [own, *self._others.answers(observed.namespace, machines)]


def wanted(subjects: Iterable[Subject]) -> list[Wanted]:
    """Return the machines that the objects need, each once, with what the capture knows of them."""
    facts = {name: one.topology.machine(name) for one in subjects for name in one.topology.needs}
    return [
        Wanted(name=name, instance_uuid=one.instance_uuid, bios_uuid=one.bios_uuid, facts=one)
        if one
        else Wanted(name=name)
        for name, one in sorted(facts.items())
    ]


def _advance(trigger: Trigger, run: RestoreRun, namespace: str, machines: Collection[Wanted]) -> Answer:
    restore = ForRestore(uid=run.uid, name=run.name)
    try:
        return Answer(source=trigger_words.NAME, found=trigger.advance(restore, namespace, machines))
    except VmServiceError as error:
        return Answer(source=trigger_words.NAME, problem=str(error))
