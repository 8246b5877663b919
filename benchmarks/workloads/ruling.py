"""How long one ruling takes under a policy of 200 rules that all apply; `benchmarks.ruling` measures."""

from __future__ import annotations

from benchmarks import ruling
from benchmarks.bench import Bench

NAME = "ruling"
ROUNDS = 5


def run(bench: Bench) -> None:
    """In this process: a ruling asks no other one."""
    rounds = bench.calm.collect(ruling.run, ROUNDS)
    bench.results.add_samples(NAME, f"ruling over {ruling.RULES} rules", "ms", rounds)
