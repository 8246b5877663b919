"""Run the demo payment server: `python -m missions.library.payments --port 8765 --data DIR`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from missions.library.payments.endpoint import application, over_stdio
from missions.library.payments.faults import Faults
from missions.library.payments.ledger import Ledger

HOST = "127.0.0.1"


class Process(uvicorn.Server):
    """The HTTP server as a process of its own: SIGTERM and SIGINT end it, and that is a success."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal without raising it again afterwards, as uvicorn would."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m missions.library.payments", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="0 picks a free one; the first line printed names it")
    parser.add_argument("--stdio", action="store_true", help="speak over the standard streams instead of a port")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where ledger.sqlite3 lies")
    parser.add_argument("--no-dedup", action="store_true", help="ignore idempotency keys")
    parser.add_argument("--slow", type=float, default=0, metavar="SECONDS", help="answer late")
    parser.add_argument("--fail", type=int, default=0, metavar="N", help="refuse the first N calls")
    parser.add_argument("--fail-with", type=int, default=503, metavar="STATUS", help="with this status: 503 or 429")
    parser.add_argument("--timeout-after-posting", type=int, default=0, metavar="N", help="never answer posting N")
    parser.add_argument("--die-after-posting", type=int, default=0, metavar="N", help="kill the process at posting N")
    parser.add_argument("--flaky", type=float, default=0, metavar="RATE", help="refuse calls or lose answers")
    return parser


def _faults(options: argparse.Namespace) -> Faults:
    named = ("slow", "fail", "fail_with", "timeout_after_posting", "die_after_posting", "flaky")
    return Faults(dedup=not options.no_dedup, **{name: getattr(options, name) for name in named})


def _listen(port: int) -> socket.socket:
    """A listening socket. Exits with a plain message where the port is taken."""
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SystemExit(f"payments: port {port} can not be used: {error}. Choose another with --port.") from error
    return listener


def _serve_streams(ledger: Ledger, faults: Faults) -> int:
    """Serve until standard input ends."""
    try:
        asyncio.run(over_stdio(ledger, faults))
    finally:
        ledger.close()
    return 0


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    parser = _arguments()
    options = parser.parse_args()
    try:
        faults = _faults(options)
    except ValidationError as error:
        parser.error("; ".join(f"--{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()))
    if options.stdio:
        return _serve_streams(Ledger(options.data), faults)
    listener = _listen(options.port)
    ledger = Ledger(options.data)
    config = uvicorn.Config(
        application(ledger, faults), log_config=None, access_log=False, timeout_keep_alive=30,
        timeout_graceful_shutdown=1, ws="none",
    )
    port = listener.getsockname()[1]
    print(f"payments: MCP at http://{HOST}:{port}/mcp, ledger {ledger.path}", flush=True)
    try:
        Process(config).run(sockets=[listener])
    finally:
        ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
