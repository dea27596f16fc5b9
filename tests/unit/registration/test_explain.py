"""Expectations: the guide's checks (11.1 to 11.5) as commands that a person can run as they stand."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

from velero_vmservice.adapters.vcenter import register_vm
from velero_vmservice.registration.explain import advise
from velero_vmservice.registration.troubleshooting import FOR_CODE, TOPICS, Topic
from velero_vmservice.vsphere.registervm_errors import PREFIX, TABLE

CODES = [entry.code for entry in TABLE]


def commands(topic: str, **names: str) -> list[str]:
    return [line.strip() for line in advise(topic, **names) if line.startswith("   ")]


def test_every_topic_has_its_checks_in_the_guides_order() -> None:
    assert list(TOPICS) == list(Topic)
    titles = [advise(topic)[0] for topic in Topic]
    assert [title.rpartition("(")[2] for title in titles] == [
        "guide 11.1)",
        "guide 11.3)",
        "guide 11.4)",
        "guide 11.5)",
    ]


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        (
            "not-triggered",
            [
                "vmservice.virtualmachine.resource.yaml",
                "vmservice.vmoperator.vmware.com/vm-resource-yaml",
                "vmservice.virtualmachine.enableAutomaticRegistration",
                "vmservice.vmoperator.vmware.com/disable-auto-registration",
                "Get-VM -Name 'web-1' | Select-Object Id, Folder",
                "$_.DescriptionId -eq 'com.vmware.wcp.vmservice.registervm'",
                "$_.EventTypeId -like 'com.vmware.wcp.RegisterVM.*'",
                "-Id 'VirtualMachine-vm-12').ExtensionData.DisabledMethod | Where-Object { $_ -eq 'RelocateVM_Task' }",
                "snapshot-revert-in-progress",
                "jsonpath='{.spec.currentSnapshotName}{.spec.currentSnapshot.name}'",
                "grep auto-vm-register /var/log/vmware/wcp/wcpsvc.log",
                "register-VM --namespace shop --vm vm-12",
            ],
        ),
        (
            "stuck-at-80",
            [
                "kubectl describe cnsregistervolume -n shop",
                "Get-Datastore",
                "Get-HardDisk",
                "kubectl get pods -n vmware-system-csi",
                "kubectl get pvc -n shop",
                "Format-List Key, State, Progress,",
            ],
        ),
        (
            "power-on",
            [
                "kubectl get vm -n shop web-1 -o jsonpath='{.status}'",
                "kubectl get vm -n shop web-1 -o jsonpath='{.metadata.annotations}'",
                "kubectl get vm -n shop web-1 -o jsonpath='{.metadata.labels}'",
                "$_.Key -eq 'vmservice.virtualmachine.pause'",
                "vmoperator.vmware.com/paused- vmoperator.vmware.com/pause-reconcile- vmoperator.vmware.com/pause-",
                "kubectl get events -n shop --field-selector involvedObject.name=web-1",
                "kubectl logs -n vmware-system-vmop",
            ],
        ),
        (
            "network",
            [
                "kubectl get vm -n shop web-1 -o jsonpath='{.spec.network}'",
                "kubectl get vm -n shop web-1 -o jsonpath='{.status.network}'",
                "{.spec.bootstrap.cloudInit.instanceID}",
                "kubectl get virtualmachineservice,endpoints -n shop",
            ],
        ),
    ],
)
def test_a_topics_commands_bear_the_real_names(topic: str, wanted: list[str]) -> None:
    text = "\n".join(commands(topic, namespace="shop", vm="web-1", moid="vm-12"))
    assert [command for command in wanted if command not in text] == []
    assert "<" not in text
    assert "{ns}" not in text


@pytest.mark.parametrize("cause", ["DHCP:", "static address:", "DNS and load balancer:"])
def test_no_network_has_the_guides_three_causes(cause: str) -> None:
    assert any(cause in line for line in advise(Topic.NETWORK))


@pytest.mark.parametrize("cause", ["datastore:", "disk file:", "CNS:"])
def test_standing_at_80_percent_has_the_guides_three_causes(cause: str) -> None:
    assert any(cause in line for line in advise(Topic.STUCK))


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_its_cause_its_remedy_and_what_to_check(code: str) -> None:
    first, cause, remedy, waiting, *checks = advise(f"task failed: {code}", namespace="shop", vm="web-1")
    assert first.startswith(f"{code} (")
    assert cause.startswith("cause: ")
    assert remedy.startswith("remedy: ")
    assert waiting.startswith("waiting ")
    assert bool(checks) is (code in FOR_CODE)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (
            "AlreadyExistsOnSupervisor",
            [
                "CREATED:.metadata.creationTimestamp",
                "INSTANCE:.status.instanceUUID,BIOS:.status.biosUUID",
                "Get-VM -Name 'web-1').ExtensionData.Config | Format-List InstanceUuid, Uuid",
                "kubectl api-versions | grep vmoperator.vmware.com",
            ],
        ),
        (
            "ValidateVMResourceFailed",
            [
                "vmservice.virtualmachine.resource.yaml",
                "vmservice.virtualmachine.pvc.disk.data",
                "vmservice.vmoperator.vmware.com/pvc-disk-data",
                "vmservice.virtualmachine.backupVersion",
                "GZipStream",
            ],
        ),
        ("ConvertUnstructuredToVMTypeFailed", ["FromBase64String", "GZipStream", "-split '\\n' -match '^apiVersion:'"]),
    ],
)
def test_the_checks_of_a_code_can_find_its_cause(code: str, wanted: list[str]) -> None:
    text = "\n".join(commands(code, namespace="shop", vm="web-1"))
    assert [command for command in wanted if command not in text] == []


def test_the_tasks_and_events_to_look_for_are_those_that_vcenter_is_asked_for() -> None:
    tasks, events = commands("Boom: no idea")[:2]
    assert f"'{register_vm.TASK_TYPE}'" in tasks
    (pattern,) = re.findall(r"-like '(.*?)'", events)
    assert all(fnmatch(event_type, pattern) for event_type in (register_vm.SUCCESS_EVENT, register_vm.FAILURE_EVENT))


def test_a_vm_is_looked_up_by_its_id_or_by_its_name_in_the_namespaces_folder() -> None:
    by_id, by_name, unnamed = (
        commands(Topic.STUCK, **names)[2].partition(" | Get-Datastore")[0]
        for names in (
            {"namespace": "shop", "vm": "web-1", "moid": "vm-12"},
            {"namespace": "it's", "vm": "web-1"},
            {},
        )
    )
    assert by_id == "Get-VM -Id 'VirtualMachine-vm-12'"
    assert by_name == "Get-Folder -Name 'it''s' -Type VM | Get-VM -Name 'web-1'"
    assert unnamed == "Get-Folder -Name <namespace> -Type VM | Get-VM -Name <vm>"


def test_a_tasks_error_is_shown_in_vcenters_words() -> None:
    tasks, _ = commands("Boom: no idea")[:2]
    assert tasks.endswith("CompleteTime, @{n='Error';e={$_.Error.LocalizedMessage}}")


@pytest.mark.parametrize(
    ("word", "topic"),
    [
        ("Stuck", Topic.STUCK),
        ("80 %", Topic.STUCK),
        ("stuck at 80", Topic.STUCK),
        ("CNS", Topic.STUCK),
        ("dhcp", Topic.NETWORK),
        ("load balancer", Topic.NETWORK),
        ("paused", Topic.POWER_ON),
        ("power_on", Topic.POWER_ON),
        ("not triggered", Topic.NOT_TRIGGERED),
    ],
)
def test_a_topic_is_found_by_a_usual_word_for_it(word: str, topic: Topic) -> None:
    assert advise(word) == advise(topic)


def test_no_word_stands_for_two_topics() -> None:
    terms = [word for name, advice in TOPICS.items() for word in (name, *advice.also)]
    assert len(terms) == len(set(terms))


def test_every_code_that_is_an_error_has_something_to_check() -> None:
    assert sorted(FOR_CODE) == sorted(code for code in CODES if code.startswith(PREFIX))


def test_names_that_are_not_given_stay_placeholders() -> None:
    assert "kubectl describe vm -n <namespace> <vm>" in commands(Topic.POWER_ON)


def test_an_unknown_code_is_shown_as_it_came_with_the_topics() -> None:
    first, second, remedy, *_ = advise("Boom: no idea")
    assert first == "Boom: no idea"
    assert second.endswith("these topics: not-triggered, stuck-at-80, power-on, network")
    assert remedy.startswith("remedy: see the task in vCenter, ")
    assert "kubectl get events -n shop --field-selector involvedObject.name=web-1" in commands(
        "Boom: no idea", namespace="shop", vm="web-1"
    )
    assert advise("")[0] == "nothing was asked"
    assert len(advise("")) == 2


@pytest.mark.parametrize("hostile", ["x; rm -rf /", "$(id)", "a'b", "a\nb", "{vm}", "`id`"])
def test_a_hostile_name_stays_one_word(hostile: str) -> None:
    for topic in Topic:
        for line in commands(topic, namespace="shop", vm=hostile):
            assert "\n" not in line
    (described,) = [
        command for command in commands(Topic.POWER_ON, namespace="shop", vm=hostile) if " describe " in command
    ]
    assert shlex.split(described)[-1] == hostile.replace("\n", " ")
    (folder,) = commands(f"{PREFIX}NotFoundInNamespaceFolder", vm=hostile)
    named = f"Get-VM -Name '{hostile.replace(chr(10), ' ').replace(chr(39), chr(39) * 2)}'"
    assert folder == f"{named} | Select-Object Id, Folder"


def test_nothing_that_is_advised_deletes() -> None:
    everything = " ".join(command for topic in (*Topic, *CODES) for command in commands(topic)).lower()
    assert "delete" not in everything
    assert "remove" not in everything


def test_the_documentation_names_every_topic() -> None:
    page = (Path(__file__).parents[3] / "docs" / "registration.md").read_text(encoding="utf-8")
    assert [topic for topic in Topic if f"`{topic}`" not in page] == []
