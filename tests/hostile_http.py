"""An HTTP server that misbehaves, as the path says. On loopback, in threads; it keeps each request's head."""

from __future__ import annotations

import contextlib
import functools
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

HUGE = 64 * 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Hostile:
    """A running server."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    written: int = 0  # bytes of answers that left
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked(self, times: int) -> bool:
        """Whether it was asked exactly so often; its thread may be about to note it."""
        give_up = time.monotonic() + 10
        while len(self.heads) < times and time.monotonic() < give_up:
            time.sleep(0.01)
        return len(self.heads) == times


@functools.cache
def bomb() -> bytes:
    """Little that unpacks to much."""
    return gzip.compress(bytes(HUGE), 1)


def _answer(server: Hostile, path: str) -> Iterator[bytes]:
    """The pieces of the answer; it hangs up after the last one."""
    if path == "/plain":
        yield OK + b'content-type: application/json\r\ncontent-length: 11\r\n\r\n{"ok":true}'
    elif path == "/huge":
        yield OK + f"content-length: {HUGE}\r\n\r\n".encode()
        yield from (b"x" * 65536 for _ in range(HUGE // 65536))
    elif path == "/endless":
        yield OK + b"transfer-encoding: chunked\r\n\r\n"
        while not server.over.is_set():
            yield b"10000\r\n" + b"y" * 65536 + b"\r\n"
    elif path == "/bomb":
        packed = bomb()
        yield OK + f"content-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n".encode() + packed
    elif path == "/silent":
        server.over.wait(60)
    elif path == "/drip":
        yield OK + b"content-length: 1000\r\n\r\nfirst"
        server.over.wait(60)
    elif path == "/cut":
        yield OK + b"content-length: 1000\r\n\r\nfirst"
    elif path == "/hang-up":
        yield b""
    elif path == "/garbage":
        yield b"\x00\xffnot http at all\r\n\r\n"
    elif path == "/heads":
        yield OK + b"".join(b"x-%d: %s\r\n" % (number, b"z" * 1000) for number in range(1000)) + b"\r\n"
    elif path == "/binary":
        yield OK + b"content-type: text/plain\r\ncontent-length: 4\r\n\r\n\xff\xfe\x00\x01"
    elif path == "/metadata":
        yield b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n"
    elif path.startswith("/status/"):
        yield f"HTTP/1.1 {path[8:]} No\r\ncontent-length: 2\r\n\r\nno".encode()
    elif path == "/echo":
        said = b"e" * 290 + _line(server.heads[-1], "x-key").encode()
        yield f"HTTP/1.1 400 No\r\ncontent-length: {len(said)}\r\n\r\n".encode() + said
    elif path == "/later":
        yield b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"


def _line(head: str, name: str) -> str:
    return next(line for line in head.splitlines() if line.startswith(name))


def _serve(server: Hostile, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        data = b""
        while b"\r\n\r\n" not in data:
            if not (part := connection.recv(65536)):
                return
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        lengths = [line.split(":")[1] for line in text.lower().splitlines() if line.startswith("content-length")]
        length = int(lengths[0]) if lengths else 0
        while len(body) < length and (part := connection.recv(65536)):
            body += part
        server.heads.append(text + "\n\n" + body.decode("utf-8", "replace"))
        for piece in _answer(server, text.split(" ")[1]):
            connection.sendall(piece)
            server.written += len(piece)


@contextlib.contextmanager
def hostile_server() -> Iterator[Hostile]:
    """One on a free port."""
    server = Hostile()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.port = listening.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=_serve, args=(server, connection), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server
        server.over.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)
