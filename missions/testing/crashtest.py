"""The crash test: an author's mission, killed at each position of its journal, and what came of it each time.

Two uninterrupted runs say how it should end. Then, for each entry, one run that is cut after the work and before the
record, and one that is cut right after the record; a fresh incarnation of the worker goes on. Tools do what they always
do, each call noted first; a gate that allows everything stands in for policy and people. For a database of its own,
whose clock it moves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from missions.engine import guard, inspection
from missions.engine.registry import get_type
from missions.governance import Json
from missions.testing import findings, gates, requests, workers
from missions.testing.clock import Clock
from missions.testing.crashes import CrashingWorker, Cut
from missions.testing.findings import Fault, Finding, differing, gathered
from missions.testing.playing import Played, Player

POSITIONS = 50
QUIET = ("missions.engine.worker", "missions.engine.liveness")  # loggers that report each crash as news


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a crash test did and found."""

    cuts: int
    entries: int  # of the uninterrupted run
    seconds: float
    findings: list[Finding]


def crashtest(
    type: str, input: Json, *, positions: int = POSITIONS, signals: Mapping[str, Json] | None = None,
    tell: Callable[[Cut], None] = lambda cut: None,
) -> Report:
    """Run the test; `positions` bounds the number of cuts, spread evenly. `signals` are sent before it starts.

    Raises UnknownType, InvalidInput.
    """
    begun = time.monotonic()
    kind = get_type(type)
    kind.check_input(input)
    found = list(_written(kind.function))
    with _player(type, input, signals or {}) as player:
        whole = player.play()
        found.extend(findings.of_one(whole))
        cuts: list[Cut] = []
        if not found or all(one.fault is Fault.ORDER for one in found):
            Clock().advance(days=1, seconds=1)
            again = player.play()
            found.extend([*findings.of_one(again), *findings.of_two(whole, again)])
            volatile = differing(whole.verdict, again.verdict)
            cuts = spread(whole, positions)
            for cut in cuts:
                tell(cut)
                found.extend(findings.of_cut(player.play(cut), whole, volatile))
    return Report(
        cuts=len(cuts), entries=len(whole.entries), seconds=time.monotonic() - begun, findings=gathered(found)
    )


def spread(whole: Played, most: int) -> list[Cut]:
    """Where to cut: before and after each entry but the first, at most so many, evenly spread."""
    every = [Cut(entry.seq, recorded) for entry in whole.entries[1:] for recorded in (False, True)]
    every = every[:-1]  # after its last entry a mission has ended
    if len(every) <= most:
        return every
    return [every[number * len(every) // most] for number in range(most)]


def _written(function: Callable[..., object]) -> Iterator[Finding]:
    """What can be seen in the source of the body: calls that let time decide the order of things."""
    for one in inspection.findings(function):
        if one.kind == guard.ORDER:
            told = f"{one.file}:{one.line}: {one.name} in a mission's body; use m.gather, m.sleep, m.wait_for_signal."
            yield Finding(fault=Fault.ORDER, told=told)


@contextmanager
def _player(type: str, input: Json, signals: Mapping[str, Json]) -> Iterator[Player]:
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        noted = stack.enter_context(requests.noted())
        stack.enter_context(gates.allowing(lambda key: any(one.key == key and one.answered for one in noted)))
        worker = stack.enter_context(workers.worker(make=CrashingWorker))
        assert isinstance(worker, CrashingWorker)
        yield Player(worker, noted, type, input, signals)


@contextmanager
def _quiet() -> Iterator[None]:
    """Crashes are no news here."""
    before = {name: logging.getLogger(name).level for name in QUIET}
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
