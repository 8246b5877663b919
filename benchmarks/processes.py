"""The programs that a workload needs, as real processes: started as `manage.py up` starts them, watched, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.cluster import Cluster, wait_for
from benchmarks.place import PROJECT

DRAIN_SECONDS = 30.0
ALIVE = "select count(*) from missions_worker where pid = %s and dead_at is null"


class Process:
    """A running program. Its output goes to a log in the run's folder; with `pipes`, only its stderr does."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, *, pipes: bool = False, **environment: str
    ) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else log, stderr=log, start_new_session=True,
                env={**os.environ, **environment},
            )  # fmt: skip
        self.pid = self._process.pid
        self.stdin, self.stdout = self._process.stdin, self._process.stdout

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def cpu(self) -> float:
        """Seconds of CPU time so far, its own and its children's; in nanoseconds' steps where the kernel tells them."""
        return sum(_cpu(process) for process in self._family())

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def _family(self) -> list[psutil.Process]:
        me = psutil.Process(self.pid)
        return [me, *me.children(recursive=True)]

    def kill(self) -> float:
        """SIGKILL; the moment of it, on the machine's monotonic clock."""
        moment = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        return moment

    def stop(self) -> None:
        """Let it end in its own time, then kill what is left of its group."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self.stdin, self.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what was not read yet
                    pipe.close()


def _cpu(process: psutil.Process) -> float:
    try:
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (OSError, ValueError, IndexError):  # no such file here, or it has just ended
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            return float(times.user + times.system)
        return 0.0


class Worker(Process):
    """A mission worker."""

    def __init__(self, cluster: Cluster, folder: Path, name: str, **environment: str) -> None:
        command = (sys.executable, str(PROJECT / "manage.py"), "runmissions")
        super().__init__(name, command, folder, **environment)
        self._cluster = cluster

    def ready(self) -> None:
        """Wait until it is in the ring. Raises RuntimeError where it has ended instead."""
        wait_for(lambda: not self.running or bool(self._cluster.one(ALIVE, self.pid)), what=f"{self.name} is ready")
        if not self.running:
            raise RuntimeError(f"{self.name} has ended:\n{self.log.read_text()[-2000:]}")


@contextlib.contextmanager
def workers(cluster: Cluster, folder: Path, count: int = 1, **environment: str) -> Iterator[list[Worker]]:
    """That many mission workers, ready; ended afterwards."""
    started = [Worker(cluster, folder, f"worker-{number}", **environment) for number in range(1, count + 1)]
    try:
        for worker in started:
            worker.ready()
        yield started
    finally:
        for worker in started:
            worker.stop()
