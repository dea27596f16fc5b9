# ruff: noqa: INP001 - a script beside its like, not a package
"""The shared libraries that programs and extension modules need, as this computer's own loader finds them."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_PT_INTERP: Final = 3
_HEADERS_AT, _COUNT_AT = 0x20, 0x36
"""Where a 64-bit ELF file holds the offset of its program headers, and their size and number (elf(5))."""

_NEEDED: Final = re.compile(r"^\s*(\S+) => (?:(/\S+) \(0x[0-9a-f]+\)|not found)$", re.MULTILINE)


def loader(program: Path) -> Path:
    """Return the dynamic loader that a program names; raises `ValueError` if it names none."""
    with program.open("rb") as file:
        start = file.read(64)
        (offset,) = struct.unpack_from("<Q", start, _HEADERS_AT)
        size, count = struct.unpack_from("<HH", start, _COUNT_AT)
        file.seek(offset)
        headers = file.read(size * count)
        for number in range(count):
            kind, _, begin, _, _, length = struct.unpack_from("<IIQQQQ", headers, number * size)
            if kind == _PT_INTERP:
                file.seek(begin)
                return Path(os.fsdecode(file.read(length).rstrip(b"\0")))
    raise ValueError(f"{program} is linked statically")


def needed(loading: Path, files: Iterable[Path]) -> dict[str, Path]:
    """Return the libraries that these files need, by name; raises `ValueError` if one is absent."""
    libraries: dict[str, Path] = {}
    for file in files:
        listed = subprocess.run([loading, "--list", file], check=False, capture_output=True, text=True)  # noqa: S603
        if listed.returncode != 0:  # newer loaders fail if a library is absent
            raise ValueError(f"{file} cannot be loaded here: {listed.stderr.strip()}")
        for name, path in _NEEDED.findall(listed.stdout):
            if not path:
                raise ValueError(f"{file} needs {name}, which is not installed here")
            libraries[name] = Path(path)
    libraries.pop(loading.name, None)
    return libraries | _loaded_by_name(loading, libraries)


def _loaded_by_name(loading: Path, libraries: dict[str, Path]) -> dict[str, Path]:
    """Return libraries that no file is linked to: glibc loads libgcc_s by name when a thread ends early."""
    unwinder = "libgcc_s.so.1"
    if unwinder in libraries or find_library("gcc_s") is None:
        return {}
    beside = (folder / unwinder for folder in (libraries["libc.so.6"].parent, loading.parent))
    return dict.fromkeys([unwinder], next(path for path in beside if path.exists()))
