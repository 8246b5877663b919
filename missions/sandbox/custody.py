"""One job in the supervisor's hands, from its client's first word until nothing of it is left.

    job → (ready → go) → started → ended

The client copies the workspace in between `ready` and `go`, through an open folder that comes with `ready`. Imports
nothing of Django.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from missions.sandbox import confining, frames
from missions.sandbox.cgroups import Group
from missions.sandbox.confining import Setting
from missions.sandbox.surroundings import Surroundings

STREAMS = 3
CHILD = re.compile(rb'"child-pid": (\d+)\s*[,}]')
Act = Callable[[], None]
Watch = Callable[[socket.socket | int, Act], Act]  # given what to call; gives what ends it


class Refused(Exception):
    """This job can not be run."""


class Custody:
    """Belongs to one connection; all of it happens in the supervisor's one thread."""

    def __init__(self, connection: socket.socket, surroundings: Surroundings, watch: Watch) -> None:
        self.pid = 0  # of bubblewrap, until it is reaped
        self.deadline = float("inf")
        self.tries = 0  # to clear it away
        self._connection, self._around, self._watch = connection, surroundings, watch
        self._setting: Setting | None = None
        self._streams: list[int] = []
        self._place: Path | None = None
        self._group: Group | None = None
        self._info = b""
        self._init: int | None = None  # a pidfd of the first process inside
        self._wall, self._begun, self._status = 0.0, 0.0, 0
        self._killed_for = ""
        self._over = self._told = False
        self._followed: dict[str, tuple[Act, Act]] = {}

    def tell(self, message: dict[str, Any], files: tuple[int, ...] = ()) -> None:
        """Send a frame to the client, if it still listens."""
        with contextlib.suppress(OSError):
            frames.send(self._connection, message, files)

    def heard(self, message: dict[str, Any], files: list[int]) -> None:
        """A frame of the client. Raises Refused, OSError."""
        if "job" in message and self._setting is None:
            self._streams = files
            self._prepare(message["job"])
        elif "go" in message and self._setting is not None and not self._begun:
            self._start(self._setting)
        elif "kill" in message:
            self.kill(str(message["kill"])[:20])
        else:
            for file in files:
                os.close(file)
            self.tell({"missing": self._around.told(), "user": self._user})

    @property
    def _user(self) -> int | None:
        return self._around.area.user if self._around.area is not None else None

    # -- Before ------------------------------------------------------------------------------------------------------

    def _prepare(self, job: dict[str, Any]) -> None:
        around = self._around
        if not around.told().keys().isdisjoint({"filesystem", "network"}) or around.area is None:
            raise Refused(" ".join(around.told().values()))
        if len(self._streams) != STREAMS:
            raise Refused("A job comes with three streams.")
        disk = max(int(job["disk_bytes"]), 4096) if job["workspace"] else 0
        self._place = around.area.workspace(disk if around.measures.disk else 1 << 40)
        shown = [
            (around.area.show(self._place, number, source), source) for number, source in enumerate(job["readable"])
        ]
        if around.measures.cgroup and around.tree.folders:
            self._group = around.tree.make(memory=int(job["memory_bytes"]), pids=int(job["pids"]))
        self._wall = float(job["wall_seconds"])
        self._setting = Setting(
            argv=job["argv"], env=job["env"], workspace=str(self._place / "workspace") if disk else "",
            readable=shown, egress=bool(job["egress"]), cpu_seconds=int(job["cpu_seconds"]), disk_bytes=disk,
            user=around.area.user, filter=around.filter, group=self._group, measures=around.measures,
        )  # fmt: skip
        if disk:
            self._ready(self._place / "workspace")
        else:
            self._start(self._setting)

    def _ready(self, workspace: Path) -> None:
        root = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
        self.tell({"ready": True, "user": self._user}, (root,))
        os.close(root)

    def _start(self, setting: Setting) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        info, told_info = os.pipe()
        self._begun = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            streams = (self._streams[0], self._streams[1], self._streams[2])
            confining.become(setting, bwrap=self._around.bwrap, streams=streams, info=told_info, told=theirs)
        theirs.close()
        os.close(told_info)
        self._close_streams()
        if self._wall:
            self.deadline = self._begun + self._wall
        self._follow("child", ours, lambda: self._child_told(ours), ours.close)
        self._follow("info", info, lambda: self._informed(info), lambda: os.close(info))

    def _follow(self, name: str, source: socket.socket | int, act: Act, close: Act) -> None:
        """Call `act` whenever there is something to read, until `_unfollow`, which closes it."""
        unwatch = self._watch(source, act)
        self._followed[name] = (unwatch, close)

    def _unfollow(self, name: str) -> None:
        for act in self._followed.pop(name):
            act()

    def _child_told(self, ours: socket.socket) -> None:
        message, files = frames.receive(ours)
        if message is None:
            self._unfollow("child")
        elif "error" in message:
            self.tell({"refused": f"The job could not be confined: {message['error']}"})
        else:
            self.tell(message, tuple(files))
        for file in files:
            os.close(file)

    def _informed(self, info: int) -> None:
        """bubblewrap says which process is the first inside: whoever kills that one kills all."""
        said = os.read(info, 4096)
        self._info += said
        named = CHILD.search(self._info)  # it comes in pieces
        if said and named is None:
            return
        if named is not None and self.pid and self._init is None:
            self._hold(int(named[1]))
        if not said:  # it has more to say first, and would die of a closed pipe
            self._unfollow("info")
        if self._killed_for:
            self._strike()

    def _hold(self, number: int) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            found = os.pidfd_open(number)
            if _parent(number) == self.pid:
                self._init = found
            else:
                os.close(found)

    # -- After -------------------------------------------------------------------------------------------------------

    def kill(self, why: str) -> None:
        """End it, for this reason; the first one counts."""
        if self._over or self._killed_for:
            return
        self._killed_for, self.deadline = why, float("inf")
        self._strike()

    def _strike(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._init is not None:
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
            elif self.pid:
                os.kill(self.pid, signal.SIGKILL)

    def ended(self, status: int) -> None:
        """bubblewrap was reaped, with this exit code, or a signal as a negative number."""
        self.pid, self._status = 0, status

    def finish(self) -> bool:
        """Clear away and tell how it ended; False while something of it is still there."""
        self.tries += 1
        if self.pid or (self._group is not None and self._group.kill()):
            return False
        self._over = True
        self._tell_end()
        for name in list(self._followed):
            self._unfollow(name)
        self._close_streams()
        if self._init is not None:
            os.close(self._init)
            self._init = None
        place, self._place = self._place, None
        if place is not None and self._around.area is not None:
            self._around.area.remove(place)
        if self._group is not None and not self._group.remove():
            return False
        self._group = None
        return True

    def _tell_end(self) -> None:
        if self._told or not self._begun:
            return
        self._told = True
        if not self._killed_for and self._status and self._group is not None and self._group.out_of_memory():
            self._killed_for = "memory"
        took = time.monotonic() - self._begun
        self.tell({"ended": self._status, "killed_for": self._killed_for, "took_seconds": round(took, 4)})

    def abandon(self) -> None:
        """The supervisor ends: so does the job, whose first process goes with it."""
        self.kill("cancelled")
        if self.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0
        for _ in range(200):
            if self.finish():
                return
            time.sleep(0.005)

    def _close_streams(self) -> None:
        for file in self._streams:
            os.close(file)
        self._streams = []


def _parent(number: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
