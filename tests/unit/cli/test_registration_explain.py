from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from velero_vmservice.registration.troubleshooting import Topic
from velero_vmservice.vsphere.registervm_errors import TABLE

if TYPE_CHECKING:
    from tests.unit.cli.command_line import CommandLine


def explain(command: CommandLine, *arguments: str) -> list[str]:
    ran = command("registration", "explain", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return ran.lines


def test_without_argument_every_code_and_topic_is_listed(command: CommandLine) -> None:
    listed = [line.split()[0] for line in explain(command) if line.startswith("  ")]
    assert listed == [*(entry.code for entry in TABLE), *Topic]


@pytest.mark.parametrize(
    "code", ["NotFoundInNamespaceFolder", "fault: VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder!"]
)
def test_a_code_is_explained_with_the_names_that_were_given(command: CommandLine, code: str) -> None:
    lines = explain(command, code, "-n", "shop", "--vm", "web-1")
    assert lines[0].startswith("VCenterWcpWorkloadRegisterVMNotFoundInNamespaceFolder (guide ")
    assert "   Get-VM -Name 'web-1' | Select-Object Id, Folder" in lines
    assert any("(shop)" in line for line in lines)


def test_a_topic_is_a_list_of_commands_to_copy(command: CommandLine) -> None:
    lines = explain(command, "not-triggered", "--namespace", "shop", "--vm", "web-1", "--moid", "vm-7")
    assert "   dcli com vmware vcenter namespaces instances register-VM --namespace shop --vm vm-7" in lines


def test_names_that_are_not_given_are_left_to_fill_in(command: CommandLine) -> None:
    assert "   kubectl describe vm -n <namespace> <vm>" in explain(command, "power-on")


def test_an_unknown_code_is_shown_as_it_came_with_what_to_do(command: CommandLine) -> None:
    lines = explain(command, "VCenterWcpWorkloadRegisterVMSomethingNew: \x1b[2Jno idea")
    assert lines[0] == "VCenterWcpWorkloadRegisterVMSomethingNew: [2Jno idea"
    assert any(line.startswith("remedy: ") for line in lines)
