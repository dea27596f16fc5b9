"""How one command reaches its cluster and settings: what its user chose comes before the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from velero_vmservice.settings import reading
from velero_vmservice.settings.sources import Given

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE_HOST: Final = "KUBERNETES_SERVICE_HOST"
"""Set in every pod."""
NAMESPACE_OPTION: Final = "--velero-namespace"
VELERO_NAMESPACE: Final = "velero_namespace"


@dataclass(frozen=True, slots=True)
class LoginChoice:
    """How to log in to Kubernetes; '' leaves it to the environment and the kubeconfig."""

    kubeconfig: str = ""
    context: str = ""

    def files(self) -> Sequence[Path] | None:
        """Return the kubeconfig files, which may not be there; None for the service account of a pod."""
        chosen = self.kubeconfig or self.context
        if not chosen and "KUBECONFIG" not in os.environ and SERVICE_HOST in os.environ:
            return None
        names = self.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        return [Path(name) for name in names.split(os.pathsep) if name]


@dataclass(frozen=True, slots=True)
class Access:
    """What the user of one command chose; '' leaves it to the environment and the settings."""

    login: LoginChoice = field(default_factory=LoginChoice)
    settings_file: str = ""
    velero_namespace: str = ""

    def written(self) -> Given:
        """Return the settings of this process; raises `InvalidSettings` where they cannot be read."""
        written = reading.written(self.settings_file)
        if not self.velero_namespace:
            return written
        return Given({VELERO_NAMESPACE: self.velero_namespace}, {(VELERO_NAMESPACE,): NAMESPACE_OPTION}).over(written)


AS_FOUND: Final = Access()
"""As the environment says."""
