"""The demo payment server as a process of its own, for tests that need the real thing."""

from __future__ import annotations

import functools
import json
import os
import signal
import sqlite3
import urllib.request
from pathlib import Path
from typing import Any

from missions.tools.server_file import read
from missions.tools.servers import Server
from tests.forkserver import Program

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def _deployed() -> Server:
    (described,) = read(ROOT / "deploy" / "mcp-servers.yaml")
    return described


class PaymentServer:
    """One payment server over a directory; it keeps its port and its ledger over restarts."""

    def __init__(self, directory: Path, *options: str, port: int = 0) -> None:
        self.directory = directory
        self.port = port
        self.process: Program
        self.start(*options)

    def start(self, *options: str) -> None:
        """Returns when it listens; the first line that it prints says where."""
        words = ["-m", "missions.library.payments", "--port", str(self.port), "--data", str(self.directory), *options]
        output, theirs = os.pipe()
        self._output = os.fdopen(output)  # as long as it runs: it must not print into a closed pipe
        self.process = Program(words, os.environ, out=theirs, err=theirs)
        os.close(theirs)
        line = self._output.readline()
        assert line.startswith("payments: MCP at"), line + self._output.read()
        self.port = int(line.split(":")[3].split("/")[0])

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait; returns its exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(10)
        finally:
            self._output.close()

    def set(self, **faults: Any) -> dict[str, Any]:
        """Set faults; those not named stay as they are."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/faults", json.dumps(faults).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What its ledger holds."""
        ledger = sqlite3.connect(self.directory / "ledger.sqlite3")
        try:
            return ledger.execute(query, values).fetchall()
        finally:
            ledger.close()

    def refunds(self, order_id: str) -> list[str]:
        """The amounts refunded for an order, in order of posting."""
        found = self.rows("SELECT amount FROM payments WHERE kind = 'refund' AND order_id = ? ORDER BY id", order_id)
        return [row[0] for row in found]

    def requests(self, key: str) -> int:
        """How often this key was asked for."""
        return int(self.rows("SELECT count(*) FROM requests WHERE key = ?", key)[0][0])

    def server(self) -> Server:
        """It, as deploy/mcp-servers.yaml describes it."""
        return _deployed().model_copy(update={"url": self.url})
