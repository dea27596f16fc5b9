"""The port of the Kubernetes API, and the rules that every implementation MUST keep.

The contract suite in `tests/contract` runs against each implementation, and tests every rule.
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

    Writes are never retried. No request, including each page of a list, waits longer than the timeout of the settings.
    Every method raises `Unavailable`, `Forbidden` or `Rejected` after the API server's answer, with the object in the
    message.
    """

    @property
    def address(self) -> str:
        """Address of the API server from the client's configuration, without user or token."""

    @property
    def account(self) -> str:
        """Service account of the requests, from its token; '' for any other login."""

    def served_versions(self, kind: Kind) -> Sequence[str]:
        """Return the served versions of the kind, e.g. `("v1alpha4", "v1alpha5")`; empty if there are none."""

    def plural(self, group: str, kind_name: str) -> str:
        """Return the plural under which the kind is served, `endpoints` for `Endpoints` of group ''; '' if none."""

    def resources(self) -> Sequence[NamedResource]:
        """Return every served resource with all its names, in the server's order of preference for groups.

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
        """Return the result of `read` for every object with all of `labels`, in the order of `list`.

        The API server applies the labels, so other objects cost nothing. Each page is read on arrival, so that only
        the results of `read` are held together, not the objects. `read` MUST be pure, because a list that expires
        half-way is begun again. With `metadata_only` the API server sends only the metadata of each: `read` sees
        neither the content of a Secret nor a status.
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

        Without a name the question is about every object of the kind; with namespace '' it is about all namespaces, or
        a kind without namespace. The verb is never executed.
        """

    def event(self, about: ObjectRef, *, uid: str, reason: str, message: str, warning: bool = False) -> None:
        """Record an Event about an object. Never raises, because nothing depends on an Event."""
