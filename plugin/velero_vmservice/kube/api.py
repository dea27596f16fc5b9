"""What the product needs of the Kubernetes API, and what every implementation MUST hold.

The contract suite in `tests/contract` runs against each implementation; a claim made here is tested there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from velero_vmservice.kube.manifest import Kind, Manifest, ObjectRef
    from velero_vmservice.kube.names import NamedResource

Read = TypeVar("Read")


class Cluster(Protocol):
    """The Kubernetes API as the product sees it.

    Writes are never retried; no request, a page of a list being one, waits longer than the timeout of the
    settings. Every method raises `Unavailable`, `Forbidden` or `Rejected` as the API server answers; messages
    name the object.
    """

    @property
    def address(self) -> str:
        """Address of the API server, as the configuration of the client names it; without user or token."""

    @property
    def account(self) -> str:
        """Service account that requests are made as, as its token names it; '' where the login is another."""

    def served_versions(self, kind: Kind) -> Sequence[str]:
        """Return the versions the API server serves for the kind, e.g. `("v1alpha4", "v1alpha5")`; empty if none."""

    def plural(self, group: str, kind_name: str) -> str:
        """Return the plural under which the kind is served, `endpoints` for `Endpoints` of group ''; '' if none."""

    def resources(self) -> Sequence[NamedResource]:
        """Return every resource that is served with all its names, in the order in which its groups are preferred.

        Resources of an aggregated API that does not answer are left out.
        """

    def serves_group(self, group: str) -> bool:
        """Say whether any version of the API group is served."""

    def get(self, ref: ObjectRef, *, version: str | None = None) -> Manifest:
        """Return the object, at the newest served version unless one is named.

        Raises `NotFound` when the object does not exist or its kind or version is not served.
        """

    def list(self, kind: Kind, namespace: str) -> Sequence[Manifest]:
        """Return every object of the kind in the namespace, ordered by name, at the newest served version.

        Namespace '' lists every namespace, or a kind that has none. Fetched in bounded pages and without
        `metadata.managedFields`, a third of an object that no caller reads. Empty if the kind is not served or the
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

        Raises `AlreadyExists`, `Rejected` with the server's message (a version that is not served or a
        `metadata.resourceVersion` included), or `NotFound` when its namespace does not exist.
        """

    def patch(self, ref: ObjectRef, change: Mapping[str, Any], *, version: str, dry_run: bool = False) -> Manifest:
        """Apply a JSON merge patch (RFC 7386), never to the status.

        Raises `NotFound`, `Rejected`, or `Conflict` when the change names a `metadata.resourceVersion` that is
        no longer the object's.
        """

    def allowed(self, verb: str, kind: Kind, namespace: str, *, name: str = "") -> bool:
        """Say whether the API server would let this process use the verb on the kind in the namespace.

        Without a name it asks about every object of the kind, with namespace '' about all namespaces or a kind that has
        none. Nothing is done, whatever the verb.
        """

    def event(self, about: ObjectRef, *, uid: str, reason: str, message: str, warning: bool = False) -> None:
        """Record an Event about an object. Never raises: an Event is a courtesy."""
