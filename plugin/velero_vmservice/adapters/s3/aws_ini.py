"""The dialect of AWS credentials files of the Go SDK, and so of Velero's AWS plugin.

`aws-sdk-go-v2/internal/ini` accepts comments at the end of a line, a section more than once, `:` for `=`, keys in any
case, quotes around a value and lines without meaning. The SDK's `config/shared_config.go` reads one file both as
credentials, where a section is named after its profile, and as configuration, where it is named `profile <name>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Profiles = Mapping[str, Mapping[str, str]]
"""The settings of each profile, with keys in small letters."""

_BLANK: Final = " \t"
_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space in Go."""
_BLANKS: Final = re.compile(f"[{_BLANK}]+")
_COMMENTS: Final = (" #", " ;", "\t#", "\t;")
_ESCAPES: Final = (('\\"', '"'), ("\\'", "'"), ("\\n", "\n"))

_NAMED: Final = "profile "

KEYS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
"""The two keys of an account, and the token of a temporary one."""


def profiles(text: str) -> Profiles:
    """Return the profiles in the text of a file."""
    sections = _sections(text)
    named = {title.removeprefix(_NAMED): held for title, held in sections.items() if title.startswith(_NAMED)}
    plain = {title: held for title, held in sections.items() if not title.startswith(_NAMED)}
    return {title: _merged(named.get(title, {}), plain.get(title, {})) for title in named | plain}


def _merged(named: Mapping[str, str], plain: Mapping[str, str]) -> dict[str, str]:
    """Merge the section of the bare name over `profile <name>`; all keys come from one of the two."""
    whole = all(key in plain for key in KEYS[:2])
    return {**named, **{key: value for key, value in plain.items() if whole or key not in KEYS or not named}}


def _sections(text: str) -> dict[str, dict[str, str]]:
    reader = _Reader()
    for line in text.split("\n"):
        if line.strip(_SPACE) and not line.lstrip(_BLANK).startswith(("#", ";")):
            reader.read(line)
    return reader.sections


class _Reader:
    """Takes line after line; lines before the first section belong to no profile."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, str]] = {}
        self._section: dict[str, str] = {}
        self._key = ""

    def read(self, line: str) -> None:
        """Take a section's title, a setting, a nested setting or the continuation of a value; ignore other lines."""
        title = line.partition("#")[0].partition(";")[0].strip(_SPACE)
        if title.startswith("[") and title.endswith("]"):
            self._key = ""
            self._section = self.sections.setdefault(_BLANKS.sub(" ", title[1:-1].strip(_SPACE), count=1), {})
        elif line[0] not in _BLANK:
            self._set(_setting(_without_comment(line).rstrip(_BLANK)))
        elif setting := _setting(line.lstrip(_BLANK)):
            # Below a key without a value, such as `s3 =`, it is nested and not a setting of the profile.
            if not self._key or self._section[self._key]:
                self._set((setting[0], _without_comment(setting[1]).strip(_SPACE)))
        elif self._key and self._section[self._key]:
            self._section[self._key] += f"\n{line.lstrip(_BLANK)}"

    def _set(self, setting: tuple[str, str] | None) -> None:
        if setting:
            self._key, self._section[setting[0]] = setting


def _without_comment(line: str) -> str:
    for mark in _COMMENTS:
        line = line.partition(mark)[0]
    return line


def _setting(line: str) -> tuple[str, str] | None:
    """Split `key = value` or `key: value`, whichever sign comes first."""
    signs = [sign for sign in "=:" if sign in line]
    if not signs:
        return None
    key, _, value = line.partition(min(signs, key=line.index))
    return key.strip(_SPACE).lower(), _unquoted(value.strip(_SPACE))


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    for escape, character in _ESCAPES:
        value = value.replace(escape, character)
    return value
