"""System calls that Python 3.11 has no words for. Linux only; imports nothing of the project."""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from typing import Any

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_PRIVATE, MNT_DETACH = 16384, 1 << 18, 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
OPENAT2 = 437  # the same number on every architecture
NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 1, 2, 4, 8


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError."""
    words: list[Any] = [source.encode(), target.encode(), kind.encode()]
    _checked(_libc().mount(*words, ctypes.c_ulong(flags), data.encode()), target)


def unmount(target: str) -> None:
    """umount2(2); who still has it open keeps it alive. Raises OSError."""
    _checked(_libc().umount2(target.encode(), MNT_DETACH), target)


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _checked(_libc().unshare(flags), "unshare")


def prctl(option: int, value: int) -> None:
    """prctl(2) with one value. Raises OSError."""
    _checked(_libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def open_beneath(folder: int, path: str, flags: int) -> int:
    """openat2(2): a path below an open folder, through no link and onto no other file system. Raises OSError."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, BENEATH | NO_SYMLINKS | NO_MAGICLINKS | NO_XDEV)
    number = _libc().syscall(OPENAT2, folder, os.fsencode(path), how, ctypes.c_size_t(len(how)))
    return _checked(number, path)
