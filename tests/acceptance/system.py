"""A whole system of real processes: workers, web, payment server, each test with a database of its own.

Owns their environment and their end. The cluster is shared by the session, and its template holds people, policy and
tokens. Short times: a heartbeat every half second, and a worker counts as hung after eight, since slow ones do not
hang. Systems that follow each other have names and places in common, so that their processes can be forks of one nest
(`tests.forkserver`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import forkserver
from tests.acceptance.cluster import Cluster, Database
from tests.acceptance.people import Person
from tests.acceptance.processes import ROOT, Process, free_port, until
from tests.payment_server import PaymentServer

HUNG_SECONDS, DRAIN_SECONDS, READY_SECONDS = 8.0, 10.0, 60.0
LOG_TAIL = 8_000  # characters of each log that a failure shows
MODULE = "tests.acceptance.sample_missions"


def manage(environment: dict[str, str], *command: str, patience: float = 120) -> str:
    """What a command of `manage.py` prints, which has to end well within `patience` seconds."""
    done = forkserver.run(["manage.py", *command], environment, seconds=patience)
    assert done.returncode == 0, done.stderr
    return done.stdout


def inside(module: str, environment: dict[str, str], *, patience: float = 120) -> Any:
    """What `main` of a module of this package prints as JSON, run by `manage.py` in a process of its own."""
    code = f"from tests.acceptance.{module} import main; main()"
    return json.loads(manage(environment, "shell", "-v", "0", "-c", code, patience=patience))


def environment(folder: Path, database: Database, **more: str) -> dict[str, str]:
    """What every process of the system gets."""
    return {
        **os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "STANDFAST_DEBUG": "1", "PYTHONUNBUFFERED": "1",
        "DATA_DIR": str(folder), "DATABASE_URL": database.url, "MISSIONS_MODULES": MODULE,
        "MISSIONS_HEARTBEAT_SECONDS": "0.5", "MISSIONS_HUNG_SECONDS": str(HUNG_SECONDS),
        "MISSIONS_DRAIN_SECONDS": str(DRAIN_SECONDS), "SANDBOX_DRIVER": "none", **more,
    }


def write_catalogue(path: Path, safety: str, timeout: float) -> None:
    """The payment server's entry with this retry safety for refunds and a short time-out for them."""
    kind = "" if safety == "keyed" else f"-{safety}"
    servers = yaml.safe_load((ROOT / "deploy" / f"mcp-servers{kind}.yaml").read_text())
    servers[0]["tools"]["payments.refund"]["timeout"] = timeout
    assert servers[0]["tools"]["payments.refund"]["retry_safety"] == safety
    path.write_text(yaml.safe_dump(servers))


@dataclass
class Seat:
    """The names and places of a system, which the next one takes over: all that its environment tells of it."""

    folder: Path
    database: Database
    payments_port: int
    taken: bool = True


@dataclass
class Ground:
    """What all tests of a session share: a running cluster with a prepared template, and the people's tokens."""

    folder: Path
    cluster: Cluster
    tokens: dict[str, str]
    seats: list[Seat] = field(default_factory=list)

    @classmethod
    def make(cls) -> Ground:
        """Start the cluster and prepare it."""
        # Directly below /tmp and open to be entered: sockets want short paths, and root's server another account.
        folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
        folder.chmod(0o755)
        cluster = Cluster(folder / "postgres")
        cluster.start()
        # The settings under test hash passwords fast.
        given = environment(folder, cluster.template, DJANGO_SETTINGS_MODULE="tests.settings")
        return cls(folder, cluster, inside("prepare", given))

    def seat(self) -> Seat:
        """One that is free, with a fresh database."""
        for seat in self.seats:
            if not seat.taken:
                seat.taken = True
                break
        else:
            name = f"system{len(self.seats) + 1}"
            seat = Seat(self.folder / name, Database(self.cluster, name), free_port())
            seat.folder.mkdir()
            self.seats.append(seat)
        self.cluster.fresh(seat.database)
        return seat

    def clear(self) -> None:
        """Stop the cluster and remove all that it wrote."""
        self.cluster.stop()
        shutil.rmtree(self.folder)


class System:
    """The system of one test. What it starts, `end` ends; what it wrote is found in `kept` then."""

    def __init__(self, ground: Ground, kept: Path) -> None:
        self.ground, self.kept, self._seat = ground, kept, ground.seat()
        self.cluster, self.database, self.folder = ground.cluster, self._seat.database, self._seat.folder
        self.environment = environment(self.folder, self.database)
        self.processes: list[Process] = []
        self.payments: Any = None  # a PaymentServer, once it is started
        self.forks = True  # fork what it starts; False: start it by its command, which takes some seconds
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    # -- Processes -----------------------------------------------------------------------------------------------------

    def _process(self, name: str, *command: str, **more: str) -> Process:
        known = sum(process.name.startswith(name) for process in self.processes)
        name = f"{name}-{known + 1}"
        words, log = [sys.executable, *command], self.folder / f"{name}.log"
        process = Process(name, words, {**self.environment, **more}, log, forked=self.forks)
        self.processes.append(process)
        return process

    def start_payments(self, safety: str, *options: str, timeout: float = 5.0) -> PaymentServer:
        """Start a payment server with a ledger of its own, and describe it to the workers that start after it."""
        folder = Path(tempfile.mkdtemp(prefix="payments-", dir=self.folder))
        self.payments = PaymentServer(folder, *options, port=self._seat.payments_port)
        catalogue = self.folder / "mcp-servers.yaml"
        write_catalogue(catalogue, safety, timeout)
        self.environment.update(PAYMENTS_URL=self.payments.url, MISSIONS_MCP_SERVERS=str(catalogue))
        return self.payments

    def start_web(self, **more: str) -> Process:
        """Start the web server; people wait for it by themselves."""
        place = ("-b", "127.0.0.1", "-p", str(self.port), "-v", "0")
        return self._process("web", "-m", "daphne", *place, "config.asgi:application", **more)

    def start_worker(self, *, ready: bool = True, crash_at: str = "", **more: str) -> Process:
        """Start a worker; returns when it looks for work, or at once."""
        worker = self._process("worker", "manage.py", "runmissions", STANDFAST_CRASH_AT=crash_at, **more)
        if ready:
            until("the worker is ready", READY_SECONDS, lambda: worker.said("A worker is ready") or not worker.running)
            assert worker.running or crash_at, worker.output
        return worker

    def start_nursery(self) -> Process:
        """Start a process that keeps workers alive as forked children of its own; its log holds theirs."""
        code = "from tests.acceptance.nursery import main; main()"
        return self._process("worker-nursery", "manage.py", "shell", "-v", "0", "-c", code)

    def start_herd(self, host: str, workers: int) -> Process:
        """Start a host of this name: a process that keeps so many workers alive; its log holds theirs."""
        code = "from tests.acceptance.herd import main; main()"
        more = {"MISSIONS_HOST": host, "HERD_WORKERS": str(workers)}
        return self._process(f"worker-herd-{host}", "manage.py", "shell", "-v", "0", "-c", code, **more)

    def close(self) -> None:
        """End the workers and the payment server; the web server and what was recorded stay."""
        for process in self.processes:
            if process.name.startswith("worker"):
                process.end()
        if self.payments is not None:
            self.payments.stop()
        self.payments = None

    def end(self) -> None:
        """Leave no process and no database behind."""
        self.close()
        for process in self.processes:
            process.end()
        self.database.drop()
        for path in self.folder.iterdir():
            if path.name != "secret-key":  # a nest has read it
                shutil.move(path, self.kept / path.name)
        self._seat.taken = False

    @property
    def logs(self) -> dict[str, str]:
        """The end of each log that says anything."""
        return {process.name: process.output[-LOG_TAIL:] for process in self.processes if process.output}

    # -- What tests ask ------------------------------------------------------------------------------------------------

    def person(self, name: str) -> Person:
        """Somebody who uses the API."""
        return Person(name, self.ground.tokens[name], f"{self.url}/api/v1/")

    def mission_id(self, uid: str) -> int:
        """The engine's id of a mission."""
        return int(self.database.value("select id from missions_mission where uid = %s", uid))

    def kinds(self, uid: str) -> list[str]:
        """The kinds of a mission's entries, in order."""
        query = "select kind from missions_journal where mission_id = %s order by seq"
        return [row[0] for row in self.database.rows(query, self.mission_id(uid))]

    def inside(self, module: str, **more: str) -> Any:
        """What a module of this package prints as JSON, run inside Django in a process of its own."""
        return inside(module, {**self.environment, **more})

    def allow(self, policy: dict[str, Any]) -> None:
        """Put a policy in force, beside the demo's."""
        path = self.folder / f"{policy['name']}.yaml"
        path.write_text(yaml.safe_dump(policy))
        manage(self.environment, "policy", "load", str(path), "--activate")

    def facts(self, patience: float = 120) -> Any:
        """All that the system has recorded, within so many seconds: see `tests.acceptance.facts`."""
        return inside("facts", self.environment, patience=patience)
