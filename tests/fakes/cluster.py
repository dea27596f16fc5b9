"""A Kubernetes API in memory: an implementation of the Cluster port, not a mock.

It holds the port's whole contract (served versions, namespaces that must exist, dry run, merge patch, optimistic
locking, what Kubernetes refuses of any object) and passes the same contract suite as the real client. It has no
admission, no controllers, no conversion beyond the apiVersion and no garbage collection: a test that needs those
says so in `admit` or plays them with `seed` and `remove`.
"""

from __future__ import annotations

import copy
import threading
import uuid
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tests.fakes import cluster_rules
from tests.fakes.store import Calls
from velero_vmservice.adapters.clock import SystemClock
from velero_vmservice.adapters.kubernetes.event import kubernetes_event
from velero_vmservice.errors import AlreadyExists, Conflict, InvalidItem, NotFound, Rejected, VmServiceError
from velero_vmservice.kube import manifest as kinds
from velero_vmservice.kube.manifest import Kind, Manifest, ObjectRef
from velero_vmservice.kube.names import VM_OPERATOR_RESOURCES, NamedResource
from velero_vmservice.velero.resource_modifier import merged
from velero_vmservice.vmoperator.releases import newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from velero_vmservice.clock import Clock
    from velero_vmservice.kube.api import Read

CLUSTER_SCOPED: Final = frozenset(
    {kinds.NAMESPACE, kinds.PERSISTENT_VOLUME, kinds.CUSTOM_RESOURCE_DEFINITION, kinds.CAPABILITIES}
)

SERVED: Final[Mapping[Kind, Sequence[str]]] = MappingProxyType(
    {
        kinds.VIRTUAL_MACHINE: ("v1alpha4", "v1alpha5"),
        kinds.VIRTUAL_MACHINE_SERVICE: ("v1alpha4", "v1alpha5"),
        kinds.VIRTUAL_MACHINE_GROUP: ("v1alpha5",),
        kinds.CNS_REGISTER_VOLUME: ("v1alpha1",),
        kinds.NAMESPACE: ("v1",),
        kinds.SERVICE: ("v1",),
        kinds.ENDPOINTS: ("v1",),
        kinds.ENDPOINT_SLICE: ("v1",),
        kinds.PERSISTENT_VOLUME_CLAIM: ("v1",),
        kinds.PERSISTENT_VOLUME: ("v1",),
        kinds.RESOURCE_QUOTA: ("v1",),
        kinds.SECRET: ("v1",),
        kinds.CONFIG_MAP: ("v1",),
        kinds.POD: ("v1",),
        kinds.CUSTOM_RESOURCE_DEFINITION: ("v1",),
        kinds.BACKUP: ("v1",),
        kinds.RESTORE: ("v1",),
        kinds.BACKUP_STORAGE_LOCATION: ("v1",),
        kinds.SCHEDULE: ("v1",),
    }
)
"""What a Supervisor with Velero serves, as far as the product asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """A recorded Event."""

    about: ObjectRef
    uid: str
    reason: str
    message: str
    warning: bool


class MemoryCluster:
    """Objects in a dictionary, answered as an API server would."""

    def __init__(
        self,
        *,
        namespaces: Iterable[str] = (),
        served: Mapping[Kind, Sequence[str]] = SERVED,
        clock: Clock | None = None,
    ) -> None:
        self.calls = Calls()
        self.events: list[RecordedEvent] = []
        self.admit: Callable[[Manifest], None] = lambda _: None
        """Called with each object about to be stored; raises `Rejected` to play an admission webhook."""
        self.denied: set[tuple[str, str]] = set()
        self.allowed_by_name: set[tuple[str, str, str]] = set()
        """Verbs on `resource.group` names that this process has no right to, as it is told when it asks."""
        self._served = dict(served)
        self._clock = clock or SystemClock()
        self._objects: dict[ObjectRef, dict[str, Any]] = {}
        self._revision = 0
        self._lock = threading.RLock()
        for namespace in namespaces:
            self._ensure_namespace(namespace)

    # What tests do behind the port.

    def serve(self, kind: Kind, *versions: str) -> None:
        """Serve the kind at exactly these versions; none withdraws it, its objects stay."""
        with self._lock:
            self._served[kind] = versions

    def seed(self, *objects: Manifest | Mapping[str, Any]) -> None:
        """Write objects as a controller would, status included, replacing what is there; makes their namespace."""
        for item in objects:
            manifest = item if isinstance(item, Manifest) else Manifest.read(copy.deepcopy(dict(item)))
            kind = self._kind_of(manifest)
            with self._lock:
                if manifest.namespace and kind not in CLUSTER_SCOPED:
                    self._ensure_namespace(manifest.namespace)
                ref = ObjectRef(kind, manifest.namespace, manifest.name)
                content = manifest.editable()
                content["metadata"] = {
                    **self._born(self._objects.get(ref, {}).get("metadata", {})),
                    **content["metadata"],
                    "resourceVersion": self._next_revision(),
                }
                cluster_rules.demand(f"cannot seed {ref}", cluster_rules.refusals(content))
                self._objects[ref] = content

    def remove(self, ref: ObjectRef) -> None:
        """Take an object away, as a deletion by another client would; a missing one is success."""
        with self._lock:
            self._objects.pop(ref, None)

    # The port.

    @property
    def address(self) -> str:
        """Address of no API server: the cluster lies in memory."""
        return ""

    @property
    def account(self) -> str:
        """Service account of the process, as a token would name it."""
        return "system:serviceaccount:velero:velero"

    def served_versions(self, kind: Kind) -> Sequence[str]:
        """Return the versions served for the kind."""
        self.calls("served_versions", kind.name)
        return tuple(self._served.get(kind, ()))

    def plural(self, group: str, kind_name: str) -> str:
        """Return the plural under which the kind is served; see the port."""
        self.calls("plural", kind_name)
        served = (kind for kind, versions in self._served.items() if versions)
        return next((kind.plural for kind in served if (kind.group, kind.name) == (group, kind_name)), "")

    def resources(self) -> Sequence[NamedResource]:
        """Return what is served with all its names; see the port."""
        self.calls("resources", "")
        short = {resource.kind: resource.short_names for resource in VM_OPERATOR_RESOURCES}
        served = sorted(kind for kind, versions in self._served.items() if versions)
        return [NamedResource(kind=kind, short_names=short.get(kind, ())) for kind in served]

    def serves_group(self, group: str) -> bool:
        """Say whether any kind of the API group is served."""
        self.calls("serves_group", group)
        return any(kind.group == group and versions for kind, versions in self._served.items())

    def get(self, ref: ObjectRef, *, version: str | None = None) -> Manifest:
        """Return the object; see the port."""
        self.calls("get", str(ref))
        cluster_rules.demand_path(ref)
        with self._lock:
            if version is not None and version not in self._served.get(ref.kind, ()):
                raise NotFound(f"cannot read {ref}: {version} is not served", hint="name a served version")
            return self._at(self._stored(ref), ref.kind, version)

    def list(self, kind: Kind, namespace: str) -> Sequence[Manifest]:
        """Return the kind's objects in the namespace; see the port."""
        self.calls("list", f"{kind.name} {namespace}")
        with self._lock:
            if not self._served.get(kind):
                return ()
            refs = sorted(ref for ref in self._objects if ref.kind == kind and namespace in {"", ref.namespace})
            contents = [copy.copy(self._objects[ref]) for ref in refs]
        for content in contents:
            kept = {key: value for key, value in content["metadata"].items() if key != "managedFields"}
            content["metadata"] = kept
        return [self._at(content, kind, None) for content in contents]

    def read_all(
        self,
        kind: Kind,
        namespace: str,
        read: Callable[[Manifest], Read],
        *,
        labels: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> Sequence[Read]:
        """Return what `read` makes of the kind's objects; see the port."""
        cluster_rules.demand(f"cannot list {kind.name}", cluster_rules.selector_refusals(labels or {}))
        chosen = (labels or {}).items()
        kept = ("apiVersion", "kind", "metadata")
        return [
            read(Manifest({key: manifest.content[key] for key in kept}) if metadata_only else manifest)
            for manifest in self.list(kind, namespace)
            if chosen <= manifest.labels.items()
        ]

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create the object; see the port."""
        kind = self._kind_of(manifest)
        namespace = "" if kind in CLUSTER_SCOPED else manifest.namespace
        ref = ObjectRef(kind, namespace, manifest.name)
        self.calls("dry-run create" if dry_run else "create", str(ref))
        with self._lock:
            self._check_writable(ref, manifest.version)
            self._check_lives(ref)
            if manifest.metadata.get("resourceVersion"):
                raise Rejected(f"cannot create {ref}: it has a resourceVersion", hint="strip metadata.resourceVersion")
            if ref in self._objects:
                raise AlreadyExists(f"cannot create {ref}: it exists", hint="decide by the conflict policy")
            content = manifest.editable()
            content.pop("status", None)
            content["metadata"] = {
                **content["metadata"],
                **self._born({}),
                "resourceVersion": self._next_revision(),
                "generation": 1,
            }
            cluster_rules.demand(f"cannot create {ref}", cluster_rules.refusals(content))
            self.admit(Manifest(content))
            if not dry_run:
                self._objects[ref] = content
            return self._at(content, kind, manifest.version)

    def patch(self, ref: ObjectRef, change: Mapping[str, Any], *, version: str, dry_run: bool = False) -> Manifest:
        """Apply a merge patch; see the port."""
        self.calls("dry-run patch" if dry_run else "patch", str(ref))
        with self._lock:
            self._check_writable(ref, version)
            before = self._stored(ref)
            _check_precondition(ref, before["metadata"], change.get("metadata") or {})
            after = merged(before, {key: change[key] for key in change if key != "status"})
            after["metadata"] = cluster_rules.updated_metadata(before["metadata"], after.get("metadata") or {})
            changed = cluster_rules.update_refusals(before["metadata"], after["metadata"])
            cluster_rules.demand(f"cannot patch {ref}", (*changed, *cluster_rules.refusals(after)))
            if after != before:
                after["metadata"]["resourceVersion"] = self._next_revision()
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] = before["metadata"].get("generation", 1) + 1
            self.admit(Manifest(after))
            if not dry_run:
                self._objects[ref] = after
            return self._at(after, ref.kind, version)

    def allowed(self, verb: str, kind: Kind, namespace: str, *, name: str = "") -> bool:
        """Say whether a right is not among those denied."""
        self.calls("allowed", " ".join(filter(None, (verb, kind.resource, namespace, name))))
        return (verb, kind.resource) not in self.denied or (verb, kind.resource, name) in self.allowed_by_name

    def event(self, about: ObjectRef, *, uid: str, reason: str, message: str, warning: bool = False) -> None:
        """Keep the Event; as the port says, what cannot be stored, or is to fail for a test, is swallowed."""
        try:
            self.calls("event", str(about))
            made = kubernetes_event(
                about, api_version="", uid=uid, reason=reason, message=message, warning=warning, now=self._clock.now()
            )
            with self._lock:
                self._check_namespace(made.namespace, f"Event about {about}")
            cluster_rules.demand(f"cannot record an Event about {about}", cluster_rules.refusals(made.content))
        except VmServiceError:
            return
        self.events.append(RecordedEvent(about=about, uid=uid, reason=reason, message=message, warning=warning))

    def _stored(self, ref: ObjectRef) -> dict[str, Any]:
        if ref not in self._objects or not self._served.get(ref.kind):
            raise NotFound(f"{ref} does not exist", hint="create it first")
        return self._objects[ref]

    def _check_writable(self, ref: ObjectRef, version: str) -> None:
        if version not in self._served.get(ref.kind, ()):
            raise Rejected(f"cannot write {ref}: {version} is not served", hint="name a served version")
        cluster_rules.demand_path(ref)
        if not ref.namespace and ref.kind not in CLUSTER_SCOPED:
            raise InvalidItem(f"cannot write {ref}: it has no namespace", hint="name its namespace")
        if ref.namespace:
            self._check_namespace(ref.namespace, str(ref))

    def _check_namespace(self, namespace: str, what: str) -> None:
        if ObjectRef(kinds.NAMESPACE, "", namespace) not in self._objects:
            raise NotFound(f'cannot write {what}: namespace "{namespace}" does not exist', hint="create it first")

    def _check_lives(self, ref: ObjectRef) -> None:
        """Refuse to create in a namespace that is on its way out."""
        namespace = self._objects.get(ObjectRef(kinds.NAMESPACE, "", ref.namespace), {})
        if namespace.get("metadata", {}).get("deletionTimestamp"):
            raise Rejected(
                f"cannot create {ref}: unable to create new content in namespace {ref.namespace} because it is being"
                " terminated",
                hint="wait until it is gone",
            )

    def _at(self, content: Mapping[str, Any], kind: Kind, version: str | None) -> Manifest:
        shown = copy.deepcopy(dict(content))
        served = version or newest(self._served[kind]) or ""
        shown["apiVersion"] = f"{kind.group}/{served}" if kind.group else served
        return Manifest(shown)

    def _kind_of(self, manifest: Manifest) -> Kind:
        for kind in self._served:
            if (kind.group, kind.name) == (manifest.group, manifest.kind_name):
                return kind
        raise Rejected(f"cannot write {manifest.kind_name} {manifest.name}: its kind is not served", hint="serve it")

    def _born(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        created = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "uid": metadata.get("uid") or str(uuid.uuid4()),
            "creationTimestamp": metadata.get("creationTimestamp") or created,
            "generation": metadata.get("generation", 0) + 1,
        }

    def _next_revision(self) -> str:
        self._revision += 1
        return str(self._revision)

    def _ensure_namespace(self, name: str) -> None:
        if ObjectRef(kinds.NAMESPACE, "", name) not in self._objects:
            self.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _check_precondition(ref: ObjectRef, metadata: Mapping[str, Any], change: Mapping[str, Any]) -> None:
    revision = metadata["resourceVersion"]
    if change.get("resourceVersion", revision) != revision:
        raise Conflict(f"cannot patch {ref}: it changed to {revision} in between", hint="observe it again")
