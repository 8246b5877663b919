"""Whether the machine is ours alone: others who use it bend figures, and ratios too.

A single worker next to a busy neighbour gets a smaller share of the processors than sixteen clients do. So a
measurement first waits for a gap, and afterwards knows how much of the processors others had meanwhile. On a quiet
machine neither costs anything.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import psutil

CALM_CORES = 0.3  # others may use so much of the processors, in cores, before a measurement counts as disturbed
LOOK_SECONDS = 0.1
PATIENCE = 10.0  # seconds that one workload may spend waiting for gaps
MOST = 2  # times as many measurements as are wanted, before it stops looking for calm ones

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

    def measure(self, figure: Callable[[], Figure]) -> tuple[Figure, float]:
        """Wait for a gap, then measure; the figure, and how many cores others used meanwhile."""
        self.wait()
        with self.watched() as others:
            value = figure()
        self.others += others
        return value, others[0]

    def collect(self, figure: Callable[[], Figure], wanted: int) -> list[Figure]:
        """Measure until so many figures are undisturbed; gives up on that once the patience is spent."""
        found: list[tuple[Figure, float]] = []
        while _calm(found) < wanted and len(found) < wanted * MOST and (self.patience or len(found) < wanted):
            found.append(self.measure(figure))
        return self.undisturbed(found, wanted)

    def undisturbed(self, found: Sequence[tuple[Figure, float]], wanted: int) -> list[Figure]:
        """Those measured while others used little; all of them where these are less than half of what was wanted."""
        enough = _calm(found) * 2 >= wanted
        return [figure for figure, others in found if not enough or others <= CALM_CORES]


def _calm(found: Sequence[tuple[Figure, float]]) -> int:
    return sum(others <= CALM_CORES for _, others in found)


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
