from __future__ import annotations

import re
from collections import Counter

from tests.tools.markdown import ROOT, read
from velero_vmservice.doctor.checks import CheckState
from velero_vmservice.doctor.rights import ON_REQUEST, RIGHTS, Need, Right, Scope, judge

ROWS = list(read(ROOT / "docs" / "security.md").rows("in", "resource", "verbs", "for"))


def denied(right: Right, *asked_for: Need) -> tuple[CheckState, str, str]:
    allowed = {**dict.fromkeys(right.verbs, True), right.verbs[-1]: False}
    check = judge(right, allowed, velero_namespace="velero", asked_for=asked_for)
    return check.state, check.established, check.hint


def test_no_right_is_listed_twice_and_none_is_more_than_to_look_to_create_and_to_patch() -> None:
    listed = Counter((right.kind, right.name, right.scope, verb) for right in RIGHTS for verb in right.verbs)
    assert [entry for entry, count in listed.items() if count > 1] == []
    assert {verb for right in RIGHTS for verb in right.verbs} == {"get", "list", "create", "patch"}
    assert len({right.title for right in RIGHTS}) == len(RIGHTS)


def test_a_right_that_is_granted_says_what_for() -> None:
    for right in RIGHTS:
        check = judge(right, dict.fromkeys(right.verbs, True), velero_namespace="velero", asked_for=())
        assert (check.state, check.established) == (CheckState.OK, f"allowed, for {right.purpose}")


def test_a_verb_that_is_denied_is_named_with_what_goes_without_it() -> None:
    for right in RIGHTS:
        state, established, hint = denied(right, *ON_REQUEST)
        assert state is (CheckState.FAILED if right.need is Need.REQUIRED else CheckState.WARNING)
        assert established.startswith(f"{right.verbs[-1]} denied")
        assert right.purpose in established
        assert f"{right.verbs[-1]} {right.kind.resource}" in hint
        assert ("in namespace velero" in hint) is (right.scope is Scope.VELERO)


def test_a_right_for_what_the_settings_do_not_ask_for_may_be_missing() -> None:
    for right in RIGHTS:
        if right.need in ON_REQUEST:
            state, established, hint = denied(right)
            assert (state, hint) == (CheckState.OK, "")
            assert "the settings do not ask for it" in established


def test_the_page_of_security_lists_the_same_rights() -> None:
    documented, scope = set(), Scope.EVERYWHERE
    for place, resources, verbs, _ in ROWS:
        scope = Scope.VELERO if "Velero" in place else scope
        names = [name for name in re.findall(r"`([^`]+)`", resources) if "." not in name]
        plurals = ["configmaps" if name == "wcp-cluster-capabilities" else name for name in names]
        documented |= {(scope, plural, verb.strip()) for plural in plurals for verb in verbs.split(",")}
    assert documented == {(right.scope, right.kind.plural, verb) for right in RIGHTS for verb in right.verbs}
