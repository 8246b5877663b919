"""Pipes of a job as asyncio streams, with a cap on what is kept of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

CHUNK = 64 * 1024


async def reader_of(pipe: int, limit: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """A stream that reads from the pipe, which it takes over; closing the transport closes it."""
    reader = asyncio.StreamReader(limit=limit)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(pipe, "rb", 0))
    return reader, transport


async def writer_of(pipe: int) -> asyncio.StreamWriter:
    """A stream that writes to the pipe, which it takes over."""
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(pipe, "wb", 0))
    return asyncio.StreamWriter(transport, protocol, None, loop)


class Collected:
    """What a job writes to one stream, up to a limit; what is over calls `overflow`, once."""

    def __init__(self, pipe: int, limit: int, overflow: Callable[[], None]) -> None:
        self._pipe, self._limit, self._overflow = pipe, limit, overflow
        self._content = bytearray()
        self._transport: asyncio.ReadTransport | None = None
        self.cut = False

    @property
    def content(self) -> bytes:
        """What was kept."""
        return bytes(self._content)

    async def read(self) -> None:
        """Read until the stream ends."""
        reader, self._transport = await reader_of(self._pipe, CHUNK)
        while part := await reader.read(CHUNK):
            room = self._limit - len(self._content)
            self._content += part[:room]
            if len(part) > room and not self.cut:
                self.cut = True
                self._overflow()

    def close(self) -> None:
        """Let go of the pipe."""
        if self._transport is not None:
            self._transport.close()
        else:
            os.close(self._pipe)
