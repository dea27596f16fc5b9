"""What the flows need from the world, and what every implementation MUST hold.

The contract suite in `tests/contract` runs against each implementation; a claim made here is tested there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from velero_vmservice.core.look import Look
    from velero_vmservice.core.manifest import Kind, Manifest, ObjectRef
    from velero_vmservice.core.network_override import NetworkOverride
    from velero_vmservice.core.registration import Registration, Wanted
    from velero_vmservice.core.resource_names import NamedResource
    from velero_vmservice.core.vsphere_machine import RegisterTask, VsphereMachine

Read = TypeVar("Read")


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for ages and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Let at least this much time pass; never while Velero waits for an answer."""


class ObjectStore(Protocol):
    """Storage of small documents: write-once, but for what is made anew of them.

    Keys are `/`-separated and relative to the store's own prefix. Every method raises `Unavailable` when the
    store is away or slow, `Forbidden` when it denies, `InvalidSettings` when it is not there (no such bucket,
    not S3, an unknown certificate authority); the message names bucket and key. A key with a segment that is empty, `.`
    or `..`, or with a character that is not printable, MUST be refused with `InvalidItem` before a server is asked.
    """

    def put(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` durably before returning.

        Storing the same bytes again is success. MUST raise `AlreadyExists` when the key holds other bytes and
        leave them untouched, also when several writers race; `Corrupt`, and store nothing, when `sha256` (hex)
        is not that of `body`.
        """

    def replace(self, key: str, body: bytes, *, sha256: str) -> None:
        """Store `body` durably in the place of whatever the key holds; who reads meanwhile gets the one or the other.

        Of several writers one is the last. Raises `Corrupt` as `put` does. Only for what can be made again at any time.
        """

    def get(self, key: str) -> bytes:
        """Return the bytes; MUST raise `NotFound`, or `Corrupt` if they differ from the digest stored with them."""

    def exists(self, key: str) -> bool:
        """Say whether the key is there, without reading it."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield every key that starts with `prefix`, in the order of their UTF-8 bytes, page by page."""

    def delete(self, key: str) -> None:
        """Remove one document; a missing one is success."""

    def where(self, key: str) -> str:
        """Return where the document lies, for a person: whole, as other tools take it. Asks nobody."""


class StorageLocations(Protocol):
    """Opens the store that belongs to a backup."""

    def open(self, location: str, *, namespace: str = "") -> ObjectStore:
        """Return the store of the BackupStorageLocation `location` ('' is the settings' own bucket).

        `namespace` is the Backup's, '' if there is none. MUST notice within seconds when the location or its credential
        changed. Raises `InvalidSettings` with the remedy when the settings name no bucket and the location does not
        exist or lies in another namespace than they say, and `ForeignStorage` when it is not S3.
        """


class Cluster(Protocol):
    """The Kubernetes API as the flows see it.

    Writes are never retried; no request, a page of a list being one, waits longer than the timeout of the
    settings. Every method raises `Unavailable`, `Forbidden` or `Rejected` as the API server answers; messages
    name the object.
    """

    @property
    def address(self) -> str:
        """Address of the API server, as the configuration of the client names it; without user or token."""

    def served_versions(self, kind: Kind) -> Sequence[str]:
        """Return the versions the API server serves for the kind, e.g. `("v1alpha4", "v1alpha5")`; empty if none."""

    def plural(self, group: str, kind_name: str) -> str:
        """Return the plural under which the kind is served, `endpoints` for `Endpoints` of group ''; '' if none."""

    def resources(self) -> Sequence[NamedResource]:
        """Return every resource that is served with all its names, in the order in which its groups are preferred.

        What an aggregated API that is away would add is left out.
        """

    def serves_group(self, group: str) -> bool:
        """Say whether any version of the API group is served."""

    def get(self, ref: ObjectRef, *, version: str | None = None) -> Manifest:
        """Return the object, at the newest served version unless one is named.

        Raises `NotFound` when the object does not exist or its kind or version is not served.
        """

    def list(self, kind: Kind, namespace: str) -> Sequence[Manifest]:
        """Return every object of the kind in the namespace, ordered by name, at the newest served version.

        '' as namespace lists all of them, or a kind that has none. Fetched in bounded pages and without
        `metadata.managedFields`, a third of an object that nobody reads. Empty if the kind is not served or the
        namespace does not exist.
        """

    def read_all(
        self,
        kind: Kind,
        namespace: str,
        read: Callable[[Manifest], Read],
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> Sequence[Read]:
        """Return what `read` makes of every object, in the order of `list`; of those alone that bear all of `labels`.

        The API server chooses them, so that the others cost nothing. Each page is read as it comes, so that of many
        large objects only what `read` returns is ever held together; `read` MUST be pure, for a list that expires
        half-way is begun again. With `metadata_only` the API server sends no more than the metadata of each: `read`
        sees neither the content of a Secret nor a status.
        """

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create the object and return it as stored; its status is never written.

        Raises `AlreadyExists`, `Rejected` with the server's words (a version that is not served or a
        `metadata.resourceVersion` included), or `NotFound` when its namespace does not exist.
        """

    def patch(self, ref: ObjectRef, change: Mapping[str, Any], *, version: str, dry_run: bool = False) -> Manifest:
        """Apply a JSON merge patch (RFC 7386), never to the status.

        Raises `NotFound`, `Rejected`, or `Conflict` when the change names a `metadata.resourceVersion` that is
        no longer the object's.
        """

    def event(self, about: ObjectRef, *, uid: str, reason: str, message: str, warning: bool = False) -> None:
        """Record an Event about an object. Never raises: an Event is a courtesy."""


class TcpProbe(Protocol):
    """Tries whether a load balancer's port is served."""

    def connect(self, host: str, port: int, *, seconds: float) -> str:
        """Connect within `seconds`; return '' if somebody answers, else why not, in words. Never raises."""


class RegistrationSource(Protocol):
    """Anything that can say how far the registration of restored machines is.

    The contract suite `tests/contract/registration_contract.py` runs against each implementation.
    """

    @property
    def name(self) -> str:
        """Return the source's name as the settings spell it."""

    def observe(
        self, namespace: str, machines: Collection[Wanted], look: Look | None = None
    ) -> Mapping[str, Registration]:
        """Return what is known of each machine by name, in a bounded number of requests however many are asked for.

        `look` is what this round has seen of the namespace: a source that needs it does not look there again, and one
        that looks leaves there what others may need.

        MUST answer for every machine, `State.UNKNOWN` included. Raises `Unavailable` while the source is away or
        slow, `Forbidden` when it denies, `InvalidSettings` when it is set up wrongly; never answers from a stale look.
        """


class VsphereInventory(Protocol):
    """The machines of a vSphere Namespace as vCenter has them."""

    def look(
        self, namespace: str, wanted: Collection[Wanted], *, folders: Collection[str] = ()
    ) -> Sequence[VsphereMachine]:
        """Return every machine in the namespace's folder and below, and of the wanted ones those that lie elsewhere.

        `folders` are the managed object ids of that folder, where they are known; else it is found by its name. Where
        the others cannot be looked for, the folder's are returned all the same. Costs a bounded number of requests
        however many machines are wanted. ExtraConfig of any content MUST be survived.
        `seen` is left as it is. Raises `Unavailable` while vCenter is away or slow, `Forbidden` when it denies,
        `InvalidSettings` when it is set up wrongly.
        """


class RegisterVm(Protocol):
    """Calls WCP's RegisterVM, which can be neither repeated nor cancelled."""

    def call(self, namespace: str, moid: str, override: NetworkOverride) -> str:
        """Call it once, and return the id of its task.

        MUST NOT send a second request once a first may have been understood. Raises `NotSent` if the request did not
        reach vCenter for certain, `Unavailable` if nobody knows whether it did, `AlreadyExists` for
        AlreadyInDesiredState, and any other error of ours if vCenter refused the call.
        """

    def task(self, task_id: str) -> RegisterTask:
        """Return how far a task is; `TaskState.UNKNOWN` if vCenter does not know it. Raises as the inventory does."""

    def latest(self, moid: str, since: datetime) -> RegisterTask | None:
        """Return the newest RegisterVM task of a machine that was queued at `since` or later. Raises likewise."""
