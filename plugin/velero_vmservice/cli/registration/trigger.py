"""`velero-vmservice registration trigger`: RegisterVM for VMs of a restore, because a person asks for it.

It calls where the settings only observe, and it is the only way to another attempt after a failed one.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from velero_vmservice.archive.networks import recorded_networks
from velero_vmservice.captures.matching.choosing import LATEST
from velero_vmservice.cli import access, restore_target
from velero_vmservice.cli.access import NamespaceOption
from velero_vmservice.cli.captures.choice import Chosen, allow_fewer_objects, demand_capture
from velero_vmservice.cli.captures.view import capture_option, location
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage, worst
from velero_vmservice.cli.options import (
    examples,
    from_cluster,
    namespace_mapping,
    network_override_option,
    object_option,
)
from velero_vmservice.cli.registration.override import demand_rights, demand_supported, remark_unmatched
from velero_vmservice.cli.registration.status import read_needed, select
from velero_vmservice.cli.views import networks, terminal
from velero_vmservice.cli.views.registration import exit_code
from velero_vmservice.errors import InvalidItem, InvalidSettings, Unavailable, VmServiceError
from velero_vmservice.kube.manifest import BACKUP, RESTORE
from velero_vmservice.registration.explain import advise
from velero_vmservice.registration.merge import distinct_notes
from velero_vmservice.registration.model import Registration, State
from velero_vmservice.restore.policy import for_restore
from velero_vmservice.restore.source.backup_objects import identified
from velero_vmservice.velero.runs import RestoreRun
from velero_vmservice.vsphere.wcp import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from velero_vmservice import app
    from velero_vmservice.archive.facts import ExpectedVm
    from velero_vmservice.registervm.attempt import ForRestore
    from velero_vmservice.registervm.coordinator import BeforeCall
    from velero_vmservice.registervm.trigger import Trigger

_ON_ITS_WAY: Final = frozenset({State.REGISTERING, State.REGISTERED})
_THERE: Final = frozenset({State.REGISTERED, State.READY})


@click.command(
    epilog=examples(
        "registration trigger --restore nightly-2 -n shop web-1 web-2",
        "registration trigger --backup nightly -n shop web-1 --network-override subnet/prod-a=subnet/dr-a",
        "registration trigger --from nightly/20261130T040000Z -n shop web-1",
    )
)
@click.argument("vms", nargs=-1, required=True, metavar="VM...")
@object_option("--restore", RESTORE, "The Velero restore that they belong to.")
@object_option("--backup", BACKUP, "The backup that the command `restore` brings them back from.")
@capture_option(LATEST, help_text="The capture that the command `restore --from` brings them back from.")
@allow_fewer_objects
@from_cluster
@location
@namespace_mapping
@network_override_option
@click.option(
    "-n",
    "--namespace",
    cls=NamespaceOption,
    help="The namespace to register them in; that of the kubeconfig's context without it.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def trigger(
    vms: tuple[str, ...],
    *,
    restore: str | None,
    backup: str | None,
    capture: str,
    allow_fewer: bool,
    from_cluster: str,
    location: str,
    mapping: Mapping[str, str],
    network_override: Mapping[str, str],
    namespace: str | None,
    yes: bool,
) -> None:
    """Call RegisterVM for VMs that a restore waits for, once for each, after the same checks as in a restore.

    Needs a vCenter in the settings; registration.mode may be observe. The network override is the one that is given,
    else that of the restore, else that of the settings; the networks of the VMs are shown first. A VM that is
    registered already or that another party registers is left alone, and nothing is called while an earlier call is
    open. If a VM is neither registered nor being registered after that, it exits with 3 where a person has to act
    before it can be, with 4 where waiting may help, and with 5 where RegisterVM failed.
    """
    if sum(map(bool, (restore, backup, capture))) != 1:
        raise WrongUsage("name one of a restore with --restore, a backup with --backup, or a capture with --from")
    if not capture:
        demand_capture(location=location, allow_fewer_objects=allow_fewer)
        restore_target.demand_one(backup, restore, mapping, option="--restore")
    namespace = namespace or access.namespace_by_context()
    settings, plugin = access.connect()
    caller = plugin.registering.trigger
    if caller is None:
        raise InvalidSettings(
            "RegisterVM cannot be called: no vCenter is set up",
            hint="set vcenter.server, vcenter.user and vcenter.password_file; registration.mode may stay observe",
        )
    if capture:
        choice = Chosen(capture=capture, allow_fewer=allow_fewer, from_cluster=from_cluster, location=location)
        manifest, run = restore_target.of_capture(plugin, settings, choice, mapping)
    else:
        manifest = restore_target.restore_of(plugin, settings, backup, restore, mapping)
        run = RestoreRun.read(manifest)
    run = identified(replace(run, annotations={**run.annotations, **network_override}))
    demand_rights(plugin, run.namespace)
    restore_choice = for_restore(run, plugin.replays.policy(run))
    machines = select(read_needed(plugin, manifest, mapping, run), manifest, namespace=namespace, vms=vms)[namespace]
    _prepare_override(plugin, restore_choice, namespace, machines)
    before = dict(plugin.registering.before_call(namespace, machines))
    to_call = _to_call(namespace, machines, before)
    if to_call:
        _tell(namespace, to_call, before)
        if yes:
            _demand_no_doubt(to_call, before)
        else:
            if not _confirmed(namespace, to_call):
                raise click.Abort
            known = {doubt for vm in to_call for doubt in before[vm.name].doubts}
            before |= plugin.registering.before_call(namespace, to_call)  # the answer may have taken hours
            to_call = _to_call(namespace, to_call, before)
            _demand_no_doubt(to_call, before, known=known)
    codes = [_code(result.left_alone, _THERE) for result in before.values() if result.left_alone]
    if to_call:
        codes += _call(caller, restore_choice, namespace, to_call)
        terminal.say(f"to follow: {_status_command(run, mapping, namespace, to_call)}")
    sys.exit(worst(*codes))


def _prepare_override(plugin: app.App, restore: ForRestore, namespace: str, vms: Sequence[ExpectedVm]) -> None:
    """Show what the VMs were on where subnets are mapped; raises where the namespace does not take the mappings."""
    demand_supported(plugin, restore, [namespace], by_command=True)
    if restore.override:
        recorded = recorded_networks({namespace: vms})
        for line in networks.lines(recorded):
            terminal.say(line)
        remark_unmatched(plugin, restore, recorded)


def _status_command(run: RestoreRun, mapping: Mapping[str, str], namespace: str, vms: Sequence[ExpectedVm]) -> str:
    mapped = [text for source, target in mapping.items() for text in ("--namespace-mapping", f"{source}:{target}")]
    which = ["--restore", run.name] if run.of_velero else [*run.source, *mapped]
    named = [text for vm in vms for text in ("--vm", vm.name)]
    return shlex.join(["velero-vmservice", "registration", "status", *which, "-n", namespace, *named, "--watch"])


def _code(registration: Registration, well: Collection[State]) -> ExitCode:
    return ExitCode.DONE if registration.state in well else exit_code(registration)


def _to_call(namespace: str, vms: Sequence[ExpectedVm], before: Mapping[str, BeforeCall]) -> list[ExpectedVm]:
    """Return the VMs for which RegisterVM may be called, and print why for each of the others it may not."""
    for vm in vms:
        if alone := before[vm.name].left_alone:
            reason = f"RegisterVM is not called for it, as {alone.told_by} says {alone}"
            terminal.say(f"{namespace}/{vm.name}: {reason}")
    return [vm for vm in vms if before[vm.name].left_alone is None]


def _tell(namespace: str, vms: Sequence[ExpectedVm], before: Mapping[str, BeforeCall]) -> None:
    """Show the state of the VMs that RegisterVM is to be called for, before the question."""
    registrations = [before[vm.name].registration for vm in vms]
    for registration in registrations:
        terminal.say(f"{namespace}/{registration.name} is {registration}")
    for note in dict.fromkeys((*distinct_notes(registrations), *_doubts(vms, before))):
        terminal.say(f"note: {note}")


def _doubts(
    vms: Sequence[ExpectedVm], before: Mapping[str, BeforeCall], *, known: Collection[str] = ()
) -> Sequence[str]:
    doubts = [doubt for vm in vms for doubt in before[vm.name].doubts.items()]
    return list(dict.fromkeys(f"{what}: {why}" for what, why in doubts if what not in known))


def _demand_no_doubt(
    vms: Sequence[ExpectedVm], before: Mapping[str, BeforeCall], *, known: Collection[str] = ()
) -> None:
    """Raise `Unavailable` if there is a doubt about the call that was not shown before the confirmation."""
    if doubts := _doubts(vms, before, known=known):
        names = ", ".join(vm.name for vm in vms)
        raise Unavailable(
            f"RegisterVM is not called for {names}, as {'; '.join(doubts)}",
            hint="repeat the command once that is over, or without --yes, to decide at the prompt",
        )


def _confirmed(namespace: str, vms: Sequence[ExpectedVm]) -> bool:
    names = ", ".join(shlex.quote(vm.name) for vm in vms)
    question = f"Call RegisterVM for {names} in namespace {namespace}? It can be neither repeated nor cancelled"
    return terminal.agreed(question)


def _call(caller: Trigger, restore: ForRestore, namespace: str, vms: Sequence[ExpectedVm]) -> list[ExitCode]:
    """Call for one VM after the other, printing the outcome; return the state of each.

    Raises what cluster and vCenter raise while they are away, after printing which VMs were not reached.
    """
    codes = []
    for number, vm in enumerate(vms):
        try:
            registration = caller.again(restore, namespace, vm)
        except InvalidItem as error:
            terminal.say(f"{namespace}/{vm.name}: {error}")
            codes.append(ExitCode.NOT_READY)
        except KeyboardInterrupt:
            terminal.say(f"RegisterVM may have been called for {vm.name}: repeat the command to find out")
            raise
        except VmServiceError:
            terminal.say(f"RegisterVM is not called for {', '.join(left.name for left in vms[number:])}")
            raise
        else:
            _explain(namespace, registration)
            codes.append(_code(registration, _ON_ITS_WAY))
    return codes


def _explain(namespace: str, registration: Registration) -> None:
    """Print the outcome of a call, with the guide's checks where it was refused or failed."""
    terminal.say(f"{namespace}/{registration.name}: {registration}")
    for note in registration.notes:
        terminal.say(f"  note: {note}")
    if registration.code:
        for line in advise(registration.code, namespace=namespace, vm=registration.name):
            terminal.say(f"  {line}".rstrip())
    if registration.state not in _ON_ITS_WAY and registration.can_wait:
        minutes = int(TIMEOUT_SECONDS // 60)
        terminal.say(
            "  it may pass: repeat the command then; a call that was recorded and did not reach vCenter is given up"
            f" after {minutes} minutes",
        )
