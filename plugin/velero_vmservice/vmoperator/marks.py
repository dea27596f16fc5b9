"""The rules as data: fields and marks that tie an object to its past (`restricted` has the resources).

Change a rule only here. Each table names its source, so that it can be compared again when the source changes.
"""

from __future__ import annotations

from typing import Final

from velero_vmservice.kube.manifest import VM_OPERATOR_GROUP

PLUGIN_NAME: Final = "velero-plugin-for-vmservice"
"""The plugin's name in Velero, the prefix of its annotations, and the launcher's file name."""

SUPERVISOR_MARKERS: Final = ("appplatform.wcp.vmware.com", "iaas.vmware.com")
"""API groups beside VM Operator's own; a Supervisor serves at least one of them."""

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
"""Tells Velero 1.18.1 and later to leave an item out of the tarball; an older Velero ignores it."""

VELERO_LABEL_PREFIX: Final = "velero.io/"
"""Velero's labels for the backup and restore of an object."""

EXCLUDE_FROM_BACKUP: Final = "velero.io/exclude-from-backup"
"""Label of objects that Velero leaves out before any plugin sees them."""

CAPTURE_ANNOTATION: Final = f"{PLUGIN_NAME}/capture"
"""On the item in Velero's tarball: the key and digest of its capture, and the VMs that it needs."""

VADP_JOB_ANNOTATION: Final = f"{PLUGIN_NAME}/vadp-job"
VADP_RESTORE_POINT_ANNOTATION: Final = f"{PLUGIN_NAME}/vadp-restore-point"
"""On the Backup (or a Schedule's template): its VADP job and restore point."""

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
"""Labels that a restore to a new VM removes (guide 8.1.2)."""

PAUSE_ANNOTATIONS: Final = (
    f"{VM_OPERATOR_GROUP}/paused",
    f"{VM_OPERATOR_GROUP}/pause-reconcile",
    f"{VM_OPERATOR_GROUP}/pause",
)
"""Annotations that pause a VM with any value: v1alpha3 and later, v1alpha1 and v1alpha2, the guide's spelling."""

PAUSED_LABEL: Final = f"{VM_OPERATOR_GROUP}/paused"
"""Set by VM Operator to `devops`, `admin` or `both` (vmprovider_utils.go)."""

RESTORED_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/restored-vm"
FAILED_OVER_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/failed-over-vm"
IMPORTED_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/imported-vm"
MANAGER_ID_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/manager-id"
"""The vCenter of a VM; a restore with another vCenter in the record is a failover (guide 6.4)."""
SNAPSHOT_REVERT_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/snapshot-revert-in-progress"
BACKUP_VERSION_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/backup-version"
INSTANCE_ID_ANNOTATIONS: Final = (f"{VM_OPERATOR_GROUP}/cloud-init-instance-id", f"{VM_OPERATOR_GROUP}/instance-id")
"""Cloud-init's instance id if the spec names none: VM Operator's spelling, and the guide's (8.1.5)."""
CREATED_AT_ANNOTATIONS: Final = (
    f"{VM_OPERATOR_GROUP}/created-at-build-version",
    f"{VM_OPERATOR_GROUP}/created-at-schema-version",
)
UPGRADED_TO_ANNOTATIONS: Final = (
    f"{VM_OPERATOR_GROUP}/upgraded-to-build-version",
    f"{VM_OPERATOR_GROUP}/upgraded-to-schema-version",
    f"{VM_OPERATOR_GROUP}/upgraded-to-feature-version",
)
"""With those above, the five annotations that a VM restored in place keeps (guide 8.1.3)."""
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
"""Labels and annotations of these domains and their subdomains are the platform's; all others are the user's.

`kubernetes.io` is not in the list, because users label their own VMs with `app.kubernetes.io/name`.
"""
INFRASTRUCTURE_PREFIXES: Final = (
    "vmware-system-",  # WCP, as on pods and namespaces
    "csi.vsphere.",  # vsphere-csi-driver (common/constants.go: csi.vsphere.volume-requested-topology)
    "vsphere-cluster-module-group-uuid",  # VM Operator; the name beside it is the user's (constants.go)
)
"""The same for keys without a domain."""
PROTECTED: Final = ".protected"
"""The end of keys, or of their domains, that only VM Operator and administrators may write.

Source: virtualmachine_validator.go, protectedAnnotationRegex; VM Operator writes some when it powers on a group.
"""
POWER_ON_CHECK_PREFIX: Final = f"poweron.check.{VM_OPERATOR_GROUP}/"
"""Annotations by which an administrator prevents a VM's power-on (vmprovider_vm.go)."""
FORCE_BACKUP_ANNOTATION: Final = f"{VM_OPERATOR_GROUP}/force-enable-backup"

GUEST_CLUSTER_LABELS: Final = ("capw.vmware.com/cluster.role", "capv.vmware.com/cluster.role")
"""Labels on the VMs of a guest cluster, which VM Operator does not record (vm-service 4.9)."""

GUEST_CLUSTER_OWNER_GROUPS: Final = (
    "cluster.x-k8s.io",
    "vmware.infrastructure.cluster.x-k8s.io",
    "infrastructure.cluster.vmware.com",
    "run.tanzu.vmware.com",
)
"""Owners in these groups mark a VirtualMachineService as a guest cluster's."""

GUEST_CLUSTER_SERVICE_PREFIX: Final = f"virtualmachineservice.{VM_OPERATOR_GROUP}/service."
"""Annotations that only a guest cluster's cloud provider sets (virtualmachineservice_controller.go)."""
