"""YAML of a record, parsed in bounded memory and time.

The text was unpacked from a VM's ExtraConfig and may be hostile. It is read twice: first as events, to count the size
of the document, and only then as values. VM Operator writes JSON in the form of YAML, without tags, anchors or dates.
So strings that YAML would take for dates, octal or sexagesimal numbers stay strings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import yaml

from velero_vmservice.errors import InvalidItem

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml: the same, slower
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

MAX_NODES: Final = 20_000
"""Keys and values, aliases expanded: a large VirtualMachine with its status has about 2,000."""
MAX_DEPTH: Final = 64
"""A VirtualMachine is a dozen levels deep; each level of a document costs the parser a level of its stack."""
MAX_ALIASES: Final = 100
"""VM Operator writes no aliases; other writers share a few equal label maps that way."""

_HINT: Final = "restore the VM from another restore point"


class _Loader(_SafeLoader):
    """Resolves only the types of JSON."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]{0,18})", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def parse_record(text: str) -> object:
    """Return the one document of a text; raises `InvalidItem` if it is not YAML, or beyond a limit."""
    try:
        _measure(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with even fewer types
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidItem(f"it is not YAML{where}", hint=_HINT) from None
    except (yaml.YAMLError, ValueError):
        raise InvalidItem("it is not YAML", hint=_HINT) from None


def _measure(text: str) -> None:
    """Refuse a document that would grow beyond the limits."""
    growth = _Growth()
    for event in _events(text):
        match event:
            case yaml.CollectionStartEvent():
                growth.open(event.anchor)
            case yaml.CollectionEndEvent():
                growth.close()
            case yaml.AliasEvent():
                growth.repeat(event.anchor or "")
            case yaml.ScalarEvent():
                growth.add(1, event.anchor)


class _Growth:
    """Counts the nodes of a document with all aliases expanded."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        """Nodes behind each anchor; an anchor that is still open has none."""
        self._open: list[tuple[str | None, int]] = []
        """Anchor of each open collection, and the nodes in it so far."""
        self._total = 0
        self._aliases = 0

    def open(self, anchor: str | None) -> None:
        self._sizes.pop(anchor or "", None)  # from here on the anchor is this collection's
        self._open.append((anchor, 0))
        if len(self._open) > MAX_DEPTH:
            raise InvalidItem(f"it is nested deeper than {MAX_DEPTH} levels", hint=_HINT)

    def close(self) -> None:
        anchor, size = self._open.pop()
        self._total -= size  # its content is counted with it
        self.add(1 + size, anchor)

    def repeat(self, anchor: str) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise InvalidItem(f"it has more than {MAX_ALIASES} aliases", hint=_HINT)
        if anchor not in self._sizes:
            raise InvalidItem("an alias in it stands for nothing, or for what it is part of", hint=_HINT)
        self.add(self._sizes[anchor], None)

    def add(self, size: int, anchor: str | None) -> None:
        if anchor is not None:
            self._sizes[anchor] = size
        if self._open:
            around, before = self._open[-1]
            self._open[-1] = around, before + size
        self._total += size
        if self._total > MAX_NODES:
            raise InvalidItem(f"it has more than {MAX_NODES} values, its aliases resolved", hint=_HINT)


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield the events of a text, none of them tagged: a tag could call for another kind of value."""
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "tag", None):
            raise InvalidItem("it has YAML tags, which no Kubernetes object needs", hint=_HINT)
        yield event
