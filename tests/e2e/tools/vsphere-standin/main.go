// Stands in for velero-plugin-for-vsphere, which is not published as a Go module, in tests of how another plugin lives
// beside it. It does one thing of the original's: it raises an error for every restricted kind, at backup while its
// ConfigMap says so, and at restore for every item that no earlier action has skipped. It moves no data.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
)

const (
	// kindsVariable names the file with one "resource.group Kind scope" a line.
	kindsVariable = "VSPHERE_STANDIN_KINDS"
	// blockedConfigMap lists, in Velero's namespace, what is blocked at backup: every key, whatever its value.
	blockedConfigMap = "velero-vsphere-plugin-blocked-resources-list"
)

// restrictedKinds knows the resource name of every restricted kind.
type restrictedKinds map[schema.GroupKind]string

func readRestrictedKinds(path string) (restrictedKinds, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s must name the list of restricted kinds: %w", kindsVariable, err)
	}
	defer file.Close()

	kinds := restrictedKinds{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		group := schema.ParseGroupResource(fields[0]).Group
		kinds[schema.GroupKind{Group: group, Kind: fields[1]}] = fields[0]
	}
	return kinds, lines.Err()
}

func (kinds restrictedKinds) selector() velero.ResourceSelector {
	selector := velero.ResourceSelector{}
	for _, resource := range kinds {
		selector.IncludedResources = append(selector.IncludedResources, resource)
	}
	return selector
}

func (kinds restrictedKinds) resourceOf(item runtime.Unstructured) (string, bool) {
	resource, restricted := kinds[item.GetObjectKind().GroupVersionKind().GroupKind()]
	return resource, restricted
}

// backupAction raises an error for what the ConfigMap blocks, unless volume snapshots are switched off for the backup.
type backupAction struct {
	kinds restrictedKinds
	log   logrus.FieldLogger
}

func (action *backupAction) AppliesTo() (velero.ResourceSelector, error) {
	return action.kinds.selector(), nil
}

func (action *backupAction) Execute(
	item runtime.Unstructured, backup *velerov1.Backup,
) (runtime.Unstructured, []velero.ResourceIdentifier, error) {
	resource, restricted := action.kinds.resourceOf(item)
	snapshots := backup.Spec.SnapshotVolumes
	if !restricted || (snapshots != nil && !*snapshots) {
		return item, nil, nil
	}
	blocked, err := readBlocked(backup.Namespace)
	if err != nil {
		return nil, nil, err
	}
	if _, listed := blocked.Data[resource]; listed {
		action.log.Infof("blocking %s at backup", resource)
		return nil, nil, fmt.Errorf("resource %s is blocked and cannot be backed up", resource)
	}
	return item, nil, nil
}

// readBlocked reads the ConfigMap; one that is absent blocks nothing.
func readBlocked(namespace string) (*corev1.ConfigMap, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	found, err := client.CoreV1().ConfigMaps(namespace).Get(context.Background(), blockedConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &corev1.ConfigMap{}, nil
	}
	return found, err
}

// restoreAction raises an error for every restricted kind that reaches it.
type restoreAction struct {
	kinds restrictedKinds
	log   logrus.FieldLogger
}

func (action *restoreAction) AppliesTo() (velero.ResourceSelector, error) {
	return action.kinds.selector(), nil
}

func (action *restoreAction) Execute(
	input *velero.RestoreItemActionExecuteInput,
) (*velero.RestoreItemActionExecuteOutput, error) {
	if resource, restricted := action.kinds.resourceOf(input.Item); restricted {
		action.log.Infof("blocking %s at restore", resource)
		return nil, fmt.Errorf("resource %s is blocked and cannot be restored", resource)
	}
	return velero.NewRestoreItemActionExecuteOutput(input.Item), nil
}

func main() {
	kinds, err := readRestrictedKinds(os.Getenv(kindsVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	framework.NewServer().
		RegisterBackupItemAction("velero.io/vsphere-backupitemaction", func(log logrus.FieldLogger) (any, error) {
			return &backupAction{kinds: kinds, log: log}, nil
		}).
		RegisterRestoreItemAction("velero.io/vsphere-restoreitemaction", func(log logrus.FieldLogger) (any, error) {
			return &restoreAction{kinds: kinds, log: log}, nil
		}).
		Serve()
}
