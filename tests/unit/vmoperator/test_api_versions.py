from __future__ import annotations

import pytest

from tests.unit.builders import m
from velero_vmservice.vmoperator import releases


def test_kubernetes_order() -> None:
    ordered = ["weird", "v1alpha1", "v1alpha2", "v1alpha10", "v2alpha1", "v1beta1", "v1", "v2"]
    assert sorted(ordered, key=releases.rank) == ordered


@pytest.mark.parametrize(
    ("served", "want"),
    [((), None), (("v1alpha5",), "v1alpha5"), (("v1alpha1", "v1alpha6", "v1alpha2"), "v1alpha6")],
)
def test_newest(served: tuple[str, ...], want: str | None) -> None:
    assert releases.newest(served) == want


@pytest.mark.parametrize(
    ("captured", "served", "want"),
    [
        ("v1alpha2", ("v1alpha1", "v1alpha2"), "v1alpha2"),
        ("v1alpha4", ("v1alpha2", "v1alpha3", "v1alpha4", "v1alpha5"), "v1alpha4"),
        ("v1alpha6", ("v1alpha1", "v1alpha2", "v1alpha3"), "v1alpha3"),
        ("v1", ("v1alpha4", "v1alpha5"), "v1alpha5"),
        ("v1alpha5", ("v1alpha4", "v1alpha5", "v1alpha6"), "v1alpha5"),
        ("v1alpha6", ("v1alpha4",), "v1alpha4"),
        ("v1alpha2", ("v1alpha4", "v1alpha5"), "v1alpha5"),
    ],
)
def test_a_supported_version_is_chosen_without_a_note(captured: str, served: tuple[str, ...], want: str) -> None:
    choice = releases.choose("VirtualMachineService", captured, served)
    assert (choice.version, choice.refused, choice.notes) == (want, "", ())


@pytest.mark.parametrize(
    ("captured", "served", "want"),
    [
        ("v1alpha6", ("v1alpha5", "v1alpha6"), "v1alpha6"),
        ("v1alpha4", ("v1alpha6",), "v1alpha6"),
        ("v1alpha5", ("v1beta1", "v1"), "v1"),
    ],
)
def test_a_version_the_guide_is_silent_about_is_replayed_with_a_note(
    captured: str, served: tuple[str, ...], want: str
) -> None:
    choice = releases.choose("VirtualMachineGroup", captured, served)
    assert (choice.version, choice.refused) == (want, "")
    (note,) = choice.notes
    assert f"replayed at {want}" in note
    assert "says nothing" in note


@pytest.mark.parametrize(
    ("captured", "served", "excerpt"),
    [
        ("v1alpha1", ("v1alpha1", "v1alpha2"), "was captured at v1alpha1"),
        ("v1alpha1", ("v1alpha5",), "was captured at v1alpha1"),
        ("v1alpha5", ("v1alpha1",), "the target serves VirtualMachineService at v1alpha1 only"),
    ],
)
def test_older_than_v1alpha2_is_refused_with_the_guides_words(
    captured: str, served: tuple[str, ...], excerpt: str
) -> None:
    choice = releases.choose("VirtualMachineService", captured, served)
    assert choice.version == ""
    assert excerpt in choice.refused
    assert "supported are v1alpha2, v1alpha3, v1alpha4, v1alpha5" in choice.refused
    assert "VCenterWcpWorkloadRegisterVMConvertUnstructuredToVMTypeFailed" in choice.refused


def test_a_kind_that_is_not_served_is_reported() -> None:
    choice = releases.choose("VirtualMachineGroup", "v1alpha5", ())
    assert choice.version == ""
    assert "serves no version of VirtualMachineGroup" in choice.refused
    assert "older than" not in choice.refused


@pytest.mark.parametrize(
    ("kind", "version", "want"),
    [
        ("VirtualMachineGroup", "v1alpha5", {"powerOffDelay"}),
        ("VirtualMachineGroup", "v1alpha6", set()),
        ("VirtualMachineService", "v1alpha5", {"ipFamilies", "ipFamilyPolicy"}),
        ("VirtualMachineService", "v1alpha6", set()),
        ("VirtualMachineService", "v1", set()),
    ],
)
def test_fields_that_came_with_v1alpha6(kind: str, version: str, want: set[str]) -> None:
    assert releases.unknown_fields(kind, version) == want


def test_trim_says_what_it_took() -> None:
    spec = {"bootOrder": [{"powerOnDelay": "1s"}, {"powerOffDelay": "2s", "members": []}], "powerOffDelay": "3s"}
    taken = list(releases.trim(spec, frozenset({"powerOffDelay"}), "spec"))
    assert sorted(taken) == ["spec.bootOrder[1].powerOffDelay", "spec.powerOffDelay"]
    assert spec == {"bootOrder": [{"powerOnDelay": "1s"}, {"members": []}]}


def test_version_of_a_core_object() -> None:
    service = m({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}})
    assert (service.group, service.version) == ("", "v1")
