"""The applications of one capture: which of its groups and services belong together, and which one a person names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from velero_vmservice.archive.schema import Capture, captured_object
from velero_vmservice.archive.store import READERS, read_document
from velero_vmservice.backup.applications import connected, outermost
from velero_vmservice.errors import InvalidItem, NotFound
from velero_vmservice.kube.manifest import CAPTURED_KINDS, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from velero_vmservice.archive.findings import ApplicationVerdict
    from velero_vmservice.archive.schema import Seal
    from velero_vmservice.archive.store import ObjectStore
    from velero_vmservice.archive.topology import Topology
    from velero_vmservice.kube.manifest import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedApplication:
    """Groups and services of a capture that belong together."""

    name: ObjectRef
    """The outermost group, else the first service, whose name it goes by."""
    objects: tuple[ObjectRef, ...]
    vms: tuple[str, ...]
    """Names of its VMs."""

    def is_named(self, name: str) -> bool:
        """Say whether NAME or NAMESPACE/NAME is that of one of its groups or services."""
        return any(name in (ref.name, f"{ref.namespace}/{ref.name}") for ref in self.objects)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """A group or service as a person names it: KIND/NAME or KIND/NAMESPACE/NAME."""

    kind: Kind
    name: str
    namespace: str = ""

    @classmethod
    def read(cls, reference: str) -> ObjectName:
        """Read a name; raises `InvalidItem` for what is none, or for a kind that is not captured."""
        kind_name, _, path = reference.partition("/")
        namespace, _, name = path.rpartition("/")
        kind = next((kind for kind in CAPTURED_KINDS if kind_name.lower() in _spellings(kind)), None)
        if kind is None or not name or "/" in namespace:
            kinds = " or ".join(kind.name for kind in CAPTURED_KINDS)
            raise InvalidItem(
                f'"{reference}" names no captured object',
                hint=f"write KIND/NAME or KIND/NAMESPACE/NAME, KIND being {kinds}",
            )
        return cls(kind=kind, name=name, namespace=namespace)

    def is_of(self, ref: ObjectRef) -> bool:
        """Say whether it is the name of an object."""
        return (self.kind, self.name) == (ref.kind, ref.name) and self.namespace in ("", ref.namespace)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.kind.name, self.namespace, self.name)))


def sealed_applications(
    store: ObjectStore, seal: Seal, *, namespaces: Collection[str] = ()
) -> Sequence[CapturedApplication]:
    """Return the applications as the seal has them, those of an earlier release as `applications_of` does."""
    if seal.applications is None:
        return applications_of(store, seal, namespaces=namespaces)
    return [_of_verdict(verdict) for verdict in seal.applications if not namespaces or verdict.namespace in namespaces]


def _of_verdict(verdict: ApplicationVerdict) -> CapturedApplication:
    kinds = {kind.name: kind for kind in CAPTURED_KINDS}
    return CapturedApplication(
        name=ObjectRef(kinds[verdict.kind], verdict.namespace, verdict.name),
        objects=tuple(
            ObjectRef(kinds[part.kind], verdict.namespace, part.name) for part in verdict.objects if part.kind in kinds
        ),
        vms=verdict.vms,
    )


def applications_of(
    store: ObjectStore, seal: Seal, *, namespaces: Collection[str] = ()
) -> Sequence[CapturedApplication]:
    """Return the applications of a sealed capture, of some namespaces or of all; raises what the store raises.

    Each document is read and checked against the seal.
    """
    keys = {
        ref: sealed
        for sealed in seal.objects
        if (ref := captured_object(sealed.key)) is not None and (not namespaces or ref.namespace in namespaces)
    }

    def topology(ref: ObjectRef) -> Topology:
        return read_document(store, keys[ref].key, Capture, sha256=keys[ref].sha256).topology

    with ThreadPoolExecutor(READERS, thread_name_prefix="applications") as readers:
        topologies = dict(zip(keys, readers.map(topology, keys), strict=True))
    return of_topologies(topologies)


def of_topologies(topologies: Mapping[ObjectRef, Topology]) -> Sequence[CapturedApplication]:
    """Return the applications that captured objects make up."""
    return [
        CapturedApplication(
            name=outermost(refs, topologies),
            objects=tuple(refs),
            vms=tuple(sorted({name for ref in refs for name in (*topologies[ref].needs, *topologies[ref].nested)})),
        )
        for refs in connected(topologies)
    ]


def chosen(
    applications: Sequence[CapturedApplication], *, objects: Iterable[ObjectName] = (), names: Iterable[str] = ()
) -> Sequence[CapturedApplication]:
    """Return the applications that objects and names stand for: no part of an application is restored alone.

    Raises `NotFound` for one that the capture does not have, `InvalidItem` for a name that several applications have.
    """
    hint = f"it has: {', '.join(_names(applications))}" if applications else "it has no group and no service"
    picked = dict[ObjectRef, CapturedApplication]()
    wanted = [
        *((str(name), [entry for entry in applications if any(map(name.is_of, entry.objects))]) for name in objects),
        *((f"application {name}", [entry for entry in applications if entry.is_named(name)]) for name in names),
    ]
    for text, matching in wanted:
        if not matching:
            raise NotFound(f"the capture has no {text}", hint=hint)
        if len(matching) > 1:
            raise InvalidItem(
                f"several applications of the capture have {text}: {', '.join(_names(matching))}",
                hint="name the namespace as well: NAMESPACE/NAME",
            )
        picked[matching[0].name] = matching[0]
    return list(picked.values())


def _names(applications: Iterable[CapturedApplication]) -> list[str]:
    return [f"{entry.name.namespace}/{entry.name.name}" for entry in applications]


def _spellings(kind: Kind) -> Collection[str]:
    return (kind.name.lower(), kind.plural, kind.resource)
