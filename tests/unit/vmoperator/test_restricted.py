"""Expectations: the restricted resources as "vSphere with Tanzu notes" prints them, beside the kind of each.

The kinds are those of the public definitions; where only the plural is known, the kind is its regular singular.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.builders import m, obj
from velero_vmservice.kube.manifest import CAPTURED_KINDS
from velero_vmservice.vmoperator import marks, restricted

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

PLATFORM = """
availabilityzones.topology.tanzu.vmware.com              AvailabilityZone
aviloadbalancerconfigs.netoperator.vmware.com            AVILoadBalancerConfig
blockaffinities.crd.projectcalico.org                    BlockAffinity
ccsplugins.appplatform.wcp.vmware.com                    CCSPlugin
clusternetworkinfos.nsx.vmware.com                       ClusterNetworkInfo
cnscsisvfeaturestates.cns.vmware.com                     CnsCsiSvFeatureStates
cnsfileaccessconfigs.cns.vmware.com                      CnsFileAccessConfig
cnsfilevolumeclients.cns.vmware.com                      CnsFileVolumeClient
contentsourcebindings.vmoperator.vmware.com              ContentSourceBinding
drainrequests.psp.wcp.vmware.com                         DrainRequest
haproxyloadbalancerconfigs.netoperator.vmware.com        HAProxyLoadBalancerConfig
ipamblocks.crd.projectcalico.org                         IPAMBlock
ipamconfigs.crd.projectcalico.org                        IPAMConfig
ipamhandles.crd.projectcalico.org                        IPAMHandle
ipblocksinfos.crd.nsx.vmware.com                         IPBlocksInfo
ippools.netoperator.vmware.com                           IPPool
loadbalancerconfigs.netoperator.vmware.com               LoadBalancerConfig
namespacenetworkinfos.nsx.vmware.com                     NamespaceNetworkInfo
networkinfos.crd.nsx.vmware.com                          NetworkInfo
networkinterfaces.netoperator.vmware.com                 NetworkInterface
networks.netoperator.vmware.com                          Network
nsxnetworkconfigurations.nsx.vmware.com                  NSXNetworkConfiguration
nsxserviceaccounts.nsx.vmware.com                        NSXServiceAccount
packagemetadatas.data.packaging.carvel.dev               PackageMetadata
packages.data.packaging.carvel.dev                       Package
persistenceinstanceinfoes.psp.wcp.vmware.com             PersistenceInstanceInfo
persistenceserviceconfigurations.psp.wcp.vmware.com      PersistenceServiceConfiguration
psprecencyrequests.psp.wcp.vmware.com                    PSPRecencyRequest
pvcdisruptionbudgets.psp.wcp.vmware.com                  PVCDisruptionBudget
resourcecheckreports.psp.wcp.vmware.com                  ResourceCheckReport
resourcechecks.psp.wcp.vmware.com                        ResourceCheck
routesets.nsx.vmware.com                                 RouteSet
statefuldrainnodes.psp.wcp.vmware.com                    StatefulDrainNode
statefulreadynodes.psp.wcp.vmware.com                    StatefulReadyNode
storagepolicies.psp.wcp.vmware.com                       StoragePolicy
storagepolicyquotas.cns.vmware.com                       StoragePolicyQuota
storagepolicyusages.cns.vmware.com                       StoragePolicyUsage
storagequotaperiodicsyncs.cns.vmware.com                 StorageQuotaPeriodicSync
storagequotas.cns.vmware.com                             StorageQuota
subnetports.crd.nsx.vmware.com                           SubnetPort
tanzukubernetesaddons.run.tanzu.vmware.com               TanzuKubernetesAddon
virtualmachineclassbindings.vmoperator.vmware.com        VirtualMachineClassBinding
vmxnet3networkinterfaces.netoperator.vmware.com          VMXNET3NetworkInterface
vpcnetworkconfigurations.crd.nsx.vmware.com              VPCNetworkConfiguration
vspheredistributednetworks.netoperator.vmware.com        VSphereDistributedNetwork
wcpnamespaces.appplatform.wcp.vmware.com                 WCPNamespace
webconsolerequests.vmoperator.vmware.com                 WebConsoleRequest
"""

DECLARED = """
addressbindings.crd.nsx.vmware.com                       AddressBinding
clusterclasses.cluster.x-k8s.io                          ClusterClass
gatewayclasses.networking.x-k8s.io                       GatewayClass
gateways.networking.x-k8s.io                             Gateway
httproutes.networking.x-k8s.io                           HTTPRoute
ipaddressallocations.crd.nsx.vmware.com                  IPAddressAllocation
ippools.crd.projectcalico.org                            IPPool
ippools.nsx.vmware.com                                   IPPool
securitypolicies.crd.nsx.vmware.com                      SecurityPolicy
securitypolicies.nsx.vmware.com                          SecurityPolicy
staticroutes.crd.nsx.vmware.com                          StaticRoute
subnets.crd.nsx.vmware.com                               Subnet
subnetsets.crd.nsx.vmware.com                            SubnetSet
tcproutes.networking.x-k8s.io                            TCPRoute
"""

IMAGE = "images.imagecontroller.vmware.com"
OURS = {"virtualmachineservices.vmoperator.vmware.com", "virtualmachinegroups.vmoperator.vmware.com"}


def table(text: str) -> dict[str, str]:
    return dict(line.split() for line in text.split("\n") if line)


EVERY = {**table(SUPERVISOR), **table(NEWER), **table(PLATFORM), **table(PLUGIN)}
BLOCKED = {
    line
    for line in (Path(__file__).parent / "data" / "blocked-resources-1.7.0.txt").read_text().splitlines()
    if not line.startswith("#")
}
"""What velero-plugin-for-vsphere blocks by default, as of the date in the file."""


def test_there_are_57_and_8_and_7() -> None:
    assert (len(table(SUPERVISOR)), len(table(NEWER)), len(table(PLUGIN))) == (57, 8, 7)


def test_the_differences_from_the_vsphere_plugins_list_are_those_decided_on() -> None:
    ours = restricted.restricted_resources(supervisor=True)
    assert len(BLOCKED) == 123
    assert BLOCKED - ours - OURS == set(table(DECLARED))
    assert ours - BLOCKED == {
        *(set(table(NEWER)) - BLOCKED),
        "network-attachment-definitions.k8s.cni.cncf.io",
        "nsxlbmonitors.vmware.com",
    }


def test_declared_kinds_are_restricted_only_on_request() -> None:
    assert not restricted.restricted_resources(supervisor=True) & set(table(DECLARED))
    for resource in table(DECLARED):
        assert resource in restricted.restricted_resources(supervisor=True, add=[resource])


@pytest.mark.parametrize(
    ("resource", "declared"),
    [
        *((resource, True) for resource in table(DECLARED)),
        *((resource, False) for resource in (*table(PLATFORM), *table(PLUGIN))),
        ("certificates.cert-manager.io", True),
        ("certificaterequests.cert-manager.io", False),
        ("virtualmachines.vmoperator.vmware.com", False),
        ("virtualmachinesnapshots.vmoperator.vmware.com", True),
        ("widgets.example.com", True),
    ],
)
def test_a_declared_kind_is_distinguished_from_one_the_platform_makes(resource: str, declared: bool) -> None:  # noqa: FBT001 - a table
    assert restricted.is_declared(resource) is declared


def test_on_a_supervisor_every_kind_but_the_captured_ones_is_restricted() -> None:
    assert restricted.restricted_resources(supervisor=True) == set(EVERY) - OURS


def test_elsewhere_only_the_plugin_internal_ones_are() -> None:
    assert restricted.restricted_resources(supervisor=False) == set(table(PLUGIN))


def test_the_two_kinds_are_captured_whatever_an_administrator_adds() -> None:
    assert {kind.resource for kind in CAPTURED_KINDS} == OURS
    assert not restricted.restricted_resources(supervisor=True, add=OURS) & OURS


def test_an_administrator_adds_and_removes() -> None:
    names = restricted.restricted_resources(
        supervisor=True, add=["widgets.example.com"], remove=["certificates.cert-manager.io"]
    )
    assert "widgets.example.com" in names
    assert "certificates.cert-manager.io" not in names


def test_the_most_frequent_kinds_are_not_restricted() -> None:
    assert set(EVERY) & set(restricted.COMMON_RESOURCES) == OURS & set(EVERY)
    assert IMAGE not in restricted.COMMON_RESOURCES


def test_a_selector_never_excludes_what_it_includes() -> None:
    selector = restricted.selected({"widgets.example.com", "jobs.batch"})
    assert selector.included_resources == ("jobs.batch", "widgets.example.com")
    assert set(restricted.COMMON_RESOURCES) - set(selector.excluded_resources) == {"jobs.batch"}


def test_images_stay_in_the_backup_and_are_skipped_at_restore() -> None:
    assert IMAGE not in restricted.restricted_resources(supervisor=True)
    assert restricted.IMAGE_RESOURCE == IMAGE


@pytest.mark.parametrize(("resource", "kind"), sorted({**EVERY, **table(DECLARED), IMAGE: "Image"}.items()))
def test_each_object_is_known_by_its_kind(resource: str, kind: str) -> None:
    group = resource.partition(".")[2]
    candidates = {*restricted.restricted_resources(supervisor=True), *EVERY, *table(DECLARED), IMAGE}
    assert restricted.resource_name(m(obj(kind, "one", api=f"{group}/v1alpha1")), candidates) == resource


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
    assert (
        restricted.resource_name(m(obj(kind, "one", api=api)), restricted.restricted_resources(supervisor=True)) == ""
    )


@pytest.mark.parametrize(
    ("why", "kind", "plural", "name"),
    [
        ("no ending would tell it", "Ox", "oxen", "oxen.example.com"),
        ("a regular ending would tell another", "Box", "boxen", ""),
        ("not known, the ending is regular", "Box", "", "boxes.example.com"),
        ("not known, the ending is irregular", "Ox", "", ""),
    ],
)
def test_a_plural_of_the_api_server_comes_before_the_ending(why: str, kind: str, plural: str, name: str) -> None:
    candidates = {"oxen.example.com", "boxes.example.com"}
    manifest = m(obj(kind, "one", api="example.com/v1"))
    assert restricted.resource_name(manifest, candidates, plural=plural) == name, why


def test_the_supervisors_definitions_are_those_of_its_groups() -> None:
    assert restricted.supervisor_groups() == {name.partition(".")[2] for name in (*EVERY, *table(DECLARED), IMAGE)}


def test_pod_annotations_are_the_seven_of_the_notes_and_the_three_newer_ones() -> None:
    assert set(marks.POD_ANNOTATIONS) == {
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
