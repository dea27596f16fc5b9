"""Every command does what its help says on its happy path, and says what is wrong with three ways of misusing it.

A new command has to stand in `USES`. What the help itself has to show is in `test_about`, the table of each in
`test_table`; how much a command can do is in the module of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from tests.tools.markdown import ROOT
from tests.unit.builders import NAMESPACE, group, service, vm
from tests.unit.cli.test_access import LEAVES
from tests.unit.cli.test_doctor import LOCATION
from tests.unit.doctor.deployments import deployment
from tests.unit.vsphere.saved.vms import saved
from tests.unit.world import World
from velero_vmservice.cli.exit_codes import ExitCode
from velero_vmservice.kube.manifest import DEPLOYMENT
from velero_vmservice.vadp.capturing import CaptureRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.command_line import CommandLine

LABELS = {"app": "web"}


@dataclass(frozen=True)
class Misuse:
    """A command line that is wrong, with the exit code of the documented table and a part of the answer."""

    arguments: str
    code: int
    answer: str


@dataclass(frozen=True)
class Use:
    """How a command is used well, with a part of what it prints, and how it is misused."""

    happy: str
    prints: str
    misuses: tuple[Misuse, Misuse, Misuse]
    elsewhere: str = ""
    """The test that runs the happy path, where it takes more than memory."""


USES: Final = {
    "serve": Use(
        "serve --plugins-dir /plugins", "",
        (
            Misuse("serve --plugins-dir nowhere", 2, "Directory 'nowhere' does not exist"),
            Misuse("serve --plugins-dir . now", 2, "Got unexpected extra argument (now)"),
            Misuse("serve -n shop", 2, "serve takes no namespace"),
        ),
        elsewhere="tests/e2e/sidecar.py",
    ),
    "install": Use(
        "install /plugins", "",
        (
            Misuse("install", 2, "Missing argument 'DIRECTORY'"),
            Misuse("install nowhere", 2, "Directory 'nowhere' does not exist"),
            Misuse("install .", 1, "this installation has no runtime to copy"),
        ),
        elsewhere="tests/e2e/test_bundle.py",
    ),
    "install-launcher": Use(
        "install-launcher .", "velero-plugin-for-vmservice: ",
        (
            Misuse("install-launcher", 2, "Missing argument 'DIRECTORY'"),
            Misuse("install-launcher nowhere", 2, "Directory 'nowhere' does not exist"),
            Misuse("install-launcher . .", 2, "Got unexpected extra argument (.)"),
        ),
    ),
    "capture": Use(
        "capture -n shop --vadp-job nightly", "sealed: nightly/",
        (
            Misuse("capture -n shop -A", 2, "name namespaces with -n, or ask for --all-namespaces"),
            Misuse("capture -n shpo", 1, "namespace shpo does not exist"),
            Misuse("capture -n shop -l app=?", 2, '"app=?" is not a label selector'),
        ),
    ),
    "preflight": Use(
        "preflight -n shop", "shop/tier",
        (
            Misuse("preflight -n shop shpo", 2, "there is no application shpo"),
            Misuse("preflight --restore new", 2, "--from is missing"),
            Misuse("preflight --restore sideways --from gold", 2, "'new', 'in-place', 'failover'"),
        ),
    ),
    "validate-vmx": Use(
        "validate-vmx web-1.vmx", "restorable",
        (
            Misuse("validate-vmx", 2, "Missing argument 'FILE...'"),
            Misuse("validate-vmx nowhere.vmx", 1, "nowhere.vmx"),
            Misuse("validate-vmx notes.txt", 1, "notes.txt"),
        ),
    ),
    "extraconfig show": Use(
        "extraconfig show web-1.vmx", "namespace: shop",
        (
            Misuse("extraconfig show", 2, "Missing argument 'FILE'"),
            Misuse("extraconfig show nowhere.vmx", 1, "nowhere.vmx"),
            Misuse("extraconfig show web-1.vmx -o table", 2, "'yaml', 'json'"),
        ),
    ),
    "coverage": Use(
        "coverage -n shop", "VirtualMachineService shop/front",
        (
            Misuse("coverage --within tomorrow", 2, '"tomorrow" is not a duration'),
            Misuse("coverage -o xml", 2, "'table', 'wide', 'json', 'yaml', 'name', 'html'"),
            Misuse("coverage shop", 2, "Got unexpected extra argument (shop)"),
        ),
    ),
    "match": Use(
        "match --restore-point 4711", "gold/",
        (
            Misuse("match --restore-point 1 --time 20260301T120000Z", 2, "not both"),
            Misuse("match --time yesterday", 2, '"yesterday" is no time'),
            Misuse("match --vadp-job gold", 2, "--vadp-job says whose --restore-point is meant"),
        ),
    ),
    "plan": Use(
        "plan nightly", "VirtualMachineService shop/front",
        (
            Misuse("plan", 2, "name a BACKUP, or a capture with --from"),
            Misuse("plan nigthly", 1, "nigthly"),
            Misuse("plan nightly --policy power=off", 2, "--policy power"),
        ),
    ),
    "restore": Use(
        "restore nightly", "verified",
        (
            Misuse("restore", 2, "name a BACKUP, a capture with --from, or a restore with --resume"),
            Misuse("restore --from nigthly", 1, "no bucket has a capture named nigthly"),
            Misuse("restore nightly --timeout 0", 2, '"0" is not a duration'),
        ),
    ),
    "verify": Use(
        "verify nightly", "VirtualMachineGroup shop/tier",
        (
            Misuse("verify", 2, "name a CAPTURE, or a restore with --restore"),
            Misuse("verify nigthly", 1, "no bucket has a capture named nigthly"),
            Misuse("verify nightly --timeout soon", 2, '"soon" is not a duration'),
        ),
    ),
    "report show": Use(
        "report show nightly", "Restored and verified",
        (
            Misuse("report show", 2, "Missing argument 'RESTORE'"),
            Misuse("report show nigthly", 1, "nigthly"),
            Misuse("report show nightly --started noon", 2, '"noon" is no time'),
        ),
    ),
    "report list": Use(
        "report list", "nightly",
        (
            Misuse("report list nigthly", 1, "no report of nigthly is stored"),
            Misuse("report list -o html", 2, "'table', 'wide', 'json', 'yaml', 'name'"),
            Misuse("report list -n shop", 2, "list takes no namespace"),
        ),
    ),
    "captures list": Use(
        "captures list --vadp-job gold", "gold/",
        (
            Misuse("captures list --older-than old", 2, '"old" is not a duration'),
            Misuse("captures list --older-than 2d --newer-than 1d", 2, "--newer-than the longer time"),
            Misuse("captures list --tag site", 2, '"site" is not of the form a=b'),
        ),
    ),
    "captures show": Use(
        "captures show gold", "VirtualMachineGroup shop/tier",
        (
            Misuse("captures show", 2, "Missing argument 'CAPTURE'"),
            Misuse("captures show glod", 1, "no bucket has a capture named glod"),
            Misuse("captures show gold --location elsewhere", 1, "elsewhere"),
        ),
    ),
    "captures diff": Use(
        "captures diff gold", "nothing differs",
        (
            Misuse("captures diff", 2, "Missing argument 'CAPTURE'"),
            Misuse("captures diff gold glod", 1, "no bucket has a capture named glod"),
            Misuse("captures diff gold --namespace-mapping shop", 2, '"shop" is not of the form a:b'),
        ),
    ),
    "captures verify": Use(
        "captures verify gold", "gold/",
        (
            Misuse("captures verify", 2, "--all"),
            Misuse("captures verify glod", 1, "no bucket has a capture named glod"),
            Misuse("captures verify gold --all", 2, "--all"),
        ),
    ),
    "captures export": Use(
        "captures export gold -", "kind: VirtualMachineGroup",
        (
            Misuse("captures export gold", 2, "Missing argument 'DIR|-'"),
            Misuse("captures export glod -", 1, "no bucket has a capture named glod"),
            Misuse("captures export gold - --namespace-mapping shpo:dr", 2, "no object of namespace shpo"),
        ),
    ),
    "captures prune": Use(
        "captures prune", "no capture is to be deleted",
        (
            Misuse("captures prune --older-than never", 2, '"never" is not a duration'),
            Misuse("captures prune --keep-last many", 2, "'many' is not a valid integer range"),
            Misuse("captures prune gold", 2, "Got unexpected extra argument (gold)"),
        ),
    ),
    "prune": Use(
        "prune", "nothing is to be deleted",
        (
            Misuse("prune --older-than never", 2, '"never" is not a duration'),
            Misuse("prune -n shop", 2, "prune takes no namespace"),
            Misuse("prune nightly", 2, "Got unexpected extra argument (nightly)"),
        ),
    ),
    "drill run": Use(
        "drill run --from gold", "shop/tier",
        (
            Misuse("drill run --from glod", 1, "no bucket has a capture named glod"),
            Misuse("drill run shpo", 1, "no bucket has a sealed capture with application shpo"),
            Misuse("drill run --into dr --namespace-mapping shop:dr", 2, "--into"),
        ),
    ),
    "drill list": Use(
        "drill list", "gold/",
        (
            Misuse("drill list silver", 1, "silver"),
            Misuse("drill list -n shop", 2, "list takes no namespace"),
            Misuse("drill list -o html", 2, "'table', 'wide', 'json', 'yaml', 'name'"),
        ),
    ),
    "drill show": Use(
        "drill show gold", "shop/tier",
        (
            Misuse("drill show", 2, "Missing argument 'DRILL'"),
            Misuse("drill show silver", 1, "silver"),
            Misuse("drill show gold -n shop", 2, "show takes no namespace"),
        ),
    ),
    "doctor": Use(
        "doctor --cluster-only", "Velero's version",
        (
            Misuse("doctor now", 2, "Got unexpected extra argument (now)"),
            Misuse("doctor -n shop", 2, "doctor takes no namespace"),
            Misuse("doctor --image example/plugin:1", 2, "--image is the image of the Job"),
        ),
    ),
    "registration status": Use(
        "registration status nightly", "ready",
        (
            Misuse("registration status", 2, "name a BACKUP, or a restore with --restore"),
            Misuse("registration status nightly --timeout 5m", 2, "--timeout is how long to watch"),
            Misuse("registration status nightly --vm web-9", 1, "web-9"),
        ),
    ),
    "registration trigger": Use(
        "registration trigger --backup nightly -n shop web-1 --yes", "RegisterVM is not called for it",
        (
            Misuse("registration trigger -n shop web-1", 2, "name one of a restore with --restore"),
            Misuse("registration trigger --backup nightly -n shop", 2, "Missing argument 'VM...'"),
            Misuse("registration trigger --backup nightly -n shop web-9 --yes", 1, "web-9"),
        ),
    ),
    "registration explain": Use(
        "registration explain dhcp -n shop", "shop",
        (
            Misuse("registration explain dhcp -o json", 2, "No such option"),
            Misuse("registration explain dhcp power-on", 2, "power-on"),
            Misuse("registration explain dhcp --moid", 2, "Option '--moid' requires an argument"),
        ),
    ),
    "version": Use(
        "version", "v1.18.2",
        (
            Misuse("version now", 2, "Got unexpected extra argument (now)"),
            Misuse("version -n shop", 2, "version takes no namespace"),
            Misuse("version -o text/plain", 2, "'table', 'wide', 'json', 'yaml', 'name'"),
        ),
    ),
    "completion": Use(
        "completion bash", "_VELERO_VMSERVICE_COMPLETE",
        (
            Misuse("completion", 2, "Missing argument"),
            Misuse("completion csh", 2, "'bash', 'zsh', 'fish'"),
            Misuse("completion bash zsh", 2, "Got unexpected extra argument (zsh)"),
        ),
    ),
}  # fmt: skip


@pytest.fixture(name="anywhere")
def _anywhere(command: CommandLine, tmp_path: Path) -> CommandLine:
    """An application with a backup, a capture, a restore of each, a drill, and the VMX file of one of its VMs."""
    world = World()
    world.cluster.serve(DEPLOYMENT, "v1")
    world.cluster.seed(LOCATION, deployment())
    world.back_up(
        vm("web-1", labels=LABELS, group="tier"), group("tier", ["web-1"]), service("front", LABELS, type="ClusterIP")
    )
    world.clock.advance(3600.0)
    world.app.capturing.take(CaptureRequest(namespaces=(NAMESPACE,), job="gold", restore_point="4711"))
    world.clock.advance(3600.0)
    command.connects_to(world.start)
    command.waits(world)
    command.patch.chdir(tmp_path)
    (tmp_path / "web-1.vmx").write_bytes(saved())
    (tmp_path / "notes.txt").write_text("buy milk\n")
    assert command("restore", "nightly").code == 0
    assert command("drill", "run", "--from", "gold").code in {0, 1}
    return command


def test_every_command_has_a_happy_path_and_three_misuses() -> None:
    assert USES.keys() == LEAVES.keys()
    for name, use in USES.items():
        lines = {misuse.arguments for misuse in use.misuses}
        assert len(lines) == len(use.misuses)
        assert all(line.startswith(name) for line in (use.happy, *lines))


@pytest.mark.parametrize("name", USES)
def test_the_happy_path_ends_well(anywhere: CommandLine, name: str) -> None:
    use = USES[name]
    if use.elsewhere:
        assert name in (ROOT / use.elsewhere).read_text()
        return
    ran = anywhere(*use.happy.split())
    assert (ran.code, use.prints in ran.out) == (0, True), ran


@pytest.mark.parametrize("name", USES)
def test_a_misuse_is_answered_with_its_exit_code_and_what_is_wrong(anywhere: CommandLine, name: str) -> None:
    for misuse in USES[name].misuses:
        ran = anywhere(*misuse.arguments.split())
        assert (ran.code, misuse.answer in f"{ran.out}{ran.err}") == (misuse.code, True), (misuse, ran)
        if ran.code == ExitCode.USAGE:
            happened, hint = (line for line in ran.err.splitlines() if not line.startswith("note: "))
            assert (ran.out, happened[:18], hint[:6]) == ("", "velero-vmservice: ", "hint: "), ran
