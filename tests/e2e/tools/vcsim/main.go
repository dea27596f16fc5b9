// A vCenter of nobody's: govmomi's simulator with one empty datacenter, TLS and one account, and with what WCP brings to
// a real vCenter as far as a client can see it: the task type of RegisterVM. What the SOAP API has no call for is set
// through /control. The published command of the simulator is not used because it does not resolve as a dependency.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	_ "github.com/vmware/govmomi/vapi/namespace/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
)

const (
	registerTask     = "com.vmware.wcp.vmservice.registervm"
	passwordVariable = "VCSIM_PASSWORD"
	controlPath      = "/control/"
	disabledPath     = controlPath + "disabled-methods/"
	requestsPath     = controlPath + "requests"
)

var createdTask = regexp.MustCompile(`<task type="Task">([^<]+)</task>`)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	user := flag.String("user", "", "the one account")
	certificate := flag.String("certificate", "", "PEM file to serve TLS with")
	key := flag.String("key", "", "its key")
	flag.Parse()
	if err := serve(*listen, *user, *certificate, *key); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(listen, user, certificate, key string) error {
	model := simulator.VPX()
	model.Machine = 0
	defer model.Remove()
	if err := model.Create(); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	service := model.Service
	service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	service.Listen = &url.URL{Host: listen, User: url.UserPassword(user, os.Getenv(passwordVariable))}
	service.RegisterEndpoints = true
	registry := service.Context.Map
	manager := registry.ExtensionManager()
	manager.ExtensionList = append(manager.ExtensionList, types.Extension{
		Key:      "com.vmware.wcp",
		TaskList: []types.ExtensionTaskTypeInfo{{TaskID: registerTask}},
	})
	service.HandleFunc(disabledPath, disableMethods(service.Context))
	server := service.NewServer()
	defer server.Close()
	server.Config.Handler = counting(settled(server.Config.Handler, registry))
	log.Printf("serving %s", server.URL.Host)

	ended, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ended.Done()
	return nil
}

// disableMethods sets which methods of a virtual machine are disabled, as backup software does while it works on it.
func disableMethods(ctx *simulator.Context) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		moid := strings.TrimPrefix(request.URL.Path, disabledPath)
		object := ctx.Map.Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: moid})
		entity, found := object.(mo.Entity)
		if !found {
			http.Error(answer, "no such virtual machine", http.StatusNotFound)
			return
		}
		var methods []string
		if err := json.NewDecoder(request.Body).Decode(&methods); err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		ctx.WithLock(object, func() { entity.Entity().DisabledMethod = methods })
	}
}

// settled answers CreateTask once the task is there. The simulator answers first and keeps the task then; where the next
// call comes in between, it finds no such task, and the simulator's own RegisterVM panics and closes the connection.
func settled(next http.Handler, registry *simulator.Registry) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte("<CreateTask ")) {
			next.ServeHTTP(answer, request)
			return
		}
		kept := httptest.NewRecorder()
		next.ServeHTTP(kept, request)
		if created := createdTask.FindSubmatch(kept.Body.Bytes()); created != nil {
			task := types.ManagedObjectReference{Type: "Task", Value: string(created[1])}
			for registry.Get(task) == nil && request.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
		}
		maps.Copy(answer.Header(), kept.Header())
		answer.WriteHeader(kept.Code)
		answer.Write(kept.Body.Bytes())
	})
}

// counting tells how many requests were made so far, and how many of them asked for a further page of an answer; those
// that control the simulator are left out.
func counting(next http.Handler) http.Handler {
	var all, further atomic.Int64
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path == requestsPath {
			json.NewEncoder(answer).Encode(map[string]int64{"all": all.Load(), "furtherPages": further.Load()})
			return
		}
		if strings.HasPrefix(request.URL.Path, controlPath) {
			next.ServeHTTP(answer, request)
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		all.Add(1)
		if bytes.Contains(body, []byte("<ContinueRetrievePropertiesEx")) {
			further.Add(1)
		}
		next.ServeHTTP(answer, request)
	})
}
