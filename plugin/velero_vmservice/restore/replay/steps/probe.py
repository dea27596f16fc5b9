"""Does the load balancer answer? One TCP connection to each of its ports, from where the plugin runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from velero_vmservice.archive import schema
from velero_vmservice.kube.manifest import mapping, sequence

if TYPE_CHECKING:
    from velero_vmservice.restore.model import Subject
    from velero_vmservice.restore.replay.state.operation import ReplayOperation
    from velero_vmservice.restore.replay.steps.port import TcpProbe
    from velero_vmservice.supervisor.namespace_state import NamespaceState

SECONDS: Final = 1.0
"""How long one connection may take; the next poll tries again."""
MOST: Final = 3
"""Connections per poll, so that a poll stays short; the ports that answered are not asked again."""


class Probing:
    """Connects to load balancers."""

    def __init__(self, tcp: TcpProbe) -> None:
        self._tcp = tcp

    def probe(self, task: ReplayOperation, subject: Subject, observed: NamespaceState) -> list[str]:
        """Return what does not answer yet, in words; what does is kept with the task."""
        live = observed.services.get(subject.ref.name)
        if live is None or live.spec.get("type") != "LoadBalancer":
            return []
        addresses = schema.observed(live).load_balancer
        if not addresses:
            return ["the load balancer has no address yet"]
        ports = [
            int(mapping(port)["port"])
            for port in sequence(live.spec.get("ports"))
            if mapping(port).get("protocol", "TCP") == "TCP" and isinstance(mapping(port).get("port"), int)
        ]
        silent = [(host, port) for host in addresses for port in ports if task.probes.get((host, port)) != ""]
        for host, port in silent[:MOST]:
            task.probes[host, port] = self._tcp.connect(host, port, seconds=SECONDS)
        return [
            f"{host}:{port} {task.probes.get((host, port)) or 'is still to be probed'}"
            for host, port in silent
            if task.probes.get((host, port)) != ""
        ]
