"""Period budgets over all workers: never overspent, one question for all who wait, and who waits goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from approvals.models import Decision
from missions.authoring import BudgetExhausted, Context, OutcomeUnknown, ToolCall, ToolFailed, Verdict, tool
from missions.engine import charges, history, period_budgets
from missions.engine.period_budgets import Standing
from missions.engine.starting import start
from missions.errors import InvalidInput
from missions.models import BudgetAccount, BudgetCharge, BudgetWait, Mission, PeriodBudget
from missions.testing.workers import is_parked
from tests import corners, live_worker
from tests.conftest import Clock
from tests.corners import bank, begin, define

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]


@pytest.fixture(autouse=True)
def _afresh() -> None:
    bank.calls.clear()
    bank.fault = lambda: None
    corners.allow()


@tool(name="corner.pays", effect="write", retry_safety="keyed", cost="sum")
async def pays(call: ToolCall, sum: str, currency: str = "GBP") -> dict[str, Any]:
    """Pay a sum"""
    return bank.call(call.idempotency_key)


async def one(m: Context, request: dict[str, Any]) -> Verdict:
    return Verdict("paid", data=await m.tool(request.pop("tool", "corner.keyed"), **request))


ONE = define("period.one", one)


def kept(**values: Any) -> PeriodBudget:
    wanted: dict[str, Any] = {"name": "daily", "counts": "effects", "amount": Decimal(10), "period": "day", **values}
    return period_budgets.add(by="test", **wanted)


def standing(name: str = "daily") -> Standing:
    return period_budgets.standings([period_budgets.named(name)])[0]


def asked() -> Decision:
    """The open question."""
    return Decision.objects.get(kind="budget", state="open")


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that missions bring about."""
    look = threading.Event()
    for _ in range(int(live_worker.PATIENCE * 50)):
        if holds():
            return
        look.wait(0.02)
    raise AssertionError(list(Decision.objects.values_list("sentence", "state")))


def answer(by: User, choice: str) -> None:
    decision = asked()
    votes.cast(decision.pk, by, "approve", decision.digest, choice=choice, channel="console")


def all_parked(missions: list[Mission]) -> list[Mission]:
    return [live_worker.wait_until(row, lambda now: now.ended or is_parked(now)) for row in missions]


def test_fifty_missions_at_once_do_ten_effects_a_day_and_ask_people_once(sam: User) -> None:
    kept(subject="tool", subject_name="corner.keyed", extension=Decimal(5))
    missions = [begin(ONE, amount=1) for _ in range(50)]
    with live_worker.worker(), live_worker.worker():
        rows = all_parked(missions)
        assert len(bank.calls) == len(set(bank.calls)) == 10
        waiting = [row for row in rows if not row.ended]
        assert len(waiting) == 40 and {row.waits_for for row in waiting} == {"budget:daily"}
        until(lambda: Decision.objects.count() == 1)
        assert (standing().spent, standing().left, standing().waiting) == (10, 0, 40)
        answer(sam, "extend")
        until(lambda: len(bank.calls) == 15 and Decision.objects.filter(state="open").exists())
        assert Decision.objects.count() == 2 and BudgetWait.objects.count() == 35
        answer(sam, "stop")
        ended = [live_worker.ended(row) for row in rows]
    assert len(bank.calls) == 15
    verdicts = [row.outcome.verdict for row in ended]
    assert (verdicts.count("paid"), verdicts.count("budget_exhausted")) == (15, 35)
    assert not BudgetWait.objects.exists() and standing().spent == 15
    assert all(history.verify(row).ok for row in ended[:3])


def test_money_is_counted_by_the_argument_that_the_tool_names_in_one_currency(sam: User) -> None:
    kept(name="gbp", counts="money", currency="gbp", amount=Decimal("100.00"), extension=Decimal("50"))

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.tool("corner.pays", sum="60.00")
        await m.tool("corner.pays", sum="900.00", currency="EUR")
        await m.tool("corner.pays", sum="-39.995")
        await m.step("free", lambda: 1)
        await m.tool("corner.pays", sum="40", currency="")
        await m.spend(cost="20", currency="GBP")
        return Verdict("done")

    run = begin(define("period.money", body))
    with live_worker.worker():
        live_worker.parked(run, "budget:gbp")
        assert standing("gbp").left == Decimal("0.005") and len(bank.calls) == 3
        until(lambda: Decision.objects.exists())
        told = "The budget “gbp” has 0.005 GBP left of 100.00 GBP in a day, too little for what waits: allow more?"
        assert asked().sentence == told
        answer(sam, "extend")
        live_worker.ended(run)
    now = standing("gbp")
    assert (now.spent, now.left, now.limit) == (Decimal("159.9950"), 0, 150)  # what is spent can not be held back


def test_what_did_not_happen_is_given_back_and_lets_the_next_through() -> None:
    kept(amount=Decimal(1))

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        for fault in (ToolFailed("no"), None):
            bank.fault = corners.raising(fault) if fault else lambda: None
            try:
                await m.tool("corner.keyed", amount=1)
            except ToolFailed:
                await m.observe("It was refused.")
        return Verdict("done")

    run = begin(define("period.back", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.verdict == "done" and len(bank.calls) == 2 and standing().spent == 1
    assert sorted(BudgetCharge.objects.values_list("state", flat=True)) == ["returned", "spent"]


def test_who_waits_goes_on_when_what_another_held_is_given_back() -> None:
    kept(amount=Decimal(1))
    bank.fault = corners.raising(OutcomeUnknown("lost"))
    holder = begin(ONE, tool="corner.manual", amount=1)
    with live_worker.worker():
        live_worker.parked(holder, "decision:")
        waiting = begin(ONE, amount=1)
        live_worker.parked(waiting, "budget:daily")
        bank.fault = lambda: None
        doubt = Decision.objects.get(kind="in_doubt")
        operator = User.objects.create_user("op")
        operator.groups.create(name="operators")
        votes.cast(doubt.pk, operator, "approve", doubt.digest, choice="retry", channel="api")  # it did not happen
        until(lambda: len(bank.calls) == 2)
        assert standing().spent == 1


@pytest.mark.parametrize(
    ("period", "more", "hours"), [("day", {"zone": "Asia/Tokyo"}, 25), ("rolling", {"rolling_seconds": 3600}, 1.1)]
)
def test_a_new_period_lets_who_waits_go_on_and_closes_the_question(
    clock: Clock, period: str, more: dict[str, Any], hours: float
) -> None:
    kept(amount=Decimal(2), period=period, **more)
    missions = [begin(ONE, amount=1) for _ in range(3)]
    with live_worker.worker():
        (waiting,) = [row for row in all_parked(missions) if not row.ended]
        until(lambda: Decision.objects.exists())
        clock.advance(hours=hours)
        live_worker.ended(waiting)
        other = begin(ONE, amount=1)
        live_worker.ended(other)
        until(lambda: Decision.objects.get().state == "withdrawn")
    assert standing().spent == 2


def test_people_who_say_wait_are_not_asked_again_in_the_period(sam: User, clock: Clock) -> None:
    kept(amount=Decimal(1))
    missions = [begin(ONE, amount=1) for _ in range(2)]
    with live_worker.worker():
        (waiting,) = [row for row in all_parked(missions) if not row.ended]
        until(lambda: Decision.objects.exists())
        answer(sam, "wait")
        late = live_worker.parked(begin(ONE, amount=1), "budget:daily")
        assert Decision.objects.count() == 1 and standing().answer == "wait"
        clock.advance(hours=24)
        live_worker.wait_until(waiting, lambda now: len(bank.calls) == 2)
        period_budgets.change("daily", amount=Decimal(2))
        assert {live_worker.ended(row).outcome.verdict for row in (waiting, late)} == {"paid"}


def test_a_budget_that_refuses_refuses_at_once_and_the_author_may_handle_it() -> None:
    kept(amount=Decimal(0), on_exhausted="deny")

    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        try:
            await m.tool("corner.keyed", amount=1)
        except BudgetExhausted as error:
            return Verdict("done", summary=str(error))
        return Verdict("wrong")

    run = begin(define("period.deny", body))
    with live_worker.worker():
        live_worker.ended(run)
    assert run.outcome.summary == "The budget “daily” is used up."
    assert corners.told(run) == ["ruling", "ruling", "completed"] and not bank.calls


def test_a_budget_lowered_below_what_is_spent_lets_nothing_through_and_one_raised_does(sam: User) -> None:
    kept(amount=Decimal(3))
    with live_worker.worker():
        for _ in range(3):
            live_worker.ended(begin(ONE, amount=1))
        period_budgets.change("daily", amount=Decimal(1))
        assert (standing().spent, standing().left) == (3, 0)
        waiting = live_worker.parked(begin(ONE, amount=1), "budget:daily")
        until(lambda: Decision.objects.exists())
        period_budgets.change("daily", amount=Decimal(4))
        live_worker.ended(waiting)
        until(lambda: not Decision.objects.filter(state="open").exists())
    assert len(bank.calls) == 4


def test_steps_tokens_and_seconds_of_a_type_are_counted_and_a_lifted_budget_lets_all_go_on() -> None:
    async def body(m: Context, request: dict[str, Any]) -> Verdict:
        await m.step("first", lambda: 1)
        await m.spend(tokens=700)
        await m.step("second", lambda: 2)
        await m.spend(tokens=700)
        await m.step("third", lambda: 3)
        return Verdict("done")

    name = define("period.steps", body)
    mine = {"subject": "mission_type", "subject_name": name}
    kept(name="steps", counts="steps", amount=Decimal(9), **mine)
    kept(name="tokens", counts="tokens", amount=Decimal(1000), **mine)
    kept(name="seconds", counts="wall", amount=Decimal(60), **mine)
    run = begin(name)
    with live_worker.worker():
        live_worker.parked(run, "budget:tokens")
        assert (standing("steps").spent, standing("tokens").spent) == (2, 1400)
        period_budgets.drop("tokens")
        live_worker.ended(run)
    assert standing("steps").spent == 3 and not BudgetAccount.objects.filter(asked=True).exists()


def test_seconds_are_held_by_the_time_out_and_settled_by_what_the_call_took() -> None:
    kept(name="seconds", counts="wall", amount=Decimal(35), subject="tool", subject_name="corner.keyed")
    with live_worker.worker():
        for _ in range(2):  # each holds 30 s
            live_worker.ended(begin(ONE, amount=1))
    assert 0 < standing("seconds").spent < 5 and standing("seconds").held == 0


def test_a_mission_that_ends_while_it_holds_gives_back_when_somebody_needs_it(sam: User) -> None:
    kept(amount=Decimal(1))
    gone = begin(ONE, amount=1)
    key = "0" * 64
    assert charges.reserve(charges.Ask(mission_id=gone.pk, path="x", key=key, wants={_id(): Decimal(1)})).granted
    assert charges.reserve(charges.Ask(mission_id=gone.pk, path="x", key=key, wants={_id(): Decimal(1)})).granted
    assert standing().spent == 1
    Mission.objects.filter(pk=gone.pk).update(state="cancelled", wake_at=None)
    with live_worker.worker():
        live_worker.ended(begin(ONE, amount=1))
    assert standing().spent == 1 and BudgetCharge.objects.get(key=key).state == "returned"


def _id() -> int:
    return PeriodBudget.objects.get().pk


def test_who_started_the_mission_that_asks_does_not_allow_it(sam: User) -> None:
    kept(amount=Decimal(0))
    run = start(ONE, {"amount": 1}, started_by=sam)[0]
    with live_worker.worker():
        live_worker.parked(run, "budget:daily")
        until(lambda: Decision.objects.exists())
    with pytest.raises(Exception, match="someone else"):
        answer(sam, "extend")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"counts": "money"}, "currency"), ({"currency": "GBP"}, "currency"), ({"subject": "tool"}, "subject_name"),
        ({"period": "rolling"}, "rolling_seconds"), ({"zone": "Nowhere/Here"}, "zone"),
        ({"amount": Decimal("1.5")}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"), ({"amount": Decimal(-1)}, "amount"), ({"name": "a b"}, "name"),
        ({"counts": "steps", "subject": "tool", "subject_name": "x"}, "counts"), ({"group": ""}, "group"),
        ({"counts": "miles"}, "counts"),
    ],
)  # fmt: skip
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        kept(**wrong)
    assert field in [error["field"] for error in refused.value.errors]


def test_what_is_refused_after_it_was_charged_gives_back_and_is_charged_anew_when_it_is_tried_again() -> None:
    budget = kept(amount=Decimal(1))
    run = begin(ONE, amount=1)
    key = "1" * 64
    ask = charges.Ask(mission_id=run.pk, path="x", key=key, wants={budget.pk: Decimal(1)})
    assert charges.reserve(ask).granted
    BudgetCharge.objects.update(state="returned", due=0)  # as charge_settle.sql does
    assert standing().spent == 0
    assert charges.reserve(ask).granted and charges.reserve(ask).granted
    assert (standing().spent, standing().held) == (1, 1)
    assert not charges.reserve(charges.Ask(mission_id=run.pk, path="y", key="2" * 64, wants=ask.wants)).granted
