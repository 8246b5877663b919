"""Who a worker process is on its host, and how a peer on the same host ends it when it hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

QUARANTINE, STARTER = 1398096467, 1398096468  # roles, one a host: runs missions in quarantine; starts the one that does


@dataclass(frozen=True, slots=True)
class Identity:
    """A process beyond doubt: host, boot and pid namespace, pid, and its start in clock ticks since boot."""

    host: str
    boot_id: str
    pid: int
    pid_started: int


def _started(pid: int) -> int:
    """The start time of a process in clock ticks since boot; 0 where the host has no /proc or no such process."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def _boot_id() -> str:
    boot = namespace = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:36]
        namespace = os.readlink("/proc/self/ns/pid").partition("[")[2].rstrip("]")
    return f"{boot}/{namespace}"


def identity() -> Identity:
    """This process."""
    host = settings.MISSIONS_HOST or socket.gethostname()
    return Identity(host[:200], _boot_id(), os.getpid(), _started(os.getpid()))


def end_process(other: Identity) -> bool:
    """SIGKILL the process if it runs here and is still the same one; whether it was killed."""
    me = identity()
    same_host = (me.host, me.boot_id) == (other.host, other.boot_id) and other.pid != me.pid
    if not same_host or not other.pid_started or _started(other.pid) != other.pid_started:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(other.pid, signal.SIGKILL)
        return True
    return False
