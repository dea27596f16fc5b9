"""What RegisterVM is called with and needs, checked before anything is called: rights, and the network override."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from velero_vmservice.cli.exit_codes import WrongUsage
from velero_vmservice.cli.views import terminal
from velero_vmservice.doctor.rights import RIGHTS, Need
from velero_vmservice.errors import Forbidden, InvalidSettings, NotRestorable, VmServiceError
from velero_vmservice.vsphere.network_override import unmatched

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from velero_vmservice.app import App
    from velero_vmservice.archive.networks import RecordedNetwork
    from velero_vmservice.registervm.attempt import ForRestore


def demand_rights(plugin: App, velero_namespace: str) -> None:
    """Raise `Forbidden` if the record of a call of RegisterVM could not be stored, without which none is made.

    `InvalidSettings` where there is no namespace for it. Where the API server does not say which rights there are, the
    call finds out.
    """
    if not velero_namespace:
        raise InvalidSettings(
            "RegisterVM cannot be called: no namespace is set in which a call is recorded",
            hint="name one in velero_namespace, or in VMSERVICE_VELERO_NAMESPACE",
        )
    cluster = plugin.cluster
    for right in RIGHTS:
        if right.need is not Need.REGISTER_VM:
            continue
        denied: list[str] = []
        with contextlib.suppress(VmServiceError):
            denied += [verb for verb in right.verbs if not cluster.allowed(verb, right.kind, velero_namespace)]
        if denied:
            rights = f"{', '.join(denied)} {right.kind.resource} in namespace {velero_namespace}"
            account = cluster.account or "the user of the kubeconfig"
            raise Forbidden(
                f"RegisterVM cannot be called, as {account} may not {rights}: needed for {right.purpose}",
                hint=f"allow {account} to {rights}",
            )


def demand_supported(
    plugin: App, restore: ForRestore, namespaces: Collection[str], *, by_command: bool = False
) -> None:
    """Raise if RegisterVM cannot be called with the restore's own override.

    `WrongUsage` where this restore calls it for no VM, `NotRestorable` where the Supervisor or one of the namespaces
    maps no subnets. `by_command` is for RegisterVM that a person asks for, whatever the restore chooses.
    """
    if not restore.override:
        return
    trigger = plugin.registering.trigger
    if trigger is None or not (by_command or trigger.calls_for(restore)):
        raise WrongUsage(
            "the network override has no effect, as this restore does not call RegisterVM",
            hint="give --register as well, or leave the network override out",
        )
    if refusals := trigger.unfit_for(restore, namespaces):
        raise NotRestorable(
            f"RegisterVM is not called: {'; '.join(refusals)}",
            hint="change spec.network of the VirtualMachines once they are registered, before they are powered on",
        )


def remark_unmatched(plugin: App, restore: ForRestore, networks: Sequence[RecordedNetwork]) -> None:
    """Print a warning where a restore's own override maps a network that none of its VMs was on.

    The mappings of the settings are for every restore, so one that this restore does not need is no news.
    """
    trigger = plugin.registering.trigger
    if trigger is None or not restore.override or any(network.notation is None for network in networks):
        return  # what is not recorded may be what is mapped
    recorded = {network.notation for network in networks if network.notation}
    if warning := unmatched(trigger.override_for(restore), recorded):
        terminal.remark(warning)
