"""The record of one call of RegisterVM: written before the call, so that it is never made a second time.

The record is a ConfigMap in Velero's namespace, named after restore, VM and attempt. So the API server creates it for
one writer only, even if several sidecars race or one dies. The plugin never deletes it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError

from velero_vmservice.kube.manifest import CONFIG_MAP, Manifest, ObjectRef, mapping
from velero_vmservice.kube.names import LABEL_LENGTH, is_label_value
from velero_vmservice.vmoperator import marks
from velero_vmservice.vmoperator.virtual_machine import Subnet
from velero_vmservice.vsphere import network_override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from velero_vmservice.vsphere.network_override import NetworkOverride

RECORD_LABEL: Final = f"{marks.PLUGIN_NAME}/record"
RECORD: Final = "registervm-attempt"
RESTORE_LABEL: Final = f"{marks.PLUGIN_NAME}/restore-uid"
_HASH_LENGTH: Final = 20
_NETWORK: Final = TypeAdapter(dict[str, Subnet])

COMMAND: Final = "velero-vmservice registration trigger"
"""The explicit command that makes another attempt."""

SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForRestore:
    """The restore for which RegisterVM is called."""

    uid: str
    name: str
    calls: bool | None = None
    """Whether the restore calls RegisterVM; None leaves that to the settings."""
    override: NetworkOverride | None = None
    """Its own network override; None leaves that to the settings."""
    since: datetime | None = None
    """Attempts that ended before this belong to an earlier run under the same UID, as the command line makes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call, made or about to be made."""

    restore_uid: str
    restore: str
    namespace: str
    vm: str
    moid: str
    number: int = 1
    """Only an explicit command makes a second attempt."""
    holder: str = ""
    """The process that may make the call."""
    recorded_at: datetime
    claimed_at: datetime | None = None
    """The last time that the call was about to be made, if it did not reach vCenter at once."""
    network: Mapping[str, Subnet] = field(default_factory=dict)
    """The new subnet of each overridden interface."""
    override: NetworkOverride = ()
    """The mappings of the call: of the settings, or the restore's own."""
    task_before: str = ""
    """The newest task of the VM at its check, which is not this attempt's."""
    task: str = ""
    outcome: str = ""
    """`succeeded`, `failed`, or '' while the outcome is open."""
    message: str = ""
    """vCenter's text about a failed attempt."""
    ended_at: datetime | None = None
    """When its outcome was written; None while it is open, and in records of earlier releases."""
    revision: str = ""
    """The record's `metadata.resourceVersion` at its read, named by `claimed` and `given_up`."""

    @property
    def name(self) -> str:
        """The ConfigMap's name."""
        return record_name(self.restore_uid, self.namespace, self.vm, self.number)

    @property
    def over(self) -> bool:
        """Whether its outcome is known."""
        return bool(self.outcome)

    @property
    def begun_at(self) -> datetime:
        """The last time that its holder was about to call."""
        return self.claimed_at or self.recorded_at

    def is_earlier(self, restore: ForRestore) -> bool:
        """Say whether it ended before this run began: a VM that is restored anew may then be called for again."""
        return restore.since is not None and self.ended_at is not None and self.ended_at < restore.since

    def ref(self, velero_namespace: str) -> ObjectRef:
        """The ConfigMap."""
        return ObjectRef(CONFIG_MAP, velero_namespace, self.name)

    def manifest(self, velero_namespace: str) -> Manifest:
        """Return the ConfigMap to create."""
        data = {
            "restore": self.restore,
            "restoreUID": self.restore_uid,
            "namespace": self.namespace,
            "vm": self.vm,
            "moid": self.moid,
            "attempt": str(self.number),
            "holder": self.holder,
            "recordedAt": self.recorded_at.isoformat(),
            "network": json.dumps({name: asdict(subnet) for name, subnet in self.network.items()}),
            "taskBefore": self.task_before,
            "task": self.task,
        }
        if self.override:
            data["override"] = network_override.dump(self.override)
        metadata = {"name": self.name, "namespace": velero_namespace, "labels": labels(self.restore_uid)}
        return Manifest.read({"apiVersion": "v1", "kind": CONFIG_MAP.name, "metadata": metadata, "data": data})


def labels(restore_uid: str) -> dict[str, str]:
    """Return the labels of a restore's records; a UID that no label can hold is hashed."""
    value = restore_uid if is_label_value(restore_uid) else hashlib.sha256(restore_uid.encode()).hexdigest()
    return {RECORD_LABEL: RECORD, RESTORE_LABEL: value[:LABEL_LENGTH]}


def changed(attempt: Attempt) -> dict[str, Any]:
    """Return the merge patch that adds the state of the call to a record."""
    outcome = {
        "task": attempt.task,
        "outcome": attempt.outcome,
        "message": attempt.message,
        "endedAt": attempt.ended_at.isoformat() if attempt.ended_at else "",
    }
    return {"data": {key: value for key, value in outcome.items() if value}}


def claimed(attempt: Attempt, at: datetime) -> dict[str, Any]:
    """Return the merge patch by which the holder of a record continues a call that was not sent."""
    return {"metadata": {"resourceVersion": attempt.revision}, "data": {"claimedAt": at.isoformat()}}


def given_up(attempt: Attempt, message: str, at: datetime) -> dict[str, Any]:
    """Return the merge patch after which the holder of a record no longer calls."""
    ended = replace(attempt, outcome=FAILED, message=message, ended_at=at)
    return {"metadata": {"resourceVersion": attempt.revision}, **changed(ended)}


def record_name(restore_uid: str, namespace: str, vm: str, number: int) -> str:
    """Return the name of an attempt's ConfigMap; hashed, because a VM's name may have the full length of a name."""
    digest = hashlib.sha256(f"{restore_uid}\0{namespace}\0{vm}".encode()).hexdigest()
    return f"vmservice-registervm-{digest[:_HASH_LENGTH]}-{number}"


def read_attempt(config_map: Manifest) -> Attempt | None:
    """Read a ConfigMap back; return None if it is not a record, or its data or labels are damaged."""
    data = mapping(config_map.content.get("data"))
    try:
        attempt = Attempt(
            restore_uid=str(data["restoreUID"]),
            restore=str(data["restore"]),
            namespace=str(data["namespace"]),
            vm=str(data["vm"]),
            moid=str(data["moid"]),
            number=int(data["attempt"]),
            holder=str(data.get("holder", "")),
            recorded_at=datetime.fromisoformat(data["recordedAt"]),
            claimed_at=datetime.fromisoformat(data["claimedAt"]) if data.get("claimedAt") else None,
            network=_NETWORK.validate_json(data.get("network") or "{}"),
            override=network_override.load(data["override"]) if data.get("override") else (),
            task_before=str(data.get("taskBefore", "")),
            task=str(data.get("task", "")),
            outcome=str(data.get("outcome", "")),
            message=str(data.get("message", "")),
            ended_at=datetime.fromisoformat(data["endedAt"]) if data.get("endedAt") else None,
            revision=str(config_map.metadata.get("resourceVersion", "")),
        )
    except (KeyError, ValueError, TypeError, ValidationError):
        return None
    zoned = all(at.tzinfo is not None for at in (attempt.recorded_at, attempt.begun_at, attempt.ended_at) if at)
    sound = zoned and attempt.outcome in ("", SUCCEEDED, FAILED)
    ours = attempt.name == config_map.name and labels(attempt.restore_uid).items() <= config_map.labels.items()
    return attempt if sound and ours else None
