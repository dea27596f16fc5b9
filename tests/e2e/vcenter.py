"""A vCenter on loopback: govmomi's simulator, and the hands of those that restore VMs and register them.

The simulator knows accounts, folders, VMs with their ExtraConfig, tasks and events, and a RegisterVM whose only
rule is that a VM needs a record; it never touches Kubernetes. What WCP and a VADP vendor would do is done here
through the same SOAP API, under the same account.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import requests
from pyVmomi import SoapStubAdapter, vim, vmodl

from tests.e2e.build import binary
from tests.e2e.processes import Process, free_ports
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.certificates import Authority

REGISTER_TASK = "com.vmware.wcp.vmservice.registervm"
_SIMULATED_CALL = "com.vmware.govmomi.simulator.test"
_VERSION = "vim.version.v8_0_3_0"
_OVER = ("success", "error")
REGISTER_EVENT = "com.vmware.wcp.RegisterVM"


class VCenterSimulator:
    """One vCenter; starting it again begins with an empty inventory and no sessions, on the same port."""

    user = "backup@vsphere.local"
    password = "e2e-vcenter-password"

    def __init__(self, directory: Path, authority: Authority) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = authority.certificate
        self._port = free_ports(1)[0]
        self.server = f"127.0.0.1:{self._port}"
        pair = authority.issue(f"vcenter-{self._port}", loopback_server=True)
        self.process = Process(
            [
                binary("vcsim"),
                f"-listen={self.server}",
                f"-user={self.user}",
                f"-certificate={pair.certificate}",
                f"-key={pair.key}",
            ],
            log=directory / "vcsim.log",
            environment={"VCSIM_PASSWORD": self.password},
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start()
        self.process.wait_ready(self._answers, deadline=30)
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        self._stub = SoapStubAdapter(host="127.0.0.1", port=self._port, sslContext=trust, version=_VERSION)
        self._service = vim.ServiceInstance("ServiceInstance", self._stub)
        self.content = self._service.RetrieveContent()
        self.content.sessionManager.Login(self.user, self.password)
        self._datacenter = self.content.rootFolder.childEntity[0]

    def stop(self) -> None:
        """Stop it; all that it held is gone."""
        if hasattr(self, "_stub"):
            self._stub.DropConnections()
        self.process.stop(patience=5)

    def end_sessions(self) -> None:
        """End every SOAP session but the one of this object, as an administrator may."""
        manager = self.content.sessionManager
        mine = manager.currentSession.key
        others = [session.key for session in manager.sessionList if session.key != mine]
        if others:
            manager.TerminateSession(others)

    # A VADP vendor.

    def folder(self, name: str) -> vim.Folder:
        """Return the folder of a vSphere Namespace; made when it is not there."""
        return self._child(self._child(self._datacenter.vmFolder, "Namespaces"), name)

    def restore(
        self,
        name: str,
        *,
        folder: str,
        bios_uuid: str,
        instance_uuid: str,
        extra_config: Mapping[str, str],
    ) -> str:
        """Create a VM in a namespace's folder and return its managed object id."""
        known = {"bios_uuid": bios_uuid, "instance_uuid": instance_uuid, "extra_config": extra_config}
        return self.restore_all({name: known}, folder=folder)[0]

    def restore_all(self, known: Mapping[str, Mapping[str, Any]], *, folder: str) -> list[str]:
        """Create VMs, at once, and return their managed object ids; by name what `restore` takes of each."""
        target, pool = self.folder(folder), self._datacenter.hostFolder.childEntity[0].resourcePool
        tasks = [target.CreateVM_Task(config=_vm(name, **fields), pool=pool) for name, fields in known.items()]
        return [str(self._done(task)._GetMoId()) for task in tasks]

    def disable(self, moid: str, *methods: str) -> None:
        """Disable methods of a VM, as a vendor's software does while it works on it; none enables them all."""
        answer = requests.put(
            f"https://{self.server}/control/disabled-methods/{moid}",
            data=json.dumps(methods),
            verify=str(self.ca_file),
            timeout=5,
        )
        answer.raise_for_status()

    def reconfigure(self, moid: str, extra_config: Mapping[str, str]) -> None:
        """Change entries of a VM's ExtraConfig; an empty value takes one away."""
        entries = [vim.option.OptionValue(key=key, value=value) for key, value in extra_config.items()]
        self._done(self.vm(moid).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=entries)))

    def move(self, moid: str, folder: str) -> None:
        """Move a VM into a namespace's folder."""
        self._done(self.folder(folder).MoveIntoFolder_Task([self.vm(moid)]))

    def destroy(self, moid: str) -> None:
        """Delete a VM from disk."""
        self._done(self.vm(moid).Destroy_Task())

    def clear(self) -> None:
        """Delete every VM."""
        view = self.content.viewManager.CreateContainerView(
            container=self.content.rootFolder, type=[vim.VirtualMachine], recursive=True
        )
        for entity in view.view:
            self.disable(entity._GetMoId())
            self._done(entity.Destroy_Task())
        view.DestroyView()

    # WCP.

    def begin_registration(self, moid: str, *, percent: int | None = None) -> vim.Task:
        """Begin a RegisterVM task and leave it at a percentage."""
        info = self.content.taskManager.CreateTask(
            obj=self.vm(moid), taskTypeId=REGISTER_TASK, initiatedBy="WCP", cancelable=False
        )
        task = info.task
        task.SetTaskState(state="running")
        if percent is not None:
            task.UpdateProgress(percentDone=percent)
        return task

    def end_registration(self, task: vim.Task, *, error: str = "") -> None:
        """End a RegisterVM task."""
        if error:
            task.SetTaskState(state="error", fault=vmodl.fault.SystemError(reason=error, msg=error))
        else:
            task.SetTaskState(state="success")

    def tell(self, moid: str, outcome: str, *, message: str = "") -> None:
        """Post the event that WCP posts at the end of a RegisterVM task: `success` or `failure`."""
        machine = self.vm(moid)
        event = vim.event.EventEx(
            eventTypeId=f"{REGISTER_EVENT}.{outcome}",
            message=message,
            objectId=moid,
            objectType=vim.VirtualMachine,
            vm=vim.event.VmEventArgument(name="machine", vm=machine),
            key=0,
            chainId=0,
            createdTime=self._service.CurrentTime(),
            userName=self.user,
        )
        self.content.eventManager.PostEvent(event)

    def requests(self) -> tuple[int, int]:
        """Return how many requests, SOAP and REST, were made so far, and how many of them for a further page."""
        answer = requests.get(f"https://{self.server}/control/requests", verify=str(self.ca_file), timeout=5)
        answer.raise_for_status()
        count = answer.json()
        return count["all"], count["furtherPages"]

    def calls(self, moid: str) -> int:
        """Return how often RegisterVM was called for a VM: the simulator names its tasks in its own way."""
        return [task.info.descriptionId for task in self.vm(moid).recentTask].count(_SIMULATED_CALL)

    def vm(self, moid: str) -> vim.VirtualMachine:
        """Return a VM by its managed object id."""
        return vim.VirtualMachine(moid, self._stub)

    def folder_of(self, moid: str) -> vim.Folder:
        """Return a folder by its managed object id."""
        return vim.Folder(moid, self._stub)

    def _child(self, parent: vim.Folder, name: str) -> vim.Folder:
        child = next((entity for entity in parent.childEntity if entity.name == name), None)
        return child or parent.CreateFolder(name)

    def _done(self, task: vim.Task) -> Any:
        """Wait for a task; pyVim's own way does not understand the names of the simulator's."""
        info = wait_until(lambda: task.info if task.info.state in _OVER else None, 30, f"{task._GetMoId()} ends")
        if info.error is not None:
            raise info.error
        return info.result

    def _answers(self) -> bool:
        try:
            requests.get(f"https://{self.server}/about", verify=str(self.ca_file), timeout=2)
        except requests.RequestException:
            return False
        return True


def _vm(name: str, *, bios_uuid: str, instance_uuid: str, extra_config: Mapping[str, str]) -> vim.vm.ConfigSpec:
    return vim.vm.ConfigSpec(
        name=name,
        uuid=bios_uuid,
        instanceUuid=instance_uuid,
        guestId="otherGuest",
        memoryMB=64,
        numCPUs=1,
        files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"),
        extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in extra_config.items()],
    )
