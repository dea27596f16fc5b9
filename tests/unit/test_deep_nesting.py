"""What foreign hands nested deeply ends in a result or in one sentence, never in an exhausted stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.sample_report import ENDED, GROUP, RUN, members, result
from tests.unit.builders import facts, group, m, service, subject, vm
from tests.unit.world import CAPTURES, World
from velero_vmservice.archive import topology
from velero_vmservice.archive.facts import vm_facts
from velero_vmservice.errors import InvalidItem
from velero_vmservice.report.html import page as html
from velero_vmservice.report.html.graph import MOST_LEVELS, applications
from velero_vmservice.report.summary import compose
from velero_vmservice.restore import order
from velero_vmservice.rpc import wire

if TYPE_CHECKING:
    from collections.abc import Callable

CHAIN = 1_100


def chain(length: int = CHAIN) -> list[dict[str, Any]]:
    """Return groups, each within the one before; the last one has a VM."""
    names = [f"g{number:04}" for number in range(length)]
    return [
        group(name, ["web-1"] if name == names[-1] else [f"/{below}"], parent=above)
        for name, above, below in zip(names, ["", *names], [*names[1:], ""], strict=False)
    ]


def nested(levels: int) -> Any:
    content: Any = {"name": "deep", "key": "secret"}
    for _ in range(levels - 1):
        content = [content]
    return content


@pytest.mark.parametrize("read", [wire.item, wire.backup, wire.restore], ids=lambda read: read.__name__)
@pytest.mark.parametrize("levels", [wire.MOST_LEVELS + 1, 200, 300, 500, 900, 1_100, 100_000])
@pytest.mark.parametrize("bracket", ["[", '{"a":'], ids=["arrays", "objects"])
def test_an_item_that_is_nested_too_deep_is_invalid(read: Callable[[bytes], Any], levels: int, bracket: str) -> None:
    closing = {"[": "]", '{"a":': "}"}[bracket]
    inner = f"{bracket * (levels - 1)}1{closing * (levels - 1)}"
    raw = f'{{"apiVersion":"v1","kind":"K","metadata":{{"name":"x"}},"spec":{inner}}}'
    with pytest.raises(InvalidItem):
        read(raw.encode())
    with pytest.raises(InvalidItem):
        read(f"{bracket * levels}".encode())


def test_an_object_as_deep_as_allowed_is_captured_and_replayed(world: World) -> None:
    item = service("front", {"app": "web"}, deep=nested(wire.MOST_LEVELS - 2))
    raw = json.dumps(item).encode()
    assert wire.item(raw) == item
    (kept,) = world.back_up(vm("web-1", labels={"app": "web"}), item)
    assert wire.written(kept)
    world.lose(item)
    operation = world.replay(kept).operation_id
    assert world.finish([operation])[operation].error == ""
    assert world.live("VirtualMachineService", "front").spec["deep"] == item["spec"]["deep"]
    assert world.document(f"{CAPTURES}objects/virtualmachineservices/shop/front.json")["name"] == "front"


def test_an_object_with_many_brackets_is_not_deep() -> None:
    assert wire.item(json.dumps(service("front", deep=[[{}]] * 10_000)).encode())


@pytest.mark.parametrize("levels", [1, 100, 900])
def test_the_bootstrap_of_a_vm_is_read_however_deep_it_is(levels: int) -> None:
    machine = vm("web-1", spec={"bootstrap": {"cloudInit": nested(levels)}})
    assert vm_facts(m(machine)).bootstrap == ("deep",)


def test_the_vms_of_nested_groups_are_found_at_any_depth() -> None:
    groups = chain()
    connected = topology.topology(m(groups[0]), facts(vm("web-1", group=f"g{CHAIN - 1:04}"), *groups))
    assert connected.nested == ("web-1",)


def test_nested_groups_are_put_in_order_at_any_depth() -> None:
    subjects = [subject(manifest) for manifest in reversed(chain())]
    assert [subject.ref.name for subject in order.in_order(subjects)] == [
        manifest["metadata"]["name"] for manifest in chain()
    ]


def test_a_report_shows_nested_groups_at_any_depth() -> None:
    names = [f"g{number:04}" for number in range(CHAIN)]
    results = [
        result(GROUP, name, "verified", "as expected", parent=above, members=members(groups=(below,)))
        for name, above, below in zip(names, ["", *names], [*names[1:], "outside"], strict=False)
    ]
    deep = compose(RUN, results, policy={}, ended=ENDED)
    (application,) = applications(deep)
    assert len(application.groups) == -(-CHAIN // MOST_LEVELS)
    page = html.render(deep)
    assert all(f">{name}<" in page for name in names)


def test_a_long_chain_of_groups_is_no_cycle() -> None:
    assert topology.cycle_of("g0000", facts(*chain())) == ()
