"""Any family of groups, the impossible ones included: parents first, and no object waits for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import facts, group, look, m, service, view, vm
from velero_vmservice.archive.topology import cycle_of, topology
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP, VIRTUAL_MACHINE_SERVICE, ObjectRef
from velero_vmservice.restore import order
from velero_vmservice.restore.model import Action, Subject
from velero_vmservice.restore.order import in_order
from velero_vmservice.restore.plan.decision import decide
from velero_vmservice.supervisor.readiness import Gate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.archive.facts import NamespaceFacts

NAMES = "abcdefgh"
PARENTS = st.dictionaries(st.sampled_from(NAMES), st.none() | st.sampled_from(NAMES), min_size=1)
"""Each group's parent: none, another, itself, or one that is not in the restore."""
SERVICES = st.dictionaries(st.sampled_from(["s1", "s2"]), st.sampled_from(NAMES), max_size=2)
"""Each service's only VM, named after the group that it is a member of."""


def subjects(parents: Mapping[str, str | None], services: Mapping[str, str]) -> list[Subject]:
    objects = [
        group(
            name,
            [f"vm-{name}"],
            [f"/{child}" for child, of in sorted(parents.items()) if of == name],
            parent=parent or "",
        )
        for name, parent in parents.items()
    ]
    objects += [service(name, {"app": app}) for name, app in services.items()]
    machines = [vm(f"vm-{name}", labels={"app": name}, group=name) for name in NAMES]
    known = facts(*machines, *objects)
    return [_subject(manifest, known) for manifest in map(m, objects)]


def _subject(content: object, known: NamespaceFacts) -> Subject:
    manifest = m(content.content)  # type: ignore[attr-defined] - a manifest
    kind = VIRTUAL_MACHINE_GROUP if manifest.kind_name == "VirtualMachineGroup" else VIRTUAL_MACHINE_SERVICE
    return Subject(ref=ObjectRef(kind, "shop", manifest.name), wanted=manifest, topology=topology(manifest, known))


def ancestors(name: str, parents: Mapping[str, str | None]) -> list[str]:
    """Return the chain of parents that are in the restore, up to the root or back to one that was seen."""
    chain: list[str] = []
    above = parents.get(name)
    while above in parents and above not in chain:
        chain.append(above)
        above = parents[above]
    return chain


def is_in_a_cycle(name: str, parents: Mapping[str, str | None]) -> bool:
    return name in ancestors(name, parents)


def check(names: list[str], parents: Mapping[str, str | None]) -> None:
    for name, parent in parents.items():
        if parent in parents and not is_in_a_cycle(name, parents):
            assert names.index(parent) < names.index(name)


@given(PARENTS, SERVICES, st.randoms(use_true_random=False))
def test_the_plan_has_groups_first_and_parents_before_children(
    parents: dict[str, str | None], services: dict[str, str], random: st.Random
) -> None:
    unordered = subjects(parents, services)
    random.shuffle(unordered)
    planned = in_order(unordered)
    assert sorted(subject.ref for subject in planned) == sorted(subject.ref for subject in unordered)
    assert [subject.is_group for subject in planned] == sorted((subject.is_group for subject in planned), reverse=True)
    check([subject.ref.name for subject in planned], parents)
    assert in_order(reversed(planned)) == planned


@given(PARENTS, SERVICES, st.randoms(use_true_random=False))
def test_objects_come_back_in_order_however_they_are_polled(
    parents: dict[str, str | None], services: dict[str, str], random: st.Random
) -> None:
    pending, made, blocked = subjects(parents, services), list[Subject](), list[Subject]()
    observed = look(*[vm(f"vm-{name}", labels={"app": name}, group=name) for name in NAMES])
    gates = {f"vm-{name}": Gate(ready=True) for name in NAMES}
    cycles = order.cycles(pending, observed)
    while pending:
        random.shuffle(pending)
        decided = [
            (
                subject,
                decide(subject, view(observed, gates, pending=[o for o in pending if o is not subject], cycles=cycles)),
            )
            for subject in pending
        ]
        over = [(subject, step) for subject, step in decided if step.action is not Action.WAIT]
        assert over, [step.reason for _, step in decided]
        subject, step = over[0]
        (made if step.action is Action.CREATE else blocked).append(subject)
        pending.remove(subject)
    assert {subject.ref.name for subject in blocked} == {name for name in parents if is_in_a_cycle(name, parents)}
    names = [subject.ref.name for subject in made]
    for name, parent in parents.items():
        if name in names and parent in names:
            assert names.index(parent) < names.index(name)
    for name, machine in services.items():
        assert machine not in names or names.index(machine) < names.index(name)


@given(PARENTS)
def test_a_cycle_is_found_where_there_is_one(parents: dict[str, str | None]) -> None:
    known = facts(*[subject.wanted.editable() for subject in subjects(parents, {})])
    for name in parents:
        chain = cycle_of(name, known)
        assert bool(chain) is is_in_a_cycle(name, parents)
        assert not chain or (chain[0] == chain[-1] == name)
