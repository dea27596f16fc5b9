"""What a registration engine answers, sensible or not, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from tests.clock import SettableClock
from tests.registration_engine.engine import ReferenceEngine, serving
from tests.registration_engine.scripted import Answering
from velero_vmservice.adapters.registration_engine.client import RegistrationEngine
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.pb.registration.v1 import registration_pb2 as pb
from velero_vmservice.registration.model import Registration, Source, State
from velero_vmservice.settings.registration import EngineSettings
from velero_vmservice.vsphere.registervm_errors import TABLE, ErrorEntry, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_PATIENT = 60.0


def source(target: str, **changes: Any) -> RegistrationEngine:
    settings: dict[str, Any] = {"insecure": True, "timeout_seconds": _PATIENT} | changes
    return RegistrationEngine(EngineSettings(target=target, **settings), SettableClock(_NOW))


def timestamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


@pytest.fixture(name="engine")
def _engine() -> ReferenceEngine:
    return ReferenceEngine()


@pytest.fixture(name="target")
def _target(engine: ReferenceEngine) -> Iterator[str]:
    """Where the reference engine is served."""
    with serving(engine) as target:
        yield target


def answered(*answers: pb.Registration) -> Registration:
    """Return what becomes of answers to a question for `db-0`."""
    with serving(Answering(*answers)) as target:
        registrations = source(target).observe("shop", [ExpectedVm(name="db-0")])
    assert list(registrations) == ["db-0"]
    return registrations["db-0"]


def test_all_that_an_engine_says_of_a_vm_is_taken_over(engine: ReferenceEngine, target: str) -> None:
    began = _NOW - timedelta(minutes=3)
    engine.put(
        "shop",
        pb.Registration(
            name="db-0",
            state=pb.STATE_REGISTERING,
            percent=80,
            stage="Register volumes",
            message="waits for CNS",
            since=timestamp(began),
        ),
    )

    assert source(target).observe("shop", [ExpectedVm(name="db-0")]) == {
        "db-0": Registration(
            name="db-0",
            state=State.REGISTERING,
            reason="waits for CNS",
            percent=80,
            stage="Register volumes",
            since=began,
            sources=(Source.ENGINE,),
        )
    }


def test_a_failure_keeps_its_code_and_is_not_waited_out(engine: ReferenceEngine, target: str) -> None:
    code = "VCenterWcpWorkloadRegisterVMDuplicateVMBiosUUID"
    engine.put("shop", pb.Registration(name="db-0", state=pb.STATE_FAILED, error_code=code, message="a copy exists"))

    registration = source(target).observe("shop", [ExpectedVm(name="db-0")])["db-0"]

    assert (registration.state, registration.code, registration.can_wait) == (State.FAILED, code, False)
    assert registration.reason == f"a copy exists; {explain(code)}"


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        ("E-17", "no room", "E-17: no room"),
        ("E-17", "", "E-17"),
        ("E-17", "E-17: no room", "E-17: no room"),
        ("", "no room", "no room"),
    ],
)
def test_a_code_of_the_engines_own_is_shown_as_it_came(code: str, message: str, shown: str) -> None:
    registration = answered(pb.Registration(name="db-0", state=pb.STATE_FAILED, error_code=code, message=message))

    assert (registration.code, registration.reason) == (code, shown)


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.code)
def test_a_code_of_register_vm_is_explained_where_the_engine_says_nothing_else(entry: ErrorEntry) -> None:
    registration = answered(pb.Registration(name="db-0", state=pb.STATE_NOT_RESTORABLE, error_code=entry.code))

    assert registration.reason == str(entry)


@pytest.mark.parametrize("state", [pb.STATE_ABSENT, pb.STATE_REGISTERED, pb.STATE_READY])
@pytest.mark.parametrize("code", ["E-17", "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"])
def test_a_state_without_trouble_that_comes_with_an_error_is_not_believed(state: pb.State, code: str) -> None:
    registration = answered(pb.Registration(name="db-0", state=state, error_code=code, message="no room"))

    assert (registration.state, registration.code, registration.can_wait) == (State.UNKNOWN, code, True)
    assert registration.reason.endswith(f'" with error code {code}, and both cannot be; no room')
    assert not registration.certain
    assert registration.reason.startswith('the engine says "')


def test_to_be_registered_already_is_an_error_only_of_a_vm_that_is_not_there() -> None:
    states = [pb.STATE_ABSENT, pb.STATE_REGISTERED, pb.STATE_READY]
    registrations = [
        answered(pb.Registration(name="db-0", state=state, error_code="AlreadyInDesiredState")) for state in states
    ]

    assert [registration.state for registration in registrations] == [State.UNKNOWN, State.REGISTERED, State.READY]


@pytest.mark.parametrize(
    ("percent", "stage", "shown"),
    [
        (50, "Copying disks", "registering (50 %, Copying disks): 2 of 4"),
        (None, "Copying disks", "registering (Copying disks): 2 of 4"),
        (50, "", "registering (50 %, restore additional resources): 2 of 4"),
        (None, "", "registering: 2 of 4"),
    ],
)
def test_the_stage_that_an_engine_tells_is_shown_and_no_other(percent: int | None, stage: str, shown: str) -> None:
    answer = pb.Registration(name="db-0", state=pb.STATE_REGISTERING, percent=percent, stage=stage, message="2 of 4")

    assert str(answered(answer)) == shown


def test_each_state_of_the_model_has_its_own_value_in_the_protocol() -> None:
    states = {answered(pb.Registration(name="db-0", state=state)).state for state in pb.State.values()}

    assert states == set(State)


def test_only_a_state_that_needs_a_person_cannot_be_waited_out() -> None:
    final = {state for state in pb.State.values() if not answered(pb.Registration(name="db-0", state=state)).can_wait}

    assert final == {pb.STATE_SNAPSHOT_REVERT, pb.STATE_FAILED, pb.STATE_NOT_RESTORABLE}


def test_the_engine_is_asked_by_name_and_uuids_in_the_namespace(engine: ReferenceEngine, target: str) -> None:
    source(target).observe(
        "shop", [ExpectedVm(name="db-0", instance_uuid="5012", bios_uuid="4213"), ExpectedVm(name="web-0")]
    )

    assert engine.questions == [
        pb.GetRegistrationsRequest(
            namespace="shop",
            machines=[pb.Machine(name="db-0", instance_uuid="5012", bios_uuid="4213"), pb.Machine(name="web-0")],
        )
    ]


def test_another_vm_of_that_name_is_not_the_one_asked_for(engine: ReferenceEngine, target: str) -> None:
    engine.put("shop", pb.Registration(name="db-0", state=pb.STATE_READY), instance_uuid="5012", bios_uuid="4213")

    ours = source(target).observe("shop", [ExpectedVm(name="db-0", instance_uuid="9999", bios_uuid="4213")])
    another = source(target).observe("shop", [ExpectedVm(name="db-0", instance_uuid="9999", bios_uuid="8888")])

    assert ours["db-0"].state is State.READY
    assert another["db-0"].state is State.ABSENT


def test_a_vm_asked_for_twice_is_one_question(engine: ReferenceEngine, target: str) -> None:
    registrations = source(target).observe("shop", [ExpectedVm(name="db-0"), ExpectedVm(name="db-0")])

    assert list(registrations) == ["db-0"]
    assert [len(question.machines) for question in engine.questions] == [1]


def test_no_request_is_made_for_no_vms() -> None:
    assert source("engine.invalid:1").observe("shop", []) == {}


def test_ten_thousand_vms_are_ten_calls(engine: ReferenceEngine, target: str) -> None:
    names = [f"vm-{number:04}" for number in range(10_000)]
    for name in names:
        engine.put("shop", pb.Registration(name=name, state=pb.STATE_READY))

    registrations = source(target).observe("shop", [ExpectedVm(name=name) for name in names])

    assert list(registrations) == names
    assert {registration.state for registration in registrations.values()} == {State.READY}
    assert [len(question.machines) for question in engine.questions] == [1000] * 10


def test_the_longest_answer_that_the_api_allows_is_read(engine: ReferenceEngine, target: str) -> None:
    names = [f"{number:04}".rjust(253, "v") for number in range(1000)]
    for name in names:
        engine.put(
            "shop",
            pb.Registration(
                name=name,
                state=pb.STATE_FAILED,
                stage="\N{GOTHIC LETTER AHSA}" * 100,
                error_code="\N{GOTHIC LETTER AHSA}" * 100,
                message="\N{GOTHIC LETTER AHSA}" * 500,
                since=timestamp(_NOW),
            ),
        )

    registrations = source(target).observe("shop", [ExpectedVm(name=name) for name in names])

    assert {len(registration.stage) + len(registration.reason) for registration in registrations.values()} == {600}


def test_a_vm_that_the_engine_leaves_out_is_unknown() -> None:
    registration = answered()

    assert (registration.state, registration.reason) == (State.UNKNOWN, "the engine says nothing of this VM")
    assert (registration.can_wait, registration.certain) == (True, False)


def test_an_answer_about_another_vm_is_left_out_and_logged() -> None:
    with capture_logs() as logged:
        registration = answered(
            pb.Registration(name="db-0", state=pb.STATE_READY), pb.Registration(name="x" * 10_000, state=pb.STATE_READY)
        )

    assert registration.state is State.READY
    assert [(line["log_level"], line["namespace"], line["vm_count"]) for line in logged] == [("warning", "shop", 1)]


def test_an_engine_that_contradicts_itself_is_not_believed() -> None:
    ready = pb.Registration(name="db-0", state=pb.STATE_READY)
    failed = pb.Registration(name="db-0", state=pb.STATE_FAILED)

    registration = answered(ready, failed)

    assert (registration.state, registration.reason) == (State.UNKNOWN, "the engine contradicts itself about this VM")
    assert not registration.certain
    assert answered(ready, ready).state is State.READY


def test_a_state_of_a_later_version_is_unknown_and_named() -> None:
    registration = answered(pb.Registration(name="db-0", state=41, message="from the future"))

    assert (registration.state, registration.certain) == (State.UNKNOWN, False)
    assert "state 41" in registration.reason


def test_an_engine_that_cannot_tell_is_quoted() -> None:
    registration = answered(pb.Registration(name="db-0", message="vCenter is away"))
    assert (registration.reason, registration.certain) == ("vCenter is away", True)
    assert answered(pb.Registration(name="db-0")).reason == "the engine cannot tell"


@pytest.mark.parametrize(("percent", "shown"), [(0, 0), (100, 100), (101, None), (300, None), (2**32 - 1, None)])
def test_a_percentage_lies_between_0_and_100(percent: int, shown: int | None) -> None:
    registration = answered(pb.Registration(name="db-0", state=pb.STATE_REGISTERING, percent=percent))

    assert (registration.state, registration.percent) == (State.REGISTERING, shown)
    assert bool(registration.notes) is (shown is None)


def test_a_percentage_that_was_not_given_is_none() -> None:
    registration = answered(pb.Registration(name="db-0", state=pb.STATE_REGISTERING))

    assert (registration.percent, registration.since, registration.notes) == (None, None, ())


@pytest.mark.parametrize(
    ("since", "shown", "why"),
    [
        (timestamp(_NOW - timedelta(hours=1)), _NOW - timedelta(hours=1), "a time"),
        (timestamp(_NOW + timedelta(seconds=30)), _NOW, "clocks differ a little"),
        (timestamp(_NOW + timedelta(hours=1)), None, "the future"),
        (Timestamp(seconds=0), None, "the zero of Unix"),
        (Timestamp(seconds=-62135596800), None, "the zero of Go"),
        (Timestamp(seconds=2**62), None, "no date"),
        (Timestamp(seconds=-(2**62)), None, "no date either"),
        (Timestamp(seconds=1, nanos=-5), None, "no fraction"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_time_that_cannot_be_is_left_out(since: Timestamp, shown: datetime | None, why: str) -> None:
    registration = answered(pb.Registration(name="db-0", state=pb.STATE_READY, since=since))

    assert (registration.state, registration.since) == (State.READY, shown), why
    assert [note for note in registration.notes if "clock" in note] == list(registration.notes)
    assert bool(registration.notes) is (shown is None)


@pytest.mark.parametrize(
    ("message", "shown", "why"),
    [
        ("two\r\nlines\tand  spaces ", "two lines and spaces", "a description is one line"),
        ("\x1b[31mred\x1b[0m\x07\x00", "[31mred [0m", "a terminal takes no orders"),
        ("tot\N{RIGHT-TO-LEFT OVERRIDE}lave", "tot lave", "text is not reordered"),
        ("Prüfung 你好", "Prüfung 你好", "words in any language"),
        ("x" * 501, "x" * 499 + "…", "a line too long"),
        ("x" * 1_000_000, "x" * 499 + "…", "much too long"),
        ("\n" * 1_000_000 + "x", "…", "nothing to see"),
        ("x" * 500, "x" * 500, "as long as allowed"),
    ],
)
def test_words_become_one_line_of_bounded_length(message: str, shown: str, why: str) -> None:
    registration = answered(pb.Registration(name="db-0", state=pb.STATE_PAUSED, message=message))

    assert registration.reason == shown, why


def test_codes_and_stages_are_bounded_as_well() -> None:
    registration = answered(
        pb.Registration(name="db-0", state=pb.STATE_FAILED, error_code="E\n" * 1000, stage="s" * 1000, message="m")
    )

    assert len(registration.code) == 100
    assert "\n" not in registration.code
    assert (registration.stage, registration.reason) == (f"{'s' * 99}…", f"{registration.code}: m")
