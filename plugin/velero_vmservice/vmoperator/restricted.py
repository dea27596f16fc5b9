"""Resources that are left to the Supervisor, as data, and those of them that users declare.

Change a rule only here. Each table names its source, so that it can be compared again when the source
changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.kube.manifest import CAPTURED_KINDS
from velero_vmservice.velero.actions import ResourceSelector

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from velero_vmservice.kube.manifest import Manifest

SUPERVISOR_RESOURCES: Final = (
    "agentinstalls.installers.tmc.cloud.vmware.com",
    "certificaterequests.cert-manager.io",
    "certificates.cert-manager.io",
    "challenges.acme.cert-manager.io",
    "clusterissuers.cert-manager.io",
    "clusterresourcesetbindings.addons.cluster.x-k8s.io",
    "clusterresourcesets.addons.cluster.x-k8s.io",
    "clusters.cluster.x-k8s.io",
    "cnsnodevmattachments.cns.vmware.com",
    "cnsregistervolumes.cns.vmware.com",
    "cnsvolumemetadatas.cns.vmware.com",
    "compatibilities.run.tanzu.vmware.com",
    "contentlibraryproviders.vmoperator.vmware.com",
    "contentsources.vmoperator.vmware.com",
    "imagedisks.imagecontroller.vmware.com",
    "installoptions.appplatform.wcp.vmware.com",
    "installrequirements.appplatform.wcp.vmware.com",
    "issuers.cert-manager.io",
    "kubeadmconfigs.bootstrap.cluster.x-k8s.io",
    "kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io",
    "kubeadmcontrolplanes.controlplane.cluster.x-k8s.io",
    "kuberneteslicenses.licenseoperator.vmware.com",
    "loadbalancers.vmware.com",
    "machinedeployments.cluster.x-k8s.io",
    "machinehealthchecks.cluster.x-k8s.io",
    "machinepools.exp.cluster.x-k8s.io",
    "machines.cluster.x-k8s.io",
    "machinesets.cluster.x-k8s.io",
    "members.registryagent.vmware.com",
    "ncpconfigs.nsx.vmware.com",
    "network-attachment-definitions.k8s.cni.cncf.io",
    "nsxerrors.nsx.vmware.com",
    "nsxlbmonitors.vmware.com",
    "nsxlocks.nsx.vmware.com",
    "nsxnetworkinterfaces.nsx.vmware.com",
    "orders.acme.cert-manager.io",
    "projects.registryagent.vmware.com",
    "providerserviceaccounts.run.tanzu.vmware.com",
    "registries.registryagent.vmware.com",
    "storagepolicies.appplatform.wcp.vmware.com",
    "storagepools.cns.vmware.com",
    "supervisorservices.appplatform.wcp.vmware.com",
    "tanzukubernetesclusters.run.tanzu.vmware.com",
    "tanzukubernetesreleases.run.tanzu.vmware.com",
    "tkgserviceconfigurations.run.tanzu.vmware.com",
    "vcuiplugins.appplatform.wcp.vmware.com",
    "veleroservices.veleroappoperator.vmware.com",
    "virtualmachineclasses.vmoperator.vmware.com",
    "virtualmachineimages.vmoperator.vmware.com",
    "virtualmachineservices.vmoperator.vmware.com",
    "virtualmachinesetresourcepolicies.vmoperator.vmware.com",
    "virtualmachines.vmoperator.vmware.com",
    "virtualnetworkinterfaces.vmware.com",
    "virtualnetworks.vmware.com",
    "wcpclusters.infrastructure.cluster.vmware.com",
    "wcpmachines.infrastructure.cluster.vmware.com",
    "wcpmachinetemplates.infrastructure.cluster.vmware.com",
)
"""Source: supervisor-notes, "vSphere with Tanzu Supervisor Cluster resources" (57)."""

NEWER_RESOURCES: Final = (
    "virtualmachinegrouppublishrequests.vmoperator.vmware.com",
    "virtualmachinesnapshots.vmoperator.vmware.com",
    "virtualmachinereplicasets.vmoperator.vmware.com",
    "virtualmachineclassinstances.vmoperator.vmware.com",
    "virtualmachineimagecaches.vmoperator.vmware.com",
    "virtualmachinepublishrequests.vmoperator.vmware.com",
    "clustervirtualmachineimages.vmoperator.vmware.com",
    "virtualmachinewebconsolerequests.vmoperator.vmware.com",
)
"""VM Operator kinds newer than the document; source: vm-service, "What differs from the guide" (8)."""

PLATFORM_RESOURCES: Final = (
    "availabilityzones.topology.tanzu.vmware.com",
    "aviloadbalancerconfigs.netoperator.vmware.com",
    "blockaffinities.crd.projectcalico.org",
    "ccsplugins.appplatform.wcp.vmware.com",
    "clusternetworkinfos.nsx.vmware.com",
    "cnscsisvfeaturestates.cns.vmware.com",
    "cnsfileaccessconfigs.cns.vmware.com",
    "cnsfilevolumeclients.cns.vmware.com",
    "contentsourcebindings.vmoperator.vmware.com",
    "drainrequests.psp.wcp.vmware.com",
    "haproxyloadbalancerconfigs.netoperator.vmware.com",
    "ipamblocks.crd.projectcalico.org",
    "ipamconfigs.crd.projectcalico.org",
    "ipamhandles.crd.projectcalico.org",
    "ipblocksinfos.crd.nsx.vmware.com",
    "ippools.netoperator.vmware.com",
    "loadbalancerconfigs.netoperator.vmware.com",
    "namespacenetworkinfos.nsx.vmware.com",
    "networkinfos.crd.nsx.vmware.com",
    "networkinterfaces.netoperator.vmware.com",
    "networks.netoperator.vmware.com",
    "nsxnetworkconfigurations.nsx.vmware.com",
    "nsxserviceaccounts.nsx.vmware.com",
    "packagemetadatas.data.packaging.carvel.dev",
    "packages.data.packaging.carvel.dev",
    "persistenceinstanceinfoes.psp.wcp.vmware.com",
    "persistenceserviceconfigurations.psp.wcp.vmware.com",
    "psprecencyrequests.psp.wcp.vmware.com",
    "pvcdisruptionbudgets.psp.wcp.vmware.com",
    "resourcecheckreports.psp.wcp.vmware.com",
    "resourcechecks.psp.wcp.vmware.com",
    "routesets.nsx.vmware.com",
    "statefuldrainnodes.psp.wcp.vmware.com",
    "statefulreadynodes.psp.wcp.vmware.com",
    "storagepolicies.psp.wcp.vmware.com",
    "storagepolicyquotas.cns.vmware.com",
    "storagepolicyusages.cns.vmware.com",
    "storagequotaperiodicsyncs.cns.vmware.com",
    "storagequotas.cns.vmware.com",
    "subnetports.crd.nsx.vmware.com",
    "tanzukubernetesaddons.run.tanzu.vmware.com",
    "virtualmachineclassbindings.vmoperator.vmware.com",
    "vmxnet3networkinterfaces.netoperator.vmware.com",
    "vpcnetworkconfigurations.crd.nsx.vmware.com",
    "vspheredistributednetworks.netoperator.vmware.com",
    "wcpnamespaces.appplatform.wcp.vmware.com",
    "webconsolerequests.vmoperator.vmware.com",
)
"""Resources that a Supervisor creates itself and that newer releases of the Velero Plugin for vSphere block (47).

Source: the defaults of its ConfigMap in 1.7.0. They include the ports of VMs (SubnetPort, VirtualNetworkInterface,
NetworkInterface): VM Operator creates them for the registered VM, and a restored port would be stale.
"""

DECLARED_RESOURCES: Final = (
    "addressbindings.crd.nsx.vmware.com",
    "clusterclasses.cluster.x-k8s.io",
    "gatewayclasses.networking.x-k8s.io",
    "gateways.networking.x-k8s.io",
    "httproutes.networking.x-k8s.io",
    "ipaddressallocations.crd.nsx.vmware.com",
    "ippools.crd.projectcalico.org",
    "ippools.nsx.vmware.com",
    "securitypolicies.crd.nsx.vmware.com",
    "securitypolicies.nsx.vmware.com",
    "staticroutes.crd.nsx.vmware.com",
    "subnets.crd.nsx.vmware.com",
    "subnetsets.crd.nsx.vmware.com",
    "tcproutes.networking.x-k8s.io",
)
"""Resources that the same ConfigMap blocks although users declare them (14).

Such an object is the user's data, and no controller creates it again. It is withheld only if the ConfigMap blocks it,
because the backup would otherwise end as PartiallyFailed without it, and is then reported as not backed up.
"""

_DECLARED_ALL_THE_SAME: Final = (
    "certificates.cert-manager.io",
    "clusterissuers.cert-manager.io",
    "clusters.cluster.x-k8s.io",
    "issuers.cert-manager.io",
    "network-attachment-definitions.k8s.cni.cncf.io",
    "tanzukubernetesclusters.run.tanzu.vmware.com",
    "virtualmachinereplicasets.vmoperator.vmware.com",
    "virtualmachinesetresourcepolicies.vmoperator.vmware.com",
    "virtualmachinesnapshots.vmoperator.vmware.com",
    "virtualnetworks.vmware.com",
)
"""Kinds that users declare among those that the documents always restrict: withheld, and reported as well."""

PLUGIN_RESOURCES: Final = (
    "backuprepositories.backupdriver.cnsdp.vmware.com",
    "backuprepositoryclaims.backupdriver.cnsdp.vmware.com",
    "clonefromsnapshots.backupdriver.cnsdp.vmware.com",
    "deletesnapshots.backupdriver.cnsdp.vmware.com",
    "downloads.datamover.cnsdp.vmware.com",
    "snapshots.backupdriver.cnsdp.vmware.com",
    "uploads.datamover.cnsdp.vmware.com",
)
"""Internal to the Velero Plugin for vSphere; source: supervisor-notes, "vSphere Plugin resources" (7)."""

IMAGE_RESOURCE: Final = "images.imagecontroller.vmware.com"
"""Backed up with every container, never restored; source: supervisor-notes, "handled during restore"."""

COMMON_RESOURCES: Final = (
    "configmaps",
    "endpoints",
    "events",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "secrets",
    "serviceaccounts",
    "services",
    "controllerrevisions.apps",
    "daemonsets.apps",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "horizontalpodautoscalers.autoscaling",
    "cronjobs.batch",
    "jobs.batch",
    "customresourcedefinitions.apiextensions.k8s.io",
    "endpointslices.discovery.k8s.io",
    "events.events.k8s.io",
    "ingresses.networking.k8s.io",
    "leases.coordination.k8s.io",
    "networkpolicies.networking.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    *(kind.resource for kind in CAPTURED_KINDS),
)
"""The resources of most items in a backup, none of them restricted by default; Velero gets them as excluded.

Velero compiles each name of a selector as a pattern, again for each item, and tries the excluded names first
(pkg/util/collections/includes_excludes.go). So it passes over a ConfigMap after a few names instead of after all
restricted ones. Each name here costs items of other kinds a little, so rare kinds do not belong here.
"""


_SUPERVISORS: Final = frozenset({*SUPERVISOR_RESOURCES, *NEWER_RESOURCES, *PLATFORM_RESOURCES})
_CAPTURED: Final = frozenset(kind.resource for kind in CAPTURED_KINDS)
_MADE_AGAIN: Final = (_SUPERVISORS | {*PLUGIN_RESOURCES}) - {*_DECLARED_ALL_THE_SAME}


def restricted_resources(*, supervisor: bool, add: Iterable[str] = (), remove: Iterable[str] = ()) -> frozenset[str]:
    """Return the `resource.group` names that are left to the Supervisor.

    On a cluster that is not a Supervisor these are only the plugin-internal resources: a cert-manager Certificate there
    is the user's data. The two captured kinds are never restricted. `add` has the names from an administrator and from
    the ConfigMap of the Velero Plugin for vSphere.
    """
    names = _SUPERVISORS.union(PLUGIN_RESOURCES) if supervisor else frozenset(PLUGIN_RESOURCES)
    return names.union(add).difference(remove, _CAPTURED)


def is_declared(resource: str) -> bool:
    """Say whether users may declare such objects, so that a withheld one is reported as not backed up.

    A name that is in no table comes from an administrator and counts as the user's.
    """
    return resource not in _MADE_AGAIN


def selected(names: Collection[str]) -> ResourceSelector:
    """Return the selector of exactly these `resource.group` names, cheap for Velero if an item is none of them."""
    return ResourceSelector(
        included_resources=tuple(sorted(names)),
        excluded_resources=tuple(name for name in COMMON_RESOURCES if name not in names),
    )


def supervisor_groups() -> frozenset[str]:
    """Return the API groups whose CustomResourceDefinitions the Supervisor owns."""
    every = (*_SUPERVISORS, *DECLARED_RESOURCES, *PLUGIN_RESOURCES, IMAGE_RESOURCE)
    return frozenset(name.partition(".")[2] for name in every)


IRREGULAR_KINDS: Final = {"nsxloadbalancermonitor": "nsxlbmonitor"}
"""Kinds in lower case whose plural is another word; source: NSX Container Plugin's definitions."""


def resource_name(manifest: Manifest, candidates: Collection[str], *, plural: str = "") -> str:
    """Return the `resource.group` name of the object among the candidates, or ''.

    Velero passes an action the object, but not its plural; `plural` comes from the API server. Without an answer ('':
    the kind is not served here, or the API server is away) the plural is the kind in lower case with a regular ending,
    with few exceptions; no two of the built-in names can be confused.
    """
    if plural:
        name = f"{plural}.{manifest.group}" if manifest.group else plural
        return name if name in candidates else ""
    return _resembling(manifest, candidates)


def _resembling(manifest: Manifest, candidates: Collection[str]) -> str:
    kind = manifest.kind_name.lower()
    kind = IRREGULAR_KINDS.get(kind, kind)
    plurals = {kind, f"{kind}s", f"{kind}es", f"{kind.removesuffix('y')}ies"}
    for candidate in candidates:
        spelt, _, group = candidate.partition(".")
        if group == manifest.group and (spelt in plurals or spelt.replace("-", "") in plurals):
            return candidate
    return ""
