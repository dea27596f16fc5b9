"""Read and write the records of RegisterVM calls: ConfigMaps in Velero's namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.errors import AlreadyExists, Conflict, InvalidItem, NotFound
from velero_vmservice.kube.manifest import CONFIG_MAP
from velero_vmservice.registervm.attempt import Attempt, changed, claimed, given_up, labels, read_attempt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from velero_vmservice.kube.api import Cluster


class Attempts:
    """The records of every restore; only added to."""

    def __init__(self, *, cluster: Cluster, velero_namespace: str) -> None:
        self._cluster = cluster
        self._namespace = velero_namespace

    def newest(self, restore_uid: str) -> Mapping[tuple[str, str], Attempt]:
        """Return the newest attempt for each VM in one restore, by namespace and name; one LIST of its records.

        Raises what the cluster raises: without the records nothing may be called.
        """
        newest: dict[tuple[str, str], Attempt] = {}
        selector = labels(restore_uid)
        for attempt in self._cluster.read_all(CONFIG_MAP, self._namespace, read_attempt, labels=selector):
            if attempt is None or attempt.restore_uid != restore_uid:
                continue
            key = attempt.namespace, attempt.vm
            if key not in newest or newest[key].number < attempt.number:
                newest[key] = attempt
        return newest

    def latest(self, restore_uid: str, namespace: str) -> Mapping[str, Attempt]:
        """Return the newest attempt for each VM of a namespace, by name, as `newest` does."""
        return {name: attempt for (where, name), attempt in self.newest(restore_uid).items() if where == namespace}

    def record(self, attempt: Attempt) -> bool:
        """Create the record durably; return False if it exists already.

        Raises `InvalidItem` if the object of its name is not a record: whether a call was made is then unknown.
        """
        try:
            self._cluster.create(attempt.manifest(self._namespace))
        except AlreadyExists:
            self._demand_record(attempt)
            return False
        return True

    def tell(self, attempt: Attempt) -> None:
        """Add what became of the call; a record that was deleted is not created again."""
        try:
            self._cluster.patch(attempt.ref(self._namespace), changed(attempt), version="v1")
        except NotFound:
            return

    def claim(self, attempt: Attempt, now: datetime) -> bool:
        """Go on with a call that was recorded earlier and not sent; False if the record is no longer as it was read.

        The API server lets one of `claim` and `give_up` be first.
        """
        try:
            self._cluster.patch(attempt.ref(self._namespace), claimed(attempt, now), version="v1")
        except (Conflict, NotFound):
            return False
        return True

    def give_up(self, attempt: Attempt, message: str, now: datetime) -> bool:
        """Make an attempt final, so that its holder never calls; return False if it was claimed first."""
        if attempt.over:
            return True
        ref = attempt.ref(self._namespace)
        try:
            self._cluster.patch(ref, given_up(attempt, message, now), version="v1")
        except Conflict:
            current = read_attempt(self._cluster.get(ref))
            return current is not None and current.over
        except NotFound:
            return True
        return True

    def _demand_record(self, attempt: Attempt) -> None:
        ref = attempt.ref(self._namespace)
        if read_attempt(self._cluster.get(ref)) is None:
            raise InvalidItem(
                f"{ref} is not a readable record of a RegisterVM call for {attempt.namespace}/{attempt.vm}, or its"
                " labels were changed",
                hint="whether RegisterVM was called is unknown: check the VM's tasks in vCenter, then delete"
                " the ConfigMap yourself, or register the VM by hand",
            )
