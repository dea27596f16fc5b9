"""What a capture lacks of what an earlier one holds: it may have been taken while an application was away.

A capture that is taken during a recovery fits its VMs best, and lacks the groups and services that are not back yet. A
group or service that was removed on purpose is lacking too. The UIDs of the VirtualMachines tell one from the other:
where they are those of the earlier capture, nothing was registered anew in between. Where they are others, the recovery
has ended once several captures of the same VMs hold groups or services of them: what all of those lack is not wanted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from velero_vmservice.captures.matching.absence import Witnesses, spells_of
from velero_vmservice.kube.manifest import CAPTURED_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.captures.applications import CapturedApplication
    from velero_vmservice.captures.matching.absence import Absence, Spell
    from velero_vmservice.captures.matching.candidate import Candidate, VmName
    from velero_vmservice.kube.manifest import ObjectRef
    from velero_vmservice.velero.runs import CaptureRef

_AFTER_A_RECOVERY: Final = 2
"""Captures that show that it has ended: a single one may have been taken while groups and services came back."""

_EARLIER: Final = 20
"""Captures of a namespace before another one that say what it lacks, where its VMs were not registered anew."""

_Waiting = set[tuple["CaptureRef", str]]
"""The captures, and of each the namespaces, in which applications with VMs are not back yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A group, service or VM that a capture does not hold, though an earlier one does."""

    ref: ObjectRef
    holder: CaptureRef
    """The newest earlier capture that holds it."""
    application: CapturedApplication | None = None
    """The application that it is of there; None for a VM."""
    recovering: bool = True
    """Whether VMs were registered anew since the holder, and the recovery may go on; else it was removed on purpose."""

    @property
    def restored(self) -> bool:
        """Whether it is a group or a service, which a restore from this capture would not bring back."""
        return self.ref.kind in CAPTURED_KINDS


def fewer(lacks: Iterable[Lack]) -> Sequence[Lack]:
    """Return what speaks against a restore: groups and services, and VMs that were away while others came back."""
    return [lack for lack in lacks if lack.restored or lack.recovering]


def lacks_of(candidates: Iterable[Candidate]) -> Mapping[CaptureRef, Sequence[Lack]]:
    """Return what each capture lacks of what the earlier ones of its cluster among these hold."""
    by_cluster = defaultdict[str, list["Candidate"]](list)
    for candidate in sorted(candidates, key=lambda candidate: (candidate.started, str(candidate.ref))):
        by_cluster[candidate.cluster].append(candidate)
    lacks = {candidate.ref: list[Lack]() for captures in by_cluster.values() for candidate in captures}
    waiting: _Waiting = set()
    spells = [spell for captures in by_cluster.values() for spell in spells_of(captures)]
    for spell in sorted(spells, key=lambda spell: not spell.own):
        for absence, recovering in _judged(spell, waiting):
            capture = absence.capture.ref
            application = spell.holder.objects.get(spell.ref)
            lack = Lack(ref=spell.ref, holder=spell.holder.ref, application=application, recovering=recovering)
            lacks[capture].append(lack)
            if lack.restored and recovering and spell.own:
                waiting.add((capture, spell.ref.namespace))
    return {ref: sorted(of_capture, key=lambda lack: lack.ref) for ref, of_capture in lacks.items()}


def unreached(chosen: Candidate, candidates: Iterable[Candidate]) -> set[str]:
    """Return the namespaces of a capture of which earlier captures have to be read, to see what it lacks.

    In each, a capture has to be reached that holds groups or services, and other VirtualMachines of the same names.
    """
    earlier = [each for each in candidates if each.started < chosen.started and each.cluster == chosen.cluster]
    return {namespace for namespace in chosen.namespaces if not _is_reached(namespace, chosen, earlier)}


def _is_reached(namespace: str, chosen: Candidate, earlier: Iterable[Candidate]) -> bool:
    of_namespace = [each for each in earlier if namespace in each.namespaces]
    vms = {name: uid for name, uid in chosen.uids.items() if name[0] == namespace}
    return len(of_namespace) >= _EARLIER and (not vms or any(_is_before(each, namespace, vms) for each in of_namespace))


def _is_before(capture: Candidate, namespace: str, vms: Mapping[VmName, str]) -> bool:
    """Say whether a capture is of the time before the VMs of a namespace were registered anew, and holds anything."""
    stayed = any(uid and capture.uids.get(name) == uid for name, uid in vms.items())
    return not stayed and any(ref.namespace == namespace for ref in capture.objects)


def _judged(spell: Spell, waiting: _Waiting) -> Iterator[tuple[Absence, bool]]:
    """Yield each absence, and whether the object may come back with the recovery that the capture was taken during."""
    ended = _ended(spell, waiting)
    removed = False
    for absence in spell.absences:
        recovering = not (removed or absence.stayed or (absence.may_have_ended and absence.uids in ended))
        yield absence, recovering
        removed |= not recovering and absence.witnesses is not Witnesses.OTHERS


def _ended(spell: Spell, waiting: _Waiting) -> Collection[frozenset[tuple[VmName, str]]]:
    """Return the UIDs of the VMs whose recovery has ended without the object."""
    shown = Counter(
        absence.uids
        for absence in spell.absences
        if absence.may_have_ended and _others_are_back(absence, spell, waiting)
    )
    return {uids for uids, captures in shown.items() if captures >= _AFTER_A_RECOVERY and not spell.came_back(uids)}


def _others_are_back(absence: Absence, spell: Spell, waiting: _Waiting) -> bool:
    """Say whether a capture holds groups or services of the witnesses, of neighbours all that earlier ones hold."""
    capture, namespace = absence.capture, spell.ref.namespace
    applications = [application for ref, application in capture.objects.items() if ref.namespace == namespace]
    if absence.witnesses is Witnesses.OWN:
        witnesses = {name for (_, name), _ in absence.uids}
        return any(not witnesses.isdisjoint(application.vms) for application in applications)
    waits = absence.witnesses is Witnesses.NEIGHBOURS and (capture.ref, namespace) in waiting
    return bool(applications) and not waits
