"""Containers without an image: a root file system that holds what it is given and no more, as Velero's image would be.

No shell, no Python and no C library are in it. The first process of the container is the program itself, its user is
another one, `/tmp` is of 32 MiB and without execution, and everything else that is not said to be writable is not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests import seccomp
from tests.e2e.build import OUTPUT, BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

BUNDLE = OUTPUT.with_name("bundle") / "plugins"

_AS_ROOT: list[str] = [] if os.geteuid() == 0 else ["sudo", "-n"]
_ENTER = """
set -e
[ -z "$1" ] || echo "$1" > /proc/sys/vm/memfd_noexec
mount -t tmpfs -o noexec,nosuid,nodev,size=32m,mode=1777 scratch "$2"
exec 9< "$3"
shift 3
exec bwrap "$@"
"""


def bundle() -> Path:
    """Return the built bundle, or say how to build it."""
    if not BUNDLE.exists():
        raise BuildError("the bundle is not built yet; run `make bundle`")
    return BUNDLE


def contained(
    argv: list[str | Path],
    environment: Mapping[str, str],
    *,
    scratch: Path,
    writable: Iterable[Path] = (),
    readable: Iterable[Path] = (),
    volumes: Mapping[str, Path] | None = None,
    image: Path | None = None,
    user: int = 1002,
    memory_files: str = "",
    denied: str = "",
) -> list[str | Path]:
    """Return the command that runs `argv` in a container.

    Args:
        argv: the program and its arguments.
        environment: its whole environment.
        scratch: an empty folder, for what becomes `/tmp`.
        writable: folders that it may write to, seen under their own path.
        readable: files and folders that it may read, likewise.
        volumes: folders that it may write to, by the path that it sees.
        image: the root file system of an image, all of which is seen read-only but `/tmp`.
        user: whose processes these are, inside.
        memory_files: `vm.memfd_noexec` of the container; `2` forbids executable files in memory.
        denied: a system call that the container's seccomp profile denies.
    """
    mounts = [("--ro-bind", path, f"/{path.name}") for path in (image.iterdir() if image else ()) if path.name != "tmp"]
    mounts += [("--ro-bind", path, path) for path in readable] + [("--bind", path, path) for path in writable]
    mounts += [("--bind", path, inside) for inside, path in (volumes or {}).items()]
    return [
        *_AS_ROOT,
        *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", _ENTER, "sh"),
        *(memory_files, scratch, _seccomp_profile(scratch, denied) if denied else "/dev/null"),
        *(("--seccomp", "9") if denied else ()),
        *("--unshare-user", "--unshare-pid", "--as-pid-1", "--die-with-parent", "--cap-drop", "ALL"),
        *("--uid", str(user), "--gid", str(user), "--proc", "/proc", "--dev", "/dev", "--bind", scratch, "/tmp"),
        *(word for mount in mounts for word in mount),
        *("--remount-ro", "/", "--clearenv"),
        *(word for name, value in environment.items() for word in ("--setenv", name, value)),
        *("--", *argv),
    ]


def _seccomp_profile(scratch: Path, denied: str) -> Path:
    profile = scratch.with_name(f"{scratch.name}.seccomp")
    profile.write_bytes(seccomp.denying(denied))
    return profile
