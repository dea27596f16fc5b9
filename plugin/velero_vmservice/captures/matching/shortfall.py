"""What a capture lacks of what an earlier one holds: it may have been taken while an application was away.

A capture that is taken during a recovery fits its VMs best, and lacks the groups and services that are not back yet. A
group or service that was removed on purpose is lacking too. The UIDs of the VirtualMachines tell one from the other:
where they are those of the earlier capture, nothing was registered anew in between.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import CAPTURED_KINDS, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.captures.applications import CapturedApplication
    from velero_vmservice.captures.matching.candidate import Candidate, VmName
    from velero_vmservice.velero.runs import CaptureRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A group, service or VM that a capture does not hold, though an earlier one does."""

    ref: ObjectRef
    holder: CaptureRef
    """The newest earlier capture that holds it."""
    application: CapturedApplication | None = None
    """The application that it is of there; None for a VM."""
    recovering: bool = True
    """Whether VMs were registered anew since the holder, as far as is known; else it was removed beside its VMs."""

    @property
    def restored(self) -> bool:
        """Whether it is a group or a service, which a restore from this capture would not bring back."""
        return self.ref.kind in CAPTURED_KINDS


@dataclass(slots=True)
class _Held:
    """The newest capture that holds an object."""

    by: Candidate
    removed: bool = False
    """Whether a later capture shows that it was removed while its VMs stayed."""


def fewer(lacks: Iterable[Lack]) -> Sequence[Lack]:
    """Return what speaks against a restore: groups and services, and VMs that were away while others came back."""
    return [lack for lack in lacks if lack.restored or lack.recovering]


def lacks_of(candidates: Iterable[Candidate]) -> Mapping[CaptureRef, Sequence[Lack]]:
    """Return what each capture lacks of what the earlier ones of its cluster among these hold."""
    lacks, held_in = dict["CaptureRef", "Sequence[Lack]"](), defaultdict[str, dict[ObjectRef, _Held]](dict)
    for candidate in sorted(candidates, key=lambda candidate: (candidate.started, str(candidate.ref))):
        holds, held = candidate.holds(), held_in[candidate.cluster]
        lacks[candidate.ref] = list(_lacking(candidate, holds, held))
        held |= {ref: _Held(candidate) for ref in holds}
    return lacks


def _lacking(candidate: Candidate, holds: Collection[ObjectRef], held: Mapping[ObjectRef, _Held]) -> Iterator[Lack]:
    neighbours = dict["CaptureRef", "Mapping[str, Sequence[bool]]"]()
    for ref in sorted(held.keys() - holds):
        before = held[ref].by
        application = before.objects.get(ref)
        own = [(ref.namespace, name) for name in application.vms] if application else []
        if not _is_about(candidate, ref, own):
            continue
        if before.ref not in neighbours:
            neighbours[before.ref] = _by_namespace(before, candidate)
        known = [same for name in own if (same := _same(before, candidate, name)) is not None]
        compared = known or neighbours[before.ref].get(ref.namespace, ())
        stayed = bool(compared) and all(compared)
        yield Lack(ref=ref, holder=before.ref, application=application, recovering=not (stayed or held[ref].removed))
        held[ref].removed |= bool(known) and stayed


def _is_about(candidate: Candidate, ref: ObjectRef, own: Iterable[VmName]) -> bool:
    """Say whether the capture shows that an object was not there, or left it out and holds VMs of it."""
    was_away = ref.namespace in candidate.namespaces and ref not in candidate.existing
    return was_away or any(name in candidate.vms for name in own)


def _by_namespace(before: Candidate, after: Candidate) -> Mapping[str, Sequence[bool]]:
    """Return for each VM that both know, by namespace, whether it is the same VirtualMachine still."""
    same = defaultdict[str, list[bool]](list)
    for name in before.uids.keys() & after.uids.keys():
        same[name[0]].append(_same(before, after, name) is True)
    return same


def _same(before: Candidate, after: Candidate, name: VmName) -> bool | None:
    """Say whether a VM is the same VirtualMachine still; None where it is not there, False where that is not known."""
    if name not in before.uids or name not in after.uids:
        return None
    return bool(before.uids[name]) and before.uids[name] == after.uids[name]
