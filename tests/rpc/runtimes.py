"""A small runtime beside the launcher: the tests' own Python in a runtime's layout, with the small actions."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from velero_vmservice.rpc.bundle import CURRENT, RUNTIMES

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]

START = """
import os, sys
sys.path[:] = {path!r}

def main():
    if os.environ.get("DAEMON") == "broken":
        print('{{"@level":"error","@message":"cannot serve"}}', file=sys.stderr)
        sys.exit(1)
    from tests.rpc import daemon
    daemon.main(sys.argv[1:])
"""


def tool(name: str) -> ModuleType:
    """Return a module of the bundle's build tool."""
    folder = str(ROOT / "plugin" / "bundle")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


def put_runtime(plugins: Path, name: str = "0123456789abcdef") -> Path:
    """Put a runtime into a plugins directory; its files carry no execute bit."""
    libraries = tool("libraries")
    home = plugins / RUNTIMES / name
    stdlib = Path(sysconfig.get_path("stdlib"))
    (home / "lib" / stdlib.name).parent.mkdir(parents=True)
    program = Path(sys.executable).resolve()
    loader = libraries.loader(program)
    copies = {"python": program, "loader": loader}
    extensions = list((stdlib / "lib-dynload").glob("*.so"))
    needed = libraries.needed(loader, [program, *extensions, *_extensions_of_packages()])
    copies |= {f"lib/{library}": file for library, file in needed.items()}
    for target, source in copies.items():
        shutil.copyfile(source, home / target)
    (home / "lib" / stdlib.name).mkdir()
    for entry in stdlib.iterdir():
        (home / "lib" / stdlib.name / entry.name).symlink_to(entry)
    path = [str(ROOT), *(entry for entry in sys.path if entry and Path(entry).exists())]
    (home / "lib" / stdlib.name / "vmservice_start.py").write_text(START.format(path=path))
    (plugins / RUNTIMES / CURRENT).write_text(f"{name}\n")
    return home


def daemons(plugins: Path) -> list[int]:
    """Return the processes that serve a plugins directory."""
    return [pid for pid, command in _processes() if b"--claim" in command and f"{plugins}/".encode() in command]


def keepers(plugins: Path) -> list[int]:
    """Return the processes that keep a daemon of a plugins directory: launchers with a session of their own."""
    running = [pid for pid, _ in _processes() if _executable(pid) == plugins / "velero-plugin-for-vmservice"]
    return [pid for pid in running if _session(pid) == pid]


def state(pid: int) -> str:
    """Return the state of a process, `Z` for one that its parent has not reaped; "" for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _extensions_of_packages() -> list[Path]:
    packages = Path(sysconfig.get_path("purelib"))
    return [*packages.glob("grpc/_cython/*.so"), *packages.glob("google/_upb/*.so"), *packages.glob("orjson/*.so")]


def _processes() -> list[tuple[int, list[bytes]]]:
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                processes.append((int(entry.name), (entry / "cmdline").read_bytes().split(b"\0")))
            except OSError:  # it has ended meanwhile
                continue
    return processes


def _executable(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/exe").readlink()
    except OSError:
        return None


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
