from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from tests.unit.builders import NAMESPACE, m, registration, restore, service, vm, vsphere_namespace
from tests.unit.restored_vms import restored
from tests.unit.world import CAPTURES, World
from velero_vmservice.archive.facts import ExpectedVm
from velero_vmservice.archive.schema import Vadp
from velero_vmservice.cli.views.registration import Status
from velero_vmservice.errors import Corrupt, Forbidden, Unavailable
from velero_vmservice.registervm.attempt import ForRestore
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.velero.runs import RestoreRun
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.unit.builders import Json
    from tests.unit.cli.command_line import CommandLine, Ran

WEB = {"app": "web"}
VMS = [vm("web-1", labels=WEB), vm("web-2", labels=WEB)]
FRONT = service("front", WEB)
CLAIM_FAILED = "VCenterWcpWorkloadRegisterVMRegisterPVCFailed"


class Scene:
    """Two VMs behind a service, backed up and lost, and the command that asks how far they are."""

    def __init__(self, command: CommandLine, *sources: str, beside: Iterable[Json] = ()) -> None:
        self.world = World(sources=sources)
        self.world.cluster.seed(vsphere_namespace("bill"))
        self.world.back_up(*VMS, FRONT, *beside)
        self.world.lose(*VMS, FRONT)
        command.connects_to(self.world.start)
        self._command = command

    def come_back(self, *names: str, namespace: str = NAMESPACE) -> None:
        self.world.cluster.seed(*(vm(name, labels=WEB, uid="new", namespace=namespace) for name in names))

    def status(self, *arguments: str) -> Ran:
        return self._command("registration", "status", *arguments)

    def document(self, *arguments: str) -> Any:
        return json.loads(self.status(*arguments, "-o", "json").out)

    def passing(self, *steps: Callable[[], object]) -> None:
        """Do one of these instead of each wait between two looks; after the last one the user interrupts."""
        left: Iterator[Callable[[], object]] = iter(steps)

        def wait(seconds: float) -> None:
            self.world.clock.advance(seconds)
            step = next(left, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        self._command.patch.setattr(time, "sleep", wait)


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


def test_every_vm_is_one_line_what_is_missing_first(scene: Scene) -> None:
    scene.come_back("web-1")
    ran = scene.status("nightly")
    assert ran.lines == [
        "VM          STATE   PROGRESS  SINCE  SOURCE      REASON",
        "shop/web-2  absent  -         -      kubernetes  not registered yet",
        "shop/web-1  ready   -         -      kubernetes  registered by a restore to new",
        "1 of 2 VMs are ready",
    ]
    assert ran.code == 4


def test_all_ready_ends_well(scene: Scene) -> None:
    scene.come_back("web-1", "web-2")
    ran = scene.status("nightly")
    assert (ran.code, ran.lines[-1]) == (0, "2 of 2 VMs are ready")


def test_what_every_source_says_is_shown_and_no_call_is_made(command: CommandLine) -> None:
    scene = Scene(command, "vcenter", "engine")
    vcenter = scene.world.vsphere.vcenter
    vcenter.restore(NAMESPACE, restored())
    vcenter.call(NAMESPACE, "vm-1", ())
    vcenter.set_task("task-1", TaskState.RUNNING, percent=80)
    failed = Registration(name="web-2", state=State.FAILED, code=CLAIM_FAILED, reason="no disk", can_wait=False)
    scene.world.engine.tell(NAMESPACE, failed)
    document = scene.document("nightly")

    second, first = document["machines"]
    assert {key: first[key] for key in ("state", "percent", "stage", "source")} == {
        "state": "registering",
        "percent": 80,
        "stage": "register volumes",
        "source": "vcenter",
    }
    assert first["since"] == "2026-03-01T12:00:00Z"
    assert (second["state"], second["code"], second["can_wait"]) == ("failed", CLAIM_FAILED, False)
    assert document["sources"] == ["kubernetes", "vcenter", "engine"]
    assert (document["ready"], document["total"], document["unread"]) == (0, 2, [])
    assert vcenter.calls.counts["call"] == 1
    ran = scene.status("nightly")
    assert "shop/web-1  registering  80 %, register volumes  2026-03-01T12:00:00Z  vcenter" in ran.out
    assert ran.lines[-1] == "0 of 2 VMs are ready; waiting does not help 1 of them"


def test_a_call_for_the_restore_is_followed_though_vcenter_is_no_source(scene: Scene) -> None:
    vcenter = scene.world.vsphere.vcenter
    vcenter.restore(NAMESPACE, restored())
    made = restore()
    scene.world.cluster.seed(made)
    caller = scene.world.app.registering.trigger
    assert caller is not None
    wanted = ExpectedVm(name="web-1", instance_uuid="instance-of-web-1")
    caller.again(ForRestore(uid=RestoreRun.read(m(made)).uid, name="again"), NAMESPACE, wanted)
    vcenter.set_task("task-1", TaskState.RUNNING, percent=80)
    ran = scene.status("--restore", "again", "--vm", "web-1")
    assert ran.lines[1].startswith("shop/web-1  registering  80 %, register volumes  2026-03-01T12:00:00Z  trigger")
    assert "registering" not in scene.status("nightly", "--vm", "web-1").out


def test_the_documented_keys_are_those_that_are_printed(scene: Scene) -> None:
    document = scene.document("nightly")
    page = (Path(__file__).parents[3] / "docs" / "registration.md").read_text(encoding="utf-8")
    keys = {*document, *(key for vm in document["machines"] for key in vm)}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_the_checks_of_what_vms_stand_at_are_named_once_with_real_names(command: CommandLine) -> None:
    scene = Scene(command, "engine")
    code = "VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder"
    failed = {"state": State.FAILED, "code": code, "can_wait": False}
    volumes = {"state": State.REGISTERING, "stage": "Register volumes"}
    for states, code_to_explain in (
        ((failed, failed), f"{code} -n shop --vm web-1 (1 more likewise)"),
        (({"state": State.RESTORED}, {"state": State.READY}), "not-triggered -n shop --vm web-1"),
        (({"state": State.READY}, {"state": State.REGISTERING, "percent": 81}), "stuck-at-80 -n shop --vm web-2"),
        (
            ({"state": State.REGISTERING, "percent": 81, "stage": "Copying disks"}, {**volumes, "percent": None}),
            "stuck-at-80 -n shop --vm web-2",
        ),
        (({"state": State.READY}, {"state": State.PAUSED}), "power-on -n shop --vm web-2"),
    ):
        registrations = [Registration(name=f"web-{number}", **known) for number, known in enumerate(states, start=1)]
        scene.world.engine.tell(NAMESPACE, *registrations)
        lines = [line for line in scene.status("nightly").lines if line.startswith("to check: ")]
        assert lines == [f"to check: velero-vmservice registration explain {code_to_explain}"]


def test_a_registration_that_only_kubernetes_shows_is_a_stage_with_its_checks(scene: Scene) -> None:
    machine = vm("web-1", labels=WEB, uid="new", claims=["restored-a1b2c3"])
    scene.world.cluster.seed(machine, registration("restored-a1b2c3"))
    ran = scene.status("nightly", "--vm", "web-1")
    assert ran.lines[1].startswith("shop/web-1  registering  register volumes  ")
    assert "to check: velero-vmservice registration explain stuck-at-80 -n shop --vm web-1" in ran.lines
    assert scene.document("nightly", "--vm", "web-1")["machines"][0]["stage"] == "register volumes"


def test_a_stage_that_an_engine_reports_is_in_the_json_as_well(command: CommandLine) -> None:
    scene = Scene(command, "engine")
    copying = Registration(name="web-1", state=State.REGISTERING, percent=50, stage="Copying disks", reason="2 of 4")
    scene.world.engine.tell(NAMESPACE, copying)
    (vm,) = scene.document("nightly", "--vm", "web-1")["machines"]
    assert (vm["percent"], vm["stage"], vm["reason"]) == (50, "Copying disks", "2 of 4")


def test_a_source_that_is_away_is_one_note_for_all(command: CommandLine) -> None:
    scene = Scene(command, "vcenter")
    scene.world.vsphere.vcenter.calls.fail("look", Unavailable("vCenter is away", hint="see its services"))
    lines = scene.status("nightly").lines
    assert [line for line in lines if line.startswith("note")] == [
        "note: vcenter cannot be asked: vCenter is away: see its services"
    ]


def test_a_note_that_concerns_some_names_them(command: CommandLine) -> None:
    scene = Scene(command, "engine")
    scene.world.engine.tell(NAMESPACE, Registration(name="web-1", state=State.ABSENT, notes=("it is on tape",)))
    assert "note (shop/web-1): it is on tape" in scene.status("nightly").lines


def test_no_source_that_answers_is_no_error(scene: Scene) -> None:
    scene.world.cluster.calls.fail("list", Unavailable("the API server is away"), on="VirtualMachine shop")
    scene.world.cluster.calls.fail("read_all", Unavailable("the API server is away"), on="VirtualMachine shop")
    ran = scene.status("nightly")
    assert ran.code == 4
    assert "the API server is away" in ran.out


def test_a_restore_that_waits_for_no_vm_is_ready(command: CommandLine) -> None:
    world = World()
    world.back_up(vm("web-1"), service("front", WEB))
    command.connects_to(world.start)
    ran = command("registration", "status", "nightly")
    assert (ran.code, ran.lines) == (0, ["0 of 0 VMs are ready"])


def test_a_restore_brings_its_mapping_and_its_selection(scene: Scene) -> None:
    scene.world.cluster.seed(vsphere_namespace("dr"), restore(namespaceMapping={NAMESPACE: "dr"}))
    scene.come_back("web-1", namespace="dr")
    document = scene.document("--restore", "again")
    assert (document["backup"], document["restore"]) == ("nightly", "again")
    assert [(vm["namespace"], vm["name"], vm["state"]) for vm in document["machines"]] == [
        ("dr", "web-2", "absent"),
        ("dr", "web-1", "ready"),
    ]
    assert scene.document("nightly", "--namespace-mapping", f"{NAMESPACE}:dr")["machines"] == document["machines"]
    scene.world.cluster.seed(restore("other", includedNamespaces=["other"]))
    assert "nothing of backup nightly is to be replayed" in scene.status("--restore", "other").err


def test_vms_can_be_chosen_by_name_and_namespace(scene: Scene) -> None:
    scene.come_back("web-1")
    assert scene.status("nightly", "--vm", "web-1").code == 0
    document = scene.document("nightly", "-n", NAMESPACE, "--vm", "web-2", "--vm", "web-1")
    assert [vm["name"] for vm in document["machines"]] == ["web-2", "web-1"]


@pytest.mark.parametrize(
    ("arguments", "code", "excerpt"),
    [
        ((), 2, "name a BACKUP, or a restore with --restore"),
        (("nightly", "--restore", "again"), 2, "name a BACKUP, or a restore with --restore"),
        (("--restore", "again", "--namespace-mapping", "a:b"), 2, "leave --namespace-mapping out"),
        (("nightly", "--interval", "0"), 2, "--interval"),
        (("nightly", "--timeout", "5m"), 2, "hint: give --watch as well"),
        (("nightly", "--watch", "--timeout", "soon"), 2, '"soon" is not a duration'),
        (("nightly", "--namespace-mapping", "shp:dr"), 2, "namespace shp\nhint: name one of: shop"),
        (("--restore", "gone"), 1, "gone"),
        (("gone",), 1, "gone"),
        (("nightly", "--vm", "db-1"), 1, "waits for a VM db-1\nhint: name one of: web-1; web-2"),
        (("nightly", "-n", "else", "--vm", "web-1"), 1, "any VM in namespace else\nhint: name one of: shop"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_sentence(
    scene: Scene, arguments: tuple[str, ...], code: int, excerpt: str
) -> None:
    ran = scene.status(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert excerpt in ran.err
    assert "Traceback" not in ran.err


def test_an_object_that_cannot_be_read_is_reported_and_the_others_are_shown(command: CommandLine) -> None:
    scene = Scene(command, beside=[vm("db-1", namespace="bill"), service("db", meta={"namespace": "bill"})])
    store, facts = scene.world.store, f"{CAPTURES}namespaces/bill.json"
    scene.come_back("web-1", "web-2")
    store.calls.fail("get", Corrupt("it is not what was written"), on=facts)
    ran = scene.status("nightly")
    assert ran.code == 3
    assert "2 of 2 VMs are ready" in ran.lines
    unread = "not looked at, as it cannot be read: VirtualMachineService bill/db: it is not what was written"
    assert unread in ran.lines
    assert f"not read: {unread.rpartition('read: ')[2]}" in scene.status("nightly", "--vm", "db-1").err


def test_watching_ends_when_all_are_ready_and_says_only_news(scene: Scene) -> None:
    scene.passing(lambda: None, partial(scene.come_back, "web-2"), partial(scene.come_back, "web-1"))
    ran = scene.status("nightly", "--watch", "--interval", "30")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.lines if line.startswith("shop/")] == [
        ["shop/web-1", "absent"],
        ["shop/web-2", "absent"],
        ["shop/web-2", "ready"],
        ["shop/web-1", "ready"],
    ]
    assert scene.world.clock.monotonic() == 90


def test_watching_tells_since_when_a_vm_is_as_it_is_if_it_saw_that_begin(scene: Scene) -> None:
    scene.passing(lambda: None, partial(scene.come_back, "web-2"))
    ran = scene.status("nightly", "--watch", "-o", "json", "--interval", "30")
    looks = [{vm["name"]: vm["since"] for vm in json.loads(line)["machines"]} for line in ran.lines]
    assert looks == [
        {"web-1": None, "web-2": None},
        {"web-1": None, "web-2": "2026-03-01T12:01:00Z"},
    ]


def test_watching_as_json_is_one_document_a_line_for_each_change(scene: Scene) -> None:
    scene.passing(lambda: None, partial(scene.come_back, "web-2", "web-1"))
    ran = scene.status("nightly", "--watch", "-o", "json")
    assert [json.loads(line)["ready"] for line in ran.lines] == [0, 2]


def test_an_interrupted_watch_says_how_to_go_on_and_nothing_twice(scene: Scene) -> None:
    scene.passing(lambda: None)
    ran = scene.status("nightly", "--watch")
    assert ran.code == 130
    assert ran.err.splitlines() == [
        "",
        "velero-vmservice: stopped before the end",
        "hint: repeat the command to go on: velero-vmservice registration status nightly --watch",
    ]
    assert len(ran.lines) == len(set(ran.lines)) == 4


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_watch_ends_when_its_time_is_over(scene: Scene, form: str) -> None:
    scene.passing(*[lambda: None] * 100)
    ran = scene.status("nightly", "--watch", "--interval", "30", "--timeout", "2m", "-o", form)
    assert (ran.code, ran.err) == (4, "")
    assert scene.world.clock.monotonic() == 120


@pytest.mark.parametrize(
    ("state", "can_wait", "code"),
    [
        (State.ABSENT, True, 4),
        (State.ABSENT, False, 3),
        (State.NOT_RESTORABLE, False, 3),
        (State.FAILED, False, 5),
    ],
)
def test_the_exit_code_tells_whether_waiting_can_help(state: State, code: int, *, can_wait: bool) -> None:
    vm = ("shop", Registration(name="web-1", state=state, can_wait=can_wait))
    ready = ("shop", Registration(name="web-2", state=State.READY))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    look = partial(Status, backup="nightly", restore="", sources=(), at=now, vadp=Vadp(), watched_from=now)
    assert look(machines=[ready, vm], unread=()).exit_code == code
    assert look(machines=[ready], unread=()).exit_code == 0
    assert look(machines=[ready], unread=("it cannot be read",)).exit_code == 3


def test_a_terminal_is_redrawn_and_hostile_words_do_not_move_its_cursor(command: CommandLine) -> None:
    scene = Scene(command, "engine")
    hostile = Registration(name="web-1", state=State.FAILED, reason="[red]x[/red]\x1b[2J", can_wait=False)
    scene.world.engine.tell(NAMESPACE, hostile)
    terminal = partial(Console, force_terminal=True, width=160, legacy_windows=False, _environ={"TERM": "xterm"})
    command.patch.setattr("velero_vmservice.cli.views.terminal.Console", terminal)
    scene.passing(lambda: None)
    for arguments, code in (((), 5), (("--watch",), 130)):
        ran = scene.status("nightly", *arguments)
        assert ran.code == code
        assert "\x1b[31mfailed" in ran.out
        assert "PROGRESS" in ran.out
        assert "\x1b[2J" not in ran.out
        assert r"[red]x[/red]\u001b[2J" in ran.out


@pytest.mark.parametrize("width", [60, 80, 110])
def test_a_narrow_terminal_cuts_nothing_off(command: CommandLine, width: int) -> None:
    scene = Scene(command, "engine")
    reasons = [
        f"the disks of web-{number} are copied from the site that the contract names as second" for number in (1, 2)
    ]
    for number, reason in enumerate(reasons, start=1):
        scene.world.engine.tell(NAMESPACE, Registration(name=f"web-{number}", state=State.REGISTERING, reason=reason))
    terminal = partial(Console, force_terminal=True, width=width, legacy_windows=False, _environ={"TERM": "dumb"})
    command.patch.setattr("velero_vmservice.cli.views.terminal.Console", terminal)
    ran = scene.status("nightly")
    assert all(reason in " ".join(_column(ran, reason.split()[0])) for reason in reasons)
    for whole in ("shop/web-1", "shop/web-2", "registering"):
        assert any(whole in line.split() for line in ran.lines)


def test_a_reason_that_vms_share_stands_once(command: CommandLine) -> None:
    scene = Scene(command, "engine")
    scene.world.engine.calls.fail("observe", Unavailable("the engine is away for its yearly exercise", hint="wait"))
    away = Forbidden('cannot list VirtualMachine in shop: User "velero" cannot list resource', hint="grant that verb")
    scene.world.cluster.calls.fail("read_all", away, on="VirtualMachine shop")
    scene.world.cluster.calls.fail("list", away, on="VirtualMachine shop")
    ran = scene.status("nightly")
    assert ran.out.count("cannot list VirtualMachine in shop") == 1
    assert ran.out.count("the engine is away") == 1


def _column(ran: Ran, first: str) -> Iterator[str]:
    """Yield what stands in the column that begins with a word, line for line."""
    at = next(line.index(first) for line in ran.lines if first in line.split())
    return (line[at:].strip() for line in ran.lines)
