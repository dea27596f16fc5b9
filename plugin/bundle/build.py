# ruff: noqa: INP001 - a script, not a package
"""Build the bundle: the launcher, and a Python with the plugin that needs nothing from its host.

Run this with the Python to bundle, in an environment that holds only the plugin and its dependencies. The result is the
content of Velero's plugins directory:

    velero-plugin-for-vmservice             the launcher, the only file with an execute bit
    velero-plugin-for-vmservice.runtime/
        current                             the name of the folder in use
        0123456789abcdef/                   named by the digest of its content
            loader, python                  the C library's loader and the interpreter
            lib/                            shared libraries, and all modules in one archive
            lib/python3.X/                  files that code opens by path
            extensions/                     extension modules, by their full names

There are few files because some versions of Velero log a warning for each one without an execute bit.
"""

from __future__ import annotations

import argparse
import py_compile
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

sys.path.insert(0, str(Path(__file__).parent))

import contents
import libraries

from velero_vmservice.rpc.bundle import CURRENT, RUNTIMES, digest
from velero_vmservice.vmoperator.marks import PLUGIN_NAME

VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURES: Final = {62: "amd64", 183: "arm64"}
"""Names of architectures by the processor's number in an ELF file."""

_OLDEST: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, the earliest that a zip file can hold, so that builds are reproducible."""
_FILE, _FOLDER = 0o100644 << 16, (0o040755 << 16) | 0x10


def build(into: Path) -> Path:
    """Build the bundle into an empty or absent folder and return the runtime's; raises `ValueError` or `OSError`."""
    stdlib, shared, environment = contents.paths_of_this_python()
    program = Path(sys.executable).resolve()
    making = into / RUNTIMES / "making"
    making.mkdir(parents=True)

    extensions = dict(contents.extensions(environment, shared))
    loading = libraries.loader(program)
    _copy(program, making / "python")
    _copy(loading, making / "loader")
    for name, file in libraries.needed(loading, [program, *extensions.values()]).items():
        _copy(file, making / "lib" / name)
    for name, file in extensions.items():
        _copy(file, making / "extensions" / f"{name}.so")
    for source, target in contents.real_files(environment):
        _copy_real(environment / source, making / "lib" / f"python{VERSION}" / target)
    _archive(making / "lib" / f"python{VERSION.replace('.', '')}.zip", stdlib, environment)

    runtime = making.rename(making.with_name(digest(making)))
    (into / RUNTIMES / CURRENT).write_text(f"{runtime.name}\n")
    launchers = environment / "velero_vmservice" / "launcher_bin"
    _copy(launchers / ARCHITECTURES[program.read_bytes()[18]], into / PLUGIN_NAME, mode=0o755)
    return runtime


def _copy(source: Path, target: Path, *, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _copy_real(source: Path, target: Path) -> None:
    """Copy a file to a place beside the archive; of a module only the bytecode."""
    if source.suffix != ".py":
        _copy(source, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        target.with_suffix(".pyc").write_bytes(_compiled(source, PurePosixPath(target.name), Path(scratch)))


def _archive(target: Path, stdlib: Path, environment: Path) -> None:
    """Store all modules, compiled, and their data in one archive, uncompressed: it is read faster and needs no zlib."""
    modules = {path: stdlib / path for path in contents.standard_library(stdlib)}
    modules |= {path: environment / path for path in contents.packages(environment)}
    modules[PurePosixPath("vmservice_start.py")] = Path(__file__).with_name("start.py")
    folders = {parent for path in modules for parent in path.parents if parent.parts}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive, tempfile.TemporaryDirectory() as scratch:
        for folder in sorted(folders | {PurePosixPath("google/_upb")}):  # a folder with nothing but an extension
            _add(archive, f"{folder}/", b"", _FOLDER)
        for path, file in sorted(modules.items()):
            if path.suffix == ".py":
                _add(archive, f"{path}c", _compiled(file, path, Path(scratch)), _FILE)
            else:
                _add(archive, str(path), file.read_bytes(), _FILE)
    target.chmod(0o644)


def _compiled(file: Path, path: PurePosixPath, scratch: Path) -> bytes:
    """Return a module's bytecode, with the path that a traceback shows; Python never compares it with a source."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compiled = scratch / "module.pyc"
    py_compile.compile(str(file), str(compiled), dfile=str(path), doraise=True, invalidation_mode=unchecked)
    return compiled.read_bytes()


def _add(archive: zipfile.ZipFile, name: str, content: bytes, attributes: int) -> None:
    entry = zipfile.ZipInfo(name, _OLDEST)
    entry.external_attr = attributes
    archive.writestr(entry, content)


def main() -> None:
    """Build into a folder, which is emptied first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args()
    shutil.rmtree(options.into, ignore_errors=True)
    runtime = build(options.into)
    files = [file for file in options.into.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    print(f"{runtime}: {len(files)} files, {size / 1e6:.1f} MB")  # noqa: T201 - a script's answer


if __name__ == "__main__":
    main()
