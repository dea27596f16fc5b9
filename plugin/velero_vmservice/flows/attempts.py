"""Read and write the records of RegisterVM calls: ConfigMaps in Velero's namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from velero_vmservice.core.attempt import Attempt, changed, read_attempt
from velero_vmservice.core.errors import AlreadyExists, InvalidItem, NotFound
from velero_vmservice.core.manifest import CONFIG_MAP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.core.ports import Cluster


class Attempts:
    """The records of every restore; only added to."""

    def __init__(self, *, cluster: Cluster, velero_namespace: str) -> None:
        self._cluster = cluster
        self._namespace = velero_namespace

    def newest(self, restore_uid: str) -> Mapping[tuple[str, str], Attempt]:
        """Return the newest attempt for each machine in one restore, by namespace and name; one LIST.

        Raises what the cluster raises: without the records nothing may be called.
        """
        found: dict[tuple[str, str], Attempt] = {}
        for one in self._cluster.read_all(CONFIG_MAP, self._namespace, read_attempt):
            if one is None or one.restore_uid != restore_uid:
                continue
            key = one.namespace, one.vm
            if key not in found or found[key].number < one.number:
                found[key] = one
        return found

    def latest(self, restore_uid: str, namespace: str) -> Mapping[str, Attempt]:
        """Return the newest attempt for each machine of a namespace, by name, as `newest` does."""
        return {name: one for (where, name), one in self.newest(restore_uid).items() if where == namespace}

    def record(self, attempt: Attempt) -> bool:
        """Create the record durably; False if somebody else has made it.

        Raises `InvalidItem` if what stands under its name is no record: then nobody knows whether a call was made.
        """
        try:
            self._cluster.create(attempt.manifest(self._namespace))
        except AlreadyExists:
            self._demand_record(attempt)
            return False
        return True

    def tell(self, attempt: Attempt, *, task: str = "", outcome: str = "", message: str = "") -> None:
        """Add what became of the call; a record that somebody has deleted is not made again."""
        change = changed(task=task, outcome=outcome, message=message)
        try:
            self._cluster.patch(attempt.ref(self._namespace), change, version="v1")
        except NotFound:
            return

    def _demand_record(self, attempt: Attempt) -> None:
        ref = attempt.ref(self._namespace)
        if read_attempt(self._cluster.get(ref)) is None:
            raise InvalidItem(
                f"{ref} is no readable record of a RegisterVM call for {attempt.namespace}/{attempt.vm}",
                hint="nobody knows whether RegisterVM was called: look at the machine's tasks in vCenter, then delete"
                " the ConfigMap yourself, or register the machine by hand",
            )
