"""`velero-vmservice registration`: how far restored VMs are, what is wrong, and RegisterVM when asked."""

from __future__ import annotations

import click

from velero_vmservice.cli.access import NamespaceOption
from velero_vmservice.cli.options import examples
from velero_vmservice.cli.registration.status import status
from velero_vmservice.cli.registration.trigger import trigger
from velero_vmservice.cli.views import terminal
from velero_vmservice.registration.explain import advise
from velero_vmservice.registration.troubleshooting import TOPICS
from velero_vmservice.vsphere.registervm_errors import TABLE


@click.group()
def registration() -> None:
    """Follow, request and explain the registration of restored VMs."""


registration.add_command(status)
registration.add_command(trigger)


@registration.command(
    epilog=examples(
        "registration explain",
        "registration explain AlreadyExistsOnSupervisor",
        "registration explain dhcp -n shop --vm web-1",
    )
)
@click.argument("asked", metavar="[CODE|TOPIC]", default="")
@click.option("-n", "--namespace", cls=NamespaceOption, default="", help="Fill this namespace into the commands.")
@click.option("--vm", default="", help="Fill in this VM's name.")
@click.option("--moid", default="", help="Fill in its managed object id in vCenter, e.g. vm-123.")
def explain(asked: str, namespace: str, vm: str, moid: str) -> None:
    """Explain an error of RegisterVM, or a TOPIC: cause, remedy, and the checks as commands to copy.

    CODE may be spelled without its prefix, and a whole error message will do; so will a word such as dhcp for TOPIC.
    Without argument all codes and topics are listed. It asks neither cluster nor vCenter.
    """
    lines = advise(asked, namespace=namespace, vm=vm, moid=moid) if asked.strip() else _all()
    for line in lines:
        terminal.say(line)


def _all() -> tuple[str, ...]:
    width = max(len(entry.code) for entry in TABLE)
    topics = max(len(topic) for topic in TOPICS)
    return (
        "codes of RegisterVM:",
        *(f"  {entry.code:<{width}}  {entry.cause}" for entry in TABLE),
        "topics:",
        *(f"  {topic:<{topics}}  {advice.title}" for topic, advice in TOPICS.items()),
    )
