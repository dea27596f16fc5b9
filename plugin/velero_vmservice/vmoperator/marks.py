"""The rules as data: which fields and marks tie an object to its past (`restricted` has the resources).

Change a rule here and nowhere else. Each table names its source, so that it can be compared again when the
source changes.
"""

from __future__ import annotations

from typing import Final

from velero_vmservice.kube.manifest import VM_OPERATOR_GROUP

PLUGIN_NAME: Final = "velero-plugin-for-vmservice"
"""Our name in Velero, the prefix of our annotations and the launcher's file name."""

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
"""Annotations that tie a pod to its lost VM; source: supervisor-notes, "handled during restore"."""

SKIP_FROM_BACKUP: Final = "velero.io/skip-from-backup"
"""Leaves an item out of the tarball since Velero 1.18.1; an older Velero ignores it."""

VELERO_LABEL_PREFIX: Final = "velero.io/"
"""Labels with which Velero names the backup and restore that an object comes from."""

EXCLUDE_FROM_BACKUP: Final = "velero.io/exclude-from-backup"
"""Label with which Velero leaves an object out before any plugin sees it."""

CAPTURE_ANNOTATION: Final = f"{PLUGIN_NAME}/capture"
"""Written onto the item in Velero's tarball: where its capture lies, its digest, the VMs it needs."""

VADP_JOB_ANNOTATION: Final = f"{PLUGIN_NAME}/vadp-job"
VADP_RESTORE_POINT_ANNOTATION: Final = f"{PLUGIN_NAME}/vadp-restore-point"
"""Set on the Backup (or a Schedule's template): which VADP job and restore point belong to it."""

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
"""Removed from a VM that is restored to new (guide 8.1.2)."""

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
"""The vCenter that a VM belongs to; another one in its record makes a restore a failover (guide 6.4)."""
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
"""With those above, the five that a VM restored in place keeps (guide 8.1.3)."""
INFRASTRUCTURE_DOMAINS: Final = (
    "vmware.com",  # VM Operator, WCP, CSI (cns, csi), NSX (nsx), AVI (ako), Velero Plugin for vSphere (cnsdp)
    "ncp",  # NSX Container Plugin (nsxtlb.go: ncp/healthCheckNodePort)
    "nsx",  # nsx-operator (services/common/constants.go: nsx/restore)
    "nsx-op",  # the scopes of its tags, at the same place
    "velero.io",  # Velero's own labels, such as velero.io/backup-name
    "velero-plugin-for-vsphere",  # its constants.go: velero-plugin-for-vsphere/item-snapshot-blob
    PLUGIN_NAME,
    "topology.kubernetes.io",
    "failure-domain.beta.kubernetes.io",  # the name of the former before Kubernetes 1.17
    "kubectl.kubernetes.io",
)
"""Labels and annotations of these domains, and of those below, are the platform's; all others are the user's.

`kubernetes.io` as a whole is not among them: people label their own VMs with `app.kubernetes.io/name`.
"""
INFRASTRUCTURE_PREFIXES: Final = (
    "vmware-system-",  # WCP, as on pods and namespaces
    "csi.vsphere.",  # vsphere-csi-driver (common/constants.go: csi.vsphere.volume-requested-topology)
    "vsphere-cluster-module-group-uuid",  # VM Operator; the name beside it is the user's (constants.go)
)
"""The same for keys that have no domain."""
PROTECTED: Final = ".protected"
"""A key, or the domain of a key, that ends so can be written by VM Operator and administrators alone.

Source: virtualmachine_validator.go, protectedAnnotationRegex; VM Operator writes some while it powers a group on.
"""
POWER_ON_CHECK_PREFIX: Final = f"poweron.check.{VM_OPERATOR_GROUP}/"
"""Annotations with which an administrator keeps a VM from being powered on (vmprovider_vm.go)."""
FORCE_BACKUP_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/force-enable-backup"

GUEST_CLUSTER_LABELS: Final = ("capw.vmware.com/cluster.role", "capv.vmware.com/cluster.role")
"""On the VMs of a guest cluster, which VM Operator does not record (vm-service 4.9)."""

GUEST_CLUSTER_OWNER_GROUPS: Final = (
    "cluster.x-k8s.io",
    "vmware.infrastructure.cluster.x-k8s.io",
    "infrastructure.cluster.vmware.com",
    "run.tanzu.vmware.com",
)
"""Owners in these groups mark a VirtualMachineService as a guest cluster's."""

GUEST_CLUSTER_SERVICE_PREFIX: Final = f"virtualmachineservice.{VM_OPERATOR_GROUP}/service."
"""Annotations that only a guest cluster's cloud provider sets (virtualmachineservice_controller.go)."""
