"""The process that runs jobs: small, with one thread, and no part of Django. Started by `manage.py up` or a worker.

One connection is one job. Promises: a job ends when its client's connection does, when its time is over, and with this
process; nothing of it is left behind. It listens on a socket in a folder that nobody else may enter, and asks the
kernel who calls.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from missions.sandbox import frames, kernel
from missions.sandbox.cgroups import Tree
from missions.sandbox.confining import Measures
from missions.sandbox.custody import Custody, Refused
from missions.sandbox.surroundings import Surroundings

SOCKET, COMING, LOCK, PLACE = "supervisor.sock", "supervisor.sock.new", "supervisor.lock", "place"
CANARY = "STANDFAST_CANARY"
INHERITED_MOST = 65_536
AGAIN_SECONDS, PATIENCE_SECONDS = 0.005, 60.0  # until what was killed is gone
Ready = Callable[[], None]


class Supervisor:
    """Accepts clients, starts their jobs, reaps them."""

    def __init__(self, folder: Path, surroundings: Surroundings, *, linger: float) -> None:
        self._folder, self._surroundings, self._linger = folder, surroundings, linger
        self._ready = selectors.DefaultSelector()
        self._jobs: dict[socket.socket, Custody] = {}
        self._unfinished: list[Custody] = []  # ended, and not all of it gone yet
        self._idle_since = time.monotonic()
        self._stopping = False

    def serve(self) -> None:
        """Until it is told to end, or nobody came for so long."""
        self._listener, wakeup = self._listen(), self._signals()
        self._ready.register(self._listener, selectors.EVENT_READ, self._accept)
        self._ready.register(wakeup, selectors.EVENT_READ, lambda: self._reap(wakeup))
        while not self._stopping:
            for key, _ in self._ready.select(self._patience()):
                _apart(key.data)
            _apart(self._expire)
        for custody in [*self._jobs.values(), *self._unfinished]:
            _apart(custody.abandon)

    def _listen(self) -> socket.socket:
        folder, coming = os.open(self._folder, os.O_PATH | os.O_DIRECTORY), self._folder / COMING
        coming.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(frames.through(folder, coming.name))
        os.close(folder)
        coming.chmod(0o600)
        listener.listen(64)
        listener.setblocking(False)
        coming.replace(self._folder / SOCKET)  # whoever sees it is let in
        return listener

    def _signals(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self._theirs = theirs  # else it would be closed
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        return ours

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    # -- Clients -------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            if not self._is_ours(connection):
                connection.close()
                return
            connection.setblocking(False)
            custody = self._jobs[connection] = Custody(connection, self._surroundings, self._watch)
            self._ready.register(connection, selectors.EVENT_READ, lambda: self._heard(connection, custody))

    def _is_ours(self, connection: socket.socket) -> bool:
        """Whether the kernel says that it is us, or root, that calls."""
        size = struct.calcsize("3i")
        _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return user in (0, os.geteuid())

    def _heard(self, connection: socket.socket, custody: Custody) -> None:
        try:
            message, files = frames.receive(connection)
            if message is None:
                self._left(connection, custody)
            else:
                custody.heard(message, files)
        except BlockingIOError:
            return
        except (Refused, ValueError, TypeError, KeyError) as error:  # and whatever else is wrong with what it asks
            custody.tell({"refused": f"The job can not be run: {error}"})
        except OSError as error:
            custody.tell({"refused": f"{error.strerror or error}: {error.filename or 'the job'}"})

    def _left(self, connection: socket.socket, custody: Custody) -> None:
        self._ready.unregister(connection)
        connection.close()
        del self._jobs[connection]
        custody.kill("cancelled")
        self._finish(custody)
        self._idle_since = time.monotonic()

    def _watch(self, source: socket.socket | int, act: Ready) -> Ready:
        """Call `act` whenever there is something to read; returns what ends that."""
        self._ready.register(source, selectors.EVENT_READ, act)

        def unwatch() -> None:
            self._ready.unregister(source)

        return unwatch

    # -- Ends ----------------------------------------------------------------------------------------------------------

    def _reap(self, wakeup: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while wakeup.recv(4096):
                continue
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                for custody in [*self._jobs.values(), *self._unfinished]:
                    if custody.pid == found[0]:
                        custody.ended(os.waitstatus_to_exitcode(found[1]))
                        self._finish(custody)

    def _finish(self, custody: Custody) -> None:
        if not custody.finish() and custody not in self._unfinished:
            self._unfinished.append(custody)

    def _expire(self) -> None:
        now = time.monotonic()
        for custody in self._jobs.values():
            if custody.deadline <= now:
                custody.kill("wall")
        self._unfinished = [custody for custody in self._unfinished if not custody.finish()]
        if self._linger and not self._jobs and not self._unfinished and now - self._idle_since > self._linger:
            self._leave()

    def _leave(self) -> None:
        """Close the door first: whoever stands in it then is let in, and whoever comes later starts another one."""
        door, aside = self._folder / SOCKET, self._folder / COMING
        with contextlib.suppress(FileNotFoundError):
            door.replace(aside)
        self._accept()
        self._stopping = not self._jobs
        if self._jobs:
            aside.replace(door)

    def _patience(self) -> float | None:
        if self._unfinished:  # soon, and more seldom the longer the kernel takes to let go
            return AGAIN_SECONDS * min(100, 1 + min(custody.tries for custody in self._unfinished) // 20)
        now = time.monotonic()
        waits = [custody.deadline - now for custody in self._jobs.values() if custody.deadline != float("inf")]
        if self._linger and not self._jobs:
            waits.append(self._idle_since + self._linger - now + AGAIN_SECONDS)
        return max(0.0, min(waits)) if waits else None


def _apart(act: Ready) -> None:
    """Do it; one job's trouble is told, and is not that of the others."""
    try:
        act()
    except Exception:
        traceback.print_exc()


def private(folder: Path) -> Path:
    """The folder, made where it is missing, and nobody else's. Raises PermissionError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.stat(follow_symlinks=False)
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(f"{folder} must be a folder of ours that nobody else may enter (mode 0700)")
    return folder


def _watch_over(tree: Tree, lock: int) -> None:
    """Fork what ends the jobs of a supervisor that was killed: one that was just starting may not know of it yet.

    bubblewrap's first process inside asks to die with its parent only after a while; the control group knows it before.
    """
    reading, writing = os.pipe()  # its other end is closed with this process, however that ends
    if os.fork():
        os.close(reading)
        return
    os.setsid()  # whoever kills our process group means the supervisor
    os.close(lock)
    os.close(writing)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(reading, 1)
    give_up, pause = time.monotonic() + PATIENCE_SECONDS, AGAIN_SECONDS
    while time.monotonic() < give_up and tree.sweep():
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
    os._exit(0)


def main() -> int:
    """Serve until told to end. Where another one serves this folder: wait for its end, or, if lingering, leave."""
    parser = argparse.ArgumentParser(description="Runs jobs in isolation.")
    parser.add_argument("--folder", type=Path, required=True, help="a private folder, for the socket")
    parser.add_argument("--linger", type=float, default=0.0, help="end after so long without a client; 0: never")
    parser.add_argument("--without", action="append", default=[], choices=Measures.__dataclass_fields__,
                        help="switch a measure off: for tests of the others alone")  # fmt: skip
    options = parser.parse_args()
    os.closerange(3, INHERITED_MOST)  # whatever whoever started us had open is no business of ours, still less of a job
    folder = private(options.folder)
    lock = open(folder / LOCK, "w")  # noqa: SIM115  (held as long as this process lives)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if options.linger else 0))
    except BlockingIOError:
        return 0
    os.environ[CANARY] = "in the supervisor's environment"  # the self-test looks for it from inside
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    surroundings = Surroundings.found(folder, Measures(**dict.fromkeys(options.without, False)), folder / PLACE)
    _watch_over(surroundings.tree, lock.fileno())
    try:
        Supervisor(folder, surroundings, linger=options.linger).serve()
    finally:
        surroundings.close()
        (folder / SOCKET).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
