"""What isolation is made of."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """What a job can be kept from."""

    FILESYSTEM = "filesystem"  # reading or writing files of the host
    NETWORK = "network"  # any network but the places on its list
    PIDS = "pids"  # seeing, signalling or outnumbering processes
    MEMORY = "memory"  # taking more memory than it may
    DISK = "disk"  # filling a disk
    SYSCALLS = "syscalls"  # asking the kernel for what no job needs
