"""Which programs make a running Standfast, and what `up` must know about them: ports, health, readiness.

Holds no state; `config.supervisor` runs what is listed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import psutil
from django.db import DatabaseError, connection
from django.db.models import DurationField, ExpressionWrapper, F

from config import embedded
from config.supervisor import Program
from missions.models.fields import DatabaseNow
from missions.sandbox import selftest, watching
from observability.models import Check
from observability.tasks import HEARTBEAT

HEARTBEAT_LIMIT = 180.0  # seconds; the scheduled job that writes the heartbeat runs every minute
DATABASE_EVERY = 1.0  # seconds between two looks at the embedded server


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to run."""

    manage: Path
    data: Path
    host: str
    port: int
    workers: int
    drain: float  # seconds that a mission worker may take to finish what it can
    payments_port: int | None  # None: no demo payment server
    isolates: bool = True  # whether there is a sandbox to supervise

    def programs(self) -> list[Program]:
        """In the order of their start."""
        python, manage = sys.executable, str(self.manage)
        found = [
            Program(
                name=f"worker-{number}", command=(python, manage, "runmissions"), drain=self.drain + 5,
            )
            for number in range(1, self.workers + 1)
        ]  # fmt: skip
        found.append(Program(name="web", command=self._web(python), drain=10))
        found.append(Program(
            name="housekeeping", command=(python, manage, "qcluster"), drain=15, complaint=housekeeping_complaint,
        ))  # fmt: skip
        if self.isolates:
            found.insert(0, Program(name="sandbox", command=self._sandbox(python), drain=5, stage=1))
        if self.payments_port is not None:
            found.insert(0, Program(name="payments", command=self._payments(python), drain=5, stage=1))
        return found

    def _web(self, python: str) -> tuple[str, ...]:
        place = ("--bind", self.host, "--port", str(self.port))
        return (python, "-m", "daphne", *place, "--websocket_timeout", "-1", "-v", "0", "config.asgi:application")

    def _sandbox(self, python: str) -> tuple[str, ...]:
        return (python, "-m", "missions.sandbox.supervisor", "--folder", str(self.data / "sandbox"))

    def _payments(self, python: str) -> tuple[str, ...]:
        place = ("--port", str(self.payments_port), "--data", str(self.data / "demo"))
        return (python, "-m", "missions.library.payments", *place)


def port_taken(host: str, port: int) -> str:
    """Who listens there, for people; empty where the port is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return _listener(port) or str(error.strerror)
    return ""


def free_port(url: str) -> int:
    """The port that `url` names, or another free one on loopback."""
    wanted = urlsplit(url).port or 8765
    if not port_taken("127.0.0.1", wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _listener(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for found in psutil.net_connections("tcp"):
            if found.laddr and found.laddr.port == port and found.status == psutil.CONN_LISTEN and found.pid:
                return f"{' '.join(psutil.Process(found.pid).cmdline())[:60]} (pid {found.pid})"
    return ""


async def ready(url: str, patience: float, stopping: asyncio.Event) -> bool:
    """Whether `url` answers 200 within `patience` seconds; gives up early when stopping."""
    end = asyncio.get_running_loop().time() + patience
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        while not stopping.is_set() and asyncio.get_running_loop().time() < end:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return True
            await asyncio.sleep(0.2)
    return False


async def keep_database(root: Path, stopping: asyncio.Event, say: Callable[[str], None]) -> None:
    """Start the embedded server again whenever it is gone, until stopping."""
    while not stopping.is_set():
        try:
            if await asyncio.to_thread(embedded.start, root):
                say("the database was gone; it is started again")
        except embedded.ServerFailed as error:
            say(f"the database is gone: {error}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), DATABASE_EVERY)


async def housekeeping_complaint(age: float) -> str:
    """What is wrong with a `qcluster` of this age: killed at a bad moment, its workers wait for each other for ever."""
    silence = min(age, await asyncio.to_thread(heartbeat_age))
    return f"no heartbeat for {silence:.0f} s" if silence > HEARTBEAT_LIMIT else ""


def heartbeat_age() -> float:
    """Seconds since housekeeping last ran a job; 0 where the database can not be asked, infinite where it never did."""
    age = ExpressionWrapper(DatabaseNow() - F("checked_at"), output_field=DurationField())
    try:
        found: dt.timedelta | None = Check.objects.filter(name=HEARTBEAT).values_list(age, flat=True).first()
    except DatabaseError:
        return 0.0
    finally:
        connection.close()
    return float("inf") if found is None else found.total_seconds()


async def isolation_told() -> str:
    """What is off because programs can not be isolated here, and how to switch it on; empty where they can."""
    found = await selftest.examine()
    await watching.recorded(found)
    told = "\n".join(f"  {names}: {why}" for names, why in found.reasons())
    return f"Isolation is off, so tools that run programs are refused (docs/isolation.md):\n{told}" if told else ""


def environment(payments_port: int | None, site: str) -> dict[str, str]:
    """What the programs get: ours, where people reach the console, and where the demo payment server listens."""
    given = {"PUBLIC_URL": site, **os.environ, "PYTHONUNBUFFERED": "1"}
    if payments_port is not None:
        given["PAYMENTS_URL"] = f"http://127.0.0.1:{payments_port}/mcp"
    return given
