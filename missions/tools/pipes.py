"""Requests to an MCP server that is a process: one JSON message a line, over its standard input and output.

The process runs in the sandbox and nowhere else; where there is none, calls are refused. It is started by the first
request, kept for the loop that asked, and started anew after its death. As in `missions.tools.exchange`, each request
ends in its caller's task: `TryLater` where its last byte was never handed over, else a result or `OutcomeUnknown`.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from mcp.shared.dispatcher import CallOptions

from missions.engine import crashpoints
from missions.errors import OutcomeUnknown, StandfastError, ToolFailed, TryLater
from missions.tools import messages
from missions.tools.exchange import CHANGED, SessionGone
from missions.tools.messages import FLOOD_BYTES, FLOOD_MESSAGES, Flood, TooLarge
from missions.tools.servers import Server

logger = logging.getLogger(__name__)
PIECE = 64 * 1024
BESIDE = 64 * 1024  # of a line, beside the answer that it holds
FLOOD_SECONDS = 60.0
TAIL_CHARACTERS = 300
NEGOTIATING = ("server/discover", "initialize")  # what a process that is not there is started for
NO_METHOD = -32601


class Session(Protocol):
    """What is asked of a process in the sandbox: `missions.sandbox.launching.Session`."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    def stderr_tail(self) -> bytes:
        """The last that it wrote to its standard error."""

    async def close(self) -> None:
        """End it. Twice is once."""


@functools.cache
def _sandbox() -> Any:
    return importlib.import_module("missions.sandbox.launching"), importlib.import_module("missions.sandbox.jobs")


async def open_session(server: Server) -> Session:
    """The server's process in the sandbox. Raises SandboxRefused, OSError."""
    launching, jobs = _sandbox()
    place = workspace_of(server) if server.workspace else None
    allowed = server.limits
    job = jobs.Job(
        argv=server.command, env=server.env, egress=server.egress, readable=server.readable, workspace=place,
        memory_bytes=allowed.memory_bytes, pids=allowed.pids, cpu_seconds=allowed.cpu_seconds, wall_seconds=0,
        disk_bytes=allowed.disk_bytes,
    )
    session: Session = await launching.open_session(job)
    return session


def workspace_of(server: Server) -> Path:
    """The folder that a server keeps over its restarts on this host."""
    place = Path(settings.DATA_DIR) / "mcp" / server.name
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


async def lines(stream: asyncio.StreamReader, allowed: int) -> AsyncIterator[bytes]:
    """The lines of a stream, without their ends. Raises TooLarge before more than `allowed` and a piece is held."""
    parts: list[bytes] = []
    held = 0
    while piece := await stream.read(PIECE):
        *whole, rest = piece.split(b"\n")
        for line in whole:
            parts.append(line)
            if held + len(line) > allowed:
                raise TooLarge(allowed)
            yield b"".join(parts)
            parts, held = [], 0
        parts.append(rest)
        held += len(rest)
        if held > allowed:
            raise TooLarge(allowed)


@dataclass(slots=True)
class Waiting:
    """A request under way."""

    answered: asyncio.Future[Any]
    allowed: int  # bytes of its answer
    keyed: bool
    sent: bool = False  # whether the server may have it


class Running:
    """One process of a server, until it ends or misbehaves. Used by one event loop."""

    def __init__(self, session: Session, allowed: int, on_changed: Callable[[], None]) -> None:
        """`allowed` bytes a line. Must be made inside its event loop."""
        self.ended = ""  # why, once it has
        self._session, self._allowed, self._on_changed = session, allowed, on_changed
        self._waiting: dict[str, Waiting] = {}
        self._writing = asyncio.Lock()
        self._unasked, self._unasked_bytes, self._since = 0, 0, 0.0
        session.stdin.transport.set_write_buffer_limits(0)  # drained is: handed over
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def ask(self, number: int, waiting: Waiting, line: bytes) -> Any:
        """Send one request and wait for its answer. Raises TryLater, OutcomeUnknown, ValueError."""
        self._waiting[str(number)] = waiting
        try:
            await self._write(line, waiting)
            return await waiting.answered
        finally:
            del self._waiting[str(number)]
            if waiting.answered.done() and not waiting.answered.cancelled():
                waiting.answered.exception()  # looked at: where it could not be sent, nobody else will
            elif waiting.sent and not self.ended:
                self._say(messages.notification("notifications/cancelled", {"requestId": number}))

    async def tell(self, line: bytes) -> None:
        """Send one notification. Raises TryLater."""
        await self._write(line, Waiting(asyncio.get_running_loop().create_future(), 0, keyed=False))

    async def close(self) -> None:
        """End the process, and all that waits for it. Twice is once."""
        self._end("it was closed")
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._session.close()

    async def _write(self, line: bytes, waiting: Waiting) -> None:
        """In two pieces: a server can not act on a line that lacks its end."""
        stdin = self._session.stdin
        async with self._writing:
            if self.ended:
                raise TryLater(f"{self.ended}; the request was not sent.")
            try:
                stdin.write(line)
                await stdin.drain()
                waiting.sent = True
                stdin.write(b"\n")
                if waiting.keyed:
                    crashpoints.reach("call_sent")
                await stdin.drain()
            except (OSError, asyncio.CancelledError) as error:
                why = "it was given up in the middle of a request" if isinstance(error, asyncio.CancelledError) else ""
                self._end(why or f"its standard input is closed ({error})")  # half a line would spoil the next
                if isinstance(error, OSError):
                    raise self._cut(waiting) from error
                raise

    def _say(self, line: bytes) -> None:
        """Write a short line without waiting; while another is being written it is left out."""
        if not self._writing.locked() and not self._session.stdin.is_closing():
            self._session.stdin.write(line + b"\n")

    async def _read(self) -> None:
        why = "it ended"
        try:
            async for line in lines(self._session.stdout, self._allowed):
                self._take(line)
        except OSError as error:
            why = str(error)
        except ValueError as error:
            why = str(error)
        finally:
            self._end(why)
        await self._session.close()

    def _take(self, line: bytes) -> None:
        """One line of its output. Raises ValueError where it does not speak MCP, or will not stop."""
        message = messages.decoded(line) if line.strip() else {}
        if not isinstance(message, dict):
            raise ValueError("The answer is no message of MCP")
        waiting = self._waiting.get(str(message.get("id"))) if "method" not in message else None
        if waiting is None:
            self._unasked_for(message, len(line))
        elif not waiting.answered.done():
            self._unasked = self._unasked_bytes = 0
            if len(line) > waiting.allowed + BESIDE:
                waiting.answered.set_exception(TooLarge(waiting.allowed))
            else:
                waiting.answered.set_result(message)

    def _unasked_for(self, message: dict[str, Any], size: int) -> None:
        """A notification, a question of the server's own, or an answer that nobody waits for any more."""
        now = asyncio.get_running_loop().time()
        if now - self._since > FLOOD_SECONDS:
            self._since, self._unasked, self._unasked_bytes = now, 0, 0
        self._unasked, self._unasked_bytes = self._unasked + 1, self._unasked_bytes + size
        if self._unasked > FLOOD_MESSAGES or self._unasked_bytes > FLOOD_BYTES:
            raise Flood
        method, number = message.get("method"), message.get("id")
        if method == CHANGED:
            self._on_changed()
        elif method is not None and isinstance(number, str | int):
            refusal = {"error": {"code": NO_METHOD, "message": "Nothing is offered to servers."}}
            answer = {"result": {}} if method == "ping" else refusal
            self._say(messages.encoded({"jsonrpc": "2.0", "id": number, **answer}))

    def _end(self, why: str) -> None:
        if not self.ended:
            said = self._session.stderr_tail().decode("utf-8", "replace")[-TAIL_CHARACTERS:].strip()
            self.ended = f"The server’s process is gone: {why}" + (f" (it said: {said})" if said else "")
            self._session.stdin.close()
            self._on_changed()  # who comes after it may offer something else
        for waiting in self._waiting.values():
            if not waiting.answered.done():
                waiting.answered.set_exception(self._cut(waiting))

    def _cut(self, waiting: Waiting) -> StandfastError:
        if waiting.sent:
            return OutcomeUnknown(f"{self.ended}, after the request was sent.", ended=True)
        return TryLater(f"{self.ended}; the request was not sent.")


class Pipes:
    """Requests to one server that is a process; what the SDK calls a dispatcher, without its receive loop."""

    def __init__(self, server: Server) -> None:
        """Must be used from one event loop only."""
        self.session_id = ""
        self.on_changed: Callable[[], None] = lambda: None
        self._server = server
        self._running: Running | None = None
        self._ids = messages.numbers()

    async def run(self, *handlers: Any, **options: Any) -> None:
        """Each process has its own reader, so there is no loop to run."""

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send one request; returns its raw result.

        Raises MCPError for a JSON-RPC error, SessionGone where the process that knew the session is gone, TryLater,
        ToolFailed (there is no sandbox for it), OutcomeUnknown.
        """
        number, keyed, line = messages.request(self._ids, method, params)
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = Waiting(answered, messages.answer_bytes(), keyed)
        try:
            async with asyncio.timeout((opts or {}).get("timeout")):
                running = await self._process(starts=method in NEGOTIATING)
                answer = await running.ask(number, waiting, line)
        except TimeoutError as error:
            if waiting.sent:
                raise OutcomeUnknown("No answer came in time, after the request was sent.") from error
            raise TryLater("No answer came in time; the request was not sent.") from error
        except ValueError as error:
            large = isinstance(error, TooLarge)
            raise OutcomeUnknown(f"{error}, after the request was sent.", too_large=large) from error
        if keyed:
            crashpoints.reach("call_answered")
        return messages.result_of(answer)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Send one notification. Raises SessionGone, TryLater."""
        running = await self._process(starts=False)
        await running.tell(messages.notification(method, params))

    async def close(self) -> None:
        """End the process."""
        running, self._running = self._running, None
        if running is not None:
            await running.close()

    async def _process(self, *, starts: bool) -> Running:
        if self._running is not None and not self._running.ended:
            return self._running
        if not starts:
            raise SessionGone()
        await self.close()
        try:
            session = await open_session(self._server)
        except OSError as error:
            raise TryLater(f"The server’s process did not start: {error}") from error
        except TryLater:
            raise
        except StandfastError as error:
            raise ToolFailed(f"The server {self._server.name} can not run: {error}", code=error.code) from error
        self._running = Running(session, self._server.line_bytes + BESIDE, self.on_changed)
        facts = {"action": "mcp_server_started", "server": self._server.name}
        logger.info("a process of an MCP server was started", extra=facts)
        return self._running
