"""Expectations: the restricted resources as "vSphere with Tanzu notes" prints them, beside the kind of each.

The kinds are those of the public definitions; where only the plural is known, the kind is its regular singular.
"""

from __future__ import annotations

import pytest

from tests.unit.builders import m, obj
from velero_vmservice.core import policy
from velero_vmservice.core.manifest import CAPTURED_KINDS

SUPERVISOR = """
agentinstalls.installers.tmc.cloud.vmware.com            AgentInstall
certificaterequests.cert-manager.io                      CertificateRequest
certificates.cert-manager.io                             Certificate
challenges.acme.cert-manager.io                          Challenge
clusterissuers.cert-manager.io                           ClusterIssuer
clusterresourcesetbindings.addons.cluster.x-k8s.io       ClusterResourceSetBinding
clusterresourcesets.addons.cluster.x-k8s.io              ClusterResourceSet
clusters.cluster.x-k8s.io                                Cluster
cnsnodevmattachments.cns.vmware.com                      CnsNodeVmAttachment
cnsregistervolumes.cns.vmware.com                        CnsRegisterVolume
cnsvolumemetadatas.cns.vmware.com                        CnsVolumeMetadata
compatibilities.run.tanzu.vmware.com                     Compatibility
contentlibraryproviders.vmoperator.vmware.com            ContentLibraryProvider
contentsources.vmoperator.vmware.com                     ContentSource
imagedisks.imagecontroller.vmware.com                    ImageDisk
installoptions.appplatform.wcp.vmware.com                InstallOptions
installrequirements.appplatform.wcp.vmware.com           InstallRequirements
issuers.cert-manager.io                                  Issuer
kubeadmconfigs.bootstrap.cluster.x-k8s.io                KubeadmConfig
kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io        KubeadmConfigTemplate
kubeadmcontrolplanes.controlplane.cluster.x-k8s.io       KubeadmControlPlane
kuberneteslicenses.licenseoperator.vmware.com            KubernetesLicense
loadbalancers.vmware.com                                 LoadBalancer
machinedeployments.cluster.x-k8s.io                      MachineDeployment
machinehealthchecks.cluster.x-k8s.io                     MachineHealthCheck
machinepools.exp.cluster.x-k8s.io                        MachinePool
machines.cluster.x-k8s.io                                Machine
machinesets.cluster.x-k8s.io                             MachineSet
members.registryagent.vmware.com                         Member
ncpconfigs.nsx.vmware.com                                NcpConfig
network-attachment-definitions.k8s.cni.cncf.io           NetworkAttachmentDefinition
nsxerrors.nsx.vmware.com                                 NSXError
nsxlbmonitors.vmware.com                                 NSXLoadBalancerMonitor
nsxlocks.nsx.vmware.com                                  NSXLock
nsxnetworkinterfaces.nsx.vmware.com                      NSXNetworkInterface
orders.acme.cert-manager.io                              Order
projects.registryagent.vmware.com                        Project
providerserviceaccounts.run.tanzu.vmware.com             ProviderServiceAccount
registries.registryagent.vmware.com                      Registry
storagepolicies.appplatform.wcp.vmware.com               StoragePolicy
storagepools.cns.vmware.com                              StoragePool
supervisorservices.appplatform.wcp.vmware.com            SupervisorService
tanzukubernetesclusters.run.tanzu.vmware.com             TanzuKubernetesCluster
tanzukubernetesreleases.run.tanzu.vmware.com             TanzuKubernetesRelease
tkgserviceconfigurations.run.tanzu.vmware.com            TkgServiceConfiguration
vcuiplugins.appplatform.wcp.vmware.com                   VCUIPlugin
veleroservices.veleroappoperator.vmware.com              VeleroService
virtualmachineclasses.vmoperator.vmware.com              VirtualMachineClass
virtualmachineimages.vmoperator.vmware.com               VirtualMachineImage
virtualmachineservices.vmoperator.vmware.com             VirtualMachineService
virtualmachinesetresourcepolicies.vmoperator.vmware.com  VirtualMachineSetResourcePolicy
virtualmachines.vmoperator.vmware.com                    VirtualMachine
virtualnetworkinterfaces.vmware.com                      VirtualNetworkInterface
virtualnetworks.vmware.com                               VirtualNetwork
wcpclusters.infrastructure.cluster.vmware.com            WCPCluster
wcpmachines.infrastructure.cluster.vmware.com            WCPMachine
wcpmachinetemplates.infrastructure.cluster.vmware.com    WCPMachineTemplate
"""

NEWER = """
virtualmachinegrouppublishrequests.vmoperator.vmware.com VirtualMachineGroupPublishRequest
virtualmachinesnapshots.vmoperator.vmware.com            VirtualMachineSnapshot
virtualmachinereplicasets.vmoperator.vmware.com          VirtualMachineReplicaSet
virtualmachineclassinstances.vmoperator.vmware.com       VirtualMachineClassInstance
virtualmachineimagecaches.vmoperator.vmware.com          VirtualMachineImageCache
virtualmachinepublishrequests.vmoperator.vmware.com      VirtualMachinePublishRequest
clustervirtualmachineimages.vmoperator.vmware.com        ClusterVirtualMachineImage
virtualmachinewebconsolerequests.vmoperator.vmware.com   VirtualMachineWebConsoleRequest
"""

PLUGIN = """
backuprepositories.backupdriver.cnsdp.vmware.com         BackupRepository
backuprepositoryclaims.backupdriver.cnsdp.vmware.com     BackupRepositoryClaim
clonefromsnapshots.backupdriver.cnsdp.vmware.com         CloneFromSnapshot
deletesnapshots.backupdriver.cnsdp.vmware.com            DeleteSnapshot
downloads.datamover.cnsdp.vmware.com                     Download
snapshots.backupdriver.cnsdp.vmware.com                  Snapshot
uploads.datamover.cnsdp.vmware.com                       Upload
"""

IMAGE = "images.imagecontroller.vmware.com"
OURS = {"virtualmachineservices.vmoperator.vmware.com", "virtualmachinegroups.vmoperator.vmware.com"}


def table(text: str) -> dict[str, str]:
    return dict(line.split() for line in text.split("\n") if line)


EVERY = {**table(SUPERVISOR), **table(NEWER), **table(PLUGIN)}


def test_there_are_57_and_8_and_7() -> None:
    assert (len(table(SUPERVISOR)), len(table(NEWER)), len(table(PLUGIN))) == (57, 8, 7)


def test_on_a_supervisor_everything_but_our_own_kind_is_restricted() -> None:
    assert policy.restricted_resources(supervisor=True) == set(EVERY) - OURS


def test_elsewhere_only_the_plugin_internal_ones_are() -> None:
    assert policy.restricted_resources(supervisor=False) == set(table(PLUGIN))


def test_our_two_kinds_are_captured_whatever_an_administrator_adds() -> None:
    assert {kind.resource for kind in CAPTURED_KINDS} == OURS
    assert not policy.restricted_resources(supervisor=True, add=OURS) & OURS


def test_an_administrator_adds_and_removes() -> None:
    names = policy.restricted_resources(
        supervisor=True, add=["widgets.example.com"], remove=["certificates.cert-manager.io"]
    )
    assert "widgets.example.com" in names
    assert "certificates.cert-manager.io" not in names


def test_what_most_items_are_is_nothing_that_is_restricted() -> None:
    assert set(EVERY) & set(policy.COMMON_RESOURCES) == OURS & set(EVERY)
    assert IMAGE not in policy.COMMON_RESOURCES


def test_a_selector_never_excludes_what_it_includes() -> None:
    selector = policy.selected({"widgets.example.com", "jobs.batch"})
    assert selector.included_resources == ("jobs.batch", "widgets.example.com")
    assert set(policy.COMMON_RESOURCES) - set(selector.excluded_resources) == {"jobs.batch"}


def test_images_stay_in_the_backup_and_are_skipped_at_restore() -> None:
    assert IMAGE not in policy.restricted_resources(supervisor=True)
    assert policy.IMAGE_RESOURCE == IMAGE


@pytest.mark.parametrize(("resource", "kind"), sorted({**EVERY, IMAGE: "Image"}.items()))
def test_each_object_is_known_by_its_kind(resource: str, kind: str) -> None:
    group = resource.partition(".")[2]
    candidates = {*policy.restricted_resources(supervisor=True), *EVERY, IMAGE}
    assert policy.resource_name(m(obj(kind, "one", api=f"{group}/v1alpha1")), candidates) == resource


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "Service"),
        ("example.com/v1", "Certificate"),
        ("example.com/v1", "VirtualMachine"),
        ("vmoperator.vmware.com/v1alpha5", "VirtualMachineGroup"),
        ("storage.k8s.io/v1", "StorageClass"),
    ],
)
def test_nothing_else_is_taken_for_restricted(api: str, kind: str) -> None:
    assert policy.resource_name(m(obj(kind, "one", api=api)), policy.restricted_resources(supervisor=True)) == ""


@pytest.mark.parametrize(
    ("why", "kind", "plural", "name"),
    [
        ("no ending would tell it", "Ox", "oxen", "oxen.example.com"),
        ("a regular ending would tell another", "Box", "boxen", ""),
        ("nobody says, the ending is regular", "Box", "", "boxes.example.com"),
        ("nobody says, the ending is irregular", "Ox", "", ""),
    ],
)
def test_what_the_api_server_says_comes_before_the_ending(why: str, kind: str, plural: str, name: str) -> None:
    candidates = {"oxen.example.com", "boxes.example.com"}
    found = m(obj(kind, "one", api="example.com/v1"))
    assert policy.resource_name(found, candidates, plural=plural) == name, why


def test_the_supervisors_definitions_are_those_of_its_groups() -> None:
    assert policy.supervisor_groups() == {name.partition(".")[2] for name in (*EVERY, IMAGE)}


def test_pod_annotations_are_the_seven_of_the_notes_and_the_three_newer_ones() -> None:
    assert set(policy.POD_ANNOTATIONS) == {
        "kubernetes.io/psp",
        "mac",
        "vlan",
        "vmware-system-ephemeral-disk-uuid",
        "vmware-system-image-references",
        "vmware-system-vm-moid",
        "vmware-system-vm-uuid",
        "vmware-system-network",
        "nsx.vmware.com/attachment",
        "nsx.vmware.com/mac",
    }
