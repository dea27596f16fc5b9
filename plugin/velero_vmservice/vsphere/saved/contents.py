"""What of a record may be shown: the VirtualMachine without secrets, and the names of its bootstrap objects.

A bootstrap Secret is unpacked to learn its name, and its data goes no further. `spec.bootstrap` may hold passwords and
keys in plain text as well, and so may any annotation of a user: only what is known to be a name is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.archive.sanitize import sanitize
from velero_vmservice.errors import InvalidItem
from velero_vmservice.kube.manifest import CONFIG_MAP, SECRET, Manifest
from velero_vmservice.vmoperator import virtual_machine
from velero_vmservice.vsphere.extra_config import Key
from velero_vmservice.vsphere.record import MAX_TEXT, UnusableRecord, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WITHHELD: Final = "(withheld)"
MOST_OBJECTS: Final = 100
"""A VM is bootstrapped from a handful of Secrets and ConfigMaps."""

_SEPARATOR: Final = "\n---\n"
"""VM Operator's, between two objects (backup.go)."""
_NAMES: Final = frozenset(
    {"name", "key", "kind", "apiVersion", "rawProperties", "instanceID", "hostName", "domainName"}
)
"""Fields of `spec.bootstrap` that name an object, a key in it, or the VM; `rawProperties` is the name of a Secret."""
_SECRET_FIELDS: Final = ("password", "passwd", "privatekey", "token", "userdata", "scripttext")
"""Parts of the names, in lower case, of fields that hold a secret wherever they are."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BootstrapObject:
    """The name of a recorded Secret or ConfigMap."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def bootstrap_objects(packed: Mapping[Key, str], parse: Callable[[str], object]) -> tuple[BootstrapObject, ...]:
    """Return the names of the recorded bootstrap objects, sorted; `parse` as for `record.judge`.

    Raises `UnusableRecord`, which quotes nothing of the objects, if the value cannot be unpacked or parsed.
    """
    if Key.ADDITIONAL not in packed:
        return ()
    what = f"the list of bootstrap objects in the ExtraConfig ({Key.ADDITIONAL})"
    documents = unpack(packed[Key.ADDITIONAL], what=what, limit=MAX_TEXT).split(_SEPARATOR)
    if len(documents) > MOST_OBJECTS:
        raise UnusableRecord(f"{what} has more than {MOST_OBJECTS} objects, more than a VM is bootstrapped from")
    objects = []
    for number, document in enumerate(documents, start=1):
        if not document.strip():
            continue
        try:
            manifest = Manifest.read(parse(document))
        except InvalidItem as error:
            raise UnusableRecord(f"object {number} of {what} cannot be read: {error.message}") from None
        if manifest.kind_name not in (SECRET.name, CONFIG_MAP.name):
            raise UnusableRecord(f"object {number} of {what} is neither a Secret nor a ConfigMap")
        objects.append(BootstrapObject(kind=manifest.kind_name, namespace=manifest.namespace, name=manifest.name))
    return tuple(sorted(objects))


def shown(vm: Manifest) -> dict[str, Any]:
    """Return a recorded VirtualMachine as it may be shown: sanitised, and what may be secret withheld."""
    content = sanitize(vm).manifest.editable()
    annotations = content["metadata"].get("annotations", {})
    for key in annotations:
        if virtual_machine.is_users(key):
            annotations[key] = WITHHELD
    spec = content.get("spec")
    if isinstance(spec, dict):
        content["spec"] = {
            key: _names_only(value) if key == "bootstrap" else _without_secrets(key, value)
            for key, value in spec.items()
        }
    return content


def _names_only(value: Any, key: str = "") -> Any:
    """Keep the structure and what is a name; withhold every other value."""
    match value:
        case dict():
            return {inner: _names_only(part, inner) for inner, part in value.items()}
        case list():
            return [_names_only(part) for part in value]
        case bool() | None:
            return value
        case _:
            return value if key in _NAMES else WITHHELD


def _without_secrets(key: str, value: Any) -> Any:
    match value:
        case dict():
            return {inner: _without_secrets(inner, part) for inner, part in value.items()}
        case list():
            return [_without_secrets(key, part) for part in value]
        case str() if any(part in str(key).lower() for part in _SECRET_FIELDS):
            return WITHHELD
        case _:
            return value
