"""A namespace that a person has named has to exist: a misspelt one would look like one without anything in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from velero_vmservice.errors import Forbidden, NotFound
from velero_vmservice.kube.manifest import NAMESPACE, ObjectRef

if TYPE_CHECKING:
    from velero_vmservice.kube.api import Cluster

log = structlog.get_logger()


def demand_namespace(cluster: Cluster, namespace: str) -> None:
    """Raise `NotFound` if the namespace does not exist; without the right to ask, nothing is known and nothing said."""
    try:
        cluster.get(ObjectRef(NAMESPACE, "", namespace))
    except NotFound as error:
        raise NotFound(
            f"namespace {namespace} does not exist", hint="check the spelling and the kubeconfig's context"
        ) from error
    except Forbidden as error:
        log.info("whether the namespace exists is not known", namespace=namespace, cause=error.message)
