"""When a group, service or VM is away from captures, and what the UIDs of the VMs there say about it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from velero_vmservice.kube.manifest import CAPTURED_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from velero_vmservice.captures.matching.candidate import Candidate, VmName
    from velero_vmservice.kube.manifest import ObjectRef


class Witnesses(StrEnum):
    """The VMs whose UIDs say what became of an object."""

    OWN = "VMs of its application"
    OTHERS = "other VMs of the namespace, as those of its application are away"
    NEIGHBOURS = "VMs of the namespace, as its application has none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A capture that lacks an object which an earlier one holds."""

    capture: Candidate
    witnesses: Witnesses
    known: bool
    """Whether the holder knows them; without that their UIDs alone prove nothing."""
    stayed: bool
    """Whether they are the same VirtualMachines still."""
    uids: frozenset[tuple[VmName, str]]
    """Theirs in the capture: the same in all captures until they are registered anew."""

    @property
    def may_have_ended(self) -> bool:
        """Whether later captures of the witnesses can show that the object is not waited for any more.

        VMs of other applications that were registered anew say nothing about one whose own VMs are still away.
        """
        waits_for_vms = self.witnesses is Witnesses.OTHERS and self.known
        return not (self.stayed or waits_for_vms) and bool(self.uids) and all(uid for _, uid in self.uids)


@dataclass(kw_only=True)
class Spell:
    """The captures that lack an object, after one that holds it and before the next."""

    ref: ObjectRef
    holder: Candidate
    absences: list[Absence] = field(default_factory=list)
    """In order of time."""
    back: Candidate | None = None
    """The next capture that holds it; None where there is none."""

    @cached_property
    def own(self) -> Collection[VmName]:
        """The VMs of its application, as the holder knows it; of a VM itself and those that belong together with it."""
        namespace, name = self.ref.namespace, self.ref.name
        if self.ref.kind in CAPTURED_KINDS:
            return [(namespace, vm) for vm in self.holder.objects[self.ref].vms]
        applications = {
            ref: application for ref, application in self.holder.objects.items() if ref.namespace == namespace
        }
        together = {vm for application in applications.values() if name in application.vms for vm in application.vms}
        return sorted((namespace, vm) for vm in {name, *together})

    def came_back(self, uids: Iterable[tuple[VmName, str]]) -> bool:
        """Say whether the object was back while the VMs had these UIDs."""
        return self.back is not None and all(self.back.uids.get(name) == uid for name, uid in uids)


def spells_of(captures: Iterable[Candidate]) -> Iterator[Spell]:
    """Yield what is away from captures of one cluster, which are in order of time."""
    open_spells = dict["ObjectRef", Spell]()
    for capture in captures:
        holds, there = capture.holds(), _by_namespace(capture)
        for ref in open_spells.keys() - holds:
            spell = open_spells[ref]
            if _is_about(capture, spell):
                spell.absences.append(_absence(capture, spell, there.get(ref.namespace, ())))
        for ref in holds:
            if ref in open_spells and open_spells[ref].absences:
                open_spells[ref].back = capture
                yield open_spells[ref]
            open_spells[ref] = Spell(ref=ref, holder=capture)
    yield from (spell for spell in open_spells.values() if spell.absences)


def _is_about(capture: Candidate, spell: Spell) -> bool:
    """Say whether the capture shows that an object was not there, or left it out and holds VMs of it."""
    ref = spell.ref
    was_away = ref.namespace in capture.namespaces and ref not in capture.existing
    return was_away or (ref.kind in CAPTURED_KINDS and any(name in capture.vms for name in spell.own))


def _by_namespace(capture: Candidate) -> Mapping[str, Sequence[VmName]]:
    names = defaultdict[str, list["VmName"]](list)
    for name in capture.uids:
        names[name[0]].append(name)
    return names


def _absence(capture: Candidate, spell: Spell, there: Sequence[VmName]) -> Absence:
    before, own = spell.holder.uids, spell.own
    names = [name for name in own if name in before and name in capture.uids]
    witnesses = Witnesses.OWN
    if not names:
        witnesses = Witnesses.OTHERS if own else Witnesses.NEIGHBOURS
        names = [name for name in there if name in before] or list(there)
    known = any(name in before for name in names)
    return Absence(
        capture=capture,
        witnesses=witnesses,
        known=known,
        stayed=known and all(before[name] and before[name] == capture.uids[name] for name in names),
        uids=frozenset((name, capture.uids[name]) for name in names),
    )
