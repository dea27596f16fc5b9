"""Velero's own Deployment: its image and arguments, and the plugins that its pod installs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.kube.manifest import mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from velero_vmservice.kube.manifest import Manifest

_RELEASE: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")

VELERO: Final = "velero"
"""Name of Velero's Deployment and of the container in it, as `velero install`, the chart and OADP write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of Velero's pod."""

    name: str
    image: str
    is_init: bool
    stays: bool
    """Whether it keeps running: no init container, or a native sidecar."""

    def is_of(self, plugin: str) -> bool:
        """Say whether its name or its image names the plugin."""
        return plugin in self.name or plugin in self.image.rpartition("/")[2]

    @property
    def release(self) -> tuple[int, int, int] | None:
        """The release in the image's tag; None if the tag names none."""
        match = _RELEASE.match(self.tag)
        return (int(match[1]), int(match[2]), int(match[3])) if match else None

    @property
    def tag(self) -> str:
        """The image's tag; '' if it has none."""
        return self.image.partition("@")[0].rpartition("/")[2].partition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class VeleroDeployment:
    """The parts of Velero's Deployment that the plugin reads."""

    containers: Sequence[Container]
    arguments: Sequence[str]

    @classmethod
    def read(cls, deployment: Manifest) -> VeleroDeployment:
        """Read a Deployment."""
        pod = pod_spec(deployment)
        containers = [*_containers(pod, "initContainers"), *_containers(pod, "containers")]
        of_velero = server_container(deployment)
        arguments = [*sequence(of_velero.get("command")), *sequence(of_velero.get("args"))]
        return cls(containers=containers, arguments=[str(argument) for argument in arguments])

    def argument(self, flag: str) -> str:
        """Return the value of a flag of Velero's server: the last one, or '' if there is none."""
        value = ""
        for number, argument in enumerate(self.arguments):
            name, separator, written = argument.partition("=")
            if name == flag:
                value = written if separator else next(iter(self.arguments[number + 1 : number + 2]), "")
        return value

    @property
    def server(self) -> Container | None:
        """The container of Velero's server."""
        return next((entry for entry in self.containers if entry.name == VELERO and not entry.is_init), None)

    def of_plugin(self, plugin: str) -> Sequence[Container]:
        """Return the containers of a plugin."""
        return [container for container in self.containers if container.is_of(plugin)]


def pod_spec(deployment: Manifest) -> Mapping[str, Any]:
    """Return the specification of Velero's pod, unchanged."""
    return mapping(mapping(deployment.spec.get("template")).get("spec"))


def server_container(deployment: Manifest) -> Mapping[str, Any]:
    """Return the container of Velero's server, unchanged; empty if there is none."""
    containers = (mapping(entry) for entry in sequence(pod_spec(deployment).get("containers")))
    return next((container for container in containers if container.get("name") == VELERO), {})


def sidecar_container(deployment: Manifest, plugin: str) -> Mapping[str, Any]:
    """Return the plugin's running container, unchanged; empty if there is none."""
    pod = pod_spec(deployment)
    written = [*sequence(pod.get("initContainers")), *sequence(pod.get("containers"))]
    read = VeleroDeployment.read(deployment).containers
    pairs = zip(map(mapping, written), read, strict=True)
    return next((entry for entry, container in pairs if container.stays and container.is_of(plugin)), {})


def server_variable(deployment: Manifest, name: str) -> str | None:
    """Return an environment variable of Velero's server; None if its value is not in the Deployment."""
    variables = (mapping(entry) for entry in sequence(server_container(deployment).get("env")))
    written = (entry for entry in variables if entry.get("name") == name and "valueFrom" not in entry)
    return next((str(entry.get("value") or "") for entry in written), None)


def _containers(pod: Mapping[str, Any], key: str) -> Iterator[Container]:
    is_init = key == "initContainers"
    for entry in map(mapping, sequence(pod.get(key))):
        yield Container(
            name=str(entry.get("name", "")),
            image=str(entry.get("image", "")),
            is_init=is_init,
            stays=not is_init or entry.get("restartPolicy") == "Always",
        )
