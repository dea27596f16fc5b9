"""What a restore is to bring back, as the capture has it: its applications, and the VMs as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.backup.assessment import application_verdict, assessed, by_namespace, verdicts
from velero_vmservice.captures.contents import read_contents
from velero_vmservice.errors import Corrupt
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.archive.schema import Vadp
    from velero_vmservice.captures.catalogue import StoredCapture
    from velero_vmservice.captures.contents import Contents


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedApplications:
    """The applications of a capture, and the facts of their namespaces."""

    capture: StoredCapture
    vadp: Vadp
    """The VADP job and restore point that belong to it."""
    facts: Mapping[str, NamespaceFacts]
    """By namespace."""
    applications: Sequence[ApplicationVerdict]
    """As they were judged at the seal, VMs without an application last."""


def read_captured(capture: StoredCapture) -> CapturedApplications:
    """Read every document of a capture: a restore needs each of them as it was sealed.

    Raises `NotRestorable` for one without a seal, `Corrupt` for a damaged one, and as stores do.
    """
    contents = read_contents(capture)
    seal, facts = contents.demand_whole(), contents.namespaces
    applications = seal.applications if seal.applications is not None else tuple(_judged(contents))
    for each in applications:
        _demand_facts(each, facts)
    alone = (_alone(name, facts) for name in seal.without_application)
    return CapturedApplications(
        capture=capture,
        vadp=seal.vadp,
        facts=facts,
        applications=(*applications, *(each for each in alone if each is not None)),
    )


def _demand_facts(application: ApplicationVerdict, facts: Mapping[str, NamespaceFacts]) -> None:
    """Raise `Corrupt` for an application whose VMs are not known: nothing could be said of them."""
    known = facts[application.namespace].by_name if application.namespace in facts else {}
    if unknown := [name for name in application.vms if name not in known]:
        raise Corrupt(
            f"the capture has no facts about {application.namespace}/{unknown[0]}, a VM of application"
            f" {application.name}",
            hint="use another capture: a document of this one is gone or was changed",
        )


def _judged(contents: Contents) -> Iterator[ApplicationVerdict]:
    """Judge the applications of a capture of an earlier release, whose seal does not."""
    parts = [
        assessed(ref, document.topology, document.findings, contents.namespaces.get(ref.namespace))
        for ref, document in contents.objects.items()
    ]
    for _, objects in sorted(by_namespace(parts).items()):
        yield from verdicts(objects)


def _alone(name: str, facts: Mapping[str, NamespaceFacts]) -> ApplicationVerdict | None:
    namespace, _, vm = name.partition("/")
    if namespace not in facts or vm not in facts[namespace].by_name:
        return None
    return application_verdict(ObjectRef(VIRTUAL_MACHINE, namespace, vm), (), (vm,), ())
