"""One raw database session on the running event loop: prepared statements in pipeline mode, one Sync a call.

Owns the socket. Calls that share a Sync are one implicit transaction and one round trip. Knows nothing of missions.
A session that is lost stays lost: `on_lost` is called once, and no call is answered after that.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from missions.engine.dsn import conninfo

Call = tuple[bytes, Sequence[bytes | None]]
Answer = Callable[[list[PGresult]], None]
GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Refused(Exception):
    """The database refused a call; the session lives on. `sqlstate` says why."""

    def __init__(self, result: PGresult) -> None:
        self.sqlstate = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        super().__init__(result.error_message.decode("utf-8", "replace").strip() if result.error_message else "refused")


def refusal(results: Sequence[PGresult]) -> Refused | None:
    """The first error among the results of one Sync, or None."""
    bad = next((result for result in results if result.status == ExecStatus.FATAL_ERROR), None)
    return Refused(bad) if bad is not None else None


class Session:
    """A connection in pipeline mode. Open it with `open_session`; use it from its event loop only."""

    def __init__(self, connection: psycopg.Connection[Any], on_lost: Callable[[BaseException], None]) -> None:
        self._connection, self._on_lost = connection, on_lost
        self._pg: PGconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Answer] = deque()
        self._results: list[PGresult] = []
        self._writing = False
        self.on_notify: Callable[[str, str], None] | None = None
        self.backend_pid = self._pg.backend_pid
        self.lost = False
        self._fd = self._pg.socket
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._loop.add_reader(self._fd, self._read)

    def send(self, calls: Sequence[Call], answer: Answer) -> None:
        """Queue calls under one Sync; `answer` gets one result a call, or the error in its place."""
        if self.lost:
            return
        try:
            for name, params in calls:
                self._pg.send_query_prepared(name, list(params), [1] * len(params), 1)
            self._pg.pipeline_sync()
            self._waiting.append(answer)
            self._flush()
        except psycopg.Error as error:
            self.fail(error)

    async def call(self, *calls: Call) -> list[PGresult]:
        """Send calls under one Sync; their results. Raises Refused. Never returns once the session is lost."""
        future: asyncio.Future[list[PGresult]] = self._loop.create_future()

        def answer(results: list[PGresult]) -> None:
            if not future.done():
                future.set_result(results)

        self.send(calls, answer)
        results = await future
        if (error := refusal(results)) is not None:
            raise error
        return results

    def is_open(self) -> bool:
        """Whether the other side still holds the session, as far as the socket can tell right now; no round trip."""
        if self.lost:
            return False
        probe = socket.socket(fileno=self._fd)
        try:
            return probe.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            probe.detach()

    def cancel(self) -> None:
        """Ask the server to abort the call under way; may be called from another thread. It then raises Refused."""
        if not self.lost:
            self._pg.get_cancel().cancel()

    def close(self) -> None:
        """End the session; its locks are free when the server has seen it."""
        if not self.lost:
            self.lost = True
            self._detach()

    def _detach(self) -> None:
        self._loop.remove_reader(self._fd)
        if self._writing:
            self._loop.remove_writer(self._fd)
        self._connection.close()

    def fail(self, error: BaseException) -> None:
        """Give the session up as lost."""
        if not self.lost:
            self.lost = True
            self._detach()
            self._on_lost(error)

    def _flush(self) -> None:
        pending = bool(self._pg.flush())
        if pending and not self._writing:
            self._loop.add_writer(self._fd, self._write)
        elif self._writing and not pending:
            self._loop.remove_writer(self._fd)
        self._writing = pending

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self.fail(error)

    def _read(self) -> None:
        try:
            self._pg.consume_input()
            while self._waiting and not self._pg.is_busy():
                self._take(self._pg.get_result())
            if self.on_notify is not None:
                while (note := self._pg.notifies()) is not None:
                    self.on_notify(note.relname.decode(), note.extra.decode())
        except psycopg.Error as error:
            self.fail(error)

    def _take(self, result: PGresult | None) -> None:
        if result is None:
            return
        if result.status == ExecStatus.PIPELINE_SYNC:
            results, self._results = self._results, []
            self._waiting.popleft()(results)
        else:
            self._results.append(result)


def _connect(name: str, setup: Sequence[str], statements: Mapping[str, str]) -> psycopg.Connection[Any]:
    connection = psycopg.connect(conninfo(name), autocommit=True)
    try:
        for sql in setup:
            connection.execute(sql.encode())
        for key, sql in statements.items():
            result = connection.pgconn.prepare(key.encode(), sql.encode())
            if result.status != ExecStatus.COMMAND_OK:
                raise Refused(result)
    except BaseException:
        connection.close()
        raise
    return connection


async def open_session(
    name: str, *, statements: Mapping[str, str], setup: Sequence[str] = (), on_lost: Callable[[BaseException], None],
) -> Session:
    """Connect in a thread, run `setup`, prepare the statements. Raises psycopg.Error, Refused."""
    connection = await asyncio.to_thread(_connect, name, setup, statements)
    return Session(connection, on_lost)
