// Command action_calls asks a plugin's backup action about many items with the code a Velero server asks with, and says
// how long that took.
//
// It reads an action's name, a Backup and the items, one JSON value a line; the program to launch is its first
// argument. Executed by Velero's framework it is itself a plugin: an action that does the least that leaves an item out
// of a backup, the peer that other actions are measured against.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	actionv2 "github.com/vmware-tanzu/velero/pkg/plugin/framework/backupitemaction/v2"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework/common"
	"github.com/vmware-tanzu/velero/pkg/plugin/velero"
	biav2 "github.com/vmware-tanzu/velero/pkg/plugin/velero/backupitemaction/v2"
)

const (
	actions = string(common.PluginKindBackupItemActionV2)
	skip    = "velero.io/skip-from-backup"
	peer    = "example.com/leave-out"
)

func main() {
	if os.Getenv("VELERO_PLUGIN") != "" {
		framework.NewServer().RegisterBackupItemActionV2(peer, newLeaveOut).Serve()
		return
	}
	if err := measure(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// leaveOut marks every item to be left out of the backup.
type leaveOut struct{}

func newLeaveOut(logrus.FieldLogger) (any, error) { return leaveOut{}, nil }

func (leaveOut) Name() string { return peer }

func (leaveOut) AppliesTo() (velero.ResourceSelector, error) { return velero.ResourceSelector{}, nil }

func (leaveOut) Execute(item runtime.Unstructured, _ *velerov1.Backup) (
	runtime.Unstructured, []velero.ResourceIdentifier, string, []velero.ResourceIdentifier, error,
) {
	object := unstructured.Unstructured{Object: item.UnstructuredContent()}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[skip] = "true"
	object.SetAnnotations(annotations)
	return &object, nil, "", nil, nil
}

func (leaveOut) Progress(string, *velerov1.Backup) (velero.OperationProgress, error) {
	return velero.OperationProgress{}, nil
}

func (leaveOut) Cancel(string, *velerov1.Backup) error { return nil }

func measure(program string, arguments []string) error {
	action, backup, items, err := asked(os.Stdin)
	if err != nil {
		return err
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  framework.Handshake(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Plugins: map[string]plugin.Plugin{
			actions: actionv2.NewBackupItemActionPlugin(common.ClientLogger(logrus.New())),
		},
		Logger: hclog.NewNullLogger(),
		Cmd:    exec.Command(program, arguments...),
	})
	defer client.Kill()
	connection, err := client.Client()
	if err != nil {
		return err
	}
	dispensed, err := connection.Dispense(actions)
	if err != nil {
		return err
	}
	executor := dispensed.(common.ClientDispenser).ClientFor(action).(biav2.BackupItemAction)

	var took []float64
	for _, item := range items {
		started := time.Now()
		marked, _, _, _, err := executor.Execute(item, backup)
		took = append(took, time.Since(started).Seconds())
		if err != nil {
			return err
		}
		object := unstructured.Unstructured{Object: marked.UnstructuredContent()}
		if object.GetAnnotations()[skip] != "true" {
			return fmt.Errorf("%s was not left out", object.GetName())
		}
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

func asked(input io.Reader) (action string, backup *velerov1.Backup, items []*unstructured.Unstructured, err error) {
	lines := json.NewDecoder(bufio.NewReader(input))
	backup = &velerov1.Backup{}
	if err = lines.Decode(&action); err == nil {
		err = lines.Decode(backup)
	}
	for err == nil && lines.More() {
		item := &unstructured.Unstructured{}
		if err = lines.Decode(&item.Object); err == nil {
			items = append(items, item)
		}
	}
	return action, backup, items, err
}
