"""Checks at start for problems of the first backup. They only log, because Velero must always get an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from velero_vmservice.errors import VmServiceError

if TYPE_CHECKING:
    from velero_vmservice.archive.store import StorageLocations
    from velero_vmservice.supervisor.detect import Supervisor

log = structlog.get_logger()


def check_cluster(supervisor: Supervisor) -> bool:
    """Log the kind of the cluster; return whether it answered."""
    try:
        present = supervisor.present()
    except VmServiceError as error:
        log.warning("cluster not reachable yet", cause=error.message, hint=error.hint)
        return False
    log.info("cluster checked", supervisor=present, restricted_count=len(supervisor.restricted(present=present)))
    return True


def check_own_bucket(locations: StorageLocations) -> bool:
    """Try the bucket of the settings; return whether captures can be read from it."""
    try:
        locations.open("").exists("captures")
    except VmServiceError as error:
        log.warning("the bucket in the settings is not usable", cause=error.message, hint=error.hint)
        return False
    log.info("bucket checked")
    return True
