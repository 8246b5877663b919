"""Python programs as forks of a process that has imported what they import; they start in a fraction of the time.

Owns those processes and `Program`, which stands for a fork as `subprocess.Popen` does for a fresh process. One of them,
for each test process, has imported libraries and nothing of the project. Commands of `manage.py` are forks of a nest
(`tests.nest`), which has imported the project in the same environment; the nests used last are kept. Promises: what
runs is the same code from its first line, with the given environment, arguments and files, as a process of its own in
a session of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Stream = int  # a file descriptor
IMPORT_SECONDS = 120
NESTS = 4  # at a time: a system under test has one, or one a host
OWN = ("STANDFAST_CRASH_AT", "PYTEST_CURRENT_TEST")  # what forks of one nest may differ in


_nests: dict[frozenset[tuple[str, str]], _Server | None] = {}  # the one used last comes last
_making = threading.Lock()


class Program:
    """A Python program that runs. `words` are what would follow `python` on a command line."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], *, out: Stream, err: Stream,
        given: Stream | None = None,
    ) -> None:  # fmt: skip
        self.returncode: int | None = None  # as `subprocess.Popen` tells it
        self._words, self._told, self._reading = words, b"", threading.Lock()
        self._line, theirs = socket.socketpair()
        with theirs, open(os.devnull, "rb") as nothing:
            _server(words, environment).fork([theirs.fileno(), nothing.fileno() if given is None else given, out, err])
        self._line.sendall(json.dumps({"words": words, "environment": dict(environment)}).encode())
        self._line.shutdown(socket.SHUT_WR)
        self.pid = int(self._next(None))

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        with self._reading:
            if self.returncode is None:
                try:
                    self._end(self._next(0))
                except BlockingIOError:
                    return None
        return self.returncode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit status once it has ended. Raises subprocess.TimeoutExpired."""
        end = None if seconds is None else time.monotonic() + seconds
        while (status := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(list(self._words), seconds or 0)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def _next(self, seconds: float | None) -> int:
        """The next number that the fork's keeper tells. Raises BlockingIOError."""
        self._line.settimeout(seconds)
        while b"\n" not in self._told:
            some = self._line.recv(64)
            if not some:
                raise ChildProcessError(f"the fork server does not keep {list(self._words)}")
            self._told += some
        line, self._told = self._told.split(b"\n", 1)
        return int(line)

    def _end(self, status: int) -> None:
        self.returncode = status
        self._line.close()


def run(words: Sequence[str], environment: Mapping[str, str], *, seconds: float) -> subprocess.CompletedProcess[str]:
    """What a Python program did, with all that it printed. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        status = Program(words, environment, out=out.fileno(), err=err.fileno()).wait(seconds)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(list(words), status, out.read(), err.read())


class _Server:
    """A process that forks. It ends when this one does, or closes it."""

    def __init__(self, start: Callable[[socket.socket], Any]) -> None:
        self._control, theirs = socket.socketpair()
        self._asking = threading.Lock()
        with theirs:
            self._process = start(theirs)

    def is_ready(self) -> bool:
        """Once it has imported all: whether it could."""
        self._control.settimeout(IMPORT_SECONDS)
        with contextlib.suppress(ConnectionResetError):
            return self._control.recv(1) != b""
        return False

    def fork(self, files: list[int]) -> None:
        """Have it fork once; it gets a socket to the caller and the program's three streams."""
        with self._asking:
            socket.send_fds(self._control, [b"."], files)

    def close(self) -> None:
        """Let it end; its forks go on."""
        self._control.close()
        self._process.wait(IMPORT_SECONDS)


def _server(words: Sequence[str], environment: Mapping[str, str]) -> _Server:
    """Who forks this. Without a nest, what the environment does to the project's settings shows in the program."""
    nested = words[0] == "manage.py" and "qcluster" not in words  # for which settings differ
    return (_nest(environment) if nested else None) or _libraries()


@functools.cache
def _libraries() -> _Server:
    def start(theirs: socket.socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.forks"], cwd=ROOT, stdin=theirs, stdout=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    server = _Server(start)
    atexit.register(server.close)
    atexit.register(_leave, 0)  # what was registered last comes first
    return server


def _nest(environment: Mapping[str, str]) -> _Server | None:
    """The nest of this environment; None where the project can not be imported in it."""
    given = {name: value for name, value in environment.items() if name not in OWN}
    key = frozenset(given.items())
    with _making:
        if key not in _nests:
            _nests[key] = _make_nest(given)
        _nests[key] = found = _nests.pop(key)  # the last one of them
        _leave(NESTS)
    return found


def _leave(most: int) -> None:
    """Keep so many nests at most."""
    while len(_nests) > most:
        unused = _nests.pop(next(iter(_nests)))
        if unused is not None:
            unused.close()


def _make_nest(environment: Mapping[str, str]) -> _Server | None:
    with open(os.devnull, "r+b") as nothing:
        silent = nothing.fileno()
        words = ["-m", "tests.nest"]
        nest = _Server(lambda theirs: Program(words, environment, out=silent, err=silent, given=theirs.fileno()))
    if nest.is_ready():
        return nest
    nest.close()
    return None
