"""`velero-vmservice preflight`: whether a backup made now could be restored, application by application."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from velero_vmservice.archive.findings import Verdict
from velero_vmservice.cli import access
from velero_vmservice.cli.access import NamespaceOption
from velero_vmservice.cli.exit_codes import ExitCode, WrongUsage
from velero_vmservice.cli.options import table_output
from velero_vmservice.cli.preflight.view import checked_table
from velero_vmservice.preflight.checklist import CheckedNamespace, check, chosen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from velero_vmservice.cli.views.table import Output


@click.command()
@click.argument("applications", nargs=-1, metavar="[APPLICATION]...")
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    cls=NamespaceOption,
    multiple=True,
    metavar="NS",
    help="A namespace to check; repeatable.",
)
@click.option("-A", "--all-namespaces", is_flag=True, help="Every namespace that has VMs, groups or services.")
@table_output
def preflight(
    applications: tuple[str, ...], *, namespaces: tuple[str, ...], all_namespaces: bool, output: Output
) -> None:
    r"""Say of each application whether a backup made now could be restored, and why not; nothing is written.

    Checks that VMs are stable and recorded, PVCs bound, bootstrap objects there, members linked both ways and selectors
    matched; in vCenter, where the settings name one, that each record can be read. An APPLICATION is the name of one of
    its groups or services, or NAMESPACE/NAME. Exits with 3 if an application, or a VM in none, is not restorable.

    \b
    Examples:
      velero-vmservice preflight -n shop
      velero-vmservice preflight --all-namespaces -o wide
      velero-vmservice preflight -n shop front -o json
    """
    if bool(namespaces) == all_namespaces:
        raise WrongUsage("name namespaces with -n, or ask for --all-namespaces")
    _, plugin = access.connect()
    looks = plugin.looks
    checked = _chosen([check(live) for live in looks.look(namespaces)], applications)
    checked_table(checked, asked_vcenter=looks.asks_vcenter).show(output)
    verdicts = {each.verdict for namespace in checked for each in (*namespace.applications, *namespace.alone)}
    sys.exit(ExitCode.BLOCKED if Verdict.NOT_RESTORABLE in verdicts else ExitCode.DONE)


def _chosen(checked: Sequence[CheckedNamespace], names: Sequence[str]) -> Sequence[CheckedNamespace]:
    """Return what bears one of the names, or everything; raises `WrongUsage` for a name that nothing bears."""
    if not names:
        return checked
    known = sorted(f"{each.namespace}/{each.name}" for namespace in checked for each in namespace.applications)
    for name in names:
        if not any(chosen(namespace, [name]).applications or chosen(namespace, [name]).alone for namespace in checked):
            raise WrongUsage(
                f"there is no application {name}", hint=f"there are: {', '.join(known)}" if known else "there is none"
            )
    return [chosen(namespace, names) for namespace in checked]
