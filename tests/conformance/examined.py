"""An engine under examination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from velero_vmservice.settings.registration import EngineSettings


@dataclass(frozen=True)
class Examined:
    """An engine, a namespace that it may be asked about, and VMs in there that are in vCenter."""

    settings: EngineSettings
    namespace: str
    machines: tuple[str, ...]

    def channel(self) -> grpc.Channel:
        """Connect without any code of the plugin's."""
        if self.settings.insecure:
            return grpc.insecure_channel(self.settings.target)
        files = (self.settings.ca_file, self.settings.key_file, self.settings.certificate_file)
        authorities, key, certificate = (file.read_bytes() if file else None for file in files)
        return grpc.secure_channel(self.settings.target, grpc.ssl_channel_credentials(authorities, key, certificate))
