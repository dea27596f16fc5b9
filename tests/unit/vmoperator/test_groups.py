from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.unit.builders import facts, group, vm
from velero_vmservice.vmoperator import groups


@dataclass(frozen=True, kw_only=True)
class Case:
    why: str
    inside: dict[str, tuple[str, ...]]
    want: tuple[tuple[str, ...], ...]


CASES = (
    Case(why="a tree", inside={"top": ("a", "b"), "a": ("c",), "b": (), "c": ()}, want=()),
    Case(why="a group in two others is not a cycle", inside={"a": ("c",), "b": ("c",), "c": ()}, want=()),
    Case(why="a group in itself", inside={"a": ("a",)}, want=(("a", "a"),)),
    Case(why="two, told once", inside={"b": ("a",), "a": ("b",)}, want=(("a", "b", "a"),)),
    Case(why="a group that leads to a cycle is not in it", inside={"0": ("a",), "a": ("a",)}, want=(("a", "a"),)),
    Case(
        why="the shortest way back",
        inside={"a": ("b", "c"), "b": ("c",), "c": ("a",)},
        want=(("a", "c", "a"), ("b", "c", "a", "b")),
    ),
    Case(
        why="two cycles through one group",
        inside={"a": ("b", "c"), "b": ("a",), "c": ("a",)},
        want=(("a", "b", "a"), ("c", "a", "c")),
    ),
    Case(why="a member that does not exist", inside={"a": ("gone",)}, want=()),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_every_group_that_contains_itself_is_reported(case: Case) -> None:
    assert groups.all_cycles(case.inside) == case.want


def test_a_chain_of_thousands_is_no_problem() -> None:
    inside = {str(n): (str(n + 1),) for n in range(5000)}
    assert groups.cycle("0", {**inside, "5000": ("0",)})[-2:] == ("5000", "0")
    assert groups.cycle("0", inside) == ()


def test_either_side_makes_a_group_contain_another() -> None:
    known = facts(
        vm("web-1"),
        group("outer", ["web-1"], ["/listed"]),
        group("listed"),
        group("named", parent="outer"),
        group("orphan", parent="gone"),
    )
    assert groups.by_boot_order(known.groups) == {"outer": ("listed",), "listed": (), "named": (), "orphan": ()}
    assert groups.containment(known.groups)["outer"] == ("listed", "named")
    assert "gone" not in groups.containment(known.groups)


def test_groups_that_name_each_other_as_parents_are_a_cycle() -> None:
    known = facts(group("a", parent="b"), group("b", parent="a"))
    assert groups.all_cycles(groups.by_boot_order(known.groups)) == ()
    assert groups.all_cycles(groups.containment(known.groups)) == (("a", "b", "a"),)
