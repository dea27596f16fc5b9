# ruff: noqa: INP001 - a script beside its like, not a package
"""Which parts of a Python environment go into the bundle, and which are left out because the plugin never uses them."""

from __future__ import annotations

import sysconfig
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

UNUSED_STANDARD_LIBRARY: Final = frozenset(
    {
        *("__phello__", "config", "curses", "dbm", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "sqlite3"),
        *("test", "this", "tkinter", "turtle", "turtledemo", "unittest", "venv"),
    }
)
"""Modules of the standard library: tests, editors, windows, databases and package installers."""

UNUSED_EXTENSIONS: Final = frozenset(
    {
        *("_curses", "_curses_panel", "_dbm", "_gdbm", "_lsprof", "_sqlite3", "_tkinter", "_xxtestfuzz"),
        *("_interpchannels", "_interpqueues", "_interpreters", "readline", "xxlimited", "xxlimited_35", "xxsubtype"),
        "multidict._testcapi",
    }
)
UNUSED_EXTENSION_PREFIXES: Final = ("_test", "_ctypes_test")

UNUSED_PACKAGES: Final = frozenset(
    {
        *("pip", "setuptools", "wheel", "uv"),
        # The asynchronous half of the Kubernetes client, and its dependencies.
        *("kubernetes/aio", "aiohttp", "aiohttp_retry", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict"),
        *("propcache", "yarl"),
        # The plugin uses the dynamic half of the Kubernetes client: no API class and no model class.
        "kubernetes/client/api",
        *("boto3/examples", "websocket/tests", "pydantic/v1", "pydantic/mypy.py"),
        # Frameworks and gateways of the Prometheus client that the plugin does not use.
        *("prometheus_client/aiohttp", "prometheus_client/bridge", "prometheus_client/django"),
        *("prometheus_client/twisted", "cronsim/explain.py"),
    }
)
"""Paths below site-packages. The rest of these distributions imports without them."""

SERVICES: Final = frozenset({"s3", "sts", "sso", "sso-oidc"})
"""The services whose descriptions botocore needs: the object store and its sources of credentials."""

USED_LEXERS: Final = frozenset({"__init__.py", "_mapping.py", "python.py", "special.py"})
"""Of Pygments' lexers, those with which Rich shows a traceback; the others are for languages that it never shows."""

REAL_FILES: Final = frozenset({"certifi"})
"""Packages that need the path of one of their files; an archive has none to give."""

_SOURCES_FOR_BUILDS: Final = frozenset({".c", ".cpp", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx", ".typed"})
_METADATA: Final = frozenset({"METADATA", "entry_points.txt"})
"""The files of a distribution's own description that are read: its version and its entry points."""


def standard_library(folder: Path) -> Iterator[PurePosixPath]:
    """Yield the modules of the standard library, relative to its folder, in the same order on every computer."""
    for file in sorted(folder.rglob("*.py")):
        path = PurePosixPath(file.relative_to(folder).as_posix())
        first = path.parts[0]
        left_out = first.removesuffix(".py") in UNUSED_STANDARD_LIBRARY or first.startswith("config-")
        if not left_out and first not in {"site-packages", "dist-packages", "lib-dynload", "__pycache__"}:
            yield path


def packages(folder: Path) -> Iterator[PurePosixPath]:
    """Yield the files of site-packages for the archive: all but extensions and real files."""
    for file in sorted(folder.rglob("*")):
        path = PurePosixPath(file.relative_to(folder).as_posix())
        if file.is_file() and not _is_left_out(path) and path.parts[0] not in REAL_FILES and ".so" not in path.suffixes:
            yield path


def real_files(folder: Path) -> Iterator[tuple[PurePosixPath, PurePosixPath]]:
    """Yield each file that must be in the file system: its paths below site-packages and below `python3.X`."""
    for name in sorted(REAL_FILES):
        for file in sorted((folder / name).rglob("*")):
            path = PurePosixPath(file.relative_to(folder).as_posix())
            if file.is_file() and not _is_left_out(path):
                yield path, path
    data = folder / "botocore" / "data"
    for file in sorted(data.rglob("*")):
        path = PurePosixPath(file.relative_to(data).as_posix())
        if file.is_file() and (len(path.parts) == 1 or path.parts[0] in SERVICES) and "examples" not in path.name:
            yield PurePosixPath("botocore/data", path), PurePosixPath("botocore-data", path)


def extensions(environment: Path, shared: Path) -> Iterator[tuple[str, Path]]:
    """Yield the full name and the file of each extension module in site-packages and `lib-dynload`."""
    for folder in (shared, environment):
        for file in sorted(folder.rglob("*.so")):
            path = PurePosixPath(file.relative_to(folder).as_posix())
            name = ".".join([*path.parts[:-1], path.name.partition(".")[0]])
            unused = name in UNUSED_EXTENSIONS or name.startswith(UNUSED_EXTENSION_PREFIXES)
            if not unused and not _is_left_out(path):
                yield name, file


def paths_of_this_python() -> tuple[Path, Path, Path]:
    """Return the folders of the standard library, its extensions, and site-packages."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    return (
        stdlib,
        Path(sysconfig.get_config_var("DESTSHARED") or stdlib / "lib-dynload"),
        Path(sysconfig.get_path("purelib")),
    )


def _is_left_out(path: PurePosixPath) -> bool:
    prefixes = {"/".join(path.parts[:count]) for count in range(1, len(path.parts) + 1)}
    if prefixes & UNUSED_PACKAGES or "__pycache__" in path.parts or path.suffix in _SOURCES_FOR_BUILDS:
        return True
    if path.parts[:3] == ("kubernetes", "client", "models"):
        return path.name != "__init__.py"
    if path.parts[:2] == ("pygments", "lexers"):
        return path.name not in USED_LEXERS
    if path.parts[0].endswith((".dist-info", "-stubs")):
        distribution = path.parts[0].partition("-")[0]
        return distribution in UNUSED_PACKAGES or path.name not in _METADATA
    if path.parts[0].startswith(("_virtualenv", "distutils-precedence")) or path.suffix == ".pth":
        return True
    return path.parts[:2] == ("botocore", "data")
