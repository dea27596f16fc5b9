"""What every registration engine must hold; see docs/registration-api.md for how to run it against one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import pytest

from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.pb.registration.v1 import registration_pb2_grpc as services
from velero_vmservice.vsphere.registervm_errors import IN_DESIRED_STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.conformance.examined import Examined

_METHOD = "/vmservice.registration.v1.RegistrationEngine/"
_VMS_PER_CALL = 1000
_DEADLINE = 5.0
_NEVER = "no-machine-of-this-name"
_NO_NAMESPACE = "no-namespace-of-this-name"
_NOWHERE = {pb.STATE_ABSENT, pb.STATE_UNSPECIFIED}
"""What an engine says of a VM that it has looked for in vain, or does not handle."""


@pytest.fixture(name="channel", scope="module")
def _channel(examined: Examined) -> Iterator[grpc.Channel]:
    """A connection to the engine."""
    with examined.channel() as channel:
        yield channel


def _ask(channel: grpc.Channel, namespace: str, machines: Iterable[pb.Machine]) -> Sequence[pb.Registration]:
    """Ask, and check what holds for every answer."""
    question = pb.GetRegistrationsRequest(namespace=namespace, machines=machines)
    answer = services.RegistrationEngineStub(channel).GetRegistrations(question, timeout=_DEADLINE)
    names = sorted(machine.name for machine in question.machines)
    assert sorted(registration.name for registration in answer.registrations) == names, (
        "one answer for each VM, none besides"
    )
    for registration in answer.registrations:
        _keeps_the_rules(registration)
    return answer.registrations


def _keeps_the_rules(registration: pb.Registration) -> None:
    assert registration.state in pb.State.values(), "a state of this version"
    assert registration.percent <= 100
    assert len(registration.stage) <= 100
    assert len(registration.error_code) <= 100
    assert len(registration.message) <= 500
    for text in (registration.stage, registration.error_code, registration.message):
        assert text.isprintable(), "one line, no control characters"
    if registration.HasField("since"):
        now = datetime.now(UTC)
        assert now - timedelta(days=3650) < registration.since.ToDatetime(UTC) < now + timedelta(minutes=1)
    if registration.state in {pb.STATE_FAILED, pb.STATE_NOT_RESTORABLE, pb.STATE_UNSPECIFIED}:
        assert registration.error_code or registration.message, "trouble has a code or a sentence"
    registered = {pb.STATE_REGISTERED, pb.STATE_READY}
    if registration.state in {*registered, pb.STATE_ABSENT}:
        expected = {IN_DESIRED_STATE} if registration.state in registered else set()
        assert registration.error_code in {"", *expected}, "no trouble, no code"


def _vms(*names: str) -> list[pb.Machine]:
    return [pb.Machine(name=name) for name in names]


def test_each_vm_is_answered_for_once_and_none_besides(examined: Examined, channel: grpc.Channel) -> None:
    _ask(channel, examined.namespace, _vms(_NEVER, *examined.machines, f"{_NEVER}-2"))


def test_each_vm_that_is_there_has_a_known_state(examined: Examined, channel: grpc.Channel) -> None:
    for registration in _ask(channel, examined.namespace, _vms(*examined.machines)):
        assert registration.state not in _NOWHERE, registration.name


def test_one_vm_alone_is_answered_as_among_others(examined: Examined, channel: grpc.Channel) -> None:
    for name in examined.machines:
        (alone,) = _ask(channel, examined.namespace, _vms(name))
        assert alone.state not in _NOWHERE


def test_an_empty_question_has_an_empty_answer(examined: Examined, channel: grpc.Channel) -> None:
    assert not _ask(channel, examined.namespace, [])


def test_a_vm_that_is_not_there_is_nowhere(examined: Examined, channel: grpc.Channel) -> None:
    (answer,) = _ask(channel, examined.namespace, _vms(_NEVER))

    assert answer.state in _NOWHERE


def test_a_namespace_that_is_not_there_is_no_error(examined: Examined, channel: grpc.Channel) -> None:
    for registration in _ask(channel, _NO_NAMESPACE, _vms(*examined.machines)):
        assert registration.state in _NOWHERE


def test_a_vm_with_other_uuids_is_another_one(examined: Examined, channel: grpc.Channel) -> None:
    unknown_uuid = "00000000-0000-4000-8000-000000000000"
    machines = [pb.Machine(name=name, instance_uuid=unknown_uuid, bios_uuid=unknown_uuid) for name in examined.machines]

    for registration in _ask(channel, examined.namespace, machines):
        assert registration.state in _NOWHERE


def test_a_thousand_vms_are_looked_up_within_the_deadline(examined: Examined, channel: grpc.Channel) -> None:
    others = (f"{_NEVER}-{number}" for number in range(_VMS_PER_CALL - len(examined.machines)))

    assert len(_ask(channel, examined.namespace, _vms(*examined.machines, *others))) == _VMS_PER_CALL


def test_more_vms_are_answered_or_refused_and_never_cut(examined: Examined, channel: grpc.Channel) -> None:
    names = [f"{_NEVER}-{number}" for number in range(_VMS_PER_CALL + 1)]
    try:
        _ask(channel, examined.namespace, _vms(*names))
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 - either answer is right


@pytest.mark.parametrize("name", ["", "v" * 253, "../../etc/passwd", "%n%s%x", "a\nb", "'; --", "Ünïcödé", "*"])
def test_a_strange_name_is_nowhere_or_refused_and_nothing_worse(
    examined: Examined, channel: grpc.Channel, name: str
) -> None:
    try:
        (answer,) = _ask(channel, examined.namespace, _vms(name))
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017 - either answer is right
    else:
        assert answer.state in _NOWHERE


def test_a_field_of_a_later_version_is_passed_over(examined: Examined, channel: grpc.Channel) -> None:
    question = pb.GetRegistrationsRequest(namespace=examined.namespace, machines=_vms(*examined.machines))
    call = channel.unary_unary(f"{_METHOD}GetRegistrations")

    answer = call(question.SerializeToString() + b"\xc2\x3e\x05later", timeout=_DEADLINE)

    assert len(pb.GetRegistrationsResponse.FromString(answer).registrations) == len(examined.machines)


def test_bytes_that_are_no_question_are_refused(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError):
        channel.unary_unary(f"{_METHOD}GetRegistrations")(b"\xff\xff\xff", timeout=_DEADLINE)


def test_a_method_of_a_later_version_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"{_METHOD}LaterMethod")(b"", timeout=_DEADLINE)

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_many_threads_may_look_at_once(examined: Examined, channel: grpc.Channel) -> None:
    def ask(number: int) -> str:
        _ask(channel, examined.namespace, _vms(f"{_NEVER}-{number}", *examined.machines))
        return f"{number} answered"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(32))) == [f"{number} answered" for number in range(32)]


def test_the_plugin_reads_every_answer_without_a_complaint(examined: Examined) -> None:
    source = RegistrationEngine(examined.settings, SystemClock())
    wanted = [ExpectedVm(name=name) for name in (*examined.machines, _NEVER)]

    registrations = source.observe(examined.namespace, wanted)

    assert {name: registration.notes for name, registration in registrations.items()} == {vm.name: () for vm in wanted}
