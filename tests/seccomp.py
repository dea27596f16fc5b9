"""Seccomp profiles that deny one system call, as a container's runtime installs them: seccomp(2), bpf(4) of BSD."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"memfd_create": 319, "execveat": 322},
    "aarch64": {"memfd_create": 279, "execveat": 281},
}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO, _EPERM = 0x7FFF0000, 0x00050000, 1
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2


def denying(call: str) -> bytes:
    """Return a profile in the kernel's form: the call fails with EPERM, every other one is allowed."""
    number = NUMBERS[platform.machine()][call]
    program = [
        (_LOAD, 0, 0, 0),  # the number of the system call
        (_JUMP_IF_EQUAL, 0, 1, number),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _apply(profile: bytes) -> None:
    """Apply a profile to this process and all that it becomes and starts."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    kernel = ctypes.CDLL(None, use_errno=True)
    program = Program(len(profile) // 8, profile)
    if kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or kernel.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no seccomp profile can be applied")


if __name__ == "__main__":  # python -m tests.seccomp CALL PROGRAM ARGUMENTS
    _apply(denying(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
