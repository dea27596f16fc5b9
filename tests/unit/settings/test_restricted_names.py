from __future__ import annotations

import pytest

from velero_vmservice.settings.restricted_names import checked_addition, checked_removal
from velero_vmservice.vmoperator.restricted import DECLARED_RESOURCES, restricted_resources

VMS = "virtualmachines.vmoperator.vmware.com"


@pytest.mark.parametrize(
    "name",
    ["widgets.example.com", "secrets", "deployments.apps", VMS, "network-attachment-definitions.k8s.cni.cncf.io"],
)
def test_a_resource_as_kubectl_prints_it_can_be_added(name: str) -> None:
    assert checked_addition(name) == name


@pytest.mark.parametrize("name", sorted({*restricted_resources(supervisor=True), *DECLARED_RESOURCES}))
def test_all_of_the_list_can_be_removed(name: str) -> None:
    assert checked_removal(name) == name


@pytest.mark.parametrize("check", [checked_addition, checked_removal])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("VirtualMachines", VMS),
        ("virtualmachines", VMS),
        ("virtualmachine", VMS),
        ("VirtualMachines.vmoperator.vmware.com", VMS),
        ("virtualmachines.v1alpha5.vmoperator.vmware.com", VMS),
        (f"{VMS}/v1alpha5", VMS),
        ("certificates", "certificates.cert-manager.io"),
    ],
)
def test_another_spelling_of_a_known_resource_suggests_it(check: object, name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant}") as refused:
        check(name)  # type: ignore[operator]
    assert "plural.group" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("widgets.example.com/v1", "names a version: write plural.group alone"),
        ("widgets.v1beta1.example.com", "names a version: write plural.group alone"),
        ("Widgets.example.com", "has to be written as plural.group in lower case"),
        ("widgets", "has to be written as plural.group in lower case"),
        ("", "has to be written as plural.group in lower case"),
        ("*", "has to be written as plural.group in lower case"),
        ("*.example.com", "has to be written as plural.group in lower case"),
        ("widgets.example.com ", "has to be written as plural.group in lower case"),
        ("widgets..com", "has to be written as plural.group in lower case"),
    ],
)
def test_a_text_that_is_no_name_is_refused_without_a_suggestion(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        checked_addition(name)
    assert "did you mean" not in str(refused.value)


def test_a_removal_of_what_is_not_on_the_list_suggests_what_is() -> None:
    with pytest.raises(ValueError, match="is not on the list") as refused:
        checked_removal("virtualmachine.vmoperator.vmware.com")
    assert str(refused.value).endswith(f"; did you mean {VMS}?")
    with pytest.raises(ValueError, match=r"is not on the list of restricted resources$"):
        checked_removal("widgets.example.com")


@pytest.mark.parametrize("check", [checked_addition, checked_removal])
@pytest.mark.parametrize("plural", ["virtualmachineservices", "virtualmachinegroups"])
def test_a_captured_kind_is_neither_added_nor_removed(check: object, plural: str) -> None:
    with pytest.raises(ValueError, match="is a kind that the plugin captures"):
        check(f"{plural}.vmoperator.vmware.com")  # type: ignore[operator]
