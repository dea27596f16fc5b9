# ruff: noqa: INP001 - a script beside the source it compiles, not a package
"""Build the launcher for both architectures with the C compiler that the `ziglang` wheel brings.

A cross-compiler from PyPI needs neither a system compiler nor a C library: the launcher is freestanding, and the
kernel's own headers are in the wheel.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import ziglang

SOURCE = Path(__file__).with_name("launcher.c")
CHECKOUT = SOURCE.parents[2]
PACKAGED = CHECKOUT / "plugin" / "velero_vmservice" / "launcher_bin"
"""Where the wheel takes the binaries from and the installer finds them; ignored by git."""

KERNEL_HEADERS = Path(ziglang.__file__).parent / "lib" / "libc" / "include"
TARGETS = {"amd64": ("x86_64", "x86"), "arm64": ("aarch64", "aarch64")}
"""Architecture as container images name it: the compiler's name, the kernel headers' name."""


def build(architecture: str, binary: Path, *, wait_seconds: int = 50) -> None:
    """Compile one launcher; raises `CalledProcessError` with the compiler's words on standard error."""
    target, headers = TARGETS[architecture]
    cache = str(CHECKOUT / ".build" / "zig")
    binary.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(  # noqa: S603 - the compiler of our own environment, on our own source
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", f"{target}-linux-none"),
            *("-std=c11", "-Wall", "-Wextra", "-Werror", "-Os"),
            *("-ffreestanding", "-nostdlib", "-static", "-s", "-fno-asynchronous-unwind-tables"),
            *("-isystem", KERNEL_HEADERS / f"{headers}-linux-any", "-isystem", KERNEL_HEADERS / "any-linux-any"),
            f"-DWAIT_SECONDS={wait_seconds}",
            *("-o", binary, SOURCE),
        ],
        check=True,
        env=os.environ | {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
    )
    binary.chmod(0o644)  # never executable where it is stored: the installer sets the bit


def main() -> None:
    """Build every architecture into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=PACKAGED)
    parser.add_argument("--wait-seconds", type=int, default=50, help="how long the launcher waits for the sidecar")
    options = parser.parse_args()
    for architecture in TARGETS:
        build(architecture, options.into / architecture, wait_seconds=options.wait_seconds)


if __name__ == "__main__":
    main()
