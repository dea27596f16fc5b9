from __future__ import annotations

import pytest

from velero_vmservice.vmoperator.releases import MATRIX, Capabilities, Feature, Generation, tell_generation

U3, VCF9, UNKNOWN = Generation.VSPHERE_8_U3, Generation.VCF_9, Generation.UNKNOWN
ASKED = Capabilities(source="Capabilities supervisor-capabilities")


@pytest.mark.parametrize(
    ("release", "machines", "groups", "want", "words"),
    [
        ("8.0 U2", ("v1alpha1",), (), UNKNOWN, "older than vSphere 8.0 U3"),
        ("8.0 U3", ("v1alpha1", "v1alpha2"), (), U3, "up to v1alpha2"),
        ("9.0.0", ("v1alpha1", "v1alpha2", "v1alpha3"), (), VCF9, "up to v1alpha3"),
        ("9.0.1", ("v1alpha1", "v1alpha4"), ("v1alpha4",), VCF9, "serves VirtualMachineGroup at v1alpha4"),
        ("9.1.0", ("v1alpha5",), ("v1alpha4", "v1alpha5"), VCF9, "serves VirtualMachineGroup"),
        ("later", ("v1", "v1alpha6"), (), VCF9, "up to v1"),
        ("away", (), (), UNKNOWN, "no version of VirtualMachine just now"),
    ],
)
def test_a_release_is_told_by_the_versions_it_serves(
    release: str, machines: tuple[str, ...], groups: tuple[str, ...], want: Generation, words: str
) -> None:
    found = tell_generation(machines, groups, Capabilities())
    assert (release, found.generation) == (release, want)
    assert words in found.evidence


def test_capabilities_of_a_newer_vcenter_do_not_make_an_old_vm_operator_new() -> None:
    found = tell_generation(("v1alpha1", "v1alpha2"), (), ASKED)
    assert found.generation is U3
    assert "though it has Capabilities supervisor-capabilities" in found.evidence


@pytest.mark.parametrize("feature", Feature)
def test_the_matrix_has_every_feature_on_vcf_9_and_only_new_vms_before(feature: Feature) -> None:
    assert MATRIX[feature] == ({U3, VCF9} if feature is Feature.RESTORE_TO_NEW_VM else {VCF9})
    assert tell_generation(("v1alpha3",), (), Capabilities()).supports(feature) is True
    assert tell_generation(("v1alpha2",), (), Capabilities()).supports(feature) is (
        feature is Feature.RESTORE_TO_NEW_VM
    )
    assert tell_generation((), (), Capabilities()).supports(feature) is None
