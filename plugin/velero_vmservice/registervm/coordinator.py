"""The answers of all registration sources about a restore's VMs, and RegisterVM if the settings want it."""

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
"""States for which RegisterVM is called, if every certain answer is one of them and no engine knows the VM. A VM in any
other state, such as registering, registered or failed, is left alone."""
_BEGUN: Final = frozenset({State.REGISTERING, State.REGISTERED})
"""The states of a VM after a call of RegisterVM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeCall:
    """The state of a VM before a user calls RegisterVM for it."""

    registration: Registration
    left_alone: Registration | None
    """The answer that prevents a call, see `preflight.left_alone`."""
    doubts: Mapping[str, str]
    """Reasons for doubt before the user agrees, see `preflight.doubts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Polled:
    """The sources' answers of one round about the VMs of a namespace."""

    namespace: str
    answers: Collection[Answer]
    registrations: Mapping[str, Registration]
    """The combined answers, by VM."""
    look: Look


class Registering:
    """One answer for each VM and look, from Kubernetes, the other sources and the calls of RegisterVM."""

    def __init__(
        self, *, poller: SourcePoller, attempts: Attempts, tracker: AttemptTracker, trigger: Trigger | None = None
    ) -> None:
        """Set up; `trigger` is None if RegisterVM cannot be called."""
        self._poller = poller
        self._attempts = attempts
        self._tracker = tracker
        self.trigger = trigger

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return the names of all sources."""
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

        RegisterVM is called if the restore or the settings say so; otherwise calls are only followed, because a user
        may have made one. An unreachable source is a note of each VM. After `until` no other source is asked.
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
        """Return the same before a restore, without a call of RegisterVM and without a record.

        The answers say whether a restore would call RegisterVM, or why not.
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
        """Look at a namespace for these VMs, and ask every source, without a call of RegisterVM.

        If they belong to a restore, its calls are followed.
        """
        polled = self._poll(namespace, vms, Look())
        if restore is None:
            return polled.registrations
        recorded = self._attempts.recorded(restore, namespace)
        followed = self._followed(polled, recorded)
        return {name: _with_problem(registration, recorded) for name, registration in followed.items()}

    def before_call(self, namespace: str, vms: Collection[ExpectedVm]) -> Mapping[str, BeforeCall]:
        """Look before a user calls RegisterVM for these VMs; returns their states by name."""
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
        """Return the trigger of a restore; None if the restore does not call RegisterVM."""
        return self.trigger if self.trigger is not None and self.trigger.calls_for(restore) else None

    def _poll(self, namespace: str, vms: Collection[ExpectedVm], look: Look, *, until: float = float("inf")) -> _Polled:
        answers = self._poller.poll(namespace, vms, look, until=until)
        registrations = combine([vm.name for vm in vms], answers)
        return _Polled(namespace=namespace, answers=answers, registrations=registrations, look=look)

    def _followed(
        self, polled: _Polled, recorded: Recorded, *, until: float = float("inf")
    ) -> Mapping[str, Registration]:
        """Return the sources' answers with the state of the recorded attempts for these VMs."""
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
        """Return the sources' answers with the state of the plugin's own calls.

        If the calls cannot be followed now, a note says so, and the ends of the `known` attempts still count.
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
    """Return the VMs that only lack RegisterVM, by the sources' answers.

    A source without an answer may be at work on any of them; an unreachable vCenter shows at the call.
    """
    if any(answer.problem for answer in polled.answers if answer.source is not Source.VCENTER):
        return frozenset()
    return frozenset(name for name in polled.registrations if _is_left_to_us(name, polled.answers))


def _is_left_to_us(name: str, answers: Collection[Answer]) -> bool:
    """Say whether a VM only lacks RegisterVM; the preflight checks other reasons against a call."""
    if not all(map(preflight.not_its_own, preflight.engines_say(name, answers))):
        return False  # an engine will register it, has failed, or answers nonsense: a user has to decide
    certain = {
        source: registration.state
        for source, registration in by_source(name, answers).items()
        if registration.certain and registration.state is not State.UNKNOWN
    }
    if certain.get(Source.VCENTER) is State.RESTORED and certain.get(Source.KUBERNETES) is State.READY:
        del certain[Source.KUBERNETES]  # it has not yet seen the other VM under the name
    return bool(certain) and _TO_CALL_FOR.issuperset(certain.values())


def _with_call(name: str, registration: Registration, answers: Collection[Answer], ours: Registration) -> Registration:
    """Return the combined answer for a VM, with the plugin's own call."""
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
    """Say whether a user has called again after a failed call, so that the VM is registering or registered.

    vCenter's newest task decides. A VirtualMachine or its disks count only if they are newer: remains of the plugin's
    own call may have looked unfinished ever since.
    """
    if ours.state is not State.FAILED:
        return False
    if registration.state is State.REGISTERING and Source.VCENTER in registration.sources:
        return True
    if registration.state not in _BEGUN or Source.KUBERNETES not in registration.sources or registration.first_seen:
        return False
    return ours.since is not None and registration.since is not None and registration.since > ours.since


def _overruled(vcenter: Answer, name: str, called: State) -> Answer:
    """Treat vCenter's answer as a guess if the state of the call comes from the same look and says more."""
    if vcenter.registrations is None or name not in vcenter.registrations:
        return vcenter
    registration = vcenter.registrations[name]
    if registration.state is not called and registration.state not in _TO_CALL_FOR:
        return vcenter
    return replace(vcenter, registrations={name: replace(registration, certain=False, can_wait=True, reason="")})
