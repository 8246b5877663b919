"""What the tests of isolation share: supervisors of their own, with a measure switched off or not, and jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import env
from missions.errors import SandboxRefused
from missions.sandbox import driver, launching, selftest
from missions.sandbox.bubblewrap import BubblewrapDriver
from missions.sandbox.jobs import Finished, Job
from missions.sandbox.supervisor import SOCKET

__all__ = ["SandboxRefused", "chosen", "needs_bubblewrap", "needs_groups", "python", "run", "supervised"]
HERE = shutil.which("bwrap") is not None or env.flag("CI", default=False)
needs_bubblewrap = pytest.mark.skipif(not HERE, reason="no bubblewrap here: apt install bubblewrap libseccomp2")

needs_groups = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make control groups here")


@contextlib.contextmanager
def supervised(folder: Path, *without: str) -> Iterator[BubblewrapDriver]:
    """A driver with a supervisor of its own, without these measures."""
    options = [word for name in without for word in ("--without", name)]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "missions.sandbox.supervisor", "--folder", str(folder), *options]
    with open(folder / "said", "w+b") as said:
        process = subprocess.Popen(command, stderr=said)
        try:
            give_up = time.monotonic() + 20
            while not (folder / SOCKET).exists():
                assert process.poll() is None and time.monotonic() < give_up, "the supervisor did not start"
                time.sleep(0.01)
            yield BubblewrapDriver(folder)
        finally:
            process.terminate()
            status = process.wait(20)
        said.seek(0)
        assert (status, said.read()) == (0, b"")


@contextlib.contextmanager
def chosen(found: BubblewrapDriver, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use this driver in this test, and know nothing of what was found before."""
    with monkeypatch.context() as patch:
        patch.setattr(driver, "chosen", lambda: found)
        patch.setattr(selftest, "_known", None)
        yield


def run(*argv: str, by: BubblewrapDriver | None = None, **more: Any) -> Finished:
    """Run one job; `by` another driver without asking whether that is safe."""
    return asyncio.run(_run(Job(argv=argv, **more), by))


async def _run(job: Job, by: BubblewrapDriver | None) -> Finished:
    if by is None:
        return await launching.run(job)
    process = await by.start(job)
    try:
        return await launching.followed(job, process)
    finally:
        await process.close()


def python(code: str, *arguments: str, **more: Any) -> Finished:
    """Run a piece of Python in a job."""
    found, readable = driver.interpreter()
    readable = (*readable, *more.pop("readable", ()))
    return run(found, "-I", "-c", code, *arguments, readable=readable, **more)
