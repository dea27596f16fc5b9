"""Whether captures can be stored beside the backups: Velero's view of the locations, and a probe of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from velero_vmservice.doctor import checks
from velero_vmservice.errors import AlreadyExists, VmServiceError
from velero_vmservice.kube.manifest import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.doctor.checks import Check
    from velero_vmservice.kube.manifest import Manifest

_FOLDER: Final = "doctor"
"""A folder below the plugin's own prefix; the probe in it is deleted at once."""
_FIRST: Final = b"velero-vmservice doctor writes this document, and deletes it at once"
_SECOND: Final = b"velero-vmservice doctor: a second writer"


class Step(StrEnum):
    """One operation that the plugin needs from a bucket."""

    LIST = "list"
    WRITE = "write"
    REFUSE = "refuse a second writer"
    READ = "read"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Velero's view of a BackupStorageLocation."""

    name: str
    is_default: bool
    phase: str
    """`Available`, `Unavailable`, or '' before Velero's first check."""
    message: str
    credential: str
    """The source of its credential."""
    secrets: tuple[str, ...] = ()
    """Names of the referenced Secrets."""

    @classmethod
    def read(cls, location: Manifest) -> Location:
        """Read a BackupStorageLocation."""
        secret = mapping(location.spec.get("credential"))
        authority = mapping(mapping(location.spec.get("objectStorage")).get("caCertRef"))
        reference = str(mapping(location.spec.get("config")).get("customerKeyEncryptionSecret") or "")
        secrets = (secret.get("name"), authority.get("name"), reference.partition("/")[0])
        return cls(
            name=location.name,
            is_default=location.spec.get("default") is True,
            phase=str(location.status.get("phase") or ""),
            message=str(location.status.get("message") or ""),
            credential=f"key {secret.get('key')} of Secret {secret.get('name')}" if secret else "",
            secrets=tuple(str(name) for name in secrets if name),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The bucket's answers, step by step; after a failed write no further step was tried."""

    where: str
    steps: Mapping[Step, VmServiceError | None]
    read_only: bool


def probe(store: ObjectStore) -> Probe:
    """Try all operations of the plugin on a bucket; a ReadOnly location is only listed."""
    key = f"{_FOLDER}/{uuid4().hex}.json"
    steps: dict[Step, VmServiceError | None] = {}

    def put(body: bytes) -> None:
        store.put(key, body, sha256=hashlib.sha256(body).hexdigest())

    def attempt(step: Step) -> bool:
        try:
            match step:
                case Step.LIST:
                    next(iter(store.list(f"{_FOLDER}/")), None)
                case Step.WRITE:
                    put(_FIRST)
                case Step.REFUSE:
                    put(_SECOND)
                case Step.READ:
                    store.get(key)
                case Step.DELETE:
                    store.delete(key)
        except VmServiceError as error:
            steps[step] = error
            return False
        steps[step] = None
        return True

    attempt(Step.LIST)
    if not store.read_only and attempt(Step.WRITE):
        attempt(Step.REFUSE)
        attempt(Step.READ)
        attempt(Step.DELETE)
    return Probe(where=store.where(_FOLDER), steps=steps, read_only=store.read_only)


def probe_check(name: str, probed: Probe) -> Check:
    """Return the check of a probe."""
    for step in (Step.LIST, Step.WRITE, Step.READ):
        if error := probed.steps.get(step):
            return checks.failed(name, f"{step} failed: {error.message}", error.hint)
    if probed.read_only:
        established = f"{probed.where} is listed; the location is ReadOnly"
        return checks.warning(
            name, established, "restores from it work; a backup needs a location whose spec.accessMode is ReadWrite"
        )
    second = probed.steps[Step.REFUSE]
    if not isinstance(second, AlreadyExists):
        what = second.message if second else "a second write of the same key was accepted"
        return checks.failed(name, what, "report it with the product and version of the server")
    if error := probed.steps[Step.DELETE]:
        return checks.warning(
            name,
            f"list, write and read work; delete failed: {error.message}",
            error.hint or "allow it, or captures of deleted backups stay",
        )
    return checks.ok(name, f"list, write once, read and delete work at {probed.where}")


def location_check(location: Location) -> Check:
    """Return the check of Velero's view of a location."""
    name = f"location {location.name}"
    match location.phase:
        case "Available":
            credential = location.credential or "Velero's own, as it names none"
            return checks.ok(name, f"Velero says it is available; its credential is {credential}")
        case "":
            return checks.unknown(name, "Velero has not looked at it yet", "see that Velero's pod runs, and wait")
        case phase:
            message = f": {location.message}" if location.message else ""
            hint = "Velero makes no backup there: mend that; a check of the storage may have details"
            return checks.failed(name, f"Velero says it is {phase}{message}", hint)


def default_check(locations: Sequence[Location], *, server_default: str) -> Check:
    """Return the check of the location for a backup that names none; `server_default` is that of Velero's flag."""
    name = "default location"
    if not locations:
        return checks.failed(
            name, "there is no BackupStorageLocation", "create one: velero backup-location create NAME --default …"
        )
    defaults = [location.name for location in locations if location.is_default]
    match defaults:
        case [only]:
            return checks.ok(name, only)
        case []:
            if server_default in {location.name for location in locations}:
                return checks.ok(name, f"{server_default}, as Velero's server takes it")
            return checks.warning(
                name,
                "no location is the default, so a backup has to name one",
                "velero backup-location set NAME --default",
            )
        case _:
            return checks.warning(
                name, f"several are the default: {', '.join(defaults)}", "leave spec.default: true on one of them"
            )
