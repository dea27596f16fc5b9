"""What every registration source says of the VMs that a restore waits for; RegisterVM where the settings ask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from velero_vmservice.registervm import messages, preflight
from velero_vmservice.registervm.caller import ForRestore
from velero_vmservice.registervm.tracker import Recorded
from velero_vmservice.registration.merge import combine
from velero_vmservice.registration.model import Answer, Source, State, by_source
from velero_vmservice.registration.round_cache import Look

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from velero_vmservice.archive.expected_vm import ExpectedVm
    from velero_vmservice.registervm.caller import Trigger
    from velero_vmservice.registervm.tracker import Following
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.poller import SourcePoller
    from velero_vmservice.supervisor.namespace_state import NamespaceState
    from velero_vmservice.velero.runs import RestoreRun

_TO_CALL_FOR: Final = frozenset({State.ABSENT, State.RESTORED})
"""States for which RegisterVM is called, if every certain answer is one of them and no engine knows the VM; one that is
being registered, is registered or has failed is left alone."""
_BEGUN: Final = frozenset({State.REGISTERING, State.REGISTERED})
"""What RegisterVM makes of a VM that it is called for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeCall:
    """Where a VM stands before a person has RegisterVM called for it."""

    registration: Registration
    left_alone: Registration | None
    """The answer because of which it is not called, see `preflight.left_alone`."""
    doubts: Mapping[str, str]
    """What a person has to know before saying yes, see `preflight.doubts`."""


class Caller(Protocol):
    """Calls RegisterVM for VMs that it may be called for, or says what a restore would do."""

    def __call__(
        self,
        namespace: str,
        vms: Collection[ExpectedVm],
        look: Look | None = None,
        *,
        may_call: Collection[str] | None = None,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Return where each VM stands that something is to be said of, by name."""


class Registering:
    """One look's answer for each VM, from Kubernetes, the other sources and RegisterVM's own course."""

    def __init__(self, *, poller: SourcePoller, following: Following, trigger: Trigger | None = None) -> None:
        """Put together; `trigger` is None where RegisterVM cannot be called."""
        self._poller = poller
        self._following = following
        self.trigger = trigger

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return the names of all that are asked."""
        return self._poller.names

    def ask(
        self,
        run: RestoreRun,
        observed: NamespaceState,
        vms: Collection[ExpectedVm],
        *,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Return one answer for each VM, by name.

        RegisterVM is called where the settings say so, else only followed: a person may have called it. A source that
        is away is a note of each VM. After `until` no other source is asked.
        """
        if self.trigger is None:
            return self._ask(run, observed, vms, None, until=until)
        restore = ForRestore(uid=run.uid, name=run.name)
        return self._ask(run, observed, vms, partial(self.trigger.advance, restore), until=until)

    def foresee(
        self,
        run: RestoreRun,
        observed: NamespaceState,
        vms: Collection[ExpectedVm],
        *,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Return the same before a restore, which has no attempts; RegisterVM is not called, and nothing is recorded.

        Where a restore would call it, or would not and why, is said.
        """
        caller = self.trigger.foresee if self.trigger is not None else None
        return self._ask(replace(run, uid=""), observed, vms, caller, until=until)

    def _ask(
        self,
        run: RestoreRun,
        observed: NamespaceState,
        vms: Collection[ExpectedVm],
        caller: Caller | None,
        *,
        until: float,
    ) -> Mapping[str, Registration]:
        namespace = observed.namespace
        calls = self.trigger is not None and self.trigger.enabled
        if not vms:
            return {}
        recorded = self._following.attempts(run.uid, namespace) if run.uid and not calls else Recorded()
        look = Look(observed=observed)
        answers = self._poller.poll(namespace, vms, look, until=until)
        registrations = combine([vm.name for vm in vms], answers)
        if caller is None or not calls:
            return self._followed(registrations, answers, recorded, look, until=until)
        # a source that cannot be asked may be at work on any of them; a vCenter that is away shows at the call
        all_asked = not any(answer.problem for answer in answers if answer.source != Source.VCENTER)
        may_call = {name for name in registrations if all_asked and _may_be_called_for(name, answers)}
        advance = partial(caller, namespace, vms, look, may_call=may_call, until=until)
        called = self._poller.ask(Source.TRIGGER, namespace, advance, until=until)
        ended = self._following.ended(self._following.last(run.uid, namespace), look) if called.problem else {}
        return registrations | _with_calls(registrations, answers, called, ended)

    def look(self, namespace: str, vms: Collection[ExpectedVm], *, restore_uid: str = "") -> Mapping[str, Registration]:
        """Look at a namespace for the sake of these VMs, and ask every source; RegisterVM is not called.

        Where they belong to a restore, the calls that were made for its sake are followed.
        """
        look = Look()
        answers = self._poller.poll(namespace, vms, look)
        registrations = combine([vm.name for vm in vms], answers)
        recorded = self._following.attempts(restore_uid, namespace) if restore_uid else Recorded()
        followed = self._followed(registrations, answers, recorded, look)
        return {name: _with_problem(registration, recorded) for name, registration in followed.items()}

    def _followed(
        self,
        registrations: dict[str, Registration],
        answers: Collection[Answer],
        recorded: Recorded,
        look: Look,
        *,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Return the combined answers, and where the recorded attempts for these VMs stand."""
        attempts = [attempt for attempt in recorded.attempts if attempt.vm in registrations]
        if not attempts:
            return registrations
        advance = partial(self._following.advance, attempts, look, until=until)
        called = self._poller.ask(Source.TRIGGER, attempts[0].namespace, advance, until=until)
        ended = self._following.ended(attempts, look) if called.problem else {}
        combined = _with_calls({attempt.vm: registrations[attempt.vm] for attempt in attempts}, answers, called, ended)
        return registrations | {name: _with_problem(registration, recorded) for name, registration in combined.items()}

    def before_call(self, namespace: str, vms: Collection[ExpectedVm]) -> Mapping[str, BeforeCall]:
        """Look before a person has RegisterVM called for these VMs; by name."""
        answers = self._poller.poll(namespace, vms, Look())
        registrations = combine([vm.name for vm in vms], answers)
        return {
            name: BeforeCall(
                registration=registration,
                left_alone=preflight.left_alone(name, answers),
                doubts=preflight.doubts(name, answers),
            )
            for name, registration in registrations.items()
        }


def _may_be_called_for(name: str, answers: Collection[Answer]) -> bool:
    """Say whether nothing but RegisterVM is missing; the preflight checks what else speaks against it."""
    if not all(map(preflight.not_its_own, preflight.engines_say(name, answers))):
        return False  # an engine registers it sooner or later, has failed to, or talks nonsense: a person decides
    certain = {
        source: registration.state
        for source, registration in by_source(name, answers).items()
        if registration.certain and registration.state is not State.UNKNOWN
    }
    if certain.get(Source.VCENTER) is State.RESTORED and certain.get(Source.KUBERNETES) is State.READY:
        del certain[Source.KUBERNETES]  # it has not seen yet that another VM lies under it
    return bool(certain) and _TO_CALL_FOR.issuperset(certain.values())


def _with_calls(
    registrations: Mapping[str, Registration],
    answers: Collection[Answer],
    called: Answer,
    ended: Mapping[str, Registration],
) -> dict[str, Registration]:
    """Return what all say of these VMs, our own calls included.

    Where these cannot be followed now that is a note, and what is `ended` is known all the same.
    """
    ours = called.registrations
    if ours is None:
        answers = [*answers, called]
        registrations, ours = combine(registrations, answers), ended
    return {
        name: _with_call(name, registration, answers, ours[name]) if name in ours else registration
        for name, registration in registrations.items()
    }


def _with_call(name: str, registration: Registration, answers: Collection[Answer], ours: Registration) -> Registration:
    """Return what all say of a VM, our own call included."""
    if registration.state is State.READY or _called_anew(registration, ours):
        return replace(registration, notes=tuple(dict.fromkeys((*registration.notes, *ours.notes))))
    others = [_overruled(answer, name, ours.state) if answer.source == Source.VCENTER else answer for answer in answers]
    return combine([name], [*others, Answer(source=Source.TRIGGER, registrations={name: ours})])[name]


def _with_problem(registration: Registration, recorded: Recorded) -> Registration:
    """Note that the records could not be read."""
    if not recorded.problem:
        return registration
    return replace(registration, notes=tuple(dict.fromkeys((*registration.notes, messages.unread(recorded.problem)))))


def _called_anew(registration: Registration, ours: Registration) -> bool:
    """Say whether it was registered, or is being, since our own call failed: a person fixed the cause and called.

    vCenter's newest task is the last word. Of a VirtualMachine or its disks only what was made later tells: what our
    own call has left behind may have looked unfinished ever since.
    """
    if ours.state is not State.FAILED:
        return False
    if registration.state is State.REGISTERING and Source.VCENTER in registration.sources:
        return True
    if registration.state not in _BEGUN or Source.KUBERNETES not in registration.sources or registration.first_seen:
        return False
    return ours.since is not None and registration.since is not None and registration.since > ours.since


def _overruled(vcenter: Answer, name: str, called: State) -> Answer:
    """Take vCenter's answer for a guess where the call's own words rest on the same look and say more."""
    if vcenter.registrations is None or name not in vcenter.registrations:
        return vcenter
    registration = vcenter.registrations[name]
    if registration.state is not called and registration.state not in _TO_CALL_FOR:
        return vcenter
    return replace(vcenter, registrations={name: replace(registration, certain=False, can_wait=True, reason="")})
