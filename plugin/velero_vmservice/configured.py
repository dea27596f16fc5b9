"""The present settings: from the environment, then the file, then the ConfigMap in Velero's namespace."""

from __future__ import annotations

import atexit
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes import client as kubernetes
from velero_vmservice.adapters.private_directory import private_directory
from velero_vmservice.adapters.velero.installation import PluginConfig, find_namespace
from velero_vmservice.settings import reading
from velero_vmservice.settings.access import AS_FOUND, VELERO_NAMESPACE

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster
    from velero_vmservice.settings.access import Access
    from velero_vmservice.settings.reading import Settings

_TIMEOUT_SECONDS: Final = 5.0


def load(cluster: Cluster | None = None, access: Access = AS_FOUND) -> Settings:
    """Return the settings of this process and of the cluster, with Velero's namespace.

    Where the process has a bucket of its own, the cluster may have no Velero: the namespace is then ''.
    Raises `InvalidSettings`, and what the cluster raises. Those of the process have to be valid by themselves.
    """
    written = access.written()
    reading.checked(written)
    reached = cluster or _connected(access)
    namespace = str(written.values.get(VELERO_NAMESPACE) or "") or find_namespace(
        reached, os.environ, required="bucket" not in written.values
    )
    if not namespace:
        return reading.checked(written)
    config = PluginConfig(reached, namespace, directory=_private_directory)
    return reading.checked(written.over(config.read())).model_copy(update={VELERO_NAMESPACE: namespace})


def _connected(access: Access) -> Cluster:
    return kubernetes.connect(timeout_seconds=_TIMEOUT_SECONDS, clock=SystemClock(), login=access.login)


@cache
def _private_directory() -> Path:
    """Return the directory for the content of Secrets, made on first use and removed when the process exits."""
    directory = private_directory()
    atexit.register(directory.cleanup)
    return Path(directory.name)


def with_namespace(own: Settings, access: Access = AS_FOUND) -> Settings:
    """Return settings of this process with Velero's namespace; raises `InvalidSettings` if it is unknown."""
    if own.velero_namespace:
        return own
    return own.model_copy(update={VELERO_NAMESPACE: find_namespace(_connected(access), os.environ)})
