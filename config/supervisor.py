"""Keeps a set of programs running, and ends them in order.

Owns processes, not what they do. Each program leads a process group of its own: a terminal's Ctrl-C reaches only the
supervisor, and whatever a program forked goes with it. Promises: a program that ends is started again, with growing
pauses; one that its watch calls unhealthy is killed with its whole group first; after SIGTERM each gets its time to
drain; and if the supervisor itself is killed, `config.undertaker` leaves no program behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config import undertaker

FIRST_PAUSE, LONGEST_PAUSE, SETTLED = 0.5, 30.0, 30.0  # seconds
WATCH_EVERY = 5.0
HASTE_AFTER = 1.0  # a second signal sooner than this is the same one, sent to a whole process group


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and how to end it."""

    name: str
    command: tuple[str, ...]
    drain: float  # seconds between SIGTERM and SIGKILL
    stage: int = 0  # lower stages are ended first
    complaint: Callable[[float], Awaitable[str]] | None = None  # given its age in seconds, says what is wrong, or ""


class Supervisor:
    """Runs programs until `stop` is asked for. `say` gets one line for people at each turn of events."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        environment: Mapping[str, str],
        logs: Path | None,
        lock: IO[str],
        say: Callable[[str], None],
    ) -> None:
        self.stopping = asyncio.Event()
        self._haste = asyncio.Event()
        self._programs, self._environment, self._logs, self._lock, self._say = programs, environment, logs, lock, say
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._undertaker: asyncio.subprocess.Process | None = None
        self._told_at = 0.0

    def signalled(self, number: int) -> None:
        """The first signal asks everything to end; a later Ctrl-C ends it at once."""
        now = asyncio.get_running_loop().time()
        if not self.stopping.is_set():
            self._told_at = now
            self._say("stopping; Ctrl-C again to stop at once")
            self.stopping.set()
        elif number == signal.SIGINT and now - self._told_at > HASTE_AFTER:
            self._haste.set()

    async def run(self) -> None:
        """Start all programs, keep them running until `stopping` is set, then end them, stage by stage."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.signalled, number)
        await self._hire()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_undertaker())
            for program in self._programs:
                group.create_task(self._keep(program))
            await self.stopping.wait()
            await self._end_all()
        await self._dismiss()

    # -- One program -------------------------------------------------------------------------------------------------
    async def _keep(self, program: Program) -> None:
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            begun = asyncio.get_running_loop().time()
            process = await self._spawn(program)
            if self.stopping.is_set():  # asked to end while it was being started
                _kill_group(process)
            code = await self._outlive(program, process)
            if self.stopping.is_set():
                return
            pause = FIRST_PAUSE if asyncio.get_running_loop().time() - begun > SETTLED else pause
            self._say(f"{program.name} ended ({_ending(code)}); it starts again in {pause:g} s")
            await _wait(self.stopping, pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        with contextlib.ExitStack() as files:
            output = files.enter_context(_open_log(self._logs, program.name)) if self._logs else None
            process = await asyncio.create_subprocess_exec(
                *program.command, env=dict(self._environment), stdin=asyncio.subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip
        self._running[program.name] = process
        self._tell("+", process.pid)
        return process

    async def _outlive(self, program: Program, process: asyncio.subprocess.Process) -> int:
        """Wait for its end, watching its health; then end what it forked. Returns its exit code."""
        watch = asyncio.create_task(self._watch(program, process))
        code = await process.wait()
        watch.cancel()
        _kill_group(process)
        self._tell("-", process.pid)
        self._running.pop(program.name, None)
        return code

    async def _watch(self, program: Program, process: asyncio.subprocess.Process) -> None:
        begun = asyncio.get_running_loop().time()
        while program.complaint is not None:
            await asyncio.sleep(WATCH_EVERY)
            wrong = await program.complaint(asyncio.get_running_loop().time() - begun)
            if wrong and not self.stopping.is_set():
                self._say(f"{program.name} is unwell: {wrong}; killing it")
                _kill_group(process)
                return

    # -- The end -----------------------------------------------------------------------------------------------------
    async def _end_all(self) -> None:
        for stage in sorted({program.stage for program in self._programs}):
            await asyncio.gather(*(self._end(program) for program in self._programs if program.stage == stage))

    async def _end(self, program: Program) -> None:
        process = self._running.get(program.name)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()  # the leader only: some programs drain by ending their own children
        ended, haste = asyncio.create_task(process.wait()), asyncio.create_task(self._haste.wait())
        await asyncio.wait({ended, haste}, timeout=program.drain, return_when=asyncio.FIRST_COMPLETED)
        haste.cancel()
        if not ended.done():
            why = "in haste" if self._haste.is_set() else f"it did not end within {program.drain:g} s"
            self._say(f"{program.name} is killed: {why}")
            _kill_group(process)
        await ended

    # -- The undertaker ----------------------------------------------------------------------------------------------
    async def _hire(self) -> None:
        """Start the undertaker; it inherits the lock."""
        self._undertaker = await asyncio.create_subprocess_exec(
            sys.executable, undertaker.__file__, stdin=asyncio.subprocess.PIPE, start_new_session=True,
            pass_fds=(self._lock.fileno(),),
        )  # fmt: skip
        for process in self._running.values():
            self._tell("+", process.pid)

    async def _keep_undertaker(self) -> None:
        while not self.stopping.is_set():
            assert self._undertaker is not None
            ended = asyncio.create_task(self._undertaker.wait())
            stopping = asyncio.create_task(self.stopping.wait())
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if ended.done() and not self.stopping.is_set():
                await self._hire()
            ended.cancel()

    async def _dismiss(self) -> None:
        if self._undertaker is not None and self._undertaker.stdin is not None:
            self._undertaker.stdin.close()
            await self._undertaker.wait()

    def _tell(self, sign: str, group: int) -> None:
        pipe = self._undertaker.stdin if self._undertaker else None
        if pipe is not None and not pipe.is_closing():
            pipe.write(f"{sign}{group}\n".encode())


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _open_log(folder: Path, name: str) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return open(folder / f"{name}.log", "ab")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
