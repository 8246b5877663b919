"""The driver that isolates with bubblewrap: the client of the supervisor process, which it starts where none runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from missions.errors import SandboxRefused
from missions.sandbox import crossing, frames, supervisor
from missions.sandbox.capabilities import Capability
from missions.sandbox.egress import Proxy
from missions.sandbox.jobs import Attempt, Job, KilledFor
from missions.sandbox.process import Ending

START_SECONDS, AGAIN_SECONDS, LINGER_SECONDS = 10.0, 0.01, 20.0
HIRE_SECONDS = 1.0  # until another is started: the one before may have left as one that was just ending still served
GONE = "The sandbox's supervisor has gone, and the job with it."


class Link:
    """The connection to the supervisor for one job; used from one event loop."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, message: dict[str, Any], files: tuple[int, ...] = ()) -> None:
        """Send a frame. Raises OSError, BadFrame."""
        frames.send(self._connection, message, files)

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next frame. Raises SandboxRefused, ConnectionError."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._connection, arrived.set)
        try:
            await arrived.wait()
        finally:
            loop.remove_reader(self._connection)
        message, files = frames.receive(self._connection)
        if message is None:
            raise ConnectionResetError(GONE)
        if "refused" in message:
            raise SandboxRefused(str(message["refused"]), missing={})
        return message, files

    def close(self) -> None:
        """The job ends with it."""
        self._connection.close()


class BubblewrapDriver:
    """Jobs under bubblewrap, run by the supervisor that serves `folder`."""

    name = "bubblewrap"
    capabilities = frozenset(map(str, Capability))

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def missing(self) -> Mapping[str, str]:
        """What the supervisor could not get. Raises OSError."""
        link = await self._connect()
        try:
            link.send({"hello": True})
            message, _ = await link.receive()
            return dict(message["missing"])
        finally:
            link.close()

    async def start(self, job: Job) -> Confined:
        """Start a job. Raises SandboxRefused, WorkspaceRefused, OSError."""
        link = await self._connect()
        process = Confined(job, link)
        try:
            await process.begin()
        except BaseException:
            await process.close()
            raise
        return process

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        hire_at, give_up = loop.time(), loop.time() + START_SECONDS
        while True:
            try:
                return Link(self._reach())
            except (FileNotFoundError, ConnectionRefusedError):
                if loop.time() > give_up:
                    log = self.folder / "supervisor.log"
                    raise SandboxRefused(f"The sandbox's supervisor does not start; see {log}.", missing={}) from None
                if loop.time() >= hire_at:
                    hire_at = loop.time() + HIRE_SECONDS
                    await asyncio.to_thread(_hire, self.folder)
            await asyncio.sleep(AGAIN_SECONDS)

    def _reach(self) -> socket.socket:
        folder = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(frames.through(folder, supervisor.SOCKET))  # done at once, or refused: it is local
            connection.setblocking(False)
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(folder)
        return connection


def _hire(folder: Path) -> None:
    """Start a supervisor that leaves when nobody needs it; of two at once, one leaves at once."""
    supervisor.private(folder)
    command = [sys.executable, "-m", supervisor.__name__, "--folder", str(folder), "--linger", str(LINGER_SECONDS)]
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join([str(settings.BASE_DIR), *filter(None, sys.path)])}
    log, append = str(folder / "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]  # fmt: skip
    hired = os.posix_spawn(sys.executable, command, environment, file_actions=streams, setsid=True)
    threading.Thread(target=os.waitpid, args=(hired, 0), daemon=True).start()  # or init does, where it outlives us


class Confined:
    """One job under way at the supervisor."""

    def __init__(self, job: Job, link: Link) -> None:
        self.stdin = self.stdout = self.stderr = -1
        self._job, self._link = job, link
        self._proxy = Proxy(job.egress, settings.SANDBOX_PRIVATE_PLACES)
        self._root: int | None = None
        self._stamps: dict[str, crossing.Stamp] = {}
        self._ending: asyncio.Task[Ending] | None = None

    async def begin(self) -> None:
        """Hand the job over, copy its workspace in, and have it started. Raises as `BubblewrapDriver.start`."""
        theirs = self._pipes()
        try:
            self._link.send({"job": _told(self._job)}, theirs)
        except frames.BadFrame as error:
            raise SandboxRefused(str(error), missing={}) from error
        finally:
            for file in theirs:
                os.close(file)
        if self._job.workspace is not None:
            message, (self._root,) = await self._link.receive()
            arguments = self._job.workspace, self._root, message["user"]
            self._stamps = await asyncio.to_thread(crossing.copy_in, *arguments)
            self._link.send({"go": True})
        if self._job.egress:
            _, (listener,) = await self._link.receive()
            await self._proxy.serve(_nonblocking(listener))
        self._ending = asyncio.create_task(self._listen())

    def _pipes(self) -> tuple[int, int, int]:
        given, self.stdin = os.pipe()
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        return given, out, err

    async def _listen(self) -> Ending:
        while True:
            message, _ = await self._link.receive()
            if "ended" in message:
                killed_for, took = message["killed_for"], float(message["took_seconds"])
                return Ending(status=int(message["ended"]), killed_for=killed_for, took_seconds=took)

    async def ended(self) -> Ending:
        """How it ended, once it has. Raises SandboxRefused, ConnectionError."""
        assert self._ending is not None
        return await asyncio.shield(self._ending)

    def kill(self, why: KilledFor) -> None:
        """End it, for this reason."""
        with contextlib.suppress(OSError):  # it is gone already
            self._link.send({"kill": why})

    async def read_back(self) -> tuple[str, ...]:
        """Bring the workspace to what the job left."""
        if self._root is None or self._job.workspace is None:
            return ()
        arguments = self._root, self._job.workspace, self._stamps, self._job.disk_bytes
        return await asyncio.to_thread(crossing.read_back, *arguments)

    def attempts(self) -> tuple[Attempt, ...]:
        """What it tried to reach."""
        return self._proxy.attempts()

    async def close(self) -> None:
        """End it if it goes on, and let go of everything."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait({self._ending})
        self._link.close()
        await self._proxy.close()
        for name in ("stdin", "stdout", "stderr"):
            if (file := getattr(self, name)) >= 0:
                os.close(file)
                setattr(self, name, -1)
        if self._root is not None:
            os.close(self._root)
            self._root = None


def _nonblocking(listener: int) -> socket.socket:
    found = socket.socket(fileno=listener)
    found.setblocking(False)
    return found


def _told(job: Job) -> dict[str, Any]:
    return {
        "argv": list(job.argv), "env": dict(job.env), "workspace": job.workspace is not None,
        "readable": [*settings.SANDBOX_READABLE, *job.readable], "egress": bool(job.egress),
        "memory_bytes": job.memory_bytes, "pids": job.pids, "cpu_seconds": max(1, round(job.cpu_seconds)),
        "wall_seconds": job.wall_seconds, "disk_bytes": job.disk_bytes,
    }  # fmt: skip
