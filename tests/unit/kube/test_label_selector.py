from __future__ import annotations

from typing import Any

import pytest

from velero_vmservice.errors import InvalidItem
from velero_vmservice.kube.label_selector import label_selector
from velero_vmservice.kube.names import matches


@pytest.mark.parametrize(
    ("written", "selector"),
    [
        ("", {}),
        ("app=web", {"matchLabels": {"app": "web"}}),
        ("app==web, tier=front", {"matchLabels": {"app": "web", "tier": "front"}}),
        ("a/b.c=", {"matchLabels": {"a/b.c": ""}}),
        ("app!=web", {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}),
        ("app", {"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
        ("!app", {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
        ("inside=x", {"matchLabels": {"inside": "x"}}),
        (
            "tier in (front, back),app=web",
            {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}],
            },
        ),
        ("tier notin (old)", {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["old"]}]}),
    ],
)
def test_a_selector_is_read_as_kubectl_reads_it(written: str, selector: dict[str, Any]) -> None:
    assert label_selector(written) == selector


def test_two_values_for_one_key_choose_nothing() -> None:
    assert not matches(label_selector("app=web,app=mail"), {"app": "web"})


@pytest.mark.parametrize("written", ["=web", "app=we b", "app in", "app in ()x", "!app=web", "app=web tier=front", "?"])
def test_what_kubectl_refuses_is_refused(written: str) -> None:
    with pytest.raises(InvalidItem, match="not a label selector"):
        label_selector(written)
