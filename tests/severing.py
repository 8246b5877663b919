"""A TCP proxy in front of PostgreSQL that cuts a session at a chosen message, for tests of lost connections.

It reads the frontend's messages of protocol 3 only as far as it must: the name of the prepared statement in each Bind,
and where a Sync ends. Everything else passes unchanged.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.db import connections

STARTUPS = (196608, 196610)  # protocols 3.0 and 3.2; other codes ask for encryption or cancel
BEFORE, SENT, ANSWERED = "before", "sent", "answered"  # the server never gets it; got its commit; answered it


@dataclass
class Cut:
    """Where to cut, once."""

    statement: str
    when: str
    done: threading.Event


class Proxy:
    """Listens on loopback and leads to the server of the test database. `cut` arms it; `cut_at` tells what it met."""

    def __init__(self, place: dict[str, str]) -> None:
        self._place = place
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut: Cut | None = None
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, statement: str, when: str) -> threading.Event:
        """Cut the next session that uses this statement; the event is set when that happened."""
        self._cut = Cut(statement, when, threading.Event())
        return self._cut.done

    def close(self) -> None:
        """Listen no more, and end all sessions."""
        self._listener.close()
        for end in self._open:
            _shut(end)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = self._connect()
            self._open += [client, server]
            session = _Session(self, client, server)
            threading.Thread(target=session.forward, daemon=True).start()
            threading.Thread(target=session.answer, daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._place["HOST"], str(self._place["PORT"] or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host or "127.0.0.1", int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def hit(self, statement: bytes) -> Cut | None:
        """The armed cut, if it waits for this statement."""
        cut = self._cut
        if cut is None or cut.statement.encode() != statement:
            return None
        self._cut = None
        return cut


class _Session:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._cut: Cut | None = None
        self._mute = False

    def forward(self) -> None:
        """From the client to the server, message by message."""
        with contextlib.suppress(OSError):
            self._greet()
            while (message := self._message()) is not None:
                if message[:1] == b"B" and (cut := self._proxy.hit(message[5:].split(b"\0", 2)[1])) is not None:
                    self._cut = cut
                    if cut.when == BEFORE:
                        break
                    self._mute = True  # before the server can answer any of it
                self._server.sendall(message)
                if self._cut is not None and message[:1] == b"S" and self._cut.when == SENT:
                    break
        self._end()

    def answer(self) -> None:
        """From the server to the client; once the cut came, the answer is read to its end and thrown away."""
        tail = b""
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                if not self._mute:
                    self._client.sendall(data)
                    continue
                tail = (tail + data)[-6:]
                if tail[:1] == b"Z" and self._cut is not None and self._cut.when == ANSWERED:
                    break
        self._end()

    def _greet(self) -> None:
        """Startup messages carry no type byte; encryption is asked for first, and refused with one byte."""
        code = 0
        while code not in STARTUPS:
            head = self._exactly(4)
            body = self._exactly(int.from_bytes(head, "big") - 4)
            code = int.from_bytes(body[:4], "big")
            self._server.sendall(head + body)

    def _message(self) -> bytes | None:
        head = self._exactly(5)
        return head + self._exactly(int.from_bytes(head[1:], "big") - 4) if head else None

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._client.recv(count - len(data))
            if not more:
                return b""
            data += more
        return data

    def _end(self) -> None:
        _shut(self._client)
        _shut(self._server)
        if self._cut is not None:
            self._cut.done.set()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def severed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Sessions that are opened within the block by conninfo go through a proxy."""
    place = connections["default"].settings_dict
    proxy = Proxy({key: str(place[key]) for key in ("HOST", "PORT")})
    with monkeypatch.context() as patch:
        patch.setitem(place, "HOST", "127.0.0.1")
        patch.setitem(place, "PORT", str(proxy.port))
        yield proxy
    proxy.close()
