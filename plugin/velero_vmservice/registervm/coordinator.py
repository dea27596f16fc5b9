"""What every registration source says of the VMs that a restore waits for; RegisterVM where the settings ask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from velero_vmservice.registervm import messages, preflight
from velero_vmservice.registration.merge import combine
from velero_vmservice.registration.model import Answer, Source, State, by_source
from velero_vmservice.registration.sources import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.registervm.attempt import Attempt, ForRestore
    from velero_vmservice.registervm.attempt_store import Attempts, Recorded
    from velero_vmservice.registervm.tracker import AttemptTracker
    from velero_vmservice.registervm.trigger import Trigger
    from velero_vmservice.registration.model import Registration
    from velero_vmservice.registration.poller import SourcePoller
    from velero_vmservice.supervisor.namespace_state import NamespaceState

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Polled:
    """What the sources of one round say of the VMs of a namespace."""

    namespace: str
    answers: Collection[Answer]
    registrations: Mapping[str, Registration]
    """The answers combined, by VM."""
    look: Look


class Registering:
    """One look's answer for each VM, from Kubernetes, the other sources and RegisterVM's own course."""

    def __init__(
        self, *, poller: SourcePoller, attempts: Attempts, tracker: AttemptTracker, trigger: Trigger | None = None
    ) -> None:
        """Put together; `trigger` is None where RegisterVM cannot be called."""
        self._poller = poller
        self._attempts = attempts
        self._tracker = tracker
        self.trigger = trigger

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return the names of all that are asked."""
        return self._poller.names

    def ask(
        self,
        restore: ForRestore,
        observed: NamespaceState,
        vms: Collection[ExpectedVm],
        *,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Return one answer for each VM, by name.

        RegisterVM is called where the restore or the settings say so, else only followed: a person may have called it.
        A source that is away is a note of each VM. After `until` no other source is asked.
        """
        if not vms:
            return {}
        if (calling := self._calling(restore)) is None:
            recorded = self._attempts.recorded(restore, observed.namespace)
            polled = self._poll(observed.namespace, vms, Look(observed=observed), until=until)
            return self._followed(polled, recorded, until=until)
        polled = self._poll(observed.namespace, vms, Look(observed=observed), until=until)
        advance = partial(
            calling.advance,
            restore,
            polled.namespace,
            vms,
            polled.look,
            may_call=_may_be_called_for(polled),
            until=until,
        )
        return self._with_calls(polled, advance, lambda: self._attempts.last(restore, polled.namespace), until=until)

    def foresee(
        self,
        restore: ForRestore,
        observed: NamespaceState,
        vms: Collection[ExpectedVm],
        *,
        until: float = float("inf"),
    ) -> Mapping[str, Registration]:
        """Return the same before a restore; RegisterVM is not called, and nothing is recorded.

        Where a restore would call it, or would not and why, is said.
        """
        if not vms:
            return {}
        polled = self._poll(observed.namespace, vms, Look(observed=observed), until=until)
        if (calling := self._calling(restore)) is None:
            return polled.registrations
        foresee = partial(
            calling.foresee, restore, polled.namespace, vms, polled.look, may_call=_may_be_called_for(polled)
        )
        return self._with_calls(polled, foresee, tuple, until=until)

    def look(
        self, namespace: str, vms: Collection[ExpectedVm], *, restore: ForRestore | None = None
    ) -> Mapping[str, Registration]:
        """Look at a namespace for the sake of these VMs, and ask every source; RegisterVM is not called.

        Where they belong to a restore, the calls that were made for its sake are followed.
        """
        polled = self._poll(namespace, vms, Look())
        if restore is None:
            return polled.registrations
        recorded = self._attempts.recorded(restore, namespace)
        followed = self._followed(polled, recorded)
        return {name: _with_problem(registration, recorded) for name, registration in followed.items()}

    def before_call(self, namespace: str, vms: Collection[ExpectedVm]) -> Mapping[str, BeforeCall]:
        """Look before a person has RegisterVM called for these VMs; by name."""
        polled = self._poll(namespace, vms, Look())
        return {
            name: BeforeCall(
                registration=registration,
                left_alone=preflight.left_alone(name, polled.answers),
                doubts=preflight.doubts(name, polled.answers),
            )
            for name, registration in polled.registrations.items()
        }

    def _calling(self, restore: ForRestore) -> Trigger | None:
        """Return what calls RegisterVM in the course of a restore; None where nothing does."""
        return self.trigger if self.trigger is not None and self.trigger.calls_for(restore) else None

    def _poll(self, namespace: str, vms: Collection[ExpectedVm], look: Look, *, until: float = float("inf")) -> _Polled:
        answers = self._poller.poll(namespace, vms, look, until=until)
        registrations = combine([vm.name for vm in vms], answers)
        return _Polled(namespace=namespace, answers=answers, registrations=registrations, look=look)

    def _followed(
        self, polled: _Polled, recorded: Recorded, *, until: float = float("inf")
    ) -> Mapping[str, Registration]:
        """Return what the sources say, and where the recorded attempts for these VMs stand."""
        attempts = {attempt.vm: attempt for attempt in recorded.attempts if attempt.vm in polled.registrations}
        if not attempts:
            return polled.registrations
        called_for = replace(polled, registrations={name: polled.registrations[name] for name in attempts})
        advance = partial(self._tracker.advance, attempts.values(), polled.look, until=until)
        followed = self._with_calls(called_for, advance, attempts.values, until=until)
        noted = {name: _with_problem(registration, recorded) for name, registration in followed.items()}
        return {**polled.registrations, **noted}

    def _with_calls(
        self,
        polled: _Polled,
        advance: Callable[[], Mapping[str, Registration]],
        known: Callable[[], Collection[Attempt]],
        *,
        until: float,
    ) -> Mapping[str, Registration]:
        """Return what the sources say, our own calls included.

        Where these cannot be followed now that is a note, and the ends of the `known` attempts count all the same.
        """
        called = self._poller.ask(Source.TRIGGER, polled.namespace, advance, until=until)
        ours = called.registrations
        if ours is None:
            answers = [*polled.answers, called]
            polled = replace(polled, answers=answers, registrations=combine(polled.registrations, answers))
            ours = self._tracker.ended(known(), polled.look)
        return {
            name: _with_call(name, registration, polled.answers, ours[name]) if name in ours else registration
            for name, registration in polled.registrations.items()
        }


def _may_be_called_for(polled: _Polled) -> frozenset[str]:
    """Return the VMs for which nothing but RegisterVM is missing, as far as the sources say.

    A source that cannot be asked may be at work on any of them; a vCenter that is away shows at the call.
    """
    if any(answer.problem for answer in polled.answers if answer.source is not Source.VCENTER):
        return frozenset()
    return frozenset(name for name in polled.registrations if _is_left_to_us(name, polled.answers))


def _is_left_to_us(name: str, answers: Collection[Answer]) -> bool:
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


def _with_call(name: str, registration: Registration, answers: Collection[Answer], ours: Registration) -> Registration:
    """Return what all say of a VM, our own call included."""
    if registration.state is State.READY or _called_anew(registration, ours):
        return replace(registration, notes=tuple(dict.fromkeys((*registration.notes, *ours.notes))))
    others = [_overruled(answer, name, ours.state) if answer.source is Source.VCENTER else answer for answer in answers]
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
