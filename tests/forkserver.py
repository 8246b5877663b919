"""Python programs as forks of one process that has imported what they all import; they start in a quarter of the time.

Owns that process, one for each test process, and `Program`, which stands for a fork as `subprocess.Popen` does for a
fresh process. Promises: what runs is the same code from its first line, with the given environment, arguments and
files, as a process of its own in a session of its own; only libraries are in memory already, nothing of the project.
"""

from __future__ import annotations

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
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
Stream = int  # a file descriptor


class Program:
    """A Python program that runs. `words` are what would follow `python` on a command line."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], *, out: Stream, err: Stream) -> None:
        self.returncode: int | None = None  # as `subprocess.Popen` tells it
        self._words, self._told, self._reading = words, b"", threading.Lock()
        self._line, theirs = socket.socketpair()
        with theirs, open("/dev/null", "rb") as nothing:
            _server().fork([theirs.fileno(), nothing.fileno(), out, err])
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
    """The process that forks. It ends when this one does."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._asking = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forks"], cwd=ROOT, stdin=theirs, stdout=subprocess.DEVNULL,
                start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def fork(self, files: list[int]) -> None:
        """Have it fork once; it gets a socket to the caller and the program's three streams."""
        with self._asking:
            socket.send_fds(self._control, [b"."], files)


@functools.cache
def _server() -> _Server:
    return _Server()
