"""What an API server refuses of an object whatever its schema says: its name, its metadata, what no update may change.

No library does this for Python (kubernetes-validate knows schemas, not metadata), so these are Kubernetes' own rules,
read from release 1.33: apimachinery `pkg/api/validation/objectmeta.go`, apiserver `pkg/registry/rest/create.go` and
`update.go`, kubernetes `pkg/apis/core/validation`. Both servers of the tests refuse by them, and the contract suite
holds them against a real API server.
"""

from __future__ import annotations

import base64
import binascii
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from tests.fakes import kubernetes_names
from velero_vmservice.errors import InvalidItem, Rejected
from velero_vmservice.kube import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from velero_vmservice.kube.manifest import ObjectRef

ANNOTATIONS_BYTES: Final = 256 * 1024
DATA_BYTES: Final = 1024 * 1024
"""Room in a ConfigMap or a Secret."""

_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_LABEL_NAMED: Final = frozenset({"Namespace"})
_SERVICE_NAMED: Final = frozenset({"Service"})
_FREELY_NAMED: Final = frozenset({"Event"})
"""Kinds whose names need only fit into a path."""
_OWNER_FIELDS: Final = ("apiVersion", "kind", "name", "uid")
_FIXED: Final = ("name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds")
_SERVER_OWNED: Final = ("creationTimestamp", "generation")
"""What a client may send and the server does not heed."""


def refusals(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield why an API server does not store this object, each as it words a field's error."""
    kind, metadata = str(content.get("kind", "")), content.get("metadata") or {}
    yield from _name_refusals(kind, str(metadata.get("name", "")))
    namespace = metadata.get("namespace", "")
    if namespace and not kubernetes_names.is_dns_1123_label(str(namespace)):
        yield f'metadata.namespace: Invalid value: "{namespace}": a lowercase RFC 1123 label is required'
    yield from _label_refusals(metadata.get("labels"))
    yield from _annotation_refusals(metadata.get("annotations"))
    for owner in metadata.get("ownerReferences") or ():
        yield from (f"metadata.ownerReferences: {key} must not be empty" for key in _OWNER_FIELDS if not owner.get(key))
    for finalizer in metadata.get("finalizers") or ():
        if not kubernetes_names.is_label_key(str(finalizer)):
            yield f'metadata.finalizers: Invalid value: "{finalizer}": a qualified name is required'
    if kind in {"ConfigMap", "Secret"}:
        yield from _data_refusals(kind, content)
    if kind == "Event":
        yield from _event_refusals(content)


def updated_metadata(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return an update's metadata with what the server keeps to itself put back, as it is done before an update."""
    kept = {key: old[key] for key in ("uid", "deletionTimestamp", "deletionGracePeriodSeconds") if key in old}
    owned = {key: old[key] for key in _SERVER_OWNED if key in old}
    return {**kept, **{key: value for key, value in new.items() if value is not None}, **owned}


def update_refusals(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an update may not do to an object's metadata, beside what no object may have."""
    for key in _FIXED:
        if new.get(key) != old.get(key):
            yield f'metadata.{key}: Invalid value: "{new.get(key)}": field is immutable'
    if old.get("deletionTimestamp"):
        added = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            yield f"metadata.finalizers: Forbidden: the object is being deleted, no finalizers can be added: {added}"


def selector_refusals(wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield why an API server cannot read a selector of these labels."""
    for key, value in wanted.items():
        if not kubernetes_names.is_label_key(key):
            yield f'unable to parse requirement: key: Invalid value: "{key}"'
        if not names.is_label_value(value):
            yield f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}"'


def demand(what: str, refused: Iterable[str]) -> None:
    """Raise `Rejected` with the first of the words that an API server refuses an object by; `what` was attempted."""
    if refusal := next(iter(refused), ""):
        raise Rejected(f"{what}: {refusal}", hint="the API server refuses the object as it is")


def demand_path(ref: ObjectRef) -> None:
    """Raise `InvalidItem` for a name that no request can carry."""
    for name in filter(None, (ref.namespace, ref.name)):
        if not names.is_path_segment(name):
            raise InvalidItem(
                f'"{name}" is not a name of a Kubernetes object, asked for as {ref.kind.name}',
                hint="correct the name in the backup or in the call: it is damaged",
            )


def _name_refusals(kind: str, name: str) -> Iterator[str]:
    if not name:
        yield "metadata.name: Required value: name or generateName is required"
    elif kind in _FREELY_NAMED:
        if not names.is_path_segment(name):
            yield f'metadata.name: Invalid value: "{name}": may not be a path'
    elif kind in _SERVICE_NAMED:
        if not kubernetes_names.is_dns_1035_label(name):
            yield f'metadata.name: Invalid value: "{name}": a DNS-1035 label is required'
    elif kind in _LABEL_NAMED:
        if not kubernetes_names.is_dns_1123_label(name):
            yield f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 label is required'
    elif not kubernetes_names.is_dns_1123_subdomain(name):
        yield f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 subdomain is required'


def _label_refusals(labels: Any) -> Iterator[str]:
    for key, value in (labels or {}).items():
        if not kubernetes_names.is_label_key(str(key)):
            yield f'metadata.labels: Invalid value: "{key}": a qualified name is required'
        if not isinstance(value, str):
            yield f"metadata.labels: {key} is not a string"
        elif not names.is_label_value(value):
            yield f'metadata.labels: Invalid value: "{value}": an empty string or a qualified name is required'


def _annotation_refusals(annotations: Any) -> Iterator[str]:
    pairs = (annotations or {}).items()
    for key, value in pairs:
        if not kubernetes_names.is_label_key(str(key).lower()):
            yield f'metadata.annotations: Invalid value: "{key}": a qualified name is required'
        if not isinstance(value, str):
            yield f"metadata.annotations: {key} is not a string"
    if _bytes(chain.from_iterable(pairs)) > ANNOTATIONS_BYTES:
        yield f"metadata.annotations: Too long: may not be more than {ANNOTATIONS_BYTES} bytes"


def _data_refusals(kind: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the data of a ConfigMap or a Secret."""
    data, binary = content.get("data") or {}, content.get("binaryData") or {}
    for key, value in chain(data.items(), binary.items()):
        if not _DATA_KEY.fullmatch(str(key)) or len(str(key)) > kubernetes_names.SUBDOMAIN_LENGTH or key in {".", ".."}:
            yield f'data[{key}]: Invalid value: "{key}": a valid config key must consist of alphanumeric characters'
        if not isinstance(value, str):
            yield f"data[{key}]: is not a string"
    encoded = data if kind == "Secret" else binary
    for key, value in encoded.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            yield f"data[{key}]: illegal base64 data"
    if _bytes((*data.values(), *binary.values())) > DATA_BYTES:
        yield f"data: Too long: may not be more than {DATA_BYTES} bytes"


def _event_refusals(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an Event of core/v1 without eventTime, to which no limits of length apply."""
    about = (content.get("involvedObject") or {}).get("namespace", "")
    namespace = (content.get("metadata") or {}).get("namespace", "")
    if namespace != (about or "default"):
        yield f'involvedObject.namespace: Invalid value: "{about}": does not match event.namespace'


def _bytes(texts: Iterable[Any]) -> int:
    return sum(len(str(text).encode()) for text in texts)
