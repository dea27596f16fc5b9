"""The rules as data: which resources are left to the Supervisor, and which fields tie an object to its past.

Change a rule here and nowhere else. Each table names its source, so that it can be compared again when the
source changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.core.actions import ResourceSelector
from velero_vmservice.core.manifest import CAPTURED_KINDS, VM_OPERATOR_GROUP

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from velero_vmservice.core.manifest import Manifest

PLUGIN_NAME: Final = "velero-plugin-for-vmservice"
"""Our name in Velero, the prefix of our annotations and the launcher's file name."""

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
"""What most items of a backup are, and nobody restricts unasked: named to Velero as excluded.

It compiles each name of a selector as a pattern, anew for each item, and asks the excluded ones first
(pkg/util/collections/includes_excludes.go): a ConfigMap is let go after a few names instead of after all restricted
ones. Each name here costs the items of other kinds a little, so rare kinds do not belong here.
"""

SUPERVISOR_MARKERS: Final = ("appplatform.wcp.vmware.com", "iaas.vmware.com")
"""API groups of which a Supervisor serves at least one, beside VM Operator's own."""

POD_ANNOTATIONS: Final = (
    "kubernetes.io/psp",
    "mac",
    "vlan",
    "vmware-system-ephemeral-disk-uuid",
    "vmware-system-image-references",
    "vmware-system-vm-moid",
    "vmware-system-vm-uuid",
    # Newer than the document; stripped by current releases of the Velero Plugin for vSphere.
    "vmware-system-network",
    "nsx.vmware.com/attachment",
    "nsx.vmware.com/mac",
)
"""Annotations that tie a pod to its lost machine; source: supervisor-notes, "handled during restore"."""

SKIP_FROM_BACKUP: Final = "velero.io/skip-from-backup"
"""Leaves an item out of the tarball since Velero 1.18.1; an older Velero ignores it."""

VELERO_LABEL_PREFIX: Final = "velero.io/"
"""Labels with which Velero names the backup and restore that an object comes from."""

EXCLUDE_FROM_BACKUP: Final = "velero.io/exclude-from-backup"
"""Label with which Velero leaves an object out before any plugin sees it."""

CAPTURE_ANNOTATION: Final = f"{PLUGIN_NAME}/capture"
"""Written onto the item in Velero's tarball: where its capture lies, its digest, the machines it needs."""

VADP_JOB_ANNOTATION: Final = f"{PLUGIN_NAME}/vadp-job"
VADP_RESTORE_POINT_ANNOTATION: Final = f"{PLUGIN_NAME}/vadp-restore-point"
"""Set on the Backup (or a Schedule's template): which VADP job and restore point belong to it."""

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
"""Removed from a machine that is restored to new (guide 8.1.2)."""

PAUSE_ANNOTATIONS: Final = (
    f"{VM_OPERATOR_GROUP}/paused",
    f"{VM_OPERATOR_GROUP}/pause-reconcile",
    f"{VM_OPERATOR_GROUP}/pause",
)
"""Presence alone pauses: v1alpha3 and later, v1alpha1 and v1alpha2, and the guide's spelling."""

PAUSED_LABEL: Final = f"{VM_OPERATOR_GROUP}/paused"
"""Set by VM Operator to `devops`, `admin` or `both` (vmprovider_utils.go)."""

RESTORED_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/restored-vm"
FAILED_OVER_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/failed-over-vm"
IMPORTED_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/imported-vm"
MANAGER_ID_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/manager-id"
"""The vCenter that a machine belongs to; another one in its record makes a restore a failover (guide 6.4)."""
SNAPSHOT_REVERT_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/snapshot-revert-in-progress"
BACKUP_VERSION_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/backup-version"
INSTANCE_ID_ANNOTATIONS: Final = (f"{VM_OPERATOR_GROUP}/cloud-init-instance-id", f"{VM_OPERATOR_GROUP}/instance-id")
"""Cloud-init's instance id where the spec names none: VM Operator's spelling, and the guide's (8.1.5)."""
CREATED_AT_ANNOTATIONS: Final = (
    f"{VM_OPERATOR_GROUP}/created-at-build-version",
    f"{VM_OPERATOR_GROUP}/created-at-schema-version",
)
UPGRADED_TO_ANNOTATIONS: Final = (
    f"{VM_OPERATOR_GROUP}/upgraded-to-build-version",
    f"{VM_OPERATOR_GROUP}/upgraded-to-schema-version",
    f"{VM_OPERATOR_GROUP}/upgraded-to-feature-version",
)
"""With those above, the five that a machine restored in place keeps (guide 8.1.3)."""
INFRASTRUCTURE_DOMAINS: Final = ("vmware.com", "topology.kubernetes.io", "kubectl.kubernetes.io")
"""Labels and annotations of these domains, and of those below, are the platform's; all others are the user's."""
POWER_ON_CHECK_PREFIX: Final = f"poweron.check.{VM_OPERATOR_GROUP}/"
"""Annotations with which an administrator keeps a machine from being powered on (vmprovider_vm.go)."""
FORCE_BACKUP_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/force-enable-backup"

GUEST_CLUSTER_LABELS: Final = ("capw.vmware.com/cluster.role", "capv.vmware.com/cluster.role")
"""On the machines of a guest cluster, which VM Operator does not record (vm-service 4.9)."""

GUEST_CLUSTER_OWNER_GROUPS: Final = (
    "cluster.x-k8s.io",
    "vmware.infrastructure.cluster.x-k8s.io",
    "infrastructure.cluster.vmware.com",
    "run.tanzu.vmware.com",
)
"""Owners in these groups mark a VirtualMachineService as a guest cluster's."""

GUEST_CLUSTER_SERVICE_PREFIX: Final = f"virtualmachineservice.{VM_OPERATOR_GROUP}/service."
"""Annotations that only a guest cluster's cloud provider sets (virtualmachineservice_controller.go)."""


def restricted_resources(*, supervisor: bool, add: Iterable[str] = (), remove: Iterable[str] = ()) -> frozenset[str]:
    """Return the `resource.group` names that are left to the Supervisor.

    On a cluster that is no Supervisor only the plugin-internal resources are: a cert-manager Certificate there
    is the user's data. Our own two kinds are never among them: they are captured.
    """
    names = set(PLUGIN_RESOURCES)
    if supervisor:
        names |= {*SUPERVISOR_RESOURCES, *NEWER_RESOURCES}
    return frozenset((names | set(add)) - set(remove) - {kind.resource for kind in CAPTURED_KINDS})


def selected(names: Collection[str]) -> ResourceSelector:
    """Return the selector of exactly these `resource.group` names, cheap to Velero where an item is none of them."""
    return ResourceSelector(
        included_resources=tuple(sorted(names)),
        excluded_resources=tuple(name for name in COMMON_RESOURCES if name not in names),
    )


def supervisor_groups() -> frozenset[str]:
    """Return the API groups whose CustomResourceDefinitions the Supervisor owns."""
    return frozenset(
        name.partition(".")[2] for name in (*SUPERVISOR_RESOURCES, *NEWER_RESOURCES, *PLUGIN_RESOURCES, IMAGE_RESOURCE)
    )


IRREGULAR_KINDS: Final = {"nsxloadbalancermonitor": "nsxlbmonitor"}
"""Kinds in lower case whose plural is made from another word; source: NSX Container Plugin's definitions."""


def resource_name(manifest: Manifest, candidates: Collection[str], *, plural: str = "") -> str:
    """Return the `resource.group` name among the candidates that the object is one of, or ''.

    Velero tells an action the object, not the plural that it was listed under; `plural` is what the API server says.
    Where it does not say ('': the kind is not served here, the API server is away), a plural is its kind in lower
    case with a regular ending, few excepted; the built-in names hold no two that would be confused.
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
