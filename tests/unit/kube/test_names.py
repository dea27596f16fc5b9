from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes import kubernetes_names as spelled
from velero_vmservice.kube import names

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            spelled.is_dns_1035_label,
            ("a", "web-1", "a" * 63),
            ("", "1web", "Web", "web-", "web.x", "a" * 64, "web\n"),
        ),
        (spelled.is_dns_1123_label, ("1", "http-2", "a" * 63), ("", "-a", "A", "a.b", "a" * 64)),
        (
            spelled.is_dns_1123_subdomain,
            ("a.b", "1.example", "a" * 253),
            ("", ".a", "a..b", "a.", "A.b", "a" * 254),
        ),
        (
            spelled.is_label_key,
            ("app", "App_1.x", "example.com/app", f"{'a' * 253}/x"),
            ("", "/app", "Example.com/app", "a/b/c", "app/", "-app", "a" * 64, f"{'a' * 254}/x"),
        ),
        (names.is_label_value, ("", "v1.2_x-y", "A"), ("-", "a b", "a/b", "a" * 64)),
    ],
)
def test_kubernetes_rules_for_names(rule: Callable[[str], bool], good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    assert [text for text in good if not rule(text)] == []
    assert [text for text in bad if rule(text)] == []
