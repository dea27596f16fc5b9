from __future__ import annotations

import shlex

import pytest

from velero_vmservice.kube import terminating


@pytest.mark.parametrize("name", ["web-1", "web; rm -rf ~", "$(reboot)", "it's"])
@pytest.mark.parametrize("namespace", ["shop", "a b", ""])
def test_a_command_to_copy_quotes_what_it_names(namespace: str, name: str) -> None:
    sentence = terminating.explanation("VirtualMachine", namespace, name, since="", held_by=("example.com/audit",))
    where = f"-n {shlex.quote(namespace)} " if namespace else ""
    assert f"look at its events with: kubectl {where}describe virtualmachine {shlex.quote(name)}; " in sentence
