"""An application with its backup and its VADP restore point: where most tests of a restore begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.scene import GROUPS, SERVICES

if TYPE_CHECKING:
    from tests.e2e.cluster import Manifest
    from tests.e2e.scene import Scene
    from tests.emulator.machines import Application
    from tests.emulator.vadp import RestorePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """An application, as it ran when the backup of its namespace's name was taken."""

    scene: Scene
    application: Application
    point: RestorePoint
    groups: list[Manifest]
    services: list[Manifest]

    @property
    def namespace(self) -> str:
        return self.application.namespace

    def lose(self) -> None:
        """Lose all objects and VMs of the namespace."""
        self.scene.supervisor.lose(self.namespace)

    def register(self, *names: str) -> None:
        """Have VMs restored and registered again: all of them if none is named."""
        self.scene.register(self.point, *(names or self.application.vm_names), into=self.namespace)


def saved(scene: Scene, application: Application, *, deadline: float = 180) -> Saved:
    """Deploy an application, and back it up once it runs."""
    point, where = scene.back_up(application, deadline=deadline), application.namespace
    groups, services = scene.all(GROUPS, where), scene.all(SERVICES, where)
    return Saved(scene=scene, application=application, point=point, groups=groups, services=services)
