"""Patterns in Velero's filters and resource modifiers: those of gobwas/glob v0.2.3 (syntax/lexer).

`*` and `?` stop at a separator if there are separators, `**` does not. Classes are `[abc]`, `[!abc]` and one range
`[a-c]`. `{a,b}` are alternatives, closed by the end of the pattern at the latest. A backslash makes the next character
literal. Python's fnmatch has no braces and reads brackets differently.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN: Final = re.compile(
    r"(?P<super>\*\*)|(?P<any>\*)|(?P<single>\?)|\[(?P<range>[^\]]*)\]|(?P<unclosed>\[)"
    r"|(?P<open>\{)|(?P<close>\})|(?P<comma>,)|\\(?P<escaped>.?)|(?P<text>[^*?\[{},\\]+)",
    re.DOTALL,
)


@lru_cache(maxsize=256)
def compiled(pattern: str, separators: str = "") -> re.Pattern[str] | None:
    """Return the pattern as a regular expression; None for a pattern that Velero cannot read either."""
    single = f"[^{re.escape(separators)}]" if separators else "."
    wildcards = {"super": ".*", "any": f"{single}*", "single": single}
    parts, depth = list[str](), 0
    for token in _TOKEN.finditer(pattern):
        kind = str(token.lastgroup)
        if kind in wildcards:
            parts.append(wildcards[kind])
        elif kind in ("range", "unclosed"):
            chosen = _range(token["range"] or "")
            if not chosen:
                return None
            parts.append(chosen)
        elif kind == "open" or (depth and kind in ("close", "comma")):
            depth += {"open": 1, "close": -1, "comma": 0}[kind]
            parts.append({"open": "(?:", "close": ")", "comma": "|"}[kind])
        else:
            parts.append(re.escape(token[kind]))
    return re.compile("".join(parts) + ")" * depth, re.DOTALL)


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Say whether a name matches one of these; as in Velero, an unreadable pattern hides those that sort behind it."""
    for pattern in sorted(set(patterns)):
        wanted = compiled(pattern)
        if wanted is None:
            return False
        if wanted.fullmatch(name):
            return True
    return False


def is_included(name: str, included: Iterable[str], excluded: Iterable[str]) -> bool:
    """Say whether lists of included and excluded patterns select a name (Velero's IncludesExcludes.ShouldInclude)."""
    wanted = list(included)
    return not matches_any(name, excluded) and (not wanted or "*" in wanted or matches_any(name, wanted))


def _range(inside: str) -> str:
    """Return the class of characters between two brackets; '' if it cannot be read."""
    negated = inside.startswith("!")
    chars = inside[1:] if negated else inside
    if not chars:
        return ""
    if chars[1:2] == "-":
        if len(chars) != len("a-b") or chars[0] > chars[2]:
            return ""
        listed = f"{re.escape(chars[0])}-{re.escape(chars[2])}"
    else:
        listed = re.escape(chars)
    return f"[{'^' if negated else ''}{listed}]"
