# ruff: noqa: INP001 - a script beside its like, not a package
"""List the components of the bundle: a CycloneDX document, from uv's export of the lock file.

Run this with the bundle's Python. Components that the bundle leaves out are removed from the export. Components that no
lock file knows are added: the interpreter, and the packages of the shared libraries that came with it.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).parent))

import contents
import libraries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_DPKG: Final = shutil.which("dpkg-query")
_FIELDS: Final = "${Version} ${Architecture}\n"


def described(export: dict[str, Any], *, installed: Collection[str], added: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return an export reduced to the components that are installed and used, plus those added."""
    unused = {name.replace("_", "-") for name in contents.UNUSED_PACKAGES}
    components = [part for part in export["components"] if part["name"] in installed and part["name"] not in unused]
    root = export["metadata"]["component"]["bom-ref"]
    kept = {root, *(part["bom-ref"] for part in components)}
    dependencies = [
        entry | {"dependsOn": [reference for reference in entry.get("dependsOn", []) if reference in kept]}
        for entry in export["dependencies"]
        if entry["ref"] in kept
    ]
    return export | {"components": components + list(added), "dependencies": dependencies}


def interpreter() -> dict[str, Any]:
    """Return the component that is this Python."""
    version = platform.python_version()
    return _component("application", "python", version, f"pkg:generic/python@{version}")


def packages_of_libraries() -> Iterator[dict[str, Any]]:
    """Yield the Debian packages of the loader and the shared libraries; none if the system is not Debian."""
    stdlib, shared, environment = contents.paths_of_this_python()
    program = Path(sys.executable).resolve()
    loading = libraries.loader(program)
    extensions = [file for _, file in contents.extensions(environment, shared)]
    files = [loading, *libraries.needed(loading, [program, *extensions]).values()]
    own = {stdlib, environment, Path(sysconfig.get_config_var("LIBDIR"))}
    packages = {name for file in files if file.parent not in own for name in _owners(file)}
    for name in sorted(packages):
        shown = _asked("--show", "--showformat", _FIELDS, name)
        for version, architecture in (line.split() for line in shown.splitlines()):
            plain = name.partition(":")[0]
            purl = f"pkg:deb/debian/{quote(plain)}@{quote(version)}?arch={architecture}"
            yield _component("library", plain, version, purl)


def _owners(file: Path) -> Iterator[str]:
    """Yield the package that owns a file; the system's database may know either of its two paths."""
    for path in (file.resolve(), Path(str(file.resolve()).removeprefix("/usr"))):
        for line in _asked("--search", str(path)).splitlines():
            yield line.partition(": ")[0]


def _asked(*arguments: str) -> str:
    if _DPKG is None:
        return ""
    return subprocess.run([_DPKG, *arguments], check=False, capture_output=True, text=True).stdout  # noqa: S603


def _component(kind: str, name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def main() -> None:
    """Print the document for an export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    options = parser.parse_args()
    installed = {distribution.name.lower().replace("_", "-") for distribution in distributions()}
    export = json.loads(options.export.read_text())
    document = described(export, installed=installed, added=[interpreter(), *packages_of_libraries()])
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
