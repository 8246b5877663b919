"""Bytes of HTTP/1.1 to a client, counted: whole, in chunks, without an end, or cut off. Tests only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from tests.llm_answers import Drip, Huge

BLOCK = b"x" * 65536


@dataclass
class Line:
    """One connection of a client."""

    writer: asyncio.StreamWriter
    written: int = 0  # bytes of bodies that left

    async def whole(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> bool:
        """An answer of known length. True: the connection may carry another request."""
        given = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        self.head(status, given)
        self.writer.write(body)
        self.written += len(body)
        await self.writer.drain()
        return True

    async def parts(self, parts: list[bytes], kind: str) -> bool:
        """An answer in chunks."""
        self.head(200, {"content-type": kind, "transfer-encoding": "chunked"})
        for part in [*parts, b""]:
            await self.chunk(part)
        return True

    async def cut(self, whole: bytes, share: float, kind: str) -> bool:
        """End the connection after a share of the answer; 0: reset it before the first byte."""
        if share > 0:  # no reset here: it would overtake what the client has not read yet
            self.head(200, {"content-type": kind, "content-length": str(len(whole))})
            self.writer.write(whole[: int(len(whole) * share)])
            self.writer.close()
            await self.writer.wait_closed()
        self.writer.transport.abort()
        return False

    async def flood(self, flood: Huge | Drip, kind: str) -> bool:
        """Much, or little by little without an end."""
        self.head(200, {"content-type": kind, "transfer-encoding": "chunked"})
        for part in _flooding(flood):
            if isinstance(flood, Drip):
                await asyncio.sleep(flood.every_seconds)
            await self.chunk(part)
        await self.chunk(b"")
        return True

    def head(self, status: int, headers: dict[str, str]) -> None:
        """The status line and the headers."""
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    async def chunk(self, part: bytes) -> None:
        """One chunk; the empty one ends the answer."""
        self.writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        self.written += len(part)
        await self.writer.drain()


def _flooding(flood: Huge | Drip) -> Iterator[bytes]:
    yield b'{"id": "x", "choices": [{"message": {"content": "'
    block = b" " if isinstance(flood, Drip) else BLOCK
    left = flood.size if isinstance(flood, Huge) else None
    while left is None or left > 0:
        yield block
        left = None if left is None else left - len(block)
    yield b'"}}]}'
