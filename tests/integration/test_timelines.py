"""Changed code, versions, chapters and long histories: what replay does with what was recorded before."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from approvals.models import Decision, DecisionKind
from missions.authoring import Context, MisusedContext, Verdict
from missions.control import forks, replay
from missions.engine import claims, controls, history, record, registry
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.models import Kind, Mission
from tests import corners, live_worker
from tests.web.visits import get

pytestmark = pytest.mark.django_db(transaction=True)
ran: Counter[str] = Counter()
numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


def define(function: Callable[..., Any], *versions: int, name: str = "", continues: tuple[int, ...] = ()) -> str:
    """A mission type with this code in these versions."""
    name = name or f"timelines.{next(numbers)}"
    for version in versions or (1,):
        registry._types.pop((name, version), None)
        registry.register(name, version, "", function, continues=continues)
    return name


def forget(name: str, version: int) -> None:
    registry._types.pop((name, version))


def count(what: str) -> int:
    ran[what] += 1
    return ran[what]


def kinds(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)]


async def before(m: Context, request: dict[str, Any]) -> None:
    await m.step("first", count, "first")
    await m.step("second", count, "second")
    await m.wait_for_signal("go")


def diverged(name: str, after: Callable[..., Any]) -> Mission:
    """A mission of a type that a worker knows, which was parked by its code and has just met other code."""
    run = live_worker.parked(start(name, {})[0], "signal:go")
    define(after, name=name)
    deliver(run.pk, "go", {})
    return live_worker.parked(run, "decision:")


async def changed(m: Context, request: dict[str, Any]) -> Verdict:
    await m.step("first", count, "first")
    await m.step("other", count, "other")
    await m.wait_for_signal("go")
    return Verdict("changed")


def answer(mission: Mission, who: User, choice: str) -> None:
    decision = Decision.objects.get(mission=mission, state="open")
    assert decision.kind == DecisionKind.DIVERGENCE and "second" in decision.reason
    votes.cast(decision.pk, who, "approve", decision.digest, choice=choice, channel="api")


@pytest.mark.parametrize("choice", ["roll_back", "accept"])
def test_diverged_mission_goes_on_from_the_last_point_that_matches(olivia: User, choice: str) -> None:
    name = define(before)
    with live_worker.worker():
        run = diverged(name, changed)
        assert (run.state, run.reason) == ("paused", "divergence")
        differs = Decision.objects.get(mission=run, state="open").facts["differs"]
        assert differs["recorded"] == {"seq": 3, "kind": "step", "path": "second#1", "inputs": {"name": "second"}}
        assert differs["called"] == [{"path": "other#1", "inputs": {"name": "other", "args": ["other"]}}]
        assert differs["differences"] == []
        answer(run, olivia, choice)
        live_worker.ended(run)
    assert run.outcome.verdict == "changed" and run.timeline == 2
    assert ran == {"first": 1, "second": 1, "other": 1}  # what matches is not run again
    assert history.verify(run).ok


def test_inputs_that_differ_are_told_side_by_side(olivia: User) -> None:
    async def pays(m: Context, request: dict[str, Any]) -> None:
        await m.tool("corner.keyed", amount=1)
        await m.step("weigh", count, "first")
        await m.wait_for_signal("go")

    async def pays_more(m: Context, request: dict[str, Any]) -> None:
        await m.tool("corner.keyed", amount=2)

    async def weighs_other(m: Context, request: dict[str, Any]) -> None:
        await m.tool("corner.keyed", amount=1)
        await m.step("weigh", count, "other")

    corners.allow()
    name, other = define(pays), define(pays)
    with live_worker.worker():
        more = live_worker.parked(start(name, {})[0], "signal:go")
        weighed = live_worker.parked(start(other, {})[0], "signal:go")
        define(pays_more, name=name)
        define(weighs_other, name=other)
        seen = replay.replay(more).differs
        for run in (more, weighed):
            deliver(run.pk, "go", {})
            live_worker.parked(run, "decision:")
    found = [Decision.objects.get(mission=run, state="open").facts["differs"] for run in (more, weighed)]
    assert found[0] == seen and found[0]["recorded"]["kind"] == "ruling"
    assert found[0]["differences"] == [{"at": "args.amount", "recorded": 1, "called": 2}]
    assert found[1]["differences"] == [
        {"at": "inputs", "recorded": "(recorded as a hash only)", "called": {"name": "weigh", "args": ["other"]}}
    ]
    html = get(olivia, f"/queue/{Decision.objects.get(mission=more).pk}/")
    assert "<code>args.amount</code>" in html and "Called now" in html


def test_diverged_mission_is_tried_again_once_the_code_is_right(olivia: User) -> None:
    async def right(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step("first", count, "first")
        await m.step("second", count, "second")
        await m.wait_for_signal("go")
        return Verdict("right")

    name = define(before)
    with live_worker.worker():
        run = diverged(name, changed)
        define(right, name=run.type)
        answer(run, olivia, "retry")
        live_worker.ended(run)
    assert run.outcome.verdict == "right" and ran == {"first": 1, "second": 1}


def test_changed_code_that_violates_the_guard_is_named_a_violation_with_file_and_line(olivia: User) -> None:
    async def violates(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step("first", count, "first")
        return Verdict("late", data={"at": getattr(time, "time")()})  # noqa: B009  (not seen before it runs)

    name = define(before)
    with live_worker.worker():
        run = diverged(name, violates)
        decision = Decision.objects.get(mission=run, state="open")
        assert (run.state, run.reason) == ("paused", "violation")
        assert f"{__file__}:" in decision.reason and "may not read time.time()" in decision.reason
        assert "only tools may do" in decision.sentence
        define(before, name=name)
        votes.cast(decision.pk, olivia, "approve", decision.digest, choice="retry", channel="api")
        live_worker.ended(run)
    assert ran == {"first": 1, "second": 1}


def test_diverged_mission_is_cancelled_by_decision(olivia: User) -> None:
    name = define(before)
    with live_worker.worker():
        run = diverged(name, changed)
        answer(run, olivia, "cancel")
        live_worker.ended(run)
    assert run.state == "cancelled" and ran == {"first": 1, "second": 1}


def test_question_about_divergence_gives_way_to_a_person_who_steers() -> None:
    name = define(before)
    with live_worker.worker():
        run = diverged(name, changed)
        controls.request(run.pk, "cancel", reason="Enough", by="olivia")
        live_worker.ended(run)
    assert run.state == "cancelled" and not Decision.objects.filter(mission=run, state="open").exists()


def test_missions_of_an_earlier_version_run_its_code_where_it_is_known() -> None:
    async def first(m: Context, request: dict[str, Any]) -> Verdict:
        await m.wait_for_signal("go")
        return Verdict("first")

    async def second(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step("new", count, "new")
        await m.wait_for_signal("go")
        return Verdict("second")

    name = define(first, 1)
    with live_worker.worker():
        old = live_worker.parked(start(name, {})[0], "signal:go")
    define(second, 2, name=name)
    with live_worker.worker():
        new = live_worker.parked(start(name, {})[0], "signal:go")
        for run in (old, new):
            deliver(run.pk, "go", {})
            live_worker.ended(run)
    assert (old.outcome.verdict, new.outcome.verdict) == ("first", "second")
    assert (old.version, new.version) == (1, 2)


def test_missions_of_a_version_unknown_here_are_left_alone() -> None:
    async def first(m: Context, request: dict[str, Any]) -> Verdict:
        await m.wait_for_signal("go")
        return Verdict("first")

    name = define(first, 1)
    with live_worker.worker():
        old = live_worker.parked(start(name, {})[0], "signal:go")
    define(first, 2, name=name)
    forget(name, 1)
    known = define(first_done)
    with live_worker.worker():
        deliver(old.pk, "go", {})
        live_worker.ended(start(known, {})[0])  # the worker looked, and took what it knows
    old.refresh_from_db()
    assert old.state == "waiting" and old.owner is None


async def first_done(m: Context, request: dict[str, Any]) -> Verdict:
    return Verdict("done")


def test_later_version_that_continues_an_earlier_one_takes_over_with_its_first_fresh_entry() -> None:
    async def first(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step("first", count, "first")
        await m.wait_for_signal("go")
        return Verdict("first")

    async def second(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step("first", count, "first")
        await m.wait_for_signal("go")
        await m.step("more", count, "more")
        await m.wait_for_signal("end")
        return Verdict("second")

    name = define(first, 1)
    with live_worker.worker():
        run = live_worker.parked(start(name, {})[0], "signal:go")
    forget(name, 1)
    define(second, 2, name=name, continues=(1,))
    with live_worker.worker():
        deliver(run.pk, "go", {})
        live_worker.parked(run, "signal:end")
        assert run.version == 2
        deliver(run.pk, "end", {})
        live_worker.ended(run)
    assert run.outcome.verdict == "second" and kinds(run).count("upgraded") == 1
    assert ran == {"first": 1, "more": 1} and history.verify(run).ok


def test_chapters_start_over_from_their_state_and_replay_nothing_before() -> None:
    async def body(m: Context, state: dict[str, Any]) -> Verdict:
        done = state.get("done", 0)
        await m.step("work", count, f"chapter {done}")
        mail = await m.wait_for_signal("more")
        if done == 2:
            return Verdict("done", data={"mail": mail})
        await m.continue_as({"done": done + 1})

    name = define(body)
    with live_worker.worker():
        run = start(name, {})[0]
        for number in range(3):
            deliver(run.pk, "more", {"number": number})
        live_worker.ended(run)
    assert run.chapter == 3 and run.outcome.data == {"mail": {"number": 2}}
    assert ran == {"chapter 0": 1, "chapter 1": 1, "chapter 2": 1}
    chapters = [entry.seq for entry in history.entries(run.pk) if entry.kind == Kind.CHAPTER]
    assert run.replay_from == chapters[-1] and run.mail_from == 2
    assert history.verify(run).ok


def test_rollback_into_an_earlier_chapter_goes_on_from_there() -> None:
    async def body(m: Context, state: dict[str, Any]) -> Verdict:
        await m.step("work", count, f"chapter {state.get('done', 0)}")
        await m.wait_for_signal("more")
        if state.get("done") == 1:
            return Verdict("done")
        await m.continue_as({"done": 1})

    name = define(body)
    with live_worker.worker():
        run = start(name, {})[0]
        for _ in range(2):
            deliver(run.pk, "more", {})
        live_worker.ended(run)
        controls.request(run.pk, "rollback", to=2)
        live_worker.wait_until(run, lambda now: now.timeline == 2 and now.state == "completed")
    assert ran == {"chapter 0": 1, "chapter 1": 2}
    assert run.chapter == 2


def test_chapter_is_refused_inside_branches() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            await m.gather(m.continue_as({}), m.sleep(0))
        except MisusedContext:
            return Verdict("refused")
        return Verdict("not refused")

    name = define(body)
    with live_worker.worker():
        run = live_worker.ended(start(name, {})[0])
    assert run.outcome.verdict == "refused"


def test_long_history_is_replayed_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        for number in range(25):
            await m.step("work", count, f"step {number}")
        await m.gather(m.step("left", count, "left"), m.step("right", count, "right"))
        await m.wait_for_signal("go")
        return Verdict("done")

    monkeypatch.setattr(claims, "PORTION", 10)
    monkeypatch.setattr(record, "PORTION", 10)
    name = define(body)
    with live_worker.worker():
        run = live_worker.parked(start(name, {})[0], "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    assert len(ran) == 27 and set(ran.values()) == {1}


def test_record_longer_than_the_code_asks_for_is_a_divergence_in_any_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    async def before(m: Context, request: dict[str, Any]) -> None:
        for number in range(15):
            await m.step("work", count, f"step {number}")
        await m.wait_for_signal("go")

    async def after(m: Context, request: dict[str, Any]) -> None:
        for number in range(9):
            await m.step("work", count, f"step {number}")

    monkeypatch.setattr(claims, "PORTION", 10)
    monkeypatch.setattr(record, "PORTION", 10)
    name = define(before)
    with live_worker.worker():
        run = live_worker.parked(start(name, {})[0], "signal:go")
        define(after, name=name)
        deliver(run.pk, "go", {})
        live_worker.parked(run, "decision:")
    assert run.reason == "divergence"


async def ids(m: Context, request: dict[str, Any]) -> Verdict:
    before = str(m.uuid())
    await m.step("first", count, "first")
    mail = await m.wait_for_signal("go")
    after = str(m.uuid())
    await m.wait_for_signal("end")
    return Verdict("done", data={"before": before, "after": after, "mail": mail})


def test_fork_shares_the_prefix_and_goes_on_by_itself() -> None:
    name = define(ids)
    with live_worker.worker():
        run = live_worker.parked(start(name, {})[0], "signal:go")
        other = forks.fork(run, 2, title="What if")
        live_worker.parked(other, "signal:go")
        deliver(run.pk, "go", {"to": "source"})
        deliver(other.pk, "go", {"to": "fork"})
        for one in (run, other):
            deliver(one.pk, "end", {})
            live_worker.ended(one)
    assert ran == {"first": 1}
    assert run.outcome.data["mail"] == {"to": "source"} and other.outcome.data["mail"] == {"to": "fork"}
    assert history.verify(run).ok and history.verify(other).ok
    assert other.brief.title == "What if" and other.uid != run.uid


def test_fork_of_a_chapter_that_took_mail_hears_its_own() -> None:
    name = define(ids)
    with live_worker.worker():
        run = live_worker.parked(start(name, {})[0], "signal:go")
        deliver(run.pk, "go", {"to": "source"})
        live_worker.parked(run, "signal:end")
        other = forks.fork(run, run.head_seq)
        deliver(other.pk, "end", {})
        live_worker.ended(other)
    assert other.outcome.data["mail"] == {"to": "source"} and history.verify(other).ok


def test_stored_journal_replays_against_the_code_without_running_anything() -> None:
    name = define(before)
    with live_worker.worker():
        run = live_worker.parked(start(name, {})[0], "signal:go")
        done = live_worker.parked(start(name, {})[0], "signal:go")
        deliver(done.pk, "go", {})
        live_worker.ended(done)
    ran.clear()
    same = [replay.replay(mission) for mission in (run, done)]
    assert [one.ok for one in same] == [True, True] and not ran
    define(changed, name=name)
    different = replay.replay(run)
    assert different.ok is False and "second#1" in different.detail and different.entries == 2
    forget(name, 1)
    assert replay.replay(run).ok is None
