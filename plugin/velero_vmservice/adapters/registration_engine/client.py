"""The registration state from an external engine: the RegistrationSource port over `protos/registration/v1`.

An engine gets questions, never commands. Its answers are not trusted: a contradictory answer counts as unknown, with a
reason, texts are cut to a line, and no answer fails a restore. Each look opens a connection of its own, which is cheap
compared with a round of waiting: renewed certificates take effect at once, and neither a half-open connection nor the
back-off of an earlier failure makes an answer stale.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import grpc
import structlog

from velero_vmservice.adapters.registration_engine import errors, tls
from velero_vmservice.errors import VmServiceError
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.pb.registration.v1 import registration_pb2_grpc as services
from velero_vmservice.registration.model import NEEDS_A_PERSON, Registration, Source, State
from velero_vmservice.text import one_line
from velero_vmservice.vsphere.registervm_errors import IN_DESIRED_STATE, explain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.clock import Clock
    from velero_vmservice.registration.sources import Look
    from velero_vmservice.settings.registration import EngineSettings

VMS_PER_CALL: Final = 1000
"""The API's limit; the longest answer to so many VMs fits into the next limit."""

_LONGEST_ANSWER: Final = 4 * 2**20
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _LONGEST_ANSWER),
    ("grpc.use_local_subchannel_pool", 1),  # otherwise a look would inherit the back-off of another
)

_LONGEST_MESSAGE: Final = 500
_LONGEST_WORD: Final = 100
"""The most characters of a stage or code."""

_PERCENT: Final = 100
_SKEW: Final = timedelta(minutes=1)
"""How far an engine's clock may be ahead before an answer has a note about it."""

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier than any state, and later than the zero time of a programming language, which means an unset time."""

_PROBE_SECONDS: Final = 1.0

_STATES: Final[Mapping[int, State]] = {
    pb.STATE_UNSPECIFIED: State.UNKNOWN,
    pb.STATE_ABSENT: State.ABSENT,
    pb.STATE_RESTORED: State.RESTORED,
    pb.STATE_REGISTERING: State.REGISTERING,
    pb.STATE_REGISTERED: State.REGISTERED,
    pb.STATE_READY: State.READY,
    pb.STATE_PAUSED: State.PAUSED,
    pb.STATE_SNAPSHOT_REVERT: State.SNAPSHOT_REVERT,
    pb.STATE_FAILED: State.FAILED,
    pb.STATE_NOT_RESTORABLE: State.NOT_RESTORABLE,
}
_WITHOUT_ERROR: Final = frozenset({State.ABSENT, State.REGISTERED, State.READY})
"""States that exclude an error code."""

_log = structlog.get_logger()


class RegistrationEngine:
    """Asks one engine."""

    def __init__(self, settings: EngineSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def name(self) -> Source:
        return Source.ENGINE

    def observe(
        self, namespace: str, vms: Collection[ExpectedVm], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Ask for all VMs, a thousand per call; see the port.

        All calls of a look share one deadline, that of the settings. A failed call fails the look, because half an
        answer could be taken for the whole.
        """
        del look  # an engine looks by itself
        wanted = tuple({vm.name: vm for vm in vms}.values())
        if not wanted:
            return {}
        ends = self._clock.monotonic() + self._settings.timeout_seconds
        answers: list[pb.Registration] = []
        try:
            with self._channel() as channel:
                for question in _questions(namespace, wanted):
                    answers += self._ask(channel, question, ends)
        except VmServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - the last place that knows the engine
            raise errors.no_question(error, target=self._settings.target, namespace=namespace) from None
        return self._sorted_out(namespace, wanted, answers)

    def _channel(self) -> grpc.Channel:
        target = f"dns:///{self._settings.target}"  # with a scheme, because a host called `unix` would be a file
        if self._settings.insecure:
            return grpc.insecure_channel(target, options=_OPTIONS)
        return grpc.secure_channel(target, tls.credentials(self._settings), options=_OPTIONS)

    def _ask(self, channel: grpc.Channel, question: pb.GetRegistrationsRequest, ends: float) -> list[pb.Registration]:
        remaining = ends - self._clock.monotonic()
        if remaining <= 0:  # gRPC would still send it, and might get an answer
            raise self._error(grpc.StatusCode.DEADLINE_EXCEEDED, "", question)
        try:
            return list(
                services.RegistrationEngineStub(channel).GetRegistrations(question, timeout=remaining).registrations
            )
        except grpc.RpcError as error:
            raise self._error(error.code(), error.details() or "", question) from error

    def _error(self, code: grpc.StatusCode, details: str, question: pb.GetRegistrationsRequest) -> VmServiceError:
        return errors.translate(
            code,
            details,
            target=self._settings.target,
            namespace=question.namespace,
            hung_up=lambda: tls.hung_up(self._settings, seconds=_PROBE_SECONDS),
        )

    def _sorted_out(
        self, namespace: str, wanted: Sequence[ExpectedVm], answers: Sequence[pb.Registration]
    ) -> Mapping[str, Registration]:
        now = self._clock.now()
        registrations = {vm.name: _unknown(vm.name, "the engine says nothing of this VM") for vm in wanted}
        first: dict[str, pb.Registration] = {}
        unasked = 0
        for answer in answers:
            if answer.name not in registrations:
                unasked += 1
            elif (earlier := first.setdefault(answer.name, answer)) is answer:
                registrations[answer.name] = _registration(answer, now)
            elif earlier != answer:
                registrations[answer.name] = _unknown(answer.name, "the engine contradicts itself about this VM")
        if unasked:
            _log.warning("engine answers for VMs that it was not asked about", namespace=namespace, vm_count=unasked)
        return registrations


def _questions(namespace: str, wanted: Sequence[ExpectedVm]) -> Iterator[pb.GetRegistrationsRequest]:
    for start in range(0, len(wanted), VMS_PER_CALL):
        yield pb.GetRegistrationsRequest(
            namespace=namespace,
            machines=(
                pb.Machine(name=vm.name, instance_uuid=vm.instance_uuid, bios_uuid=vm.bios_uuid)
                for vm in wanted[start : start + VMS_PER_CALL]
            ),
        )


def _unknown(name: str, reason: str) -> Registration:
    return Registration(name=name, state=State.UNKNOWN, reason=reason, sources=(Source.ENGINE,), certain=False)


def _registration(answer: pb.Registration, now: datetime) -> Registration:
    """Return the content of an answer; values that make no sense are left out, with a note."""
    state = State.UNKNOWN if _is_denied(answer) else _STATES.get(answer.state, State.UNKNOWN)
    percent = answer.percent if answer.HasField("percent") and answer.percent <= _PERCENT else None
    since = _moment(answer, now)
    return Registration(
        name=answer.name,
        state=state,
        reason=_reason(answer, state),
        percent=percent,
        stage=one_line(answer.stage, _LONGEST_WORD),
        code=one_line(answer.error_code, _LONGEST_WORD),
        certain=state is not State.UNKNOWN or answer.state == pb.STATE_UNSPECIFIED,
        can_wait=state not in NEEDS_A_PERSON,
        since=since,
        sources=(Source.ENGINE,),
        notes=tuple(_complaints(answer, percent, since)),
    )


def _is_denied(answer: pb.Registration) -> bool:
    """Say whether an answer has an error code although its state excludes one; already registered is not an error."""
    state = _STATES.get(answer.state, State.UNKNOWN)
    expected = state is not State.ABSENT and explain(answer.error_code).code == IN_DESIRED_STATE
    return state in _WITHOUT_ERROR and bool(answer.error_code) and not expected


def _reason(answer: pb.Registration, state: State) -> str:
    stated = ": ".join(filter(None, (_own_code(answer), one_line(answer.message, _LONGEST_MESSAGE))))
    if state is not State.UNKNOWN:
        entry = explain(one_line(answer.error_code, _LONGEST_WORD))
        return "; ".join(filter(None, (stated, str(entry)))) if entry.known else stated
    if answer.state not in _STATES:
        return f"the engine answers with state {answer.state}, which this release does not know"
    if _is_denied(answer):
        code = one_line(answer.error_code, _LONGEST_WORD)
        denied = f'the engine says "{_STATES[answer.state]}" with error code {code}, and both cannot be'
        return "; ".join(filter(None, (denied, one_line(answer.message, _LONGEST_MESSAGE))))
    return stated or "the engine cannot tell"


def _own_code(answer: pb.Registration) -> str:
    """Return a code of the engine's own, unless its text has it anyway; RegisterVM's codes are explained."""
    code = one_line(answer.error_code, _LONGEST_WORD)
    return "" if explain(code).known or code in answer.message else code


def _complaints(answer: pb.Registration, percent: int | None, since: datetime | None) -> Iterator[str]:
    if answer.HasField("percent") and percent is None:
        yield f"the engine reports {answer.percent} %, which is not a percentage"
    if answer.HasField("since") and since is None:
        yield "the engine reports a time that cannot be; compare its clock with this one"


def _moment(answer: pb.Registration, now: datetime) -> datetime | None:
    """Return when the state began, never later than `now`; None if the time is missing or impossible."""
    if not answer.HasField("since"):
        return None
    try:
        since = answer.since.ToDatetime(UTC)
    except (ValueError, OverflowError):
        return None
    return min(since, now) if _EARLIEST <= since <= now + _SKEW else None
