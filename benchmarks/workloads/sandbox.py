"""How long isolation takes to start: `true` and a Python that does nothing, from the request to the end of the job.

Without the self-test, which runs once; with a supervisor of its own, as under `manage.py up`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from missions.sandbox import driver
from missions.sandbox.bubblewrap import BubblewrapDriver
from missions.sandbox.jobs import Job
from missions.sandbox.supervisor import SOCKET

NAME, ROUNDS, SAMPLES, GOAL_MS = "sandbox", 3, 30, 50.0
START_SECONDS = 10.0


def run(bench: Bench) -> None:
    """Left out, and told so, where bubblewrap is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="sandbox-", dir=bench.folder))
    command = [sys.executable, "-m", "missions.sandbox.supervisor", "--folder", str(folder)]
    supervisor = subprocess.Popen(command)
    try:
        give_up = time.monotonic() + START_SECONDS
        while not (folder / SOCKET).exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        _measure(bench, BubblewrapDriver(folder))
    finally:
        supervisor.terminate()
        supervisor.wait()


def _measure(bench: Bench, by: BubblewrapDriver) -> None:
    if missing := asyncio.run(_missing(by)):
        bench.results.console.print(f"sandbox is left out: {' '.join(missing.values())}")
        return
    python, readable = driver.interpreter()
    workspace = Path(tempfile.mkdtemp(prefix="workspace-", dir=bench.folder))
    jobs: dict[str, dict[str, Any]] = {
        "`true`": {"argv": ("/bin/true",)},
        "`true` with a workspace": {"argv": ("/bin/true",), "workspace": workspace},
        "`true` with a proxy": {"argv": ("/bin/true",), "egress": ("example.org:443",)},
        "an empty Python": {"argv": (python, "-Ic", ""), "readable": readable},
    }
    for words, facts in jobs.items():
        rounds = bench.calm.collect(lambda facts=facts: asyncio.run(_samples(by, Job(**facts))), ROUNDS)
        bench.results.add_samples(NAME, f"start to end of {words}", "ms", rounds)
        if words == "`true`":
            middle = sorted(value for values in rounds for value in values)[len(rounds) * SAMPLES // 2]
            bench.results.at_most(NAME, "ms, start to end of `true`, median", middle, GOAL_MS)


async def _missing(by: BubblewrapDriver) -> dict[str, str]:
    return dict(await by.missing())


async def _samples(by: BubblewrapDriver, job: Job) -> list[float]:
    found = []
    for _ in range(SAMPLES):
        begun = time.perf_counter()
        process = await by.start(job)
        ending = await process.ended()
        found.append((time.perf_counter() - begun) * 1000)
        await process.close()
        if ending.status:
            raise RuntimeError(f"the job ended with {ending.status}")
    return found
