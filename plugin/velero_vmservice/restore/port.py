"""What a restore needs of the network beside the Kubernetes API."""

from __future__ import annotations

from typing import Protocol


class TcpProbe(Protocol):
    """Tries whether a load balancer's port is served."""

    def connect(self, host: str, port: int, *, seconds: float) -> str:
        """Connect within `seconds`; return '' if the port answers, else why not, in words. Never raises."""
