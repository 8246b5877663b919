"""Random programs of branches, and what drives one to its end: the clock to the next timer, then one signal after
another. No two timers end at the same time, so that the same branch wins however often the worker dies."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from missions.authoring import Context, StepFailed, ToolCall, Verdict, tool
from missions.engine import feed
from missions.engine.mailbox import deliver
from missions.models import Mission
from tests import live_worker
from tests.conftest import Clock
from tests.corners import begin

Program = list[Any]  # of [kind, number] or [kind, [program, …]]
UNIT = 100  # seconds; sleeps last UNIT·2ⁿ, so that all their sums differ
paid: list[tuple[str, int]] = []  # (idempotency key, number), as often as the tool was called


@tool(name="corner.numbered", effect="write", retry_safety="keyed", key_ttl=10**9)
async def numbered(call: ToolCall, number: int) -> int:
    """Pay"""
    paid.append((call.idempotency_key, number))
    return number


LEAVES = st.sampled_from(["step", "sleep", "sleep", "signal", "tool", "fail"])


def _op(children: st.SearchStrategy[Program]) -> st.SearchStrategy[Any]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.tuples(st.sampled_from(["gather", "any", "any", "all", "for"]), several).map(list)


_programs = st.recursive(
    st.lists(LEAVES.map(lambda kind: [kind]), min_size=1, max_size=3),
    lambda children: st.lists(LEAVES.map(lambda kind: [kind]) | _op(children), min_size=1, max_size=3),
    max_leaves=8,
)
SLEEP: Program = [["sleep"]]
programs = _programs.map(lambda program: _with_numbers(program, SLEEP, itertools.count(), itertools.count()))
races = _programs.map(lambda program: _with_numbers(program, [], itertools.count(), itertools.count()))


def _with_numbers(program: Program, first: Program, leaves: Iterator[int], sleeps: Iterator[int]) -> Program:
    """Give each leaf a number, and each branch something to begin with: a sleep, so that nothing races."""
    made: Program = []
    for kind, *rest in program:
        if rest:
            branches = [_with_numbers([*first, *branch], first, leaves, sleeps) for branch in rest[0]]
            made.append([kind, branches, next(sleeps)])
        else:
            made.append([kind, next(sleeps if kind == "sleep" else leaves)])
    return made


def signals_of(program: Program) -> list[str]:
    found: list[str] = []
    for kind, what, *_ in program:
        if kind == "signal":
            found.append(f"s{what}")
        elif isinstance(what, list):
            found += [name for branch in what for name in signals_of(branch)]
    return found


async def echo(number: int) -> int:
    """Echoed."""
    return number


async def fail(number: int) -> int:
    """Failed."""
    raise ValueError(str(number))


async def perform(m: Context, program: Program) -> list[Any]:
    """Run a program; what each of its operations gave."""
    return [await _one(m, *op) for op in program]


async def _one(m: Context, kind: str, what: Any, number: int = 0) -> Any:
    if kind == "step":
        return await m.step("echo", echo, what)
    if kind == "fail":
        return await m.step("fail", fail, what)
    if kind == "tool":
        return await m.tool("corner.numbered", number=what)
    if kind == "sleep":
        return await m.sleep(UNIT * 2**what)
    if kind == "signal":
        return await m.wait_for_signal(f"s{what}")
    try:
        return await _group(m, kind, [perform(m, branch) for branch in what], UNIT * 2**number)
    except (StepFailed, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"


async def _group(m: Context, kind: str, calls: list[Any], timeout: int) -> Any:
    if kind == "any":
        return await m.wait_any(*calls)
    if kind == "for":
        return await m.wait_for(m.gather(*calls), timeout=timeout)
    return [str(item) for item in await m.gather(*calls, return_exceptions=kind == "all")]


told: dict[uuid.UUID, list[Any]] = {}  # by mission: what each attempt that came so far made of the whole program


async def body(m: Context, request: dict[str, Any]) -> Verdict:
    made = await perform(m, request["program"])
    told.setdefault(m.mission_id, []).append(made)
    await m.sleep(UNIT)  # and once more from the record
    return Verdict("done", data={"told": made})


def _is_parked(run: Mission) -> bool:
    return run.owner is None and run.state in ("waiting", "sleeping")


def drive(run: Mission, program: Program, clock: Clock) -> None:
    """Bring it to its end: each time it is parked, the next timer, or else the next signal."""
    signals = signals_of(program)
    while True:
        live_worker.wait_until(run, lambda now: now.ended or _is_parked(now))
        if run.ended:
            return
        seen = run.attempt
        if run.wake_at is not None:
            left = (run.wake_at - clock.now()).total_seconds()
            clock.advance(seconds=max(left, 0.0) + 0.001)
            feed.announce_due()
        else:
            deliver(run.pk, signals.pop(0), {})
        live_worker.wait_until(run, lambda now, seen=seen: now.ended or now.attempt > seen)  # type: ignore[misc]


def run_it(name: str, program: Program, clock: Clock) -> tuple[Mission, dict[str, Any], set[int]]:
    """The mission, how it ended, and the numbers that were paid, each under one key."""
    paid.clear()
    run = begin(name, program=program)
    drive(run, program, clock)
    assert len({key for key, _ in paid}) == len({number for _, number in paid})
    return run, {"state": run.state, "error": run.outcome.error, "data": run.outcome.data}, {n for _, n in paid}
