"""Values that repeat from VM to VM, held once: a namespace of 10,000 is to fit into a sidecar.

Strings from JSON are new for every VM, and so is each small mapping of them. Whatever is handed out here is
shared with others and is never to be changed.
"""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

Value = TypeVar("Value", bound="Hashable")

_REMEMBERED: Final = 2048
"""VMs of one kind come one after the other; labels that name a single VM push each other out."""


@lru_cache(_REMEMBERED)
def shared(value: Value) -> Value:
    """Return the value, the same object for each that equals it."""
    return value


def shared_pairs(mapping: Mapping[str, Value]) -> dict[str, Value]:
    """Return a mapping that equals this one, the same object for each that does."""
    return _pairs(tuple(mapping.items()))


def shared_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, the same object for each that equals them."""
    return _names(tuple(names))


@lru_cache(_REMEMBERED)
def _pairs(pairs: tuple[tuple[str, Value], ...]) -> dict[str, Value]:
    return {intern(key): _once(value) for key, value in pairs}


@lru_cache(_REMEMBERED)
def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(intern, names))


def _once(value: Value) -> Value:
    text: object = value  # a class derived from str cannot be interned
    return cast("Value", intern(text)) if type(text) is str else value
