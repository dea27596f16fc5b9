"""Two captures of one application that is lost, on a Supervisor where no kind of Velero is served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.unit.builders import NAMESPACE, vm
from tests.unit.captures.scene import FRONT, OTHER, TIER, WithoutVelero
from velero_vmservice.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.command_line import CommandLine, Ran

OLD, NEW = "1700000000000", "1800000000000"


class Scene:
    """Two captures of one application that is lost, and a Supervisor that plays on while the command waits."""

    def __init__(self, command: CommandLine) -> None:
        self.world = WithoutVelero()
        self.command = command
        self.older, self.newer = (self.world.take(version, restore_point=version[:2]).ref for version in (OLD, NEW))
        command.connects_to(self.world.start)
        command.patch.setenv("VELERO_NAMESPACE", "")
        command.patch.setenv("VMSERVICE_BUCKET", json.dumps({"name": "captures"}))
        command.patch.setattr("velero_vmservice.configured.load", lambda **_: self.world.settings)
        self.lost()
        self.passing()

    def lost(self) -> None:
        """Let the application be gone, with its VMs."""
        self.world.lose(TIER, FRONT, OTHER, *(vm(name) for name in ("web-1", "web-2")))

    def passing(self, *steps: Callable[[], object], interrupted: bool = False) -> None:
        """Let these happen, one in each wait; then nothing more, or Ctrl-C."""
        self.command.waits(self.world, *steps, interrupted=interrupted)

    def come_back(self, version: str = OLD, namespace: str = NAMESPACE) -> None:
        self.world.register(version, uid="new", namespace=namespace)

    def take_during_recovery(self) -> str:
        """Let the VMs come back and be captured before any group or service is."""
        self.come_back(NEW)
        return str(self.world.take_as_is().ref)

    def restore(self, *arguments: str, typed: str = "") -> Ran:
        return self.command("restore", *arguments, typed=typed)

    def report(self) -> Report:
        key = max(key for key in self.world.store.list("restores/") if key.endswith("report.json"))
        return Report.model_validate(self.world.document(key))

    @property
    def restored(self) -> set[str]:
        kinds = ("VirtualMachineGroup", "VirtualMachineService")
        return {name for kind in kinds for name in ("tier", "front", "other") if self.world.exists(kind, name)}
