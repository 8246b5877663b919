"""Calls of the author that make facts and tell code apart: ids, random numbers, times to sleep until, patches."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from missions.authoring import Context, Verdict
from missions.engine import feed, history, seeds
from missions.engine.mailbox import deliver
from missions.models import Mission
from tests import live_worker
from tests.conftest import Clock
from tests.corners import begin, define, told

pytestmark = pytest.mark.django_db(transaction=True)


async def echo(value: Any) -> Any:
    """Echoed."""
    return value


# -- Ids, random numbers, times ----------------------------------------------------------------------------------------


def test_ids_and_random_numbers_are_the_same_on_replay_and_differ_from_call_to_call() -> None:
    seen: list[Any] = []

    async def branch(m: Context) -> list[Any]:
        made = [str(m.uuid()), m.random().random(), str(m.uuid()), m.random().random()]
        await m.step("echo", echo, made)
        return made

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        seen.append(await m.gather(branch(m), branch(m)))
        await m.wait_for_signal("go")
        return Verdict("done", data={"made": seen[-1]})

    name = define("seeded", body)
    with live_worker.worker():
        runs = [begin(name), begin(name)]
        for run in runs:
            live_worker.parked(run, "signal:go")
            deliver(run.pk, "go", {})
            live_worker.ended(run)
    made = [value for run in runs for branch in run.outcome.data["made"] for value in branch]
    assert len(made) == len(set(made)) == 16
    assert len(seen) == 4 and sorted(map(str, seen)) == sorted(map(str, [seen[0], seen[0], seen[-1], seen[-1]]))


def test_seed_is_that_of_the_timeline_of_the_next_entry_and_then_of_the_mission() -> None:
    uid, first, second = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    claimed = SimpleNamespace(uid=uid, timeline=2, seeds={1: first, 2: second})
    kept, fresh = SimpleNamespace(timeline=1), SimpleNamespace(timeline=2)

    def seed(following: Any) -> uuid.UUID:
        return seeds.seed_here(SimpleNamespace(claimed=claimed, following=following))  # type: ignore[arg-type]

    assert [seed(kept), seed(fresh), seed(None)] == [first, second, second]
    claimed.seeds = {}
    assert seed(kept) == seeds.first_seed(uid) != seed(fresh)


def test_sleep_until_a_time_ends_at_that_time_and_not_before(clock: Clock) -> None:
    at = clock.now() + dt.timedelta(days=3)

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.sleep_until(dt.datetime.fromisoformat(request["at"]))
        await m.sleep_until(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        return Verdict("done", data={"now": (await m.now()).isoformat()})

    name = define("until", body)
    with live_worker.worker():
        run = live_worker.parked(begin(name, at=at.astimezone(dt.timezone(dt.timedelta(hours=5))).isoformat()), "timer")
        assert run.wake_at == at
        clock.advance(days=3)
        feed.announce_due()
        live_worker.ended(run)
    assert at <= dt.datetime.fromisoformat(run.outcome.data["now"]) < at + dt.timedelta(minutes=1)


def test_sleep_until_a_time_without_an_offset_is_refused() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.sleep_until(dt.datetime(2030, 1, 1))

    run = begin(define("until-naive", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "failed" and "needs a time with its offset" in run.outcome.error


# -- Two versions of a function over one journal -----------------------------------------------------------------------

Body = Callable[[Context, dict[str, Any]], Awaitable[Any]]


async def old(m: Context, request: dict[str, Any]) -> Verdict:
    await m.step("first", echo, 1)
    await m.wait_for_signal("a")
    await m.step("old", echo, 2)
    await m.wait_for_signal("b")
    return Verdict("old")


async def new(m: Context, request: dict[str, Any]) -> Verdict:
    await m.step("first", echo, 1)
    await m.wait_for_signal("a")
    await m.step("new" if await m.patched("better") else "old", echo, 2)
    await m.wait_for_signal("b")
    kept = await m.gather(m.patched("better"), m.patched("better"))
    return Verdict("new" if await m.patched("better") and all(kept) else "old")


async def newest(m: Context, request: dict[str, Any]) -> Verdict:
    await m.step("first", echo, 1)
    await m.wait_for_signal("a")
    await m.deprecate_patch("better")
    await m.step("new", echo, 2)
    await m.wait_for_signal("b")
    return Verdict("newest")


def deployed(name: str, before: Body, after: Body, at: str) -> Mission:
    """A mission that ran the one function up to the wait for a signal, and the other one from there."""
    define(name, before)
    with live_worker.worker():
        run = begin(name)
        for signal in ("a", "b"):
            live_worker.parked(run, f"signal:{signal}")
            if signal == at:
                define(name, after)
            deliver(run.pk, signal, {})
        live_worker.ended(run)
    assert history.verify(run).ok
    return run


@pytest.mark.parametrize(
    ("before", "after", "at", "verdict", "marked"),
    [
        (old, new, "b", "old", 0),  # it had passed the place with the old code
        (old, new, "a", "new", 1),  # it comes to the place with the new code
        (new, new, "b", "new", 1),
        (new, newest, "b", "newest", 1),  # the marker stays valid
        (new, newest, "a", "newest", 0),
        (newest, newest, "b", "newest", 0),
    ],
)
def test_patch_tells_old_journals_from_new(before: Body, after: Body, at: str, verdict: str, marked: int) -> None:
    run = deployed(f"{before.__name__}-{after.__name__}-{at}", before, after, at)
    assert run.outcome.verdict == verdict and told(run).count("patched") == marked


def test_patch_first_asked_for_in_a_branch_is_refused() -> None:
    async def body(m: Context, request: dict[str, Any]) -> None:
        await m.gather(m.patched("better"))

    run = begin(define("patched-branch", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "failed" and "first branch" in run.outcome.error
