"""A peer as a workload has it: processes of `.venv-peers` in the roles it needs, asked by lines of JSON.

Every peer has a database of its own on the run's server. Its processes stay while the workload lasts, as our worker
does, so what it pays at its start is in no figure.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Self

from benchmarks.bench import Bench
from benchmarks.cluster import binary
from benchmarks.peers.kinds import KINDS, PYTHON, Kind
from benchmarks.processes import Process
from benchmarks.systems import PeerFailed

PATIENCE = 150.0  # seconds for one answer: building a long history takes a peer minutes
SIZE = """
    select relname, pg_total_relation_size(oid) from pg_class
    where relkind = 'r' and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')
"""
fresh = itertools.count(1)


class Side(Process):
    """One process of a peer."""

    def __init__(self, bench: Bench, kind: Kind, role: str, name: str) -> None:
        facts = {"url": bench.cluster.url(database(kind)), "role": role, "name": name}
        command = (str(PYTHON), "-m", kind.module, json.dumps(facts))
        super().__init__(name, command, bench.folder, pipes=True, PYTHONUNBUFFERED="1")
        self.executor = name
        self._said = b""
        self._answer("begin")

    def ask(self, do: str, **given: Any) -> dict[str, Any]:
        """Have the side do something; its answer. Raises PeerFailed."""
        try:
            self.stdin.write(json.dumps({"do": do, **given}).encode() + b"\n")
            self.stdin.flush()
        except OSError as error:
            raise PeerFailed(f"{self.name} is gone: {self._told()}") from error
        return self._answer(do)

    def _answer(self, do: str) -> dict[str, Any]:
        answer = json.loads(self._line(do))
        if "failed" in answer:
            raise PeerFailed(f"{self.name} could not {do}:\n{answer['failed']}")
        found: dict[str, Any] = answer["answer"]
        return found

    def _line(self, do: str) -> bytes:
        """The next line of its answers; it may come in pieces."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self._said:
            if not select.select([self.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise PeerFailed(f"{self.name} did not {do} within {PATIENCE:g} s: {self._told()}")
            if not (more := os.read(self.stdout.fileno(), 1 << 16)):
                raise PeerFailed(f"{self.name} ended instead of: {do}: {self._told()}")
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line

    def _told(self) -> str:
        return self.log.read_text(errors="replace")[-1500:]


class Peer:
    """A peer in one workload: a host, a sender where it has one, and others on demand. A context manager."""

    def __init__(self, bench: Bench, kind: Kind) -> None:
        self.kind, self._bench, self._ending = kind, bench, contextlib.ExitStack()
        prepare(bench, kind)

    def __enter__(self) -> Self:
        try:
            self.host = self.process("host")
            self._roles = {"host": self.host}
            if "sender" in (self.kind.sender, self.kind.starter):
                self._roles["sender"] = self.process("sender")
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.close()

    def process(self, role: str) -> Side:
        """One more process of it, ended with this peer."""
        side = Side(self._bench, self.kind, role, f"{self.kind.name}-{role}-{next(fresh)}")
        self._ending.callback(side.stop)
        return side

    def serve(self, concurrency: int, **more: Any) -> None:
        """Have the host take work from now on, where it does not by itself."""
        if self.kind.serves:
            self.host.ask("serve", concurrency=concurrency, **more)

    def starts(self, count: int, role: str = "") -> list[float]:
        """Milliseconds from a start to its end, one after the other."""
        side = self._roles[role or self.kind.starter]
        found: list[float] = side.ask("starts", prefix=f"start-{next(fresh)}", count=count)["ms"]
        return found

    def steps(self, missions: int, length: int) -> dict[str, float]:
        """Steps a second (`rate`), and the process's CPU a step in microseconds (`cpu`)."""
        return self.host.ask("steps", prefix=f"steps-{next(fresh)}", missions=missions, length=length)

    def park(self, missions: int, *, steps: int = 1, rounds: int = 1) -> list[str]:
        """Missions that have done so many steps and wait for the first of so many signals; their names."""
        given = {"missions": missions, "steps": steps, "rounds": rounds}
        names: list[str] = self.host.ask("park", prefix=f"parked-{next(fresh)}", **given)["names"]
        return names

    def send(self, name: str) -> tuple[float, float]:
        """Send a mission its signal; when the call began, and when it returned."""
        answer = self._roles[self.kind.sender].ask("send", name=name)
        return answer["called"], answer["returned"]

    def wake(self, name: str, number: int = 1) -> tuple[float, float]:
        """Send a mission its signal of that number; seconds to its next step, from the call and from its return."""
        called, returned = self.send(name)
        (began,) = self.woke([f"{name}/{number}"])
        return began - called, began - returned

    def woke(self, names: list[str]) -> list[float]:
        """When these began on the host."""
        found: list[float] = self.host.ask("woke", names=names)["at"]
        return found

    def recovered(self, name: str, number: int) -> tuple[float, float]:
        """Kill the host, send the signal, recover in a new one: seconds to the next step, from that call, twice."""
        self.host.kill()
        self.send(name)
        dead, self.host = self.host.executor, self.process("host")
        begun: float = self.host.ask("recover", executor=dead)["at"]
        (began,) = self.woke([f"{name}/{number}"])
        return began - begun, began - begun

    def sizes(self, vacuum: str) -> tuple[int, int]:
        """Bytes of its database with all indexes after that vacuum: all, and those of its journal."""
        with self._bench.cluster.session(database(self.kind)) as session:
            session.execute(vacuum.encode())
            tables = dict(session.execute(SIZE).fetchall())
        return sum(tables.values()), sum(tables[name] for name in self.kind.journal)


def prepare(bench: Bench, kind: Kind) -> None:
    """Its database, made where it is not there."""
    if bench.cluster.one("select count(*) from pg_database where datname = %s", database(kind)):
        return
    bench.cluster.do(f"create database {database(kind)}")
    if kind.name == "absurd":
        place = {"PATH": f"{os.path.dirname(binary('psql'))}:{os.environ['PATH']}"}
        command = [str(PYTHON.with_name("absurdctl")), "init", "-d", bench.cluster.url(database(kind))]
        done = subprocess.run(command, env={**os.environ, **place}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerFailed(f"absurdctl init: {done.stderr[-1500:]}{done.stdout[-500:]}")


def database(kind: Kind) -> str:
    """The name of a peer's database."""
    return f"bench_{kind.name}"


@contextlib.contextmanager
def peers(bench: Bench, *without: str) -> Iterator[dict[str, Peer]]:
    """Every chosen peer, ready, by name; those that can not begin are told of and left out."""
    with contextlib.ExitStack() as stack:
        ready: dict[str, Peer] = {}
        for name in bench.peers:
            if name in KINDS and name not in without:
                with bench.surviving(name):
                    ready[name] = stack.enter_context(Peer(bench, KINDS[name]))
        yield ready
