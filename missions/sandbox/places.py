"""Where the supervisor mounts what its jobs see: in a mount namespace of its own, so that nothing is left of it.

As root, jobs run as a user that nobody else is; else as ourselves, in a user namespace. Owns a folder
standfast-sandbox-… in /run, or for an ordinary user beside its socket, which is empty to everybody else. Imports
nothing of Django.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from missions.sandbox import kernel

PREFIX = "standfast-sandbox-"
GROUNDS = ("/run", "/var/lib")
UNUSED = range(60_600, 61_184)  # belongs to nobody by the ranges that distributions and systemd hand out
FILES_MOST = 10_240  # names in one workspace: a little more than what is kept of it
AREA_BYTES = 1024 * 1024


def job_user() -> int | None:
    """Whom jobs run as: the first uid that no account has; None where we are not root and can not change it."""
    if os.geteuid() != 0:
        return None
    for number in UNUSED:
        try:
            pwd.getpwuid(number)
        except KeyError:
            return number
    raise RuntimeError("every uid from 60600 to 61183 has an account; none is left for jobs")


@dataclass(frozen=True, slots=True)
class Area:
    """The folder below which everything is mounted, and whom it belongs to."""

    root: Path
    user: int | None

    def workspace(self, size: int) -> Path:
        """A new file system of that size, in memory, with its folder beside it for what is readable. Raises OSError."""
        found = self.root / secrets.token_hex(8)
        found.mkdir(mode=0o711)
        if size:
            (found / "workspace").mkdir()
            owner = os.geteuid() if self.user is None else self.user
            group = os.getegid() if self.user is None else self.user
            options = f"size={size},nr_inodes={FILES_MOST},mode=0700,uid={owner},gid={group}"
            kernel.mount(
                "workspace", str(found / "workspace"), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options
            )
        return found

    def show(self, place: Path, number: int, source: str) -> str:
        """Where a folder of the host can be read by a job's user, whatever lies above it. Raises OSError."""
        if self.user is None:
            return source
        target = place / f"readable-{number}"
        if os.path.isdir(source):
            target.mkdir()
        else:
            target.touch()
        kernel.mount(source, str(target), "", kernel.MS_BIND)
        quiet = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("", str(target), "", quiet)
        return str(target)

    def remove(self, place: Path) -> None:
        """Take one job's mounts away; who has a file open there keeps it until it is closed."""
        for mounted in sorted(place.iterdir()):
            with contextlib.suppress(OSError):  # what is no mount
                kernel.unmount(str(mounted))
            with contextlib.suppress(OSError):
                mounted.rmdir() if mounted.is_dir() else mounted.unlink()
        place.rmdir()

    def close(self) -> None:
        """Leave nothing."""
        with contextlib.suppress(OSError):
            kernel.unmount(str(self.root))
        with contextlib.suppress(OSError):
            self.root.rmdir()


def enter(remembered: Path, *, drop: bool = True) -> Area:
    """Take a mount namespace of our own and a folder in it; `remembered` names the folder, also after a kill.

    Raises OSError where neither root nor a user namespace is to be had.
    """
    user = job_user() if drop else None
    with contextlib.suppress(OSError):
        left = Path(remembered.read_text())
        if left.name.startswith(PREFIX):
            left.rmdir()
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_ground(remembered.parent, user)))
    remembered.write_text(str(root))
    _own_namespace()
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    quiet = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("standfast", str(root), "tmpfs", quiet, f"size={AREA_BYTES},mode=0711")
    return Area(root, user)


def _ground(private: Path, user: int | None) -> Path:
    """Where the job's user may come, and nobody clears up: removing the folder would take our mounts with it."""
    if user is None:
        return private
    return next((place for place in map(Path, GROUNDS) if place.is_dir() and os.access(place, os.W_OK)), Path("/tmp"))


def _own_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        kernel.unshare(kernel.CLONE_NEWNS)
        return
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
