"""`velero-vmservice verify`: phase 3 of guide 10.5, once a person has powered the application on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, group, obj, restore, service, vm
from tests.unit.world import World
from velero_vmservice.errors import Unavailable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, VIRTUAL_MACHINE_GROUP, ObjectRef
from velero_vmservice.vmoperator.marks import RESTORED_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.builders import Json
    from tests.unit.cli.command_line import CommandLine, Ran

WEB = {"app": "web"}
TIER = group("tier", ["web-1", "web-2"])
FRONT = service(
    "front",
    WEB,
    ports=[{"name": "http", "port": 80, "protocol": "TCP"}],
    more={"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}},
)
ADDRESSES = {"web-1": "192.0.2.1", "web-2": "192.0.2.2"}


def machine(name: str, *, power: str = "PoweredOn", uid: str = "new", **known: Any) -> Json:
    """Build a VM as RegisterVM brings it back; it has an address while it runs."""
    ip = ADDRESSES[name] if power == "PoweredOn" else ""
    marked = {"annotations": {RESTORED_ANNOTATION: ""}} if uid == "new" else {}
    return vm(name, **{"labels": WEB, "group": "tier", "power": power, "uid": uid, "ip": ip, "meta": marked, **known})


class Scene:
    """An application that was backed up while it ran, lost, restored and powered on."""

    def __init__(self, command: CommandLine) -> None:
        self.world = World()
        self.world.cluster.seed(obj("BackupStorageLocation", "default", api="velero.io/v1", namespace="velero"))
        self.command = command
        command.connects_to(self.world.start)
        objects = [machine(name, uid=f"old-{name}") for name in ADDRESSES]
        self.items = self.world.back_up(*objects, TIER, FRONT)
        self.world.lose(*objects, TIER, FRONT)
        self.seed(machine("web-1", power="PoweredOff"), machine("web-2", power="PoweredOff"))
        operations = self.world.replay_all(self.items)
        assert all(not progress.error for progress in self.world.finish(operations).values())
        self.passing()

    def seed(self, *objects: Json) -> None:
        self.world.cluster.seed(*objects)
        self.world.vm_operator()

    def power_on(self) -> None:
        self.seed(*(machine(name) for name in ADDRESSES))
        front = self.world.live("VirtualMachineService", "front").editable()
        self.seed({**front, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.20"}]}}})

    def passing(self, *steps: Callable[[], object]) -> None:
        """Let these happen, one in each wait of a command."""
        left: Iterator[Callable[[], object]] = iter(steps)

        def wait(seconds: float) -> None:
            self.world.clock.advance(seconds)
            next(left, lambda: None)()

        self.command.patch.setattr(time, "sleep", wait)

    def verify(self, *arguments: str) -> Ran:
        return self.command("verify", *arguments)

    def checks(self, *arguments: str) -> dict[tuple[str, str], tuple[str, str]]:
        """Return what each check has come to, with the actual value, by object and attribute."""
        ran = self.verify("nightly", "-o", "json", *arguments)
        return {
            (check["name"], check["attribute"]): (check["verdict"], check["actual"])
            for check in json.loads(ran.out)["checks"]
        }


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


def test_an_application_that_was_powered_on_is_as_expected(scene: Scene) -> None:
    scene.power_on()
    before = scene.world.writes()
    ran = scene.verify("nightly")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines[0].split() == ["VERDICT", "OBJECT", "CHECK", "EXPECTED", "ACTUAL", "NOTE"]
    assert [" ".join(line.split()) for line in ran.lines if "VirtualMachineGroup shop/tier" in line] == [
        "as expected VirtualMachineGroup shop/tier membership 2 members linked 2 of 2 linked -"
    ]
    assert "attributes as expected are not shown: -o wide shows them" in ran.lines[-1]
    assert scene.world.writes() == before


def test_each_step_of_phase_three_and_each_row_of_the_tables_has_a_verdict(scene: Scene) -> None:
    scene.power_on()
    checks = scene.checks()
    assert checks["tier", "membership"] == ("as expected", "2 of 2 linked")
    assert checks["front", "endpoints"] == ("as expected", "web-1, web-2")
    assert checks["front", "load balancer address"] == ("as expected", "192.0.2.20")
    for name in ADDRESSES:
        assert checks[name, "registered"][0] == "as expected"
        assert checks[name, "power"] == ("as expected", "PoweredOn")
        assert checks[name, "BIOS UUID"] == ("as expected", f"bios-of-{name}")
        assert checks[name, "label app"] == ("as expected", "web")
    wide = scene.verify("nightly", "-o", "wide").out
    assert "guide 8.1.2" in wide
    assert "GUIDE" in wide


def test_vms_that_are_still_off_differ_from_the_capture(scene: Scene) -> None:
    ran = scene.verify("nightly")
    assert ran.code == 5
    assert scene.checks()["web-1", "power"] == ("differs", "PoweredOff")
    assert "nothing powers it by itself: set its power, or its group's" in ran.out


def test_a_power_on_that_was_asked_for_is_not_there_yet(scene: Scene) -> None:
    scene.power_on()
    spec = {"instanceUUID": "instance-of-web-1", "groupName": "tier", "powerState": "PoweredOn"}
    scene.world.cluster.seed(machine("web-1", power="PoweredOff", spec=spec))
    assert scene.checks()["web-1", "power"] == ("not yet", "PoweredOff")
    assert scene.verify("nightly").code == 4


def test_a_vm_that_is_not_registered_yet_may_still_come(scene: Scene) -> None:
    scene.power_on()
    scene.world.cluster.remove(ObjectRef(VIRTUAL_MACHINE, NAMESPACE, "web-2"))
    assert scene.checks()["web-2", "registered"] == ("not yet", "not registered yet")


def test_a_member_that_names_another_group_differs(scene: Scene) -> None:
    scene.power_on()
    scene.seed(machine("web-2", group="other"))
    ran = scene.verify("nightly")
    assert scene.checks()["tier", "membership"] == ("differs", "1 of 2 linked")
    assert ran.lines[1].endswith("VirtualMachine web-2 is not a member now")
    assert ran.code == 5


def test_a_label_that_a_restore_lost_differs_with_its_section(scene: Scene) -> None:
    scene.power_on()
    scene.seed(machine("web-2", labels={}))
    ran = scene.verify("nightly", "-o", "json")
    (lost,) = [
        check
        for check in json.loads(ran.out)["checks"]
        if check["attribute"] == "label app" and check["name"] == "web-2"
    ]
    assert (lost["verdict"], lost["expected"], lost["actual"], lost["source"]) == (
        "differs",
        "web",
        "missing",
        "guide 8.1.2",
    )
    assert ran.code == 5


def test_an_object_that_is_gone_differs(scene: Scene) -> None:
    scene.power_on()
    scene.world.cluster.remove(ObjectRef(VIRTUAL_MACHINE_GROUP, NAMESPACE, "tier"))
    assert scene.checks()["tier", "object"] == ("differs", "missing")


def test_load_balancers_are_connected_to_only_where_that_is_asked_for(scene: Scene) -> None:
    scene.power_on()
    assert not any(attribute.startswith("connection") for _, attribute in scene.checks())
    connections = {key: value for key, value in scene.checks("--connect").items() if "connection" in key[1]}
    assert set(connections.values()) == {("as expected", "answers")}
    scene.world.probe.silent = dict.fromkeys(scene.world.probe.requests, "does not answer within 3 s")
    ran = scene.verify("nightly", "--connect")
    assert "does not answer within 3 s" in ran.out
    assert ran.code == 4


def test_it_waits_until_all_is_as_expected(scene: Scene) -> None:
    scene.passing(lambda: None, scene.power_on)
    assert scene.verify("nightly", "--timeout", "1m").code == 0


def test_the_end_of_the_time_shows_what_is_open(scene: Scene) -> None:
    ran = scene.verify("nightly", "--timeout", "10s")
    assert ran.code == 5
    assert "differs" in ran.out


def test_a_restore_of_velero_is_verified_by_its_name(scene: Scene) -> None:
    scene.power_on()
    scene.world.cluster.seed(restore())
    ran = scene.verify("--restore", "again", "-o", "json")
    assert (ran.code, json.loads(ran.out)["restore"]) == (0, "again")


def test_names_are_those_of_the_objects(scene: Scene) -> None:
    scene.power_on()
    assert "VirtualMachineGroup/shop/tier" in scene.verify("nightly/20260301T120000Z", "-o", "name").lines


def test_what_cannot_be_listed_is_not_known(scene: Scene) -> None:
    scene.world.cluster.calls.fail("list", Unavailable("the API server is away"), on="VirtualMachine shop")
    ran = scene.verify("nightly")
    assert (ran.code, ran.out) == (1, "")
    assert "the API server is away" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "name a CAPTURE, or a restore with --restore"),
        (("nightly", "--restore", "again"), 2, "name a CAPTURE, or a restore with --restore"),
        (("--restore", "again", "--namespace-mapping", "a:b"), 2, "the namespace mapping is the restore's own"),
        (("nightly", "--namespace-mapping", "shpo:dr"), 2, "the capture holds no object of namespace shpo"),
        (("weekly",), 1, "no bucket has a capture named weekly"),
        (("nightly", "--timeout", "soon"), 2, "Invalid value for '--timeout'"),
    ],
)
def test_misuse_is_two_lines(scene: Scene, arguments: tuple[str, ...], code: int, message: str) -> None:
    ran = scene.verify(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"velero-vmservice: {message}")
    assert len(ran.err.splitlines()) <= 2


def test_the_help_has_examples(scene: Scene) -> None:
    help_text = scene.verify("--help").out
    assert "    velero-vmservice verify --restore nightly-2 --connect -o wide\n" in help_text
