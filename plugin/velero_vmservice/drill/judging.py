"""What a drill comes to: decided on what was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.archive.findings import Finding, FindingCode
from velero_vmservice.backup.assessment import application_verdict
from velero_vmservice.drill.model import DrillVerdict, Trial
from velero_vmservice.kube.manifest import CAPTURED_KINDS, VIRTUAL_MACHINE, ObjectRef
from velero_vmservice.restore.model import Action

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.drill.model import DrilledObject

_KINDS: Final = {kind.name: kind for kind in (*CAPTURED_KINDS, VIRTUAL_MACHINE)}
_LIVING: Final = frozenset({FindingCode.NAME_TAKEN, FindingCode.BIOS_UUID_TAKEN})
"""What a drill meets where the application still lives, and a restore after its loss would not."""
_UNTRIED: Final = frozenset({FindingCode.TARGET_MISSING, FindingCode.TARGET_UNKNOWN, FindingCode.RELEASE_UNKNOWN})
"""What keeps a part from being tried."""

_MADE_WHOLE: Final = frozenset({Action.SKIP, Action.UPDATE})
"""What the plan does with a live object of the name so that it ends as captured."""
_IN_CONFLICT: Final = frozenset({Action.CONFLICT, Action.BLOCKED})


def drilled(
    application: ApplicationVerdict, *, more: Iterable[Finding] = (), where_it_lives: bool = False
) -> ApplicationVerdict:
    """Return the verdict on an application with what was found besides.

    With `where_it_lives` the drill goes into the namespace that it was captured in: that its own VMs are still there
    does not count.
    """
    reasons = [*application.reasons, *more]
    if where_it_lives:
        reasons = [finding for finding in reasons if finding.code not in _LIVING]
    return application_verdict(
        ObjectRef(_KINDS[application.kind], application.namespace, application.name),
        [ObjectRef(_KINDS[part.kind], application.namespace, part.name) for part in application.objects],
        application.vms,
        reasons,
    )


def would_fail(drilled_object: DrilledObject, *, other: bool) -> bool:
    """Say whether a restore would not bring an object back as it was captured.

    A name that is taken, or another conflict, is in the way of a restore unless the object is the one that was
    captured: `other` says that another Supervisor is drilled against, where it cannot be.
    """
    trial, lives = drilled_object.trial, not other and drilled_object.target == drilled_object.namespace
    if trial in {Trial.REFUSED, Trial.UNREADABLE}:
        return True
    if lives:
        return False
    if trial == Trial.NAME_TAKEN and drilled_object.action not in _MADE_WHOLE:
        return True
    return trial in {Trial.ACCEPTED, Trial.NAME_TAKEN} and drilled_object.action in _IN_CONFLICT


def verdict(
    applications: Sequence[ApplicationVerdict],
    objects: Collection[DrilledObject],
    not_tried: Collection[str],
    *,
    other: bool = False,
) -> DrillVerdict:
    """Return what a drill comes to: not ready outweighs incomplete, which outweighs warnings.

    A drill of nothing is not ready, as a restore would bring nothing back.
    """
    findings = [finding for application in applications for finding in application.reasons]
    if not applications or any(would_fail(drilled_object, other=other) for drilled_object in objects):
        return DrillVerdict.NOT_READY
    if any(finding.blocks and finding.code not in _UNTRIED for finding in findings):
        return DrillVerdict.NOT_READY
    if not_tried or any(finding.code in _UNTRIED for finding in findings):
        return DrillVerdict.INCOMPLETE
    if any(finding.severity == "warning" for finding in findings):
        return DrillVerdict.WITH_WARNINGS
    return DrillVerdict.READY
