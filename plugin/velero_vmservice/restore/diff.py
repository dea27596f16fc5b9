"""Does a live object say what is wanted? One-sided: defaults and additions of others do not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from velero_vmservice.kube.manifest import VIRTUAL_MACHINE_SERVICE, mapping
from velero_vmservice.vmoperator import marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from velero_vmservice.kube.manifest import Manifest

_IMMUTABLE: Final = {VIRTUAL_MACHINE_SERVICE.name: frozenset({"spec.type", "spec.clusterIp"})}
"""Refused on update (virtualmachineservice_validator.go, validateAllowedChanges)."""


_WHOLE_ABSENT: Final[dict[str, dict[str, Any]]] = {VIRTUAL_MACHINE_SERVICE.name: {"selector": {}}}
"""Fields that mean something by being absent."""

_WHOLE: Final = frozenset({"spec.selector"})
"""Maps that an addition changes the meaning of: one label more selects fewer VMs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field at which a live object is not as wanted; None stands for a field that is absent."""

    path: str
    wanted: Any
    found: Any


def differences(wanted: Manifest, live: Manifest) -> tuple[Difference, ...]:
    """Return where in spec, labels and annotations a live object differs from the wanted one."""
    labels = {key: value for key, value in wanted.labels.items() if not key.startswith(marks.VELERO_LABEL_PREFIX)}
    return (
        *_unequal(labels, dict(live.labels), "metadata.labels"),
        *_unequal(dict(wanted.annotations), dict(live.annotations), "metadata.annotations"),
        *_unequal({**_WHOLE_ABSENT.get(wanted.kind_name, {}), **wanted.spec}, dict(live.spec), "spec"),
    )


def immutable(kind: str, different: Iterable[Difference]) -> tuple[str, ...]:
    """Return the paths among the differences that cannot be changed on a live object."""
    return tuple(difference.path for difference in different if difference.path in _IMMUTABLE.get(kind, ()))


def change(wanted: Manifest, live: Manifest) -> dict[str, Any]:
    """Return the merge patch that makes a live object say what is wanted, and takes nothing else from it."""
    metadata: dict[str, Any] = {"labels": dict(wanted.labels)}
    if wanted.annotations:
        metadata["annotations"] = dict(wanted.annotations)
    spec = dict(wanted.spec)
    if wanted.kind_name == VIRTUAL_MACHINE_SERVICE.name:
        surplus = mapping(live.spec.get("selector")).keys() - mapping(spec.get("selector")).keys()
        if surplus:
            spec["selector"] = {**mapping(spec.get("selector")), **dict.fromkeys(sorted(surplus))}
    return {"metadata": metadata, "spec": spec}


def _unequal(wanted: Any, live: Any, path: str) -> Iterator[Difference]:
    if live is None and wanted in ({}, [], ""):
        return  # left out when empty
    if path in _WHOLE:
        if (wanted or {}) != (live or {}):
            yield Difference(path=path, wanted=wanted, found=live)
    elif isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            yield from _unequal(value, live.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, (wanted_item, live_item) in enumerate(zip(wanted, live, strict=True)):
            yield from _unequal(wanted_item, live_item, f"{path}[{index}]")
    elif wanted != live:
        yield Difference(path=path, wanted=wanted, found=live)
