"""Which groups contain which, and those that contain themselves.

VM Operator checks no cycles (virtualmachinegroup_validator.go leaves them to its controller, which never settles
such groups), and groups that wait for each other's parent would wait for ever.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_GROUP

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

    from velero_vmservice.vmoperator.groups import GroupFacts

KeyT = TypeVar("KeyT", bound="Hashable")


def by_boot_order(groups: Iterable[GroupFacts]) -> dict[str, tuple[str, ...]]:
    """Return for each group the groups that its boot order lists, in that order."""
    return {
        group.name: tuple(member.name for member in group.members if member.kind == VIRTUAL_MACHINE_GROUP.name)
        for group in groups
    }


def containment(groups: Iterable[GroupFacts]) -> dict[str, tuple[str, ...]]:
    """Return for each group the groups inside it, whether its boot order or their own `spec.groupName` says so.

    A parent that is not among the groups is left out: no group waits for it.
    """
    known = tuple(groups)
    inside = {name: dict.fromkeys(listed) for name, listed in by_boot_order(known).items()}
    for group in known:
        if group.group_name in inside:
            inside[group.group_name][group.name] = None
    return {name: tuple(members) for name, members in inside.items()}


def cycle(start: str, inside: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the shortest chain that leads from a group back to itself, both ends included, or nothing."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for member in inside.get(name, ()):
            if member == start:
                return (*_chain(name, start, came_from), start)
            if member not in came_from:
                came_from[member] = name
                queue.append(member)
    return ()


def cycles(inside: Mapping[str, Collection[str]]) -> tuple[tuple[str, ...], ...]:
    """Return chains such that every group that contains itself is in at least one: each once, in order of name."""
    chains: list[tuple[str, ...]] = []
    covered: set[str] = set()
    for name in sorted(inside):
        if name not in covered and (chain := cycle(name, inside)):
            chains.append(chain)
            covered.update(chain)
    return tuple(chains)


def _chain(last: str, start: str, came_from: Mapping[str, str]) -> list[str]:
    chain = [last]
    while chain[-1] != start:
        chain.append(came_from[chain[-1]])
    return chain[::-1]


def ancestors(start: KeyT, parents: Mapping[KeyT, KeyT]) -> tuple[KeyT, ...]:
    """Return the known parents above an object, the nearest first; in a cycle, those before it closes.

    `parents` has every known object; one whose parent is not known is at the top.
    """
    path, current = dict[KeyT, None](), start
    while (above := parents.get(current)) is not None and above in parents and above != start and above not in path:
        path[above] = None
        current = above
    return tuple(path)
