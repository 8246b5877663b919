"""The supervisor with programs made for the purpose: restarts, draining, and what a kill leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config import supervisor as module
from config.claim import Claimed, claim
from config.supervisor import Program, Supervisor

PROJECT = Path(module.__file__).resolve().parent.parent

# Writes its pid, then sleeps; on SIGTERM it may take its time, and it keeps a child of its own.
PROGRAM = """
import os, signal, subprocess, sys, time
name, slow = sys.argv[1], float(sys.argv[2])
def end(*_):
    time.sleep(slow); open(name + ".drained", "w").close(); os._exit(0)
signal.signal(signal.SIGTERM, end)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(name, "a") as file: file.write(f"{os.getpid()} {child.pid}\\n")
time.sleep(600)
"""

# A supervisor in a process of its own, so that it can be killed.
HOST = """
import asyncio, os, sys
from pathlib import Path
from config.claim import claim
from config.supervisor import Program, Supervisor
folder = Path(sys.argv[1])
async def main(lock):
    program = Program(name="one", command=(sys.executable, "-c", sys.argv[2], str(folder / "one"), "0"), drain=5)
    await Supervisor([program], environment=os.environ, logs=None, lock=lock, say=print).run()
with claim(folder / "lock") as held:
    held.record(owns_database=False)
    asyncio.run(main(held.file))
"""


def program(folder: Path, name: str, *, slow: float = 0, drain: float = 5, **more: object) -> Program:
    command = (sys.executable, "-c", PROGRAM, str(folder / name), str(slow))
    return Program(name=name, command=command, drain=drain, **more)  # type: ignore[arg-type]


def pids(folder: Path, name: str) -> list[list[int]]:
    """One pair for each start: the program and its child."""
    path = folder / name
    return [[int(word) for word in line.split()] for line in path.read_text().splitlines()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


async def soon(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(until, condition)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(tmp_path: Path, said: list[str]) -> Iterator[Callable[..., Supervisor]]:
    with open(tmp_path / "lock", "w") as lock:

        def make(*programs: Program) -> Supervisor:
            return Supervisor(programs, environment=os.environ, logs=tmp_path, lock=lock, say=said.append)

        yield make


async def test_killed_program_starts_again_and_takes_its_child_with_it(
    tmp_path: Path, supervise: Callable[..., Supervisor], said: list[str]
) -> None:
    supervisor = supervise(program(tmp_path, "one"))
    running = asyncio.create_task(supervisor.run())
    await soon(lambda: pids(tmp_path, "one"))
    [[first, child]] = pids(tmp_path, "one")
    os.kill(first, signal.SIGKILL)
    await soon(lambda: len(pids(tmp_path, "one")) == 2)
    await soon(lambda: not alive(child))
    supervisor.stopping.set()
    await running
    assert any("SIGKILL" in line for line in said)
    await soon(lambda: not any(alive(pid) for pair in pids(tmp_path, "one") for pid in pair))


async def test_programs_drain_stage_by_stage_and_the_slow_are_killed(
    tmp_path: Path, supervise: Callable[..., Supervisor], said: list[str]
) -> None:
    supervisor = supervise(
        program(tmp_path, "worker", slow=0.3), program(tmp_path, "stuck", slow=60, drain=0.5),
        program(tmp_path, "payments", stage=1),
    )  # fmt: skip
    running = asyncio.create_task(supervisor.run())
    await soon(lambda: all(pids(tmp_path, name) for name in ("worker", "stuck", "payments")))
    supervisor.stopping.set()
    await running
    drained = {path.stem: path.stat().st_mtime_ns for path in tmp_path.glob("*.drained")}
    assert set(drained) == {"worker", "payments"}
    assert drained["worker"] < drained["payments"]
    assert any(line.startswith("stuck is killed") for line in said)


async def test_unwell_program_is_killed_with_its_group(
    tmp_path: Path, supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_EVERY", 0.1)

    async def complaint(age: float) -> str:
        return "no heartbeat" if len(pids(tmp_path, "one")) == 1 else ""

    supervisor = supervise(program(tmp_path, "one", complaint=complaint))
    running = asyncio.create_task(supervisor.run())
    await soon(lambda: len(pids(tmp_path, "one")) == 2)
    await soon(lambda: not any(map(alive, pids(tmp_path, "one")[0])))
    supervisor.stopping.set()
    await running


def test_killed_supervisor_leaves_nothing_and_frees_its_claim(tmp_path: Path) -> None:
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path), PROGRAM], cwd=PROJECT)
    until(lambda: pids(tmp_path, "one"))
    with pytest.raises(Claimed, match=f"pid {host.pid}"):
        next_claim(tmp_path, patience=0.2)
    host.kill()
    host.wait()
    until(lambda: not any(map(alive, pids(tmp_path, "one")[0])))
    next_claim(tmp_path, patience=5)


def next_claim(folder: Path, patience: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("config.claim.PATIENCE", patience)
        with claim(folder / "lock"):
            pass


def test_terminated_supervisor_ends_cleanly(tmp_path: Path) -> None:
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path), PROGRAM], cwd=PROJECT)
    until(lambda: pids(tmp_path, "one"))
    host.send_signal(signal.SIGTERM)
    assert host.wait(10) == 0
    assert (tmp_path / "one.drained").exists()
    until(lambda: not any(map(alive, pids(tmp_path, "one")[0])))
