"""RegisterVM and its network override as one restore chooses them: by `restore`, `plan` and `registration trigger`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NAMESPACE, m, obj, restore, service, vm, with_policy
from tests.unit.restored_vms import restored
from tests.unit.world import World
from velero_vmservice.errors import Rejected
from velero_vmservice.kube.manifest import CONFIG_MAP, SUBNET_SET, ObjectRef
from velero_vmservice.registervm.attempt import RECORD_LABEL, read_attempt
from velero_vmservice.settings.registration import RegistrationSettings
from velero_vmservice.vmoperator import virtual_machine
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere.network_override import SubnetMapping
from velero_vmservice.vsphere.record import Record
from velero_vmservice.vsphere.registervm_errors import CLAIM_FAILED
from velero_vmservice.vsphere.vm import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.builders import Json
    from tests.unit.cli.command_line import CommandLine, Ran

WEB = {"app": "web"}
PROD_TO_DR = SubnetMapping(current=Subnet(type="SUBNET", name="prod-a"), new=Subnet(type="SUBNET", name="dr-a"))
OPTION = ("--network-override", "subnet/prod-a=subnet/dr-a")
NETWORKS = [
    "networks at the backup, as --network-override names them:",
    "  shop  subnet/prod-a: web-1; web-2",
    "  shop  subnetset/ (the default network): web-2",
    "  shop  another kind of network, which RegisterVM does not map: web-1",
]


def on(name: str, *kinds: tuple[str, str]) -> Json:
    listed = [
        {"name": f"eth{n}", "network": {"kind": kind, "name": network}} for n, (kind, network) in enumerate(kinds)
    ]
    return vm(name, labels=WEB, spec={"network": {"interfaces": listed}})


WEB_1 = on("web-1", ("Subnet", "prod-a"), ("Network", "vds"))
WEB_2 = on("web-2", ("Subnet", "prod-a"), ("SubnetSet", ""))
FRONT = service("front", WEB)


class Scene:
    """An application in an NSX-VPC, backed up and lost; its VMs lie restored in vCenter."""

    def __init__(self, command: CommandLine, *vms: Json, mode: str = "observe") -> None:
        self.world = World(mode=mode)
        self.vcenter = self.world.vsphere.vcenter
        self.world.cluster.serve(SUBNET_SET, "v1alpha1")
        self.world.cluster.seed(obj("SubnetSet", "vm-default", api="crd.nsx.vmware.com/v1alpha1"))
        self.vms = vms or (WEB_1, WEB_2)
        self.items = self.world.back_up(*self.vms, FRONT)
        self.world.lose(*self.vms, FRONT)
        for number, manifest in enumerate(self.vms, 1):
            interfaces = virtual_machine.interfaces(m(manifest))
            name = manifest["metadata"]["name"]
            self.vcenter.restore(NAMESPACE, restored(f"vm-{number}", name, record=Record(interfaces=interfaces)))
        command.connects_to(self.world.start)
        self.command = command
        self.passing()

    def passing(self, *steps: Callable[[], object]) -> None:
        """Let these happen, one in each wait of a command."""
        left: Iterator[Callable[[], object]] = iter(steps)

        def wait(seconds: float) -> None:
            self.world.clock.advance(seconds)
            next(left, lambda: None)()
            self.world.vm_operator(NAMESPACE)

        self.command.patch.setattr(time, "sleep", wait)

    def come_back(self) -> None:
        """Let each call succeed, and VM Operator reconcile what it made."""
        for number, manifest in enumerate(self.vms, 1):
            for task in self.vcenter.tasks_of(f"vm-{number}"):
                self.vcenter.set_task(task, TaskState.SUCCEEDED)
            name = manifest["metadata"]["name"]
            moved = on(name, ("Subnet", "dr-a"), ("SubnetSet", "")) if name == "web-2" else on(name, ("Subnet", "dr-a"))
            status = {"uniqueID": f"vm-{number}"}
            self.world.cluster.seed({**vm(name, labels=WEB, uid="new", status=status), "spec": moved["spec"]})

    def fail(self) -> None:
        """Let each task end with an error of the guide's table."""
        for number, _ in enumerate(self.vms, 1):
            for task in self.vcenter.tasks_of(f"vm-{number}"):
                self.vcenter.set_task(task, TaskState.FAILED, message=CLAIM_FAILED)

    def forget(self) -> None:
        """Let vCenter forget every task, as it does after some minutes."""
        for number, _ in enumerate(self.vms, 1):
            for task in self.vcenter.tasks_of(f"vm-{number}"):
                self.vcenter.forget(task)

    @property
    def called(self) -> list[str]:
        return [moid for method, moid in self.vcenter.calls.made if method == "call"]

    def attempts(self) -> list[Any]:
        records = self.world.cluster.list(CONFIG_MAP, "velero")
        return [read_attempt(record) for record in records if RECORD_LABEL in record.labels]


@pytest.fixture(name="scene")
def _scene(command: CommandLine) -> Scene:
    return Scene(command)


# What is shown.


def test_a_plan_shows_the_networks_that_the_vms_were_on(scene: Scene) -> None:
    ran = scene.command("plan", "nightly")
    assert ran.code == 0
    assert ran.lines[-4:] == NETWORKS
    assert json.loads(scene.command("plan", "nightly", "-o", "json").out)["networks"] == [
        {"namespace": "shop", "network": "subnet/prod-a", "vms": ["web-1", "web-2"]},
        {"namespace": "shop", "network": "subnetset/", "vms": ["web-2"]},
        {"namespace": "shop", "network": "", "vms": ["web-1"]},
    ]


def test_a_plan_says_nothing_of_networks_that_no_override_can_map(command: CommandLine) -> None:
    scene = Scene(command, on("web-1", ("Network", "vds")))
    assert "networks" not in scene.command("plan", "nightly").out


def test_a_plan_foresees_the_calls_that_a_restore_would_make_and_makes_none(scene: Scene) -> None:
    ran = scene.command("plan", "nightly", "--register", *OPTION)
    assert "a restore calls RegisterVM for vm-1" in ran.out
    assert "registration=trigger, network-override=subnet/prod-a=subnet/dr-a" in ran.lines[1]
    assert (ran.code, scene.called, scene.attempts()) == (0, [], [])


def test_a_mapping_of_no_recorded_network_is_a_warning_that_names_those_that_are(scene: Scene) -> None:
    ran = scene.command("plan", "nightly", "--register", "--network-override", "prod-b=dr-b", *OPTION)
    assert ran.err == (
        "note: the restore's network-override maps subnet/prod-b, and no VM was on it at the backup; recorded are:"
        " subnet/prod-a; subnetset/\n"
    )


def test_a_mapping_of_the_settings_that_this_restore_does_not_need_is_no_news(command: CommandLine) -> None:
    scene = Scene(command)
    other = {"current": {"type": "SUBNET", "name": "elsewhere"}, "new": {"type": "SUBNET", "name": "dr-b"}}
    registration = RegistrationSettings.model_validate({"mode": "trigger", "subnet_mappings": [other]})
    scene.world.settings = scene.world.settings.model_copy(update={"registration": registration})
    ran = scene.command("plan", "nightly")
    assert (ran.code, ran.err) == (0, "")
    assert "a restore calls RegisterVM for vm-1" in ran.out


# A restore of the command line.


def test_a_restore_calls_once_for_each_vm_with_its_own_override_and_shows_the_networks_first(scene: Scene) -> None:
    scene.passing(lambda: None, scene.come_back)
    ran = scene.command("restore", "nightly", "--register", *OPTION)
    assert (ran.code, ran.err) == (0, "")
    assert "registration=trigger, network-override=subnet/prod-a=subnet/dr-a" in ran.lines[0]
    assert ran.lines[1:5] == NETWORKS
    assert sorted(scene.called) == ["vm-1", "vm-2"]
    assert set(scene.vcenter.overrides.values()) == {(PROD_TO_DR,)}
    assert [attempt.override for attempt in scene.attempts()] == [(PROD_TO_DR,)] * 2


def test_a_restore_that_was_stopped_follows_its_calls_and_makes_none_anew(scene: Scene) -> None:
    stopped = scene.command("restore", "nightly", "--register", *OPTION, "--timeout", "10s")
    assert stopped.code == 4
    assert sorted(scene.called) == ["vm-1", "vm-2"]
    scene.passing(lambda: None, scene.come_back)
    assert scene.command("restore", "nightly", "--register").code == 0
    assert sorted(scene.called) == ["vm-1", "vm-2"]
    assert len(scene.attempts()) == 2


def test_a_repeated_restore_says_what_failed_and_calls_again_only_by_the_command_for_it(scene: Scene) -> None:
    scene.passing(lambda: None, scene.fail)
    failed = scene.command("restore", "nightly", "--register", "--timeout", "30s")
    assert (failed.code, len(scene.called)) == (4, 2)
    scene.forget()
    scene.passing()
    again = scene.command("restore", "nightly", "--register", "--timeout", "30s")
    assert (again.code, len(scene.called)) == (4, 2)
    assert "a restored disk could not be registered" in again.out
    assert "put the cause right, then use `velero-vmservice registration trigger`" in again.out
    plan = scene.command("plan", "nightly", "--register")
    assert "a restored disk could not be registered" in plan.out
    assert "a restore calls RegisterVM" not in plan.out
    scene.command("registration", "trigger", "--backup", "nightly", "-n", "shop", "web-1", "web-2", "--yes")
    assert sorted(scene.called) == ["vm-1", "vm-1", "vm-2", "vm-2"]
    scene.passing(lambda: None, scene.come_back)
    assert scene.command("restore", "nightly", "--register").code == 0
    assert len(scene.called) == 4


def test_a_restore_may_do_without_the_calls_of_the_settings(command: CommandLine) -> None:
    scene = Scene(command, mode="trigger")
    assert scene.command("restore", "nightly", "--no-register", "--timeout", "10s").code == 4
    assert scene.called == []


def test_the_command_that_goes_on_has_the_choices_of_the_first(scene: Scene) -> None:
    scene.passing(lambda: None, scene.come_back)
    scene.world.cluster.calls.fail("create", Rejected("no"), on="VirtualMachineService shop/front")
    ran = scene.command("restore", "nightly", "--register", *OPTION)
    again = "velero-vmservice restore nightly --policy=registration=trigger --policy=network-override="
    assert ran.code == 5
    assert f"{again}subnet/prod-a=subnet/dr-a" in ran.out


# Refusals.


def without_vpc(scene: Scene) -> None:
    scene.world.cluster.remove(ObjectRef(SUBNET_SET, NAMESPACE, "vm-default"))


@pytest.mark.parametrize("verb", ["plan", "restore"])
def test_an_override_is_refused_where_the_namespace_is_in_no_vpc(scene: Scene, verb: str) -> None:
    without_vpc(scene)
    ran = scene.command(verb, "nightly", "--register", *OPTION)
    assert ran.code == 3
    assert ran.err == (
        "velero-vmservice: RegisterVM is not called: the restore maps subnets, and RegisterVM does so in an NSX-VPC"
        " only; the namespace has none: with VDS or pre-VPC NSX networking leave the restore's network-override out"
        " (guide 7.3.2)\nhint: change spec.network of the VirtualMachines once they are registered, before they are"
        " powered on\n"
    )
    assert (scene.called, scene.attempts()) == ([], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (OPTION, "the network override has no effect, as this restore does not call RegisterVM"),
        (("--network-override", "prod-a"), "--network-override has a mapping that is not of the form OLD=NEW"),
        (("--network-override", "vlan/7=a"), "--network-override has a mapping that names neither a subnet nor"),
        (("--network-override", "a=b", *OPTION[:1], "a=c"), "--network-override maps one subnet twice"),
        (("--policy", "registration=maybe"), "--policy registration: registration has to be 'observe' or 'trigger'"),
    ],
)
def test_misuse_is_refused_before_anything_is_read(scene: Scene, options: tuple[str, ...], message: str) -> None:
    for command in ("restore", "plan"):
        ran = scene.command(command, "nightly", *options)
        assert (ran.code, scene.called) == (2, [])
        assert ran.err.startswith(f"velero-vmservice: {message}")


def test_calls_without_a_vcenter_are_refused(command: CommandLine) -> None:
    scene = Scene(command)
    command.connects_to(lambda: scene.world.start(vcenter=False))
    ran = command("restore", "nightly", "--register")
    assert ran.code == 1
    assert ran.err == (
        "velero-vmservice: the restore asks for RegisterVM (registration=trigger), and no vCenter is set up to call it"
        " at\nhint: set vcenter.server, vcenter.user and vcenter.password_file, or leave registration=trigger out\n"
    )


def test_the_help_of_the_commands_shows_the_options_with_an_example(scene: Scene) -> None:
    for command in (("restore",), ("plan",), ("registration", "trigger")):
        ran = scene.command(*command, "--help")
        assert "--network-override OLD=NEW" in ran.out
    assert "velero-vmservice restore nightly --register --network-override" in scene.command("restore", "--help").out


# RegisterVM by command.


def trigger(scene: Scene, *options: str) -> Ran:
    return scene.command("registration", "trigger", "-n", NAMESPACE, "--yes", *options)


def test_a_command_calls_with_the_override_that_it_is_given_and_shows_the_networks_first(scene: Scene) -> None:
    scene.world.cluster.seed(restore(**with_policy(network_override="subnetset/=dr-default")))
    ran = trigger(scene, "--restore", "again", *OPTION, "web-1")
    assert ran.code == 0
    assert ran.lines[:3] == [NETWORKS[0], "  shop  subnet/prod-a: web-1", NETWORKS[3]]
    assert scene.vcenter.overrides == {"vm-1": (PROD_TO_DR,)}


def test_a_command_calls_with_the_override_of_its_restore(scene: Scene) -> None:
    scene.world.cluster.seed(restore(**with_policy(network_override="prod-a=dr-a")))
    assert trigger(scene, "--restore", "again", "web-2").code == 0
    assert scene.vcenter.overrides == {"vm-2": (PROD_TO_DR,)}


def test_a_command_refuses_an_override_that_the_namespace_does_not_take(scene: Scene) -> None:
    without_vpc(scene)
    ran = trigger(scene, "--backup", "nightly", *OPTION, "web-1")
    assert (ran.code, scene.called) == (3, [])
    assert ran.err.startswith("velero-vmservice: RegisterVM is not called: the restore maps subnets")


def test_a_command_for_a_backup_makes_the_attempts_that_its_restore_follows(scene: Scene) -> None:
    ran = trigger(scene, "--backup", "nightly", "web-1", "web-2")
    assert ran.lines[-1] == (
        "to follow: velero-vmservice registration status nightly -n shop --vm web-1 --vm web-2 --watch"
    )
    assert "attempt 1" in trigger(scene, "--backup", "nightly", "web-1").out
    assert "RegisterVM task task-1 of vm-1 runs" in scene.command("registration", "status", "nightly").out
    scene.passing(lambda: None, scene.come_back)
    assert scene.command("restore", "nightly", "--register").code == 0
    assert sorted(scene.called) == ["vm-1", "vm-2"]


def test_a_command_is_for_a_restore_or_a_backup(scene: Scene) -> None:
    for which in ((), ("--restore", "again", "--backup", "nightly")):
        ran = trigger(scene, *which, "web-1")
        assert ran.code == 2
        assert ran.err.startswith("velero-vmservice: name one of a restore with --restore, a backup with --backup")


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "nightly", "--register"),
        ("registration", "trigger", "web-1", "-y", "--backup", "nightly", "-n", "shop"),
    ],
)
def test_without_the_right_to_record_a_call_none_is_begun(scene: Scene, arguments: tuple[str, ...]) -> None:
    scene.world.cluster.denied = {("create", "configmaps")}
    ran = scene.command(*arguments)
    assert ran.code == 1
    assert "may not create configmaps in namespace velero" in ran.err
    assert "hint: allow " in ran.err
    assert scene.vcenter.calls.counts["call"] == 0
