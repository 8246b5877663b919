"""Whether the machine is ours alone: others who use it bend figures, and ratios too.

A single worker next to a busy neighbour gets a smaller share of the processors than sixteen clients do. So a
measurement first waits for a gap, and afterwards knows how much of the processors others had meanwhile. On a quiet
machine neither costs anything.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import psutil

CALM_CORES = 0.3  # others may use so much of the processors, in cores, before a measurement counts as disturbed
LOOK_SECONDS = 0.1
PATIENCE = 240.0  # seconds that one workload may spend waiting for gaps
ENOUGH = 3  # with fewer calm rounds all of them count

Figure = TypeVar("Figure")


class Calm:
    """Waits for gaps, as long as its patience lasts, and measures what others use."""

    def __init__(self) -> None:
        self.patience = PATIENCE
        self.others: list[float] = []

    def renew(self) -> None:
        """Begin another workload."""
        self.patience, self.others = PATIENCE, []

    def wait(self) -> None:
        """Return at the next gap: a moment in which nobody uses much. Once the patience is spent, at once."""
        begun = time.monotonic()
        while time.monotonic() - begun < self.patience:
            with self.watched() as others:
                time.sleep(LOOK_SECONDS)
            if others[0] <= CALM_CORES:
                break
        self.patience -= min(self.patience, time.monotonic() - begun)

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[float]]:
        """Afterwards the list holds how many cores others used meanwhile."""
        found: list[float] = []
        begun, busy, ours = time.monotonic(), _busy(), _ours()
        yield found
        used = (_busy() - busy) - (_ours() - ours)
        found.append(max(0.0, used / (time.monotonic() - begun)))

    def undisturbed(self, figures: Sequence[tuple[Figure, float]]) -> list[Figure]:
        """Those measured while others used little; all of them where these are too few."""
        self.others += [others for _, others in figures]
        calm = [figure for figure, others in figures if others <= CALM_CORES]
        return calm if len(calm) >= ENOUGH else [figure for figure, _ in figures]


def _busy() -> float:
    """Seconds of CPU time that anybody has used since the machine's start."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _ours() -> float:
    """Seconds of CPU time of this process and of all that it started, ended ones included."""
    total = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
