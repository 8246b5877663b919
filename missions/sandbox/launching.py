"""Runs jobs in isolation: to their end, or as a session that somebody talks to. Refuses where that can not be safe.

Owns how many run at once here, the caps on what they write, and that a job never outlives who asked for it.
"""

from __future__ import annotations

import asyncio
import signal
import weakref
from typing import Protocol

from django.conf import settings

from missions.sandbox import driver, selftest
from missions.sandbox.jobs import Attempt, Finished, Job
from missions.sandbox.process import Ending, Process
from missions.sandbox.streams import Collected, reader_of, writer_of

TAIL_BYTES = 64 * 1024
STREAM_BYTES = 1024 * 1024  # a session holds up to twice that unread, then the job waits
_places: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


class Session(Protocol):
    """A job under way that somebody talks to. It ends when it is closed, and with this process."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    def stderr_tail(self) -> bytes:
        """The last that it wrote to its standard error."""

    def attempts(self) -> tuple[Attempt, ...]:
        """What it has tried to reach so far."""

    async def close(self) -> None:
        """End it, and read its workspace back. Twice is once."""

    async def wait(self) -> Finished:
        """How it ended, once it has."""


async def run(job: Job) -> Finished:
    """Run a job to its end; so many at once, the others wait their turn.

    Raises SandboxRefused, WorkspaceRefused, OSError.
    """
    await selftest.admit()
    loop = asyncio.get_running_loop()
    async with _places.setdefault(loop, asyncio.Semaphore(settings.SANDBOX_JOBS)):
        process = await driver.chosen().start(job)
        try:
            return await followed(job, process)
        finally:
            await process.close()


async def followed(job: Job, process: Process) -> Finished:
    """Feed it, collect what it writes, and read its workspace back."""
    out = Collected(process.stdout, job.output_bytes, lambda: process.kill("output"))
    err = Collected(process.stderr, job.output_bytes, lambda: process.kill("output"))
    process.stdout = process.stderr = -1
    reading = [asyncio.create_task(stream.read()) for stream in (out, err)]
    feeding = asyncio.create_task(_feed(process, job.stdin))
    try:
        await asyncio.gather(process.ended(), *reading)
        ending = await process.ended()
    finally:
        for task in (feeding, *reading):
            task.cancel()
        await asyncio.wait({feeding, *reading})
        out.close()
        err.close()
    left_out = await process.read_back()
    cut = out.cut or err.cut
    return finished(ending, process, stdout=out.content, stderr=err.content, truncated=cut, left_out=left_out)


async def _feed(process: Process, content: bytes) -> None:
    writer = await writer_of(process.stdin)
    process.stdin = -1
    try:
        writer.write(content)
        await writer.drain()
        writer.close()
    except (ConnectionError, asyncio.CancelledError):  # it does not read, or has ended
        writer.transport.abort()


def finished(
    ending: Ending, process: Process, *, stdout: bytes = b"", stderr: bytes, truncated: bool = False,
    left_out: tuple[str, ...],
) -> Finished:
    """What is told of a job that has ended."""
    code = None if ending.status < 0 or ending.killed_for else ending.status
    number = -ending.status if ending.status < 0 else ending.status - 128 if 128 < ending.status < 193 else None
    if ending.killed_for and number is None:
        number = int(signal.SIGKILL)
    return Finished(
        code=code, signal=number, stdout=stdout, stderr=stderr, truncated=truncated, killed_for=ending.killed_for,
        egress=process.attempts(), left_out=left_out, took_seconds=ending.took_seconds,
    )  # fmt: skip


async def open_session(job: Job) -> Session:
    """Start a job and talk to it, `wall_seconds=0` for as long as both want. Raises SandboxRefused, OSError, …"""
    await selftest.admit()
    process = await driver.chosen().start(job)
    try:
        return await _Conversation.begin(process)
    except BaseException:
        await process.close()
        raise


class _Conversation:
    def __init__(self, process: Process, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader) -> None:
        self.stdin, self.stdout, self._process = stdin, stdout, process
        self._tail = bytearray()
        self._closing: asyncio.Task[None] | None = None
        self._finished: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        self._following = asyncio.create_task(self._follow())

    @classmethod
    async def begin(cls, process: Process) -> _Conversation:
        stdin = await writer_of(process.stdin)
        process.stdin = -1
        stdout, reading = await reader_of(process.stdout, STREAM_BYTES)
        process.stdout = -1
        found = cls(process, stdin, stdout)
        found._reading = reading
        return found

    _reading: asyncio.ReadTransport

    def stderr_tail(self) -> bytes:
        """The last that it wrote to its standard error."""
        return bytes(self._tail)

    def attempts(self) -> tuple[Attempt, ...]:
        """What it has tried to reach so far."""
        return self._process.attempts()

    async def _follow(self) -> None:
        reader, transport = await reader_of(self._process.stderr, TAIL_BYTES)
        self._process.stderr = -1
        try:
            while part := await reader.read(TAIL_BYTES):
                self._tail += part
                del self._tail[:-TAIL_BYTES]
            ending = await self._process.ended()
            left_out = await self._process.read_back()
            told = finished(ending, self._process, stderr=self.stderr_tail(), left_out=left_out)
            if not self._finished.done():
                self._finished.set_result(told)
        except Exception as error:  # whoever waits is told
            if not self._finished.done():
                self._finished.set_exception(error)
                self._finished.exception()  # it may be that nobody waits
        finally:
            transport.close()

    async def wait(self) -> Finished:
        """How it ended, once it has. Raises SandboxRefused, ConnectionError, OSError."""
        return await asyncio.shield(self._finished)

    async def close(self) -> None:
        """End it, and read its workspace back. Twice is once."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.stdin.close()
        self._process.kill("cancelled")
        await asyncio.wait({self._following})
        self._reading.close()
        await self._process.close()
