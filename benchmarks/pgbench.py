"""The peer: PostgreSQL's own pgbench, which commits one row at a time as fast as the server takes them.

It is a floor, not an engine: no fence, no index beside the primary key, no history. What it reaches is what any engine
could reach that commits each step by itself.
"""

from __future__ import annotations

import re
import subprocess

from benchmarks.bench import Bench
from benchmarks.cluster import binary
from config import embedded

SECONDS = "1"
TABLE = "create table if not exists bench_insert (id bigint generated always as identity primary key, body bytea)"
SCRIPT = "insert into bench_insert (body) values (:body)\n"
BESIDE = 24 + 8 + 4  # bytes of a row beside its body: header, id, length


class Inserts:
    """Single-row INSERT commits, prepared, in rows of `row_bytes`."""

    def __init__(self, bench: Bench, row_bytes: int) -> None:
        bench.cluster.do(TABLE)
        script = bench.folder / "insert.sql"
        script.write_text(SCRIPT)
        place = ("-h", str(embedded.socket_folder(bench.cluster.root)), "-U", embedded.ROLE, embedded.NAME)
        body = "x" * max(1, row_bytes - BESIDE)
        self._command = [
            binary("pgbench"), "-n", "-M", "prepared", "-f", str(script), "-D", f"body={body}", "-T", SECONDS, *place
        ]

    def rate(self, clients: int) -> float:
        """Commits a second of that many clients in a slice of one second, without the time to connect."""
        done = subprocess.run(
            [*self._command[:-1], "-c", str(clients), "-j", str(min(clients, 2)), self._command[-1]],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        if found is None:
            raise RuntimeError(f"pgbench told no rate:\n{done.stdout}{done.stderr}")
        return float(found[1])
