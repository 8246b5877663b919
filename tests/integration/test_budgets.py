"""Budgets: people are asked before one is exceeded; more is allowed, or the mission ends with that verdict."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from missions.authoring import Budget, BudgetExhausted, Context, Verdict
from missions.engine import accounts, feed, history, registry
from missions.engine.mailbox import deliver
from missions.engine.starting import start
from missions.errors import InvalidInput
from missions.models import Mission
from tests import live_worker
from tests.conftest import Clock
from tests.corners import allow, bank, lose, told

pytestmark = pytest.mark.django_db(transaction=True)
ran: list[int] = []


@pytest.fixture(autouse=True)
def _afresh() -> None:
    ran.clear()
    bank.calls.clear()
    bank.fault = lambda: None


async def count(number: int) -> int:
    """Counted."""
    ran.append(number)
    return number


def begin(name: str, body: Callable[[Context], Awaitable[Any]], budget: Budget | None = None, **own: Any) -> Mission:
    async def run(m: Context, request: dict[str, Any]) -> Any:
        return await body(m)

    registry.register(name, 1, "", run, budget=budget)
    return start(name, {}, budget=own or None)[0]


def rule(run: Mission, by: User, verdict: str, number: int = 1) -> str:
    """Answer the open question about the budget; its sentence."""
    live_worker.wait_until(run, lambda now: now.decisions.count() >= number)  # it may still stand at the one before
    live_worker.parked(run, "decision:")
    assert run.decisions.count() == number
    decision = run.decisions.get(state="open")
    assert decision.kind == "budget"
    votes.cast(
        decision.pk, by, verdict, decision.digest, channel="console",
        **({} if verdict == "approve" else {"reason_code": "other", "comment": "Enough."}),
    )
    return str(decision.sentence)


async def steps(m: Context) -> Verdict:
    for number in range(5):
        await m.step("count", count, number)
    return Verdict("done", data={"left": m.budget.remaining("steps"), "spent": m.budget.spent.steps})


def test_budget_of_steps_is_raised_by_its_amount_each_time_people_allow_it(sam: User) -> None:
    run = begin("steps", steps, Budget(steps=2))
    with live_worker.worker():
        assert rule(run, sam, "approve") == "The budget of 2 steps is used up: allow 2 steps more?"
        assert rule(run, sam, "approve", 2) == "The budget of 4 steps is used up: allow 2 steps more?"
        live_worker.ended(run)
    assert run.outcome.data == {"left": 1, "spent": 5} and ran == [0, 1, 2, 3, 4]
    assert told(run) == ["step", "step", "asked", "answered", "step", "step", "asked", "answered", "step", "completed"]


def test_budget_that_people_refuse_to_raise_ends_the_mission_with_that_verdict(sam: User) -> None:
    run = begin("refused", steps, Budget(steps=100), steps=3)
    with live_worker.worker():
        rule(run, sam, "reject")
        live_worker.ended(run)
    assert run.state == "completed" and run.outcome.verdict == "budget_exhausted" and ran == [0, 1, 2]


def test_author_who_handles_an_exhausted_budget_handles_it_on_replay_too(sam: User) -> None:
    async def body(m: Context) -> Verdict:
        seen = []
        for call in (lambda: m.step("count", count, 1), lambda: m.tool("corner.manual", amount=1)):
            try:
                await call()
            except BudgetExhausted as error:
                seen.append(str(error))
        await m.wait_for_signal("go")
        return Verdict("done", data={"seen": seen})

    allow()
    run = begin("handled", body, Budget(steps=0, effects=0))
    with live_worker.worker():
        rule(run, sam, "reject")
        rule(run, sam, "reject", 2)
        live_worker.parked(run, "signal:go")
        deliver(run.pk, "go", {})
        live_worker.ended(run)
    refusals = ["The budget of 0 steps is used up.", "The budget of 0 effects is used up."]
    assert run.outcome.data == {"seen": refusals} and not ran and not bank.calls


def test_effects_side_by_side_do_not_exceed_the_budget_together(sam: User) -> None:
    async def body(m: Context) -> None:
        await m.gather(*(m.tool("corner.manual", amount=1) for _ in range(4)))

    allow()
    run = begin("effects", body, Budget(effects=2))
    with live_worker.worker() as running:
        live_worker.parked(run, "decision:")
        assert len(bank.calls) == 2
        lose(running)
        rule(run, sam, "approve")
        live_worker.ended(run)
    assert len(bank.calls) == 4 and run.decisions.count() == 1 and run.outcome.verdict == "done"


def test_question_of_a_branch_that_is_cut_off_stays_open_for_the_mission(sam: User) -> None:
    async def body(m: Context) -> None:
        await m.spend(tokens=10, what="thinking")
        await m.wait_any(m.step("count", count, 1), m.wait_for_signal("go"))
        await m.step("count", count, 2)

    run = begin("outlives", body, Budget(tokens=1000), tokens=10)
    with live_worker.worker():
        live_worker.parked(run, "decision:")
        deliver(run.pk, "go", {})
        live_worker.wait_until(run, lambda now: "won" in told(now) and now.owner is None)
        rule(run, sam, "approve")
        live_worker.ended(run)
    assert ran == [2] and run.outcome.verdict == "done"


def test_cost_and_tokens_count_as_they_are_recorded_and_escalate_once_used_up(sam: User) -> None:
    async def body(m: Context) -> Verdict:
        await m.spend(cost="1.50", tokens=400, what="a summary")
        await m.step("count", count, 1)
        await m.spend(cost=Decimal("3.50"))
        await m.step("count", count, 2)
        return Verdict("done", data={"left": [m.budget.remaining("cost"), m.budget.remaining("tokens")]})

    run = begin("cost", body, Budget(cost=Decimal("5.00")))
    with live_worker.worker():
        live_worker.parked(run, "decision:")
        assert ran == [1]
        assert rule(run, sam, "approve") == "The budget of 5.00 of cost is used up: allow 5.00 of cost more?"
        live_worker.ended(run)
    assert run.outcome.data == {"left": ["5.00", None]}
    ledger = accounts.ledger_of(run)
    assert ledger is not None
    assert accounts.lines(ledger) == ["5.00 of 10.00 of cost", "400 tokens"]
    assert history.verify(run).ok


def test_time_runs_from_the_start_and_more_of_it_from_the_answer(sam: User, clock: Clock) -> None:
    async def body(m: Context) -> None:
        await m.sleep(dt.timedelta(hours=3))
        await m.step("count", count, 1)
        await m.step("count", count, 2)

    run = begin("wall", body, wall=7200)
    with live_worker.worker():
        live_worker.parked(run, "timer")
        clock.advance(hours=9)
        feed.announce_due()
        assert rule(run, sam, "approve") == "The budget of 2 h 0 min is used up: allow 2 h 0 min more?"
        live_worker.ended(run)
    assert ran == [1, 2] and run.decisions.count() == 1


@pytest.mark.parametrize("budget", [{"steps": -1}, {"setps": 1}, {"cost": "NaN"}, {"wall": 0}, {"tokens": "many"}])
def test_budget_that_makes_no_sense_is_refused_at_the_start(budget: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        begin("senseless", steps, **budget)
    assert [error["field"] for error in refused.value.errors] == [f"budget.{next(iter(budget))}"]


def test_budget_read_in_a_branch_is_refused() -> None:
    async def branch(m: Context) -> int:
        return m.budget.spent.steps

    async def body(m: Context) -> None:
        await m.gather(branch(m))

    run = begin("read-in-branch", body)
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == "failed" and "first branch" in run.outcome.error
