"""`velero-vmservice restore` in the foreground: each sleep between two looks is what happens meanwhile."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests.unit.builders import NAMESPACE, backup, group, obj, restore, service, vm, vsphere_namespace
from tests.unit.world import World
from velero_vmservice.errors import Forbidden, Rejected, Unavailable
from velero_vmservice.kube.manifest import BACKUP, ObjectRef
from velero_vmservice.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.command_line import CommandLine, Ran

WEB = {"app": "web"}
TIER = group("tier", ["web-1", "web-2"])
FRONT = service("front", WEB)
SIDE = service("side", WEB)


class Scene:
    """An application that was backed up and lost, and a Supervisor that plays on while the command waits."""

    def __init__(self, command: CommandLine, *, power: str = "PoweredOff") -> None:
        self.world = World()
        self.command = command
        command.connects_to(self.world.start)
        machines = [vm(name, labels=WEB, group="tier", power=power) for name in ("web-1", "web-2")]
        objects = [*machines, TIER, FRONT, SIDE]
        self.world.back_up(*objects)
        self.world.lose(*objects)
        self.passing()

    def come_back(self, namespace: str = NAMESPACE) -> None:
        vms = [vm(name, labels=WEB, group="tier", uid="new", namespace=namespace) for name in ("web-1", "web-2")]
        self.world.cluster.seed(*vms)

    def passing(self, *steps: Callable[[], object], interrupted: bool = False) -> None:
        """Let these happen, one in each wait; then nothing more, or Ctrl-C."""
        self.command.waits(self.world, *steps, interrupted=interrupted)

    def restore(self, *arguments: str, typed: str = "") -> Ran:
        return self.command("restore", *arguments, typed=typed)

    def on_a_terminal(self, width: int) -> None:
        terminal = partial(Console, force_terminal=True, width=width, legacy_windows=False, _environ={"TERM": "xterm"})
        self.command.patch.setattr("velero_vmservice.cli.views.terminal.Console", terminal)


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


def test_a_backup_is_restored_though_velero_has_no_restore_of_it(scene: Scene) -> None:
    scene.passing(lambda: None, scene.come_back)
    ran = scene.restore("nightly")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[0].startswith("policy: conflict=retain, mode=best-effort")
    assert "VirtualMachineGroup shop/tier: waiting: web-1: not registered yet; web-2: not registered yet" in ran.lines
    ended = [line for line in ran.lines if ": verified" in line]
    assert [line.split(": ")[0] for line in ended] == [
        "VirtualMachineGroup shop/tier",
        "VirtualMachineService shop/front",
        "VirtualMachineService shop/side",
    ]
    assert ran.lines[-1].startswith("report: ")
    assert scene.world.exists("VirtualMachineGroup", "tier")


def test_a_repeated_restore_of_a_backup_verifies_what_is_there(scene: Scene) -> None:
    scene.passing(scene.come_back)
    scene.restore("nightly")
    made = scene.world.created()
    ran = scene.restore("nightly")
    assert (ran.code, scene.world.created()) == (0, made)
    assert "was there already, as captured" in ran.out


def test_a_backup_is_restored_into_another_namespace(scene: Scene) -> None:
    scene.world.cluster.seed(vsphere_namespace("dr"))
    scene.passing(lambda: scene.come_back("dr"))
    ran = scene.restore("nightly", "--namespace-mapping", f"{NAMESPACE}:dr")
    assert ran.code == 0
    assert scene.world.exists("VirtualMachineService", "front", "dr")
    assert not scene.world.exists("VirtualMachineService", "front")


def test_a_restore_that_velero_gave_up_is_resumed(scene: Scene) -> None:
    scene.world.cluster.seed(restore(includedResources=["virtualmachinegroups.vmoperator.vmware.com"]))
    scene.passing(scene.come_back)
    ran = scene.restore("--resume", "again")
    assert ran.code == 0
    assert scene.world.exists("VirtualMachineGroup", "tier")
    assert not scene.world.exists("VirtualMachineService", "front")


def test_a_restore_that_velero_completed_without_its_operations_is_resumed(scene: Scene) -> None:
    """As Velero does where it cannot read the bucket at its first poll: it asks for nothing and stores nothing."""
    completed = restore()
    completed["status"] |= {"phase": "Completed", "completionTimestamp": completed["status"]["startTimestamp"]}
    scene.world.cluster.seed(completed)
    assert list(scene.world.store.list("restores/")) == []
    scene.world.clock.advance(3600)
    scene.passing(scene.come_back)

    ran = scene.restore("--resume", "again")

    assert (ran.code, ran.err) == (0, "")
    assert scene.world.exists("VirtualMachineGroup", "tier")
    assert all(scene.world.exists("VirtualMachineService", name) for name in ("front", "side"))
    (key,) = (key for key in scene.world.store.list("restores/again/") if key.endswith("/report.json"))
    report = Report.model_validate(scene.world.document(key))
    assert (report.outcome, report.started < report.resumed) == ("verified", True)
    assert {item.stage for item in report.objects} == {"verified"}
    assert all(item.replayed and not item.earlier_ends for item in report.objects)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "name a BACKUP, a capture with --from, or a restore with --resume"),
        (("nightly", "--resume", "again"), 2, "name one of a BACKUP, a capture with --from, or a restore with"),
        (("--resume", "again", "--namespace-mapping", "a:b"), 2, "hint: leave --namespace-mapping out"),
        (("nightly", "--namespace-mapping", "shp:dr"), 2, "object of namespace shp\nhint: name one of: shop"),
        (("nightly", "--timeout", "-5m"), 2, '"-5m" is not a duration such as 90s, 10m or 12h'),
        (("gone",), 1, "gone"),
        (("--resume", "gone"), 1, "gone"),
        (("--resume", "empty"), 3, "nothing of backup nightly is to be replayed"),
    ],
)
def test_a_refusal_takes_two_lines_at_most(scene: Scene, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    scene.world.cluster.seed(restore(), restore("empty", includedNamespaces=["other"]))
    ran = scene.restore(*arguments)
    assert ran.code == code
    assert sentence in ran.err
    assert len(ran.err.splitlines()) <= 2
    assert scene.world.created() == []


@pytest.mark.parametrize(
    ("flags", "typed", "code"), [((), "", 3), ((), "n\n", 130), ((), "y\n", 0), (("--yes",), "", 0)]
)
def test_a_namespace_that_the_backup_does_not_include_is_asked_about(
    scene: Scene, flags: tuple[str, ...], typed: str, code: int
) -> None:
    narrow = backup()
    narrow["spec"]["includedNamespaces"] = ["other"]
    scene.world.cluster.seed(narrow)
    scene.passing(scene.come_back)
    ran = scene.restore("nightly", *flags, typed=typed)
    assert ran.code == code
    assert "note: the seal of Backup nightly lists objects of shop, which the Backup does not include" in ran.err
    assert scene.world.exists("VirtualMachineGroup", "tier") is (code == 0)
    assert ("repeat the command with --yes" in ran.err) is (code == 3)
    assert "which the Backup does not include" in scene.command("plan", "nightly").err


def test_the_namespaces_of_a_backup_that_is_gone_are_asked_about(scene: Scene) -> None:
    location = obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero")
    scene.world.cluster.seed(restore(), location)
    scene.world.cluster.remove(ObjectRef(BACKUP, "velero", "nightly"))
    scene.passing(scene.come_back)
    ran = scene.restore("--resume", "again", typed="y\n")
    assert ran.code == 0
    assert "lists objects of shop, and the Backup itself is gone, so what it included is unknown:" in ran.err
    assert scene.world.exists("VirtualMachineGroup", "tier")


def test_a_store_that_is_away_until_the_time_is_over_is_a_timeout(scene: Scene) -> None:
    scene.world.cluster.calls.fail("get", Unavailable("the API server is away"), on="Namespace shop")
    ran = scene.restore("nightly", "--timeout", "1m")
    assert ran.code == 4
    assert ran.out.count("the API server is away") == 1


def test_ctrl_c_says_how_to_go_on(scene: Scene) -> None:
    scene.passing(lambda: None, interrupted=True)
    ran = scene.restore("nightly", "--policy", "mode=strict")
    assert ran.code == 130
    assert ran.err.strip().splitlines() == [
        "velero-vmservice: stopped before the end",
        "hint: repeat the command to go on: velero-vmservice restore nightly --policy mode=strict",
    ]
    assert len(ran.lines) == len(set(ran.lines))


def test_a_timeout_ends_the_command_and_not_the_restore(scene: Scene) -> None:
    ran = scene.restore("nightly", "--timeout", "1m")
    assert ran.code == 4
    assert scene.world.clock.monotonic() == 60
    assert ran.err.splitlines() == [
        "velero-vmservice: 3 of 3 objects have not ended within the --timeout",
        "hint: repeat the command to go on: velero-vmservice restore nightly --timeout 1m",
    ]
    scene.passing(scene.come_back)
    assert scene.restore("nightly").code == 0


def test_a_failed_object_is_an_exit_code_of_its_own(scene: Scene) -> None:
    scene.world.cluster.calls.fail("create", Rejected("[/spec/ports] is bad"), on="VirtualMachineService shop/front")
    scene.passing(scene.come_back)
    ran = scene.restore("nightly")
    assert ran.code == 5
    assert "VirtualMachineService shop/front: failed: [/spec/ports] is bad" in ran.out


def test_a_passing_fault_is_reported_once(scene: Scene) -> None:
    away = Unavailable("the bucket is away", hint="see its server")
    scene.world.store.calls.fail("put", away, times=4)
    scene.passing(scene.come_back)
    ran = scene.restore("nightly")
    assert (ran.code, ran.out.count("the bucket is away")) == (0, 1)


def test_a_right_that_is_missing_is_reported_once(scene: Scene) -> None:
    missing = "cannot list CnsRegisterVolume in shop: not allowed"
    scene.world.cluster.calls.fail("list", Forbidden(missing), on="CnsRegisterVolume shop")
    scene.passing(scene.come_back)
    ran = scene.restore("nightly")
    assert ran.code == 0
    waiting = [line for line in ran.lines if ": waiting: " in line]
    assert sum(missing in line for line in waiting) == 1


DENIED = 'cannot do that: User "ops" cannot do it in namespace shop'


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("get", "Namespace shop"),
        ("list", "VirtualMachine shop"),
        ("list", "VirtualMachineGroup shop"),
        ("list", "PersistentVolumeClaim shop"),
        ("dry-run create", ""),
    ],
)
def test_a_missing_right_ends_the_command(scene: Scene, verb: str, what: str) -> None:
    scene.world.cluster.calls.fail(verb, Forbidden(DENIED, hint="grant that verb"), on=what)
    scene.command.patch.setattr(time, "sleep", scene.world.clock.advance)
    ran = scene.restore("nightly", "--timeout", "5m")
    assert (ran.code, scene.world.clock.monotonic()) == (1, 15)
    assert ran.err.splitlines() == [
        f"velero-vmservice: {DENIED}",
        "hint: grant that verb; then repeat the command to go on: velero-vmservice restore nightly --timeout 5m",
    ]


def test_a_bucket_that_denies_captures_ends_the_command(scene: Scene) -> None:
    scene.world.store.calls.fail("get", Forbidden("the bucket denies it", hint="allow s3:GetObject"), on="objects/")
    ran = scene.restore("nightly", "--timeout", "5m")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "velero-vmservice: the bucket denies it")


def test_a_right_that_is_missing_when_the_vms_are_there_ends_the_command(scene: Scene) -> None:
    scene.world.cluster.calls.fail("create", Forbidden(DENIED), on="VirtualMachineGroup shop/tier")
    scene.passing(lambda: None, scene.come_back, *[lambda: None] * 30)
    ran = scene.restore("nightly", "--timeout", "1h")
    assert (ran.code, ran.err.splitlines()[0]) == (1, f"velero-vmservice: {DENIED}")
    assert scene.world.clock.monotonic() < 120


def test_a_denied_object_keeps_no_other_from_its_end(scene: Scene) -> None:
    for verb in ("create", "dry-run create"):
        scene.world.cluster.calls.fail(verb, Forbidden(DENIED), on="VirtualMachineService shop/front")
    scene.passing(*[lambda: None] * 20, scene.come_back, *[lambda: None] * 30)
    ran = scene.restore("nightly", "--timeout", "1h")
    assert (ran.code, ran.err.splitlines()[0]) == (1, f"velero-vmservice: {DENIED}")
    assert "VirtualMachineGroup shop/tier: verified" in ran.out
    assert "VirtualMachineService shop/side: verified" in ran.out
    assert DENIED in ran.out


def test_a_denied_object_of_a_strict_restore_ends_it(scene: Scene) -> None:
    for verb in ("create", "dry-run create"):
        scene.world.cluster.calls.fail(verb, Forbidden(DENIED), on="VirtualMachineService shop/front")
    scene.come_back()
    ran = scene.restore("nightly", "--policy", "mode=strict", "--timeout", "1h")
    assert (ran.code, ran.err.splitlines()[0]) == (1, f"velero-vmservice: {DENIED}")
    assert scene.world.clock.monotonic() < 120


def test_a_denial_of_the_first_round_alone_ends_nothing(scene: Scene) -> None:
    scene.world.cluster.calls.fail("list", Forbidden(DENIED), on="VirtualMachineGroup shop", times=1)
    scene.passing(scene.come_back, *[lambda: None] * 30)
    assert scene.restore("nightly", "--timeout", "1h").code == 0


def test_a_right_that_is_lost_for_a_moment_is_waited_for(scene: Scene) -> None:
    def lose() -> None:
        scene.world.cluster.calls.fail("get", Forbidden(DENIED), on="Namespace shop", times=3)

    scene.passing(lambda: None, lose, lambda: None, lambda: None, lambda: None, scene.come_back)
    assert scene.restore("nightly", "--timeout", "5m").code == 0


def test_the_table_on_a_terminal_is_printed_once_when_it_is_stopped(scene: Scene) -> None:
    scene.on_a_terminal(110)
    scene.passing(lambda: None, interrupted=True)
    ran = scene.restore("nightly")
    assert ran.code == 130
    after_the_last_redraw = ran.out.rpartition("\x1b[2K")[2]
    assert after_the_last_redraw.count("VirtualMachineService shop/front") == 1


@pytest.mark.parametrize("width", [0, 80, 300])
def test_a_webhooks_message_is_never_markup(scene: Scene, width: int) -> None:
    if width:
        scene.on_a_terminal(width)
    hostile = "[/spec/ports] is [link=https://example.com]bad[/link]\x1b[2J\x9b2J\u202e"
    scene.world.cluster.calls.fail("create", Rejected(hostile), on="VirtualMachineService shop/front")
    scene.passing(scene.come_back)
    ran = scene.restore("nightly")
    assert ran.code == 5
    assert [sign for sign in ("\x1b[2J", "\x1b]8", "\x9b", "\u202e") if sign in ran.out] == []
    if width != 80:
        assert r"[/spec/ports] is [link=https://example.com]bad[/link]\u001b[2J\u009b2J\u202e" in ran.out


@pytest.mark.parametrize("width", [80, 110])
def test_a_terminal_shows_each_command_once_and_whole_below_the_table(command: CommandLine, width: int) -> None:
    scene = Scene(command, power="PoweredOn")
    scene.on_a_terminal(width)
    scene.come_back()
    ran = scene.restore("nightly")
    power_on = (
        """kubectl -n shop patch virtualmachinegroup tier --type merge -p '{"spec":{"powerState":"PoweredOn"}}'"""
    )
    assert [line for line in ran.lines if "kubectl" in line] == [f"  {power_on}"]
    assert ran.code == 0
