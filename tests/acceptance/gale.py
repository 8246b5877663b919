"""A gale over two hosts: workers are killed and stopped, and the database loses all its processes, for a given time.

Owns what is hit and when. Hosts are herds: whatever dies there is replaced. Peers of the same host kill a stopped
worker, those of the other one can only end its sessions; so some wake up and find that they were taken over.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from dataclasses import dataclass, field

import psutil

from tests.acceptance.processes import POLL_SECONDS, Process, until
from tests.acceptance.system import READY_SECONDS, System

HOSTS, WORKERS = ("east", "west"), 2
KILL_SECONDS, STOP_SECONDS = (0.5, 2.5), (1.0, 4.0)
STOPPED_SECONDS = (0.3, 6.0)  # some are awake again before anybody takes them for hung
CRASH_SECONDS = (20.0, 40.0)


@dataclass
class Gale:
    """Kills, stops and crashes, at random times."""

    system: System
    chance: random.Random
    crash_seconds: tuple[float, float] = CRASH_SECONDS
    herds: list[Process] = field(default_factory=list)
    kills: int = 0
    stops: int = 0
    crashes: int = 0
    _stopped: list[tuple[float, psutil.Process]] = field(default_factory=list)
    _next: dict[str, float] = field(default_factory=dict)

    def gather(self) -> None:
        """Start the hosts; returns when each has a worker that looks for work."""
        self.herds = [self.system.start_herd(host, WORKERS) for host in HOSTS]
        for herd in self.herds:
            until("the host works", READY_SECONDS, lambda herd=herd: herd.said("A worker is ready"))

    def blow(self, seconds: float) -> None:
        """Hit what there is, and then let it be: nobody is left stopped."""
        end = time.monotonic() + seconds
        hits = {"kill": (KILL_SECONDS, self._kill), "stop": (STOP_SECONDS, self._stop),
                "crash": (self.crash_seconds, self._crash)}
        self._next = {name: time.monotonic() + self.chance.uniform(*pause) for name, (pause, _) in hits.items()}
        while time.monotonic() < end:
            for name, (pause, hit) in hits.items():
                if time.monotonic() > self._next[name]:
                    hit()
                    self._next[name] = time.monotonic() + self.chance.uniform(*pause)
            self._wake(time.monotonic())
            time.sleep(POLL_SECONDS)
        self._wake(float("inf"))

    def workers(self) -> list[psutil.Process]:
        """Every process of the hosts that runs missions, those for missions in quarantine too."""
        return [child for herd in self.herds for child in psutil.Process(herd.pid).children(recursive=True)]

    def _victim(self) -> psutil.Process | None:
        awake = [worker for worker in self.workers() if all(worker != other for _, other in self._stopped)]
        return self.chance.choice(awake) if awake else None

    def _kill(self) -> None:
        if (victim := self._victim()) is not None and _send(victim, signal.SIGKILL):
            self.kills += 1

    def _stop(self) -> None:
        if (victim := self._victim()) is not None and _send(victim, signal.SIGSTOP):
            self.stops += 1
            self._stopped.append((time.monotonic() + self.chance.uniform(*STOPPED_SECONDS), victim))

    def _wake(self, now: float) -> None:
        for until_, victim in self._stopped:
            if until_ <= now:
                _send(victim, signal.SIGCONT)
        self._stopped = [(until_, victim) for until_, victim in self._stopped if until_ > now]

    def _crash(self) -> None:
        self.system.cluster.crash()
        self.system.cluster.start()
        self.crashes += 1


def _send(process: psutil.Process, number: signal.Signals) -> bool:
    """Whether it was still there to be hit."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process.send_signal(number)
        return True
    return False
