"""An unexpected exception belongs to its own operation or namespace; the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import restore, service, subject, vm, vsphere_namespace
from velero_vmservice.errors import PATIENCE_SECONDS
from velero_vmservice.restore import order
from velero_vmservice.restore.plan import decision
from velero_vmservice.restore.replay import result_builder
from velero_vmservice.restore.source.load import Subjects
from velero_vmservice.supervisor import observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.testing import LogCapture

    from tests.unit.world import World
    from velero_vmservice.velero.actions import Progress

SECRET = "what only the log may say"
PREFIX = "restores/again/20260301T120000Z/"


def breaks(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, is_bad: Callable[..., bool]) -> None:
    """Let a function raise an unexpected error where `is_bad` says so of its arguments."""
    sound = getattr(where, name)

    def unsound(*given: Any, **named: Any) -> Any:
        if is_bad(*given, **named):
            raise StopIteration(SECRET)
        return sound(*given, **named)

    monkeypatch.setattr(where, name, unsound)


def of_bad(*given: Any, **_: Any) -> bool:
    """Say whether the first arguments are about the service `bad`."""
    return any(
        "bad" in (getattr(argument, "name", ""), getattr(getattr(argument, "ref", None), "name", ""))
        for argument in given
    )


BREAKS = {
    "read": (Subjects, "read", of_bad),
    "decided": (decision, "decide", of_bad),
    "summed up": (result_builder, "result", lambda task, *_: task.replay.name == "bad"),
}
EARLY = ("read", "decided")


@pytest.fixture(name="operations")
def _operations(world: World) -> dict[str, str]:
    objects = [service(name, {"app": "none"}) for name in ("bad", "good", "well")]
    items = world.back_up(*objects)
    world.lose(*objects)
    return dict(zip(("bad", "good", "well"), world.replay_all(items), strict=True))


def polled(world: World, operations: dict[str, str], rounds: int = 4) -> dict[str, Progress]:
    for _ in range(rounds):
        answers = world.round(operations.values())
    return {name: answers[operation] for name, operation in operations.items()}


@pytest.mark.parametrize("at", EARLY)
def test_an_object_that_breaks_down_fails_alone_and_the_others_are_replayed(
    world: World, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    breaks(monkeypatch, *BREAKS[at])
    answers = polled(world, operations)
    assert {name: progress.completed for name, progress in answers.items()} == {
        "bad": False,
        "good": True,
        "well": True,
    }
    assert world.created() == ["VirtualMachineService shop/good", "VirtualMachineService shop/well"]
    assert answers["bad"].description.startswith("waiting: internal error ")
    assert SECRET not in answers["bad"].description


@pytest.mark.parametrize("at", EARLY)
def test_it_fails_when_it_breaks_down_for_long_and_the_restore_is_reported(
    world: World, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    breaks(monkeypatch, *BREAKS[at])
    polled(world, operations)
    world.clock.advance(PATIENCE_SECONDS)
    bad = polled(world, operations, 2)["bad"]
    assert bad.completed
    assert bad.error.startswith("VirtualMachineService shop/bad: internal error ")
    assert "please report it" in bad.error
    assert SECRET not in bad.error
    report = world.document(f"{PREFIX}report.json")
    assert {result["name"]: result["stage"] for result in report["objects"]} == {
        "bad": "failed",
        "good": "verified",
        "well": "verified",
    }


@pytest.mark.parametrize("at", EARLY)
def test_the_log_has_the_traceback_once_under_the_id_in_the_users_message(
    world: World, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch, log: LogCapture, at: str
) -> None:
    breaks(monkeypatch, *BREAKS[at])
    answers = polled(world, operations)
    (line,) = [entry for entry in log.entries if entry["event"] == "internal error"]
    assert line["incident"] in answers["bad"].description
    assert (line["log_level"], line["object"], line["private"]) == ("error", "VirtualMachineService shop/bad", True)
    assert SECRET in str(line["exc_info"])


@pytest.mark.parametrize("at", EARLY)
def test_an_object_whose_fault_has_passed_goes_on(
    world: World, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with monkeypatch.context() as for_a_while:
        breaks(for_a_while, *BREAKS[at])
        polled(world, operations)
    last = world.finish(list(operations.values()))
    assert {progress.error for progress in last.values()} == {""}


def test_a_result_that_cannot_be_summed_up_is_stored_and_reported_without_its_details(
    world: World, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, *BREAKS["summed up"])
    answers = polled(world, operations)
    assert all(progress.completed for progress in answers.values())
    assert world.document(f"{PREFIX}virtualmachineservices/shop/bad.json")["stage"] == "verified"
    report = world.document(f"{PREFIX}report.json")
    assert [result["name"] for result in report["objects"]] == ["bad", "good", "well"]
    assert any("its details are missing here: internal error" in warning for warning in report["warnings"])


@pytest.mark.parametrize(
    ("where", "name"), [(observe, "look"), (order, "in_order")], ids=["cannot be looked at", "cannot be ordered"]
)
def test_one_namespace_that_breaks_down_does_not_keep_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    world.cluster.seed(vsphere_namespace("blue"))
    blue, shop = service("front", meta={"namespace": "blue"}), service("front")
    items = world.back_up(blue, shop)
    world.lose(blue, shop)
    operations = world.replay_all(items)

    def in_blue(*given: Any, **_: Any) -> bool:
        return "blue" in given or any(
            getattr(argument, "ref", subject(shop).ref).namespace == "blue" for argument in given[0]
        )

    breaks(monkeypatch, where, name, in_blue if name == "in_order" else lambda *given, **_: "blue" in given)
    answers = [world.round(operations) for _ in range(4)][-1]
    assert world.created() == ["VirtualMachineService shop/front"]
    assert [progress.completed for progress in answers.values()] == [False, True]
    assert "internal error" in answers[operations[0]].description
    world.clock.advance(PATIENCE_SECONDS)
    ended = [world.round(operations[:1])[operations[0]] for _ in range(2)][-1]
    assert ended.completed
    assert "internal error" in ended.error
    assert {result["namespace"]: result["stage"] for result in world.document(f"{PREFIX}report.json")["objects"]} == {
        "blue": "failed",
        "shop": "verified",
    }


@pytest.mark.parametrize("at", EARLY)
def test_an_object_that_breaks_down_is_cancelled_all_the_same(
    world: World, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    breaks(monkeypatch, *BREAKS[at])
    world.restart()
    world.app.actions.restore["replay"].cancel(operations["bad"], restore())
    stored = world.document(f"{PREFIX}virtualmachineservices/shop/bad.json")
    assert (stored["stage"], "internal error" in stored["reason"]) == ("cancelled", True)


@pytest.mark.parametrize("at", EARLY)
def test_a_strict_restore_creates_nothing_while_one_breaks_down(
    world: World, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    breaks(monkeypatch, *BREAKS[at])
    strict = {"annotations": {"velero-plugin-for-vmservice/mode": "strict"}}
    for _ in range(4):
        answers = world.round(operations.values(), **strict)
    assert world.created() == []
    assert "VirtualMachineService shop/bad is not ready" in answers[operations["good"]].description
    world.clock.advance(PATIENCE_SECONDS)
    world.finish(list(operations.values()), **strict)


def test_vms_that_are_waited_for_are_seen_though_another_object_breaks_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = [service("bad", {"app": "web"}), service("good", {"app": "web"})]
    items = world.back_up(vm("web-1", labels={"app": "web"}), *objects)
    world.lose(vm("web-1"), *objects)
    operations = world.replay_all(items)
    breaks(monkeypatch, *BREAKS["decided"])
    world.round(operations)
    world.cluster.seed(vm("web-1", labels={"app": "web"}, uid="new"))
    for _ in range(4):
        world.round(operations)
    assert world.created() == ["VirtualMachineService shop/good"]
