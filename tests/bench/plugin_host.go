// Command plugin_host launches plugin processes with the code a Velero server launches them with, and says how long
// each took.
//
// Every line on standard input names a program. It is executed with this command's own arguments, greeted, connected
// to, checked for health, asked for its plugins, shut down and waited for; the answer is one line of JSON. A program
// that misbehaves, or has to be killed, ends this command with exit code 1.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/vmware-tanzu/velero/pkg/plugin/framework"
	"github.com/vmware-tanzu/velero/pkg/plugin/framework/common"
)

const lister = string(common.PluginKindPluginLister)

// cycle is one launch, in seconds: until the handshake was read, until the process had ended, and its processor time.
type cycle struct {
	Handshake float64 `json:"handshake"`
	Whole     float64 `json:"whole"`
	CPU       float64 `json:"cpu"`
}

func main() {
	programs := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for programs.Scan() {
		took, err := launch(programs.Text(), os.Args[1:])
		if err == nil {
			err = answers.Encode(took)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", programs.Text(), err)
			os.Exit(1)
		}
	}
}

func launch(program string, arguments []string) (took cycle, err error) {
	command := exec.Command(program, arguments...)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  framework.Handshake(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Plugins:          map[string]plugin.Plugin{lister: &framework.PluginListerPlugin{}},
		Logger:           hclog.NewNullLogger(),
		Cmd:              command,
	})
	defer client.Kill()

	started := time.Now()
	if _, err = client.Start(); err != nil {
		return took, err
	}
	took.Handshake = time.Since(started).Seconds()
	if err = ask(client); err != nil {
		return took, err
	}
	client.Kill()
	took.Whole = time.Since(started).Seconds()

	if !command.ProcessState.Success() {
		return took, fmt.Errorf("ended with %s", command.ProcessState)
	}
	took.CPU = (command.ProcessState.UserTime() + command.ProcessState.SystemTime()).Seconds()
	return took, nil
}

func ask(client *plugin.Client) error {
	connection, err := client.Client()
	if err != nil {
		return err
	}
	if err = connection.Ping(); err != nil {
		return err
	}
	dispensed, err := connection.Dispense(lister)
	if err != nil {
		return err
	}
	listed, err := dispensed.(framework.PluginLister).ListPlugins()
	if err == nil && len(listed) == 0 {
		err = fmt.Errorf("it lists no plugins")
	}
	return err
}
