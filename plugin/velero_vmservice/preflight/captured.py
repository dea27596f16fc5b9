"""What a restore is to bring back, as the capture has it: its applications, and the VMs as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.archive.restore_point import read_seal
from velero_vmservice.archive.schema import Capture, Vadp, captured_object
from velero_vmservice.archive.store import read_document, read_facts
from velero_vmservice.backup.assessment import application_verdict, assessed, by_namespace, verdicts
from velero_vmservice.errors import Corrupt, NotFound, NotRestorable
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.archive.facts import NamespaceFacts
    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.archive.schema import Seal, Vadp
    from velero_vmservice.captures.catalogue import StoredCapture


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
    """Read a capture; raises `NotRestorable` for one without a seal, `Corrupt` for a damaged one, and as stores do."""
    try:
        seal = read_seal(capture.store, capture.run)
    except NotFound as error:
        raise NotRestorable(
            f"the capture {capture.ref} has no seal: it was not finished, and is never restored",
            hint="name another capture: velero-vmservice captures list",
        ) from error
    facts = dict(_facts(capture, seal))
    applications = seal.applications if seal.applications is not None else tuple(_judged(capture, seal, facts))
    for each in applications:
        _demand_facts(each, facts)
    alone = (_alone(name, facts) for name in seal.without_application)
    return CapturedApplications(
        capture=capture,
        vadp=seal.vadp,
        facts=facts,
        applications=(*applications, *(each for each in alone if each is not None)),
    )


def _facts(capture: StoredCapture, seal: Seal) -> Iterator[tuple[str, NamespaceFacts]]:
    for entry in seal.namespaces:
        namespace = capture.run.namespace_of(entry.key)
        yield namespace, read_facts(capture.store, capture.run, namespace, sha256=entry.sha256)


def _demand_facts(application: ApplicationVerdict, facts: Mapping[str, NamespaceFacts]) -> None:
    """Raise `Corrupt` for an application whose VMs are not known: nothing could be said of them."""
    known = facts[application.namespace].by_name if application.namespace in facts else {}
    if unknown := [name for name in application.vms if name not in known]:
        raise Corrupt(
            f"the capture has no facts about {application.namespace}/{unknown[0]}, a VM of application"
            f" {application.name}",
            hint="use another capture: a document of this one is gone or was changed",
        )


def _judged(capture: StoredCapture, seal: Seal, facts: Mapping[str, NamespaceFacts]) -> Iterator[ApplicationVerdict]:
    """Judge the applications of a capture of an earlier release, whose seal does not."""
    parts = []
    for entry in seal.objects:
        document = read_document(capture.store, entry.key, Capture, sha256=entry.sha256)
        if (ref := captured_object(entry.key)) is not None:
            parts.append(assessed(ref, document.topology, document.findings, facts.get(ref.namespace)))
    for _, objects in sorted(by_namespace(parts).items()):
        yield from verdicts(objects)


def _alone(name: str, facts: Mapping[str, NamespaceFacts]) -> ApplicationVerdict | None:
    namespace, _, vm = name.partition("/")
    if namespace not in facts or vm not in facts[namespace].by_name:
        return None
    return application_verdict(ObjectRef(VIRTUAL_MACHINE, namespace, vm), (), (vm,), ())
