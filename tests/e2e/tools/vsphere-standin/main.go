// Stands in for velero-plugin-for-vsphere, which is not published as a Go module, in tests of how another plugin lives
// beside it. It selects, refuses, skips and strips as version 1.7.0 of the original does (pkg/plugin: the backup and
// restore actions of PVCs, and util.IsObjectBlocked). It moves no data.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
)

const (
	// blockedConfigMap lists, in Velero's namespace, the resources that the actions are called for, and which of them
	// they refuse. An absent one blocks nothing.
	blockedConfigMap = "velero-vsphere-plugin-blocked-resources-list"
	claims           = "persistentvolumeclaims"
	pods             = "pods"
	vmUUID           = "vmware-system-vm-uuid"
)

// skippedAtRestore are fetched or made again by the Supervisor.
var skippedAtRestore = map[string]bool{"images.imagecontroller.vmware.com": true, "nsxlbmonitors.vmware.com": true}

// podAnnotations tie a pod to the VM that it ran on.
var podAnnotations = []string{
	"kubernetes.io/psp", "mac", "vlan", "vmware-system-ephemeral-disk-uuid", "vmware-system-image-references",
	"vmware-system-vm-moid", vmUUID, "vmware-system-network", "nsx.vmware.com/attachment", "nsx.vmware.com/mac",
}

// readList reads the ConfigMap anew; the original does so for each selection and for each item.
func readList() (map[string]string, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	namespace := os.Getenv("VELERO_NAMESPACE")
	list, err := client.CoreV1().ConfigMaps(namespace).Get(context.Background(), blockedConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return map[string]string{}, nil
	}
	return list.Data, err
}

// selected returns what an action is called for: some resources, and every key of the list whatever its value.
func selected(log logrus.FieldLogger, resources ...string) (velero.ResourceSelector, error) {
	list, err := readList()
	if err != nil {
		return velero.ResourceSelector{}, err
	}
	for resource := range list {
		resources = append(resources, resource)
	}
	log.Infof("velero-plugin-for-vsphere has read a list of %d blocked resources", len(list))
	return velero.ResourceSelector{IncludedResources: resources}, nil
}

// resourceOf names an item's resource by the plural that most kinds have, and says whether the list refuses it.
func resourceOf(item runtime.Unstructured) (resource string, blocked bool, err error) {
	kind := item.GetObjectKind().GroupVersionKind()
	resource = strings.ToLower(kind.Kind) + "s"
	if singular, ends := strings.CutSuffix(strings.ToLower(kind.Kind), "y"); ends {
		resource = singular + "ies"
	}
	if kind.Group != "" {
		resource += "." + kind.Group
	}
	list, err := readList()
	if err != nil {
		return resource, false, err
	}
	blocked, _ = strconv.ParseBool(list[resource])
	return resource, blocked, nil
}

// asClaim reads an item as a PVC: one of another kind, too, that the list names without refusing it.
func asClaim(item runtime.Unstructured) (*corev1.PersistentVolumeClaim, error) {
	var claim corev1.PersistentVolumeClaim
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.UnstructuredContent(), &claim)
	return &claim, err
}

type backupAction struct{ log logrus.FieldLogger }

func (action *backupAction) AppliesTo() (velero.ResourceSelector, error) {
	return selected(action.log, claims)
}

func (action *backupAction) Execute(
	item runtime.Unstructured, backup *velerov1.Backup,
) (runtime.Unstructured, []velero.ResourceIdentifier, error) {
	if snapshots := backup.Spec.SnapshotVolumes; snapshots != nil && !*snapshots {
		return item, nil, nil
	}
	resource, blocked, err := resourceOf(item)
	if err != nil {
		return nil, nil, err
	}
	if blocked {
		return nil, nil, fmt.Errorf("Resource CRD %s is blocked in backup, skipping", resource)
	}
	if resource == claims {
		return item, nil, nil
	}
	claim, err := asClaim(item)
	if err == nil {
		err = fmt.Errorf("PVC %s/%s has no volume backing this claim", claim.Namespace, claim.Name)
	}
	return nil, nil, err
}

type restoreAction struct{ log logrus.FieldLogger }

func (action *restoreAction) AppliesTo() (velero.ResourceSelector, error) {
	resources := []string{claims, pods}
	for resource := range skippedAtRestore {
		resources = append(resources, resource)
	}
	return selected(action.log, resources...)
}

func (action *restoreAction) Execute(
	input *velero.RestoreItemActionExecuteInput,
) (*velero.RestoreItemActionExecuteOutput, error) {
	resource, blocked, err := resourceOf(input.ItemFromBackup)
	switch {
	case err != nil:
		return nil, err
	case blocked:
		return nil, fmt.Errorf("Resource CRD %s is blocked in restore, skipping", resource)
	case resource == pods:
		return withoutVM(input.Item)
	case skippedAtRestore[resource]:
		return &velero.RestoreItemActionExecuteOutput{SkipRestore: true}, nil
	}
	claim, err := asClaim(input.Item)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(claim)
	return velero.NewRestoreItemActionExecuteOutput(&unstructured.Unstructured{Object: content}), err
}

// withoutVM leaves of a pod's metadata its name, namespace, labels and the annotations that do not name its lost VM; a pod
// that names none is returned as it is.
func withoutVM(item runtime.Unstructured) (*velero.RestoreItemActionExecuteOutput, error) {
	pod := &unstructured.Unstructured{Object: item.UnstructuredContent()}
	annotations := pod.GetAnnotations()
	if _, tied := annotations[vmUUID]; !tied {
		return &velero.RestoreItemActionExecuteOutput{}, nil
	}
	for _, key := range podAnnotations {
		delete(annotations, key)
	}
	name, namespace, labels := pod.GetName(), pod.GetNamespace(), pod.GetLabels()
	delete(pod.Object, "metadata")
	pod.SetName(name)
	pod.SetNamespace(namespace)
	pod.SetLabels(labels)
	pod.SetAnnotations(annotations)
	return velero.NewRestoreItemActionExecuteOutput(pod), nil
}

func main() {
	framework.NewServer().
		RegisterBackupItemAction("velero.io/vsphere-pvc-backupper", func(log logrus.FieldLogger) (any, error) {
			return &backupAction{log: log}, nil
		}).
		RegisterRestoreItemAction("velero.io/vsphere-pvc-restorer", func(log logrus.FieldLogger) (any, error) {
			return &restoreAction{log: log}, nil
		}).
		Serve()
}
