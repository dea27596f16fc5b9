from __future__ import annotations

import pytest

from velero_vmservice.vmoperator.releases import MATRIX, Capabilities, Feature, Generation, inferred_release

U3, VCF9, UNKNOWN = Generation.VSPHERE_8_U3, Generation.VCF_9, Generation.UNKNOWN
READ = Capabilities(source="Capabilities supervisor-capabilities")


@pytest.mark.parametrize(
    ("version", "vms", "groups", "want", "evidence"),
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
def test_the_release_follows_from_the_versions_it_serves(
    version: str, vms: tuple[str, ...], groups: tuple[str, ...], want: Generation, evidence: str
) -> None:
    release = inferred_release(vms, groups, Capabilities())
    assert (version, release.generation) == (version, want)
    assert evidence in release.evidence


def test_capabilities_of_a_newer_vcenter_do_not_make_an_old_vm_operator_new() -> None:
    release = inferred_release(("v1alpha1", "v1alpha2"), (), READ)
    assert release.generation is U3
    assert "though it has Capabilities supervisor-capabilities" in release.evidence


@pytest.mark.parametrize("feature", Feature)
def test_the_matrix_has_every_feature_on_vcf_9_and_only_new_vms_before(feature: Feature) -> None:
    assert MATRIX[feature] == ({U3, VCF9} if feature is Feature.RESTORE_TO_NEW_VM else {VCF9})
    assert inferred_release(("v1alpha3",), (), Capabilities()).supports(feature) is True
    assert inferred_release(("v1alpha2",), (), Capabilities()).supports(feature) is (
        feature is Feature.RESTORE_TO_NEW_VM
    )
    assert inferred_release((), (), Capabilities()).supports(feature) is None
