"""The one way out of a job: a proxy that connects to the places on its list, and notes each attempt.

Speaks CONNECT alone, so that it sees places and never content. A place is an exact host and port; its name is resolved
once, here, and what was judged is what is dialled. The socket on which it accepts lies inside the job's network, so
whoever comes there is this job, and needs no credential.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from missions.addresses import is_public
from missions.engine import crashpoints
from missions.sandbox.jobs import MIB, Attempt

HEAD_BYTES, HEAD_SECONDS, DIAL_SECONDS = 8192, 10.0, 10.0
UP_BYTES, DOWN_BYTES = 16 * MIB, 256 * MIB  # of one job together
AT_ONCE, NOTED = 32, 100
CHUNK = 64 * 1024
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+")
Resolve = Callable[[str, int], Awaitable[list[str]]]


class Refused(Exception):
    """The job may not go there."""


def place_of(text: str) -> tuple[str, int]:
    """A place as "host:port" or "[v6]:port"; the host in small letters. Raises ValueError."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]").lower().rstrip(".")
    if not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536 and HOST.fullmatch(host)):
        raise ValueError(f"{text!r} is no place: it wants HOST:PORT")
    return host, int(port)


async def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


@dataclass(slots=True)
class _Flow:
    """One connection, while it is under way."""

    host: str = ""
    port: int = 0
    why: str = ""
    opened: bool = False
    up: int = 0
    down: int = 0
    at: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"))

    def told(self) -> Attempt:
        return Attempt(host=self.host, port=self.port, allowed=self.opened, why=self.why, bytes_up=self.up,
                       bytes_down=self.down, at=self.at)  # fmt: skip


class Proxy:
    """The proxy of one job. `private` are places that may lie inside a private network."""

    def __init__(self, allowed: Sequence[str], private: Sequence[str] = (), resolver: Resolve = resolve) -> None:
        self._allowed, self._private = set(map(place_of, allowed)), set(map(place_of, private))
        self._resolve = resolver
        self._flows: list[_Flow] = []
        self._unnoted = self._up = self._down = 0
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Accept on a socket inside the job, until `close`."""
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Cut everything that is under way."""
        if self._server is not None:
            self._server.close()
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)

    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt, the oldest first; of a flood the first ones, and how many more."""
        found = [flow.told() for flow in self._flows]
        if self._unnoted:
            found.append(Attempt(host="", port=0, allowed=False, why=f"and {self._unnoted} more attempts"))
        return tuple(found)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):  # it hung up, or is over: what was done is noted
                await self._handle(reader, writer)
        finally:
            self._under_way.discard(task)
            writer.close()

    def _note(self, flow: _Flow) -> bool:
        if len(self._flows) >= NOTED:
            self._unnoted += 1
            return False
        self._flows.append(flow)
        return True

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow = _Flow()
        noted = self._note(flow)
        try:
            if not noted:
                raise Refused("There were too many attempts.")
            there, away = await self._open(flow, reader)
        except (Refused, OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            flow.why = str(error) or "It did not answer in time."
            body = f"{flow.why}\n".encode()
            head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            return
        flow.opened = True
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(self._send_up(flow, reader, away), self._bring_down(flow, there, writer))
        finally:
            away.close()

    async def _open(
        self, flow: _Flow, reader: asyncio.StreamReader
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection that is asked for. Raises Refused and what a broken request or a dead place gives."""
        async with asyncio.timeout(HEAD_SECONDS):
            head = await _head(reader)
        method, _, rest = head.decode("latin-1").partition("\r\n")[0].partition(" ")
        target = rest.partition(" ")[0]
        if method != "CONNECT":
            flow.host = target[:200]
            raise Refused("Only CONNECT is understood here: speak https.")
        try:
            flow.host, flow.port = place_of(target)
        except ValueError as error:
            flow.host = target[:200]
            raise Refused("This names no host and port.") from error
        if (flow.host, flow.port) not in self._allowed:
            raise Refused("It is not on the list of places that may be reached.")
        if len(self._under_way) > AT_ONCE:
            raise Refused(f"More than {AT_ONCE} connections at once.")
        address = await self._address(flow.host, flow.port)
        async with asyncio.timeout(DIAL_SECONDS):
            return await asyncio.open_connection(address, flow.port)

    async def _address(self, host: str, port: int) -> str:
        """The address to dial; all that the name leads to must be public, or somebody else chooses which."""
        found = await self._resolve(host, port)
        if not found:
            raise Refused("It has no address.")
        if (host, port) not in self._private and not all(map(is_public, found)):
            raise Refused("It leads to an address that is not public.")
        return found[0]

    async def _send_up(self, flow: _Flow, reader: asyncio.StreamReader, away: asyncio.StreamWriter) -> None:
        while part := await reader.read(CHUNK):
            self._up += len(part)
            if self._up > UP_BYTES:
                flow.why = f"More than {UP_BYTES:,} bytes were sent."
                away.transport.abort()
                return
            flow.up += len(part)
            away.write(part)
            await away.drain()
            crashpoints.reach("call_sent")
        if away.can_write_eof():
            away.write_eof()

    async def _bring_down(self, flow: _Flow, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await there.read(CHUNK):
            self._down += len(part)
            if self._down > DOWN_BYTES:
                flow.why = f"More than {DOWN_BYTES:,} bytes came back."
                break
            flow.down += len(part)
            writer.write(part)
            await writer.drain()
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise Refused("The request's head is too large.") from error
