"""Processes of a system under test: each in a process group of its own, with its output in a file.

Owns starting and ending them. Promises: nothing is ended but by the pid it was started with, and nothing is left over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from tests.forkserver import Program

ROOT = Path(__file__).resolve().parent.parent.parent
POLL_SECONDS = 0.03
Found = TypeVar("Found")


class TookTooLong(AssertionError):
    """Something that a test waits for did not happen."""


def until(what: str, seconds: float, look: Callable[[], Found], tell: Callable[[], object] | None = None) -> Found:
    """The first truthy thing that `look` returns. Raises TookTooLong: what, and what `tell` or `look` saw last."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise TookTooLong(f"{what}: not within {seconds:g} s; last seen: {tell() if tell else found!r}")
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Process:
    """A program that runs: as its command starts it, or a fork of `tests.forkserver` that runs the same command."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, *, forked: bool = False
    ) -> None:
        self.name, self.log = name, log
        self.signalled = False  # whether it was us who ended it
        self._popen: subprocess.Popen[bytes] | Program
        with open(log, "ab") as output:
            if forked and command[0] == sys.executable:
                self._popen = Program(command[1:], environment, out=output.fileno(), err=output.fileno())
            else:
                self._popen = subprocess.Popen(
                    command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                )

    @property
    def pid(self) -> int:
        """Its pid, which is its process group too."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status is None

    def said(self, words: str) -> bool:
        """Whether its log holds these words."""
        return words in self.output

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send it a signal, or its whole group."""
        if self.running:
            self.signalled = self.signalled or number != signal.SIGCONT
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number) if group else os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Its exit status once it has ended. Raises TookTooLong."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TookTooLong(f"{self.name} (pid {self.pid}) still runs after {seconds:g} s") from error

    def kill(self) -> int:
        """SIGKILL, and its exit status."""
        self.signal(signal.SIGKILL)
        return self.wait(10)

    def end(self) -> None:
        """Leave nothing of it."""
        self.signal(signal.SIGKILL, group=True)
        self.wait(10)

    def is_stopped(self) -> bool:
        """Whether SIGSTOP has taken effect."""
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
