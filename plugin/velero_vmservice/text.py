"""The cleaner of foreign text: names, messages and answers from other systems that users read.

A terminal executes control characters, a bidirectional override reverses a command, a zero-width character hides in a
name. Every edge that shows or sends text cleans it here: the command line, `rpc.wire`, `logs`, Events, the report, and
every error. The content of objects is stored unchanged, and cleaned when it is shown.

Text that repeats from VM to VM is held once, so that a namespace of 10,000 VMs fits into a sidecar: strings from JSON
are new for every VM, and so is each small mapping. The results are shared and must never be changed.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from datetime import timedelta

Value = TypeVar("Value", bound="Hashable")

_REMEMBERED: Final = 2048
"""VMs of one kind follow each other; labels that name a single VM displace each other."""
LONGEST_QUOTE: Final = 500
"""The most characters of a foreign message; the rest is a stack trace or an attack."""

_SPACE: Final = "Zs"
_HARMLESS: Final = frozenset("\t\n")
_BLANK_LETTERS: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible characters that are letters or marks in Unicode (Default_Ignorable_Code_Point)."""


def spelled_out(text: str) -> str:
    r"""Return the text with each character that shows nothing as its JSON escape, e.g. `\u202e`.

    Those are control, bidirectional, zero-width and unassigned characters and halves of a surrogate pair; tab, line
    feed and every kind of space stay. JSON text keeps its meaning, and no other character changes.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(sign) if _unseen(sign) else sign for sign in text)


def one_line(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return the text as one line of at most `longest` characters, which ends in `…` if it was cut.

    An unprintable character becomes a space, because an escape would be noise in a quotation of one line.
    """
    head = text[: 4 * longest]  # enough to fill the line, without more work
    line = " ".join("".join(" " if sign.isspace() or _unseen(sign) else sign for sign in head).split())
    if len(line) > longest or len(head) < len(text):
        return f"{line[: longest - 1]}…"
    return line


def on_one_line(text: str) -> str:
    """Return the whole text as one line: a foreign line feed must not begin a line that looks like the plugin's."""
    return spelled_out(text.replace("\n", " ").replace("\t", " "))


def _unseen(sign: str) -> bool:
    if sign.isprintable():
        return _BLANK_LETTERS.match(sign) is not None
    return sign not in _HARMLESS and unicodedata.category(sign) != _SPACE


def _escape(sign: str) -> str:
    """Return the escapes that JSON has for a character, two of them beyond the Basic Multilingual Plane."""
    units = sign.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def age(since: timedelta) -> str:
    """Return an age in its largest unit, as kubectl prints it: `45s`, `12m`, `5h`, `35d`."""
    seconds = max(0, int(since.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def enumerate_some(entries: list[str], *, most: int = 8) -> str:
    """Join with semicolons; a long list is cut, and ends with the number of the rest."""
    shown = "; ".join(entries[:most])
    return f"{shown}; and {len(entries) - most} more" if len(entries) > most else shown


def unended(sentence: str) -> str:
    """Return a sentence without its full stop, so that it can be continued."""
    return sentence.removesuffix(".")


@lru_cache(_REMEMBERED)
def shared(value: Value) -> Value:
    """Return the same object for all equal values."""
    return value


def shared_pairs(mapping: Mapping[str, Value]) -> dict[str, Value]:
    """Return the same object for all equal mappings."""
    return _pairs(tuple(mapping.items()))


def shared_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the same object for all equal tuples of names."""
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
