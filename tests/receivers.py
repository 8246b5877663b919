"""The other side of what leaves the house: a real HTTP or HTTPS server and a real mail server, on loopback.

Each notes what it gets; the HTTP server answers by path: `/ok`, `/fail`, `/gone`, `/hang`, `/redirect`,
`/huge`, `/headers` (what it got).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HUGE = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running HTTP server, and what it got."""

    url: str = ""
    port: int = 0
    got: list[Got] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # asked for by TLS
    written: int = 0  # bytes of the huge answer that left
    on_got: Callable[[Got], None] = lambda got: None
    released: threading.Event = field(default_factory=threading.Event)  # ends `/hang`


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    receiver: Receiver

    def do_POST(self) -> None:
        """Note it first."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        found = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.receiver.got.append(found)
        self.receiver.on_got(found)
        kind = self.path.strip("/").partition("/")[0]
        if kind == "hang":
            self.receiver.released.wait(60)
        elif kind == "huge":
            self._huge()
        elif kind == "headers":
            self._plain(200, repr(found.headers).encode())
        else:
            self._plain({"fail": 500, "gone": 410, "redirect": 302}.get(kind, 200))

    do_GET = do_POST

    def _plain(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status == 302:
            self.send_header("location", "http://127.0.0.1:1/latest/meta-data/")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _huge(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(HUGE))
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(HUGE // 65536):
                self.receiver.written += self.wfile.write(b"x" * 65536)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


class Server(ThreadingHTTPServer):
    """A client that leaves early is no fault of the test."""

    daemon_threads = True
    request_queue_size = 128  # connections that come together: with the usual five some are reset

    def handle_error(self, request: object, client_address: object) -> None:
        """Silence."""


@contextlib.contextmanager
def receiver(certificate: Path | None = None) -> Iterator[Receiver]:
    """A server on a free port; over TLS where it is given a certificate with its key."""
    made = Receiver()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"receiver": made}))
    made.port = server.server_address[1]
    made.url = f"http{'s' if certificate else ''}://127.0.0.1:{made.port}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda connection, name, found: made.names.append(name)  # type: ignore[assignment]
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.released.set()
    server.shutdown()
    server.server_close()


def certificate_for(host: str, folder: Path) -> Path:
    """A file with a key and a certificate of its own for this host name."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([
            x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.9")),
        ]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    path = folder / f"{host}.pem"
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem))
    return path


@dataclass
class Mailbox:
    """A running mail server: envelopes and messages as they came over the line."""

    port: int = 0
    mails: list[tuple[str, list[str], str]] = field(default_factory=list)
    refuses: str = ""  # an answer to RCPT, such as "550 no such user"
    refused: str = ""  # whom alone it refuses so; empty: everybody
    answers: str = "250 ok"  # to a whole message; empty: it hangs up instead
    on_data: Callable[[str], None] = lambda text: None  # gets each message before it is answered


@contextlib.contextmanager
def mail_server() -> Iterator[Mailbox]:
    """An SMTP server (RFC 5321, as much of it as a client needs) in a thread."""
    box, loop, started = Mailbox(), asyncio.new_event_loop(), threading.Event()

    servers: list[asyncio.Server] = []

    async def serve() -> None:
        server = await asyncio.start_server(lambda reader, writer: _session(box, reader, writer), "127.0.0.1", 0)
        servers.append(server)
        box.port = server.sockets[0].getsockname()[1]
        started.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    yield box
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.run_until_complete(_hang_up(servers[0], asyncio.all_tasks(loop)))
    loop.close()


async def _hang_up(server: asyncio.Server, sessions: set[asyncio.Task[None]]) -> None:
    server.close()
    for session in sessions:
        session.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)
    await server.wait_closed()
    await asyncio.sleep(0)  # the transports take a turn to close


async def _session(box: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await _dialogue(box, reader, writer)
    finally:
        writer.close()


async def _dialogue(box: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def say(line: str) -> None:
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    sender, recipients = "", list[str]()
    await say("220 sink")
    while line := (await reader.readline()).decode().strip():
        verb = line[:4].upper()
        if verb == "MAIL":
            sender = line.partition(":")[2]
        if verb == "RCPT" and box.refuses and box.refused in line:
            await say(box.refuses)
            continue
        if verb == "RCPT":
            recipients.append(line.partition(":")[2].strip("<>"))
        if verb == "DATA":
            await say("354 go on")
            text = (await reader.readuntil(b"\r\n.\r\n")).decode()
            box.mails.append((sender, recipients, text))
            recipients = []
            box.on_data(text)
            if not box.answers:
                break
            await say(box.answers)
            continue
        await say("221 bye" if verb == "QUIT" else "250 ok")
        if verb == "QUIT":
            break
