"""A Supervisor without Velero, an S3 server, and the command on the host that runs a VADP job's scripts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.e2e.scene import GROUPS, SERVICES, VMS, specs
from tests.e2e.stack import Stack
from tests.emulator import vadp
from tests.emulator.wcp.register_steps import State
from tests.tools.markdown import ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.e2e.cluster import Cluster, Manifest
    from tests.e2e.object_store import ObjectStore
    from tests.emulator.machines import Application
    from tests.emulator.supervisor import Supervisor
    from tests.emulator.vadp import RestorePoint

BUCKET = "vadp-captures"
PERSON = "operator"
"""The account of the person who runs the command where its requests are told from those of others."""

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@contextmanager
def open_site(directory: Path, *, audited: bool = False) -> Iterator[Site]:
    """Start a Supervisor that has no Velero; where it is audited, commands run as `PERSON`."""
    stack = Stack(directory, audited=audited)
    try:
        stack.start(velero=False)
        kubeconfig = stack.cluster.account(PERSON) if audited else stack.cluster.kubeconfig
        with stack.supervisor() as supervisor:
            site = Site(
                cluster=stack.cluster,
                store=stack.store,
                supervisor=supervisor,
                directory=directory,
                kubeconfig=kubeconfig,
            )
            site.prepare()
            yield site
    finally:
        stack.stop()


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a VADP job runs; no definition of Velero is installed."""

    cluster: Cluster
    store: ObjectStore
    supervisor: Supervisor
    directory: Path
    kubeconfig: Path
    executed: list[str] = field(default_factory=list)
    """Our commands that were run, as a person types them."""

    def prepare(self) -> None:
        """Make the bucket, and write the settings and credentials that the host has."""
        self.store.create_bucket(BUCKET)
        bucket = {"name": BUCKET, "prefix": "supervisor-1", "url": self.store.url}
        self.settings.write_text(yaml.safe_dump({"bucket": bucket}))
        self.credentials.write_text(self.store.credentials)

    @property
    def settings(self) -> Path:
        return self.directory / "settings.yaml"

    @property
    def credentials(self) -> Path:
        return self.directory / "credentials"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a script, with the command on its path."""
        return {
            **{
                key: value for key, value in os.environ.items() if not key.startswith(("VMSERVICE_", "VELERO_", "AWS_"))
            },
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.kubeconfig),
            "VMSERVICE_SETTINGS": str(self.settings),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials),
        }

    def run(self, *command: str, exits: Collection[int] = (0,), typed: str = "") -> str:
        """Run a command of the host; return what it prints on standard output, on both where it exits otherwise."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=300, input=typed
        )
        assert done.returncode in exits, f"{command} exited with {done.returncode}: {done.stdout}\n{done.stderr}"
        return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"

    def ours(self, *arguments: str, exits: Collection[int] = (0,), typed: str = "") -> str:
        """Run our own command."""
        self.executed.append(shlex.join(("velero-vmservice", *arguments)))
        return self.run("velero-vmservice", *arguments, exits=exits, typed=typed)

    def on_terminal(self, columns: int, *arguments: str, exits: Collection[int] = (0,)) -> list[str]:
        """Run our own command on a terminal of so many columns; return the lines that it draws there, without colour.

        A table that is redrawn is there once for each time.
        """
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {**self.environment, "TERM": "xterm-256color"}
        process = subprocess.Popen(
            ("velero-vmservice", *arguments), env=environment, stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        drawn = bytearray()
        with contextlib.suppress(OSError):  # with an error Linux says that the other side is closed
            while chunk := os.read(screen, 65536):
                drawn += chunk
        os.close(screen)
        assert process.wait(60) in exits, drawn.decode()
        return [_CONTROLS.sub("", line).rstrip() for line in drawn.decode().splitlines()]

    def started(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start our own command and leave it running; `log` gets all that it prints."""
        with log.open("ab") as printed:
            return subprocess.Popen(
                ("velero-vmservice", *arguments),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
            )

    def script(self, name: str, *arguments: str, exits: Collection[int] = (0,)) -> str:
        """Run a script of docs/vadp."""
        return self.run("sh", str(ROOT / "docs" / "vadp" / name), *arguments, exits=exits)

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of the bucket, below the plugin's own directory."""
        root = "supervisor-1/plugins/vmservice/"
        return [key.removeprefix(root) for key in self.store.keys(BUCKET, f"{root}{prefix}")]

    def copy(self, key: str, copied: str) -> None:
        """Store a document of the plugin's under another key too."""
        root = "supervisor-1/plugins/vmservice/"
        source = {"Bucket": BUCKET, "Key": f"{root}{key}"}
        self.store.client().copy_object(Bucket=BUCKET, Key=f"{root}{copied}", CopySource=source)

    def age(self, *prefixes: str, days: float) -> None:
        """Let documents below these prefixes have been written so many days ago, by the store's own clock."""
        written = time.time() - days * 24 * 3600
        root = self.store.data / BUCKET / "supervisor-1" / "plugins" / "vmservice"
        for document in (path for prefix in prefixes for path in (root / prefix).rglob("*") if path.is_file()):
            os.utime(document, (written, written))

    def deploy(self, application: Application) -> None:
        """Deploy an application, and wait until it runs."""
        application.deploy(self.supervisor.cluster)
        wait_until(lambda: self.serves(application), 180, f"{application.namespace} runs")

    def serves(self, application: Application) -> bool:
        """Say whether every service of an application has endpoints, and every group is whole."""
        where = application.namespace
        endpoints = self.cluster.all("endpoints", namespace=where)
        ready = (
            condition["status"] == "True"
            for group in self.cluster.all(GROUPS, namespace=where)
            for condition in group.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready"
        )
        served = len(endpoints) == len(application.services) and all(endpoint.get("subsets") for endpoint in endpoints)
        return served and all(ready)

    def saved(self, namespace: str) -> dict[str, dict[str, Manifest]]:
        """Return the specs of groups and services, by kind and name, but for what a capture leaves out."""
        return {
            SERVICES: specs(self.cluster.all(SERVICES, namespace=namespace)),
            GROUPS: specs(self.cluster.all(GROUPS, namespace=namespace), "powerState"),
        }

    def uids(self, namespace: str) -> dict[str, str]:
        """Return the UIDs of the VMs by name."""
        vms = self.cluster.all(VMS, namespace=namespace)
        return {vm["metadata"]["name"]: vm["metadata"]["uid"] for vm in vms}

    def register(self, point: RestorePoint, *names: str, into: str) -> None:
        """Have the VADP vendor restore VMs and RegisterVM register them, in this order."""
        for name in names:
            task = self.supervisor.restore(point, name, namespace=into)
            assert task.finish() is State.SUCCEEDED, f"RegisterVM of {name} failed: {task.error}"

    def restore_in_place(self, point: RestorePoint, name: str, *, namespace: str) -> None:
        """Have the VADP vendor restore a VM over the one that is there, and RegisterVM register it again."""
        vm = vadp.restore(self.supervisor.vcenter, point.of(name, namespace=namespace), in_place=True)
        task = self.supervisor.wcp.register(vm.moid)
        assert task.finish() is State.SUCCEEDED, f"RegisterVM of {name} failed: {task.error}"
