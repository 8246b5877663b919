"""Control groups: what a job may take of memory, processes and CPU, and whether it took too much.

Version 2 where it has the controllers, else version 1. Owns the groups `standfast-OWNER-…` below the group that this
process is in, and removes those that a killed supervisor of the same owner left. Imports nothing of the project.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "standfast-"
OWN = "standfast:"  # where a supervisor itself is
NEEDED = ("memory", "pids", "cpu")
CPU_PERIOD = 100_000  # microseconds; a job may use one core


@dataclass(slots=True)
class Tree:
    """Where groups can be made: for each controller its folder; the controllers that are not here are missing."""

    version: int
    folders: dict[str, Path]
    owner: str  # other supervisors of this host have groups beside ours

    def make(self, *, memory: int, pids: int) -> Group:
        """A new group with its limits. Raises OSError."""
        name = f"{PREFIX}{self.owner}-{secrets.token_hex(6)}"
        group = Group({control: folder / name for control, folder in self.folders.items()}, self.version)
        for folder in group.places:
            folder.mkdir()
        for control, entry, value in self._limits(memory, pids):
            if control in group.folders and (file := group.folders[control] / entry).exists():
                file.write_text(value)
        return group

    def _limits(self, memory: int, pids: int) -> tuple[tuple[str, str, str], ...]:
        if self.version == 2:
            return (
                ("memory", "memory.max", str(memory)), ("memory", "memory.swap.max", "0"),
                ("memory", "memory.oom.group", "1"), ("pids", "pids.max", str(pids)),
                ("cpu", "cpu.max", f"{CPU_PERIOD} {CPU_PERIOD}"),
            )  # fmt: skip
        return (
            ("memory", "memory.limit_in_bytes", str(memory)), ("memory", "memory.memsw.limit_in_bytes", str(memory)),
            ("pids", "pids.max", str(pids)), ("cpu", "cpu.cfs_quota_us", str(CPU_PERIOD)),
        )  # fmt: skip

    def sweep(self) -> int:
        """Kill and remove what an earlier supervisor of this owner left; how many groups."""
        left = {path.name for folder in self.folders.values() for path in folder.glob(f"{PREFIX}{self.owner}-*")}
        for name in left:
            group = Group({control: folder / name for control, folder in self.folders.items()}, self.version)
            group.kill()
            group.remove()
        return len(left)


@dataclass(slots=True)
class Group:
    """The group of one job, in one folder (version 2) or in one for each controller (version 1)."""

    folders: dict[str, Path]
    version: int
    places: tuple[Path, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.places = tuple(dict.fromkeys(self.folders.values()))

    def enter(self) -> None:
        """Put the calling process in. Raises OSError."""
        for folder in self.places:
            (folder / "cgroup.procs").write_text("0")

    def kill(self) -> bool:
        """Kill whatever is in it; whether anything was."""
        found = {pid for folder in self.places for pid in _processes(folder)}
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(found)

    def remove(self) -> bool:
        """Remove the group; False while the kernel still holds something of it."""
        for folder in self.places:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self.places)

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for want of memory."""
        folder = self.folders.get("memory")
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        return folder is not None and int(_table(folder / name).get("oom_kill", "0")) > 0


def _processes(folder: Path) -> list[int]:
    with contextlib.suppress(OSError):
        found = (int(word) for word in (folder / "cgroup.procs").read_text().split())
        return [pid for pid in found if pid > 0]  # 0: one that is not in our pid namespace, or is gone already
    return []


def _table(file: Path) -> dict[str, str]:
    with contextlib.suppress(OSError):
        return dict(line.split(maxsplit=1) for line in file.read_text().splitlines() if " " in line)
    return {}


def find(owner: str, root: Path = ROOT, own: str = "/proc/self/cgroup") -> tuple[Tree, dict[str, str]]:
    """Where groups can be made, and for each of `NEEDED` that is not to be had, why."""
    ours = _own_groups(Path(own))
    for candidate in (root, root / "unified"):
        controllers = candidate / "cgroup.controllers"
        if controllers.exists() and set(NEEDED) & set(controllers.read_text().split()):
            return _second(owner, candidate, ours.get("", "/"))
    return _first(owner, root, ours)


def _own_groups(file: Path) -> Mapping[str, str]:
    """Controller → the group that this process is in; the empty name is version 2's."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            _, names, path = line.split(":", 2)
            found.update(dict.fromkeys(names.split(","), path))
    return found


def _below(base: Path, own: str) -> Path:
    """Our own group below a mount, or the mount's root where that shows another part of the tree."""
    found = base / own.lstrip("/")
    return found if found.is_dir() else base


def _first(owner: str, root: Path, ours: Mapping[str, str]) -> tuple[Tree, dict[str, str]]:
    folders, missing = {}, {}
    for control in NEEDED:
        folder = _below(root / control, ours.get(control, "/"))
        if os.access(folder, os.W_OK):
            folders[control] = folder
        else:
            missing[control] = f"The control group {folder} can not be written"
    return Tree(1, folders, owner), missing


def _second(owner: str, root: Path, own: str) -> tuple[Tree, dict[str, str]]:
    """Version 2 lets a group that holds processes itself control none below it: so ours move into one of their own."""
    base = _below(root, own)
    if base.name.startswith(OWN):
        base = base.parent
    try:
        given = set((base / "cgroup.controllers").read_text().split())
        for left in base.glob(f"{OWN}*"):
            with contextlib.suppress(OSError):  # another supervisor lives there
                left.rmdir()
        _move_into(base / f"{OWN}{os.getpid()}")
        wanted = [control for control in NEEDED if control in given]
        (base / "cgroup.subtree_control").write_text(" ".join(f"+{control}" for control in wanted))
    except OSError as error:
        why = f"The control group {base} can not be divided ({error.strerror})"
        return Tree(2, {}, owner), dict.fromkeys(NEEDED, why)
    missing = {control: f"The control group {base} has no {control}" for control in NEEDED if control not in given}
    return Tree(2, dict.fromkeys(wanted, base), owner), missing


def _move_into(mine: Path) -> None:
    """Put ourselves into a group of our own. Raises OSError."""
    for last in (False, False, True):
        mine.mkdir(exist_ok=True)
        try:
            (mine / "cgroup.procs").write_text(str(os.getpid()))
            return
        except FileNotFoundError:  # a supervisor that starts at this moment took it for one that is left over
            if last:
                raise
