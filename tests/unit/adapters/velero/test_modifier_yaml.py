"""Resource modifiers as people write them, read and applied as Velero does (internal/resourcemodifiers)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.builders import group, m, service
from velero_vmservice.adapters.velero.modifier_yaml import read_rules
from velero_vmservice.errors import InvalidSettings
from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_SERVICE
from velero_vmservice.velero.resource_modifier import Modified, modify

RESOURCE = VIRTUAL_MACHINE_SERVICE.resource
FRONT = m(service("front", {"app": "web"}, meta={"labels": {"tier": "front"}, "annotations": {"note": "old"}}))


def text(*rules: dict[str, Any], **rest: Any) -> str:
    return yaml.safe_dump({"version": "v1", "resourceModifierRules": list(rules), **rest})


def rule(*patches: dict[str, Any], **conditions: Any) -> dict[str, Any]:
    return {"conditions": {"groupResource": RESOURCE, **conditions}, "patches": list(patches)}


def applied(*rules: dict[str, Any]) -> Modified:
    return modify(FRONT, read_rules(text(*rules), where="here"), resource=RESOURCE)


def port(value: Any) -> dict[str, Any]:
    return {"operation": "replace", "path": "/spec/ports/0/port", "value": value}


@pytest.mark.parametrize(
    ("conditions", "want"),
    [
        ({}, True),
        ({"groupResource": "virtualmachineservices.**"}, True),
        ({"groupResource": "virtualmachineservices.*"}, False),
        ({"groupResource": "virtualmachineservices"}, False),
        ({"groupResource": "services"}, False),
        ({"namespaces": ["shop"]}, True),
        ({"namespaces": ["sh*", "crm"]}, True),
        ({"namespaces": ["crm"]}, False),
        ({"resourceNameRegex": "^fr.nt$"}, True),
        ({"resourceNameRegex": "ron"}, True),
        ({"resourceNameRegex": "^back"}, False),
        ({"labelSelector": {"matchLabels": {"tier": "front"}}}, True),
        ({"labelSelector": {"matchLabels": {"tier": "back"}}}, False),
        ({"matches": [{"path": "/spec/type", "value": "LoadBalancer"}]}, True),
        ({"matches": [{"path": "/spec/ports/0/port", "value": 80}]}, True),
        ({"matches": [{"path": "/spec/type", "value": "ClusterIP"}]}, False),
        ({"matches": [{"path": "/spec/nothing", "value": "x"}]}, False),
    ],
    ids=str,
)
def test_a_rule_is_for_what_its_conditions_say(conditions: dict[str, Any], want: bool) -> None:  # noqa: FBT001 - a table
    modified = applied(rule(port("8080"), **conditions))

    assert not modified.problems
    assert modified.rules == int(want)
    assert modified.manifest.spec["ports"][0]["port"] == (8080 if want else 80)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("8080", 8080),
        (8080, 8080),
        ("1.5", 1.5),
        ("true", True),
        (True, True),
        ("null", None),
        ('"8080"', "8080"),
        ('"true"', "true"),
        ("ClusterIP", "ClusterIP"),
        ("", ""),
        ('{"a": [1]}', {"a": [1]}),
        ("[1, 2]", [1, 2]),
        ("1.2.3.4", "1.2.3.4"),
    ],
    ids=repr,
)
def test_a_value_is_what_it_looks_like(value: Any, want: Any) -> None:
    modified = applied(rule({"operation": "add", "path": "/spec/new", "value": value}))
    assert modified.manifest.spec["new"] == want


def test_every_operation_is_carried_out_in_turn() -> None:
    modified = applied(
        rule(
            {"operation": "test", "path": "/spec/type", "value": "LoadBalancer"},
            {"operation": "copy", "from": "/spec/type", "path": "/spec/was"},
            {"operation": "move", "from": "/spec/was", "path": "/spec/before"},
            {"operation": "remove", "path": "/metadata/annotations/note"},
            {"operation": "add", "path": "/metadata/labels/example.com~1site", "value": "two"},
            port("8080"),
        )
    )
    assert modified.manifest.spec["before"] == "LoadBalancer"
    assert "was" not in modified.manifest.spec
    assert modified.manifest.labels == {"tier": "front", "example.com/site": "two"}
    assert modified.manifest.annotations == {}


def test_a_test_that_fails_leaves_all_as_it_is_and_is_no_error() -> None:
    modified = applied(rule(port("8080"), {"operation": "test", "path": "/spec/type", "value": "ClusterIP"}))
    assert modified.manifest.content == FRONT.content
    assert modified.problems == ()


def test_merge_patches_are_merged_in_turn() -> None:
    first = {"patchData": "metadata: {annotations: {note: null, added: 'yes'}}"}
    second = {"patchData": '{"spec": {"type": "ClusterIP"}}'}
    modified = applied({"conditions": {"groupResource": RESOURCE}, "mergePatches": [first, second]})
    assert (modified.manifest.annotations, modified.manifest.spec["type"]) == ({"added": "yes"}, "ClusterIP")


def test_conditions_see_the_object_as_it_was() -> None:
    label = {"operation": "replace", "path": "/metadata/labels/tier", "value": "back"}
    selector = {"matchLabels": {"tier": "front"}}
    modified = applied(rule(label, labelSelector=selector), rule(port("8080"), labelSelector=selector))
    assert (modified.rules, modified.manifest.spec["ports"][0]["port"]) == (2, 8080)


@pytest.mark.parametrize(
    ("broken", "excerpt"),
    [
        (
            {"conditions": {"groupResource": RESOURCE}, "strategicPatches": [{"patchData": "{}"}]},
            "strategicPatches do not work on custom resources, in Velero either: use mergePatches",
        ),
        ({"conditions": {"groupResource": RESOURCE}}, "the rule has no patches"),
        (rule({"operation": "remove", "path": "/spec/nothing"}), "nothing"),
        (rule({"operation": "grow", "path": "/spec"}), "grow"),
        (rule({"operation": "add", "path": "/spec/new", "value": "{broken"}), "a patch is not JSON"),
        (rule({"operation": "add", "path": "/spec/new", "value": "NaN"}), "a patch is not JSON"),
        (rule(port("8080"), resourceNameRegex="("), "resourceNameRegex"),
        (rule(port("8080"), resourceNameRegex="[[:alpha:]]"), "classes such as"),
        (rule(port("8080"), groupResource="["), "is not a valid resource pattern"),
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_applied_is_reported_and_the_others_are_applied(
    broken: dict[str, Any], excerpt: str
) -> None:
    modified = applied(broken, rule(port("8080")))
    (problem,) = modified.problems
    assert problem.startswith("rule 1 of the resource modifier cannot be applied: ")
    assert excerpt in problem
    assert modified.manifest.spec["ports"][0]["port"] == 8080


def test_the_identity_of_an_object_stays() -> None:
    patches = [
        {"operation": "replace", "path": path, "value": "other"}
        for path in ("/metadata/name", "/metadata/namespace", "/kind", "/apiVersion")
    ]
    modified = applied(rule(*patches, port("8080")))
    assert modified.manifest.spec["ports"][0]["port"] == 8080
    assert modified.manifest.content["metadata"] == FRONT.content["metadata"]
    assert (modified.manifest.kind_name, modified.manifest.version) == (FRONT.kind_name, FRONT.version)
    assert len(modified.problems) == 4


def test_another_kind_is_let_alone() -> None:
    modified = modify(m(group("shop", ["web-1"])), read_rules(text(rule(port("1"))), where="here"), resource="groups")
    assert (modified.rules, modified.problems) == (0, ())


@pytest.mark.parametrize(
    "broken",
    [
        "version: v1\nresourceModifierRules: []",
        "resourceModifierRules: [{conditions: {groupResource: a}}]",
        text(rule(), version="v2"),
        text({"conditions": {}}),
        text({**rule(), "unknown": 1}),
        text(rule({"operation": "add"})),
        text({"conditions": {"groupResource": RESOURCE}, "mergePatches": [{"patchData": "{a: "}]}),
        "{",
        "[1]",
        "",
    ],
)
def test_a_file_that_velero_refuses_is_refused_and_named(broken: str) -> None:
    with pytest.raises(InvalidSettings, match="ConfigMap velero/site-two") as refused:
        read_rules(broken, where="the resource modifier in ConfigMap velero/site-two")
    assert "correct the ConfigMap" in str(refused.value)


def _merge_patch(text: str) -> str:
    rule = "conditions: {groupResource: virtualmachineservices.vmoperator.vmware.com}"
    return f"version: v1\nresourceModifierRules:\n- {rule}\n  mergePatches:\n  - patchData: |\n      {text}\n"


def test_a_merge_patch_holds_what_json_has_as_velero_reads_it() -> None:
    (rule,) = read_rules(_merge_patch("{date: 2026-01-01, time: 12:30, 1: x, port: 80, part: 1.5}"), where="cm")
    assert rule.merge_patches == ({"date": "2026-01-01", "time": "12:30", "1": "x", "port": 80, "part": 1.5},)


@pytest.mark.parametrize("text", ["&a {x: *a}", "{x: .nan}", "{x: !!binary YQ==}", "{x: !!set {y}}"])
def test_a_merge_patch_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="cm: it holds a value that JSON does not have"):
        read_rules(_merge_patch(text), where="cm")
