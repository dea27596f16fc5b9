from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests import sample_report
from tests.sample_report import ENDED, GROUP, RUN, SERVICE, machine, members, result
from velero_vmservice.report.html.diagram import MOST_VMS, WIDTH, draw
from velero_vmservice.report.html.graph import Application, GroupNode, applications, vm_nodes
from velero_vmservice.report.summary import compose

if TYPE_CHECKING:
    from velero_vmservice.report.model import Result


def _applications(*results: Result) -> list[Application]:
    return list(applications(compose(RUN, results, policy={}, ended=ENDED)))


def _names(node: GroupNode) -> list[object]:
    return [_names(child) if isinstance(child, GroupNode) else child.name for child in node.children]


def test_objects_that_share_vms_or_groups_are_one_application_the_worst_first() -> None:
    apps = applications(sample_report.sample())
    assert [(app.name, app.look.word, app.count, app.objects) for app in apps] == [
        ("shop", "Partly restored", 6, 7),
        ("billing", "Restored and verified", 2, 2),
    ]


def test_groups_are_nested_in_boot_order() -> None:
    (shop,) = applications(sample_report.sample())[0].groups
    assert _names(shop) == [["shop-db-1", "shop-db-2"], [["shop-cache-1"], "shop-web-1", "shop-web-2", "shop-web-3"]]


def test_a_vm_names_the_services_in_front_of_it() -> None:
    shop = applications(sample_report.sample())[0]
    assert {node.name: node.services for node in vm_nodes(shop.groups)}["shop-cache-1"] == (
        "shop-admin",
        "shop-cache",
    )


def test_objects_of_two_namespaces_are_never_one_application() -> None:
    apps = _applications(
        result(GROUP, "web", "verified", "", members=members("web-1")),
        result(GROUP, "web", "verified", "", namespace="other", members=members("web-1")),
    )
    assert [app.namespace for app in apps] == ["other", "shop"]


def test_a_group_outside_the_restore_is_drawn_as_such() -> None:
    (app,) = _applications(result(GROUP, "web", "verified", "", parent="site", members=members("web-1")))
    assert {group.name: group.look.word for group in app.groups} == {"site": "not in this restore", "web": "verified"}


def test_groups_that_hold_each_other_are_drawn_once() -> None:
    (app,) = _applications(
        result(GROUP, "a", "failed", "", parent="b", members=members(groups=("b",))),
        result(GROUP, "b", "failed", "", parent="a", members=members(groups=("a",))),
    )
    assert [(group.name, _names(group)) for group in app.groups] == [("a", [[]])]


def test_a_service_of_vms_without_groups_is_an_application() -> None:
    web = machine("web-1")
    (app,) = _applications(result(SERVICE, "web", "verified", "", selected=("web-1",), machines=(web,)))
    assert (app.name, [node.name for node in app.loose]) == ("web", ["web-1"])


def test_everything_drawn_lies_inside_the_picture_and_no_two_vms_overlap() -> None:
    for application in applications(sample_report.sample()):
        picture = draw(application)
        assert picture is not None
        for box in (*picture.groups, *picture.machines, *picture.services):
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.width <= WIDTH
            assert box.y + box.height <= picture.height
        for boxes in (picture.machines, picture.services):
            rows = sorted((box.y, box.y + box.height) for box in boxes)
            assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(rows))


def test_a_line_leads_from_each_service_to_each_of_its_vms() -> None:
    picture = draw(applications(sample_report.sample())[0])
    assert picture is not None
    assert sorted(line.serving for line in picture.lines) == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("count", "drawn"),
    [
        pytest.param(MOST_VMS, True, id="what fits a screen"),
        pytest.param(MOST_VMS + 1, False, id="more is listed, not drawn"),
    ],
)
def test_an_application_too_large_for_a_screen_is_not_drawn(count: int, *, drawn: bool) -> None:
    names = [f"web-{number}" for number in range(count)]
    (app,) = _applications(result(GROUP, "web", "verified", "", members=members(*names)))
    assert (draw(app) is not None) is drawn


def test_an_application_that_came_out_well_and_has_a_vm_that_deviates_is_no_problem_less() -> None:
    odd = machine("web-1", backup_version="older")
    (app,) = _applications(result(GROUP, "web", "verified", "", members=members("web-1"), machines=(odd,)))
    assert (app.look.word, app.calm) == ("Restored and verified", False)
