"""`manage.py up` with real processes: from an empty folder to a URL, through kills, to a clean end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from config import embedded
from config.processes import free_port

PROJECT = Path(embedded.__file__).resolve().parent.parent
LEFT_OUT = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PAYMENTS_URL", "PORT")
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


class Up:
    """A running `manage.py up`."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self.port = data, free_port("http://127.0.0.1:18000/")
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        environment = {**kept, "DATA_DIR": str(data), "PYTHONUNBUFFERED": "1"}
        self.output = data.with_name(f"{data.name}-{time.monotonic_ns()}.out")
        command = [sys.executable, "manage.py", "up", "--workers", "1", "--port", str(self.port), *options]
        with open(self.output, "ab") as output:
            self.process = psutil.Popen(command, cwd=PROJECT, env=environment, stdout=output, stderr=output)

    def said(self, words: str) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        return words in self.output.read_text()

    def answers(self, page: str) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/{page}", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def family(self) -> list[psutil.Process]:
        """Everything that it started, but the database."""
        return [one for one in self.process.children(recursive=True) if "postgres" not in words_of(one)]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    embedded.stop(folder / "postgres")


@pytest.fixture
def up(data: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*options: str) -> Up:
        started.append(Up(data, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(is_alive(one) for one in processes)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def worker_of(running: Up) -> psutil.Process | None:
    return next((one for one in running.family() if "runmissions" in words_of(one)), None)


def words_of(process: psutil.Process) -> list[str]:
    """Its name and command line; nothing where it has just ended."""
    with contextlib.suppress(psutil.Error):
        return [process.name(), *process.cmdline()]
    return []


def server_of(data: Path) -> int:
    """The pid of the database server; 0 while its file is missing or half written."""
    with contextlib.suppress(OSError, ValueError):
        return int((data / "postgres" / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
    return 0


def test_system_starts_survives_kills_and_ends_cleanly(data: Path, up: Callable[..., Up]) -> None:
    running = up()
    until(lambda: running.said("Standfast is ready"))
    assert "sam" in running.output.read_text()

    worker = worker_of(running)
    assert worker is not None
    worker.kill()
    until(lambda: (again := worker_of(running)) is not None and again.pid != worker.pid)
    server = server_of(data)
    os.kill(server, signal.SIGKILL)
    until(lambda: server_of(data) not in (0, server))  # `up` starts it again, or whichever command needs it first
    until(lambda: running.answers("readyz"))

    family = running.family()
    running.process.terminate()
    assert running.process.wait(60) == 0
    until(lambda: gone(family), 5)
    assert not embedded.is_running(data / "postgres")


def test_killed_system_leaves_nothing_and_the_next_goes_on(data: Path, up: Callable[..., Up]) -> None:
    first = up("--no-demo")
    until(lambda: first.said("Standfast is ready"))
    family = first.family()
    first.process.kill()
    first.process.wait()
    until(lambda: gone(family), 10)

    second = up("--no-demo")
    until(lambda: second.said("Standfast is ready"))
    assert "tables (" not in second.output.read_text(), "what the first migrated stays"
    second.process.terminate()
    assert second.process.wait(60) == 0
    assert not embedded.is_running(data / "postgres"), "the database of the killed one was ours to stop"


def test_taken_port_is_named_before_anything_starts(data: Path, up: Callable[..., Up]) -> None:
    port = free_port("http://127.0.0.1:18000/")
    with subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]) as other:
        until(lambda: port != free_port(f"http://127.0.0.1:{port}/"), 10)
        refused = up("--port", str(port))
        assert refused.process.wait(60) == 1
        other.kill()
    assert f"port {port} is taken by" in refused.output.read_text()
    assert not (data / "postgres").exists()
