"""The effect protocol on a real database: rulings, keys, and every way out of doubt."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import votes
from approvals.models import Mode, Policy
from approvals.policies import document, versions
from missions.authoring import (
    Context,
    OutcomeUnknown,
    ProbeResult,
    ToolCall,
    ToolFailed,
    TryLater,
    Verdict,
    mission,
    tool,
)
from missions.effects import doubt, keys
from missions.engine import feed, history
from missions.engine.starting import start
from missions.models import Effect, EffectState, Kind, Mission
from tests import live_worker
from tests.conftest import Clock, Person

pytestmark = pytest.mark.django_db(transaction=True)


class Bank:
    """What the tools of these tests do to the world, and what goes wrong."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.posted: list[str] = []
        self.faults: list[str] = []

    def call(self, key: str) -> dict[str, Any]:
        self.calls.append(key)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise TryLater("Too many requests.", retry_after_seconds=0.01)
        if fault == "declared":
            raise ToolFailed("No such account.", code="no_account")
        if fault != "lost before":
            self.posted.append(key)
        if fault:
            raise OutcomeUnknown("The connection was lost.")
        return {"reference": f"R{len(self.posted)}"}


bank = Bank()


@tool(name="bank.keyed", effect="write", retry_safety="keyed")
async def keyed(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return bank.call(call.idempotency_key)


async def probe(call: ToolCall, amount: int) -> ProbeResult:
    found = call.idempotency_key in bank.posted
    return ProbeResult(found=found, result={"reference": "probed"} if found else None, reference="probed" * found)


@tool(name="bank.verifiable", effect="write", retry_safety="verifiable", probe=probe, timeout=30)
async def verifiable(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return bank.call(call.idempotency_key)


@tool(name="bank.manual", effect="write", retry_safety="manual", sentence="Pay {amount}")
async def manual(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    return bank.call(call.idempotency_key)


@tool(name="bank.bytes", effect="write", retry_safety="manual")
async def unusable(call: ToolCall, amount: int) -> Any:
    """Pay"""
    bank.call(call.idempotency_key)
    return {"receipt": object()}


@mission("pay", version=1)
async def pay(m: Context, request: dict[str, Any]) -> Verdict:
    """Pay once with the tool that the input names."""
    receipt = await m.tool(request["tool"], amount=request["amount"])
    return Verdict("paid", data=receipt)


def allow(*rules: dict[str, Any]) -> None:
    """Put a policy in force; by default one that allows the bank's tools."""
    table = list(rules) or [{"name": "free", "scope": {"tool": "bank.*"}, "effect": "allow", "reason": "A test."}]
    versions.load(document.check({"name": "bank", "mode": "enforce", "rules": table}), activate=True, via="test")


def escalate(*groups: str) -> dict[str, Any]:
    tiers = [{"group": group, "quorum": 1} for group in groups]
    return {"name": "ask-" + "-".join(groups), "scope": {"tool": "bank.*"}, "effect": "escalate", "tiers": tiers,
            "reason": "Money moves."}  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh() -> None:
    bank.__init__()  # type: ignore[misc]
    allow()


def begin(name: str, by: User | None = None) -> Mission:
    return start("pay", {"tool": f"bank.{name}", "amount": 120}, started_by=by)[0]


def told(mission: Mission) -> list[str]:
    return [entry.kind for entry in history.entries(mission.pk)][1:]


def effects(mission: Mission) -> list[tuple[int, str]]:
    return list(Effect.objects.filter(mission_id=mission.pk).order_by("seq").values_list("generation", "state"))


@tool(name="bank.cancels", effect="write", retry_safety="keyed")
async def cancels(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    receipt = bank.call(call.idempotency_key)
    task = asyncio.current_task()
    if task is not None and len(bank.calls) == 1:
        task.cancel()  # and no await follows: the task ends cancelled, although the function returns
    return receipt


def test_tool_that_cancels_its_own_task_is_in_doubt_and_ends_no_mission() -> None:
    with live_worker.worker():
        run = live_worker.ended(begin("cancels"))
    assert run.state == "completed" and effects(run) == [(1, EffectState.DONE)]
    assert told(run) == ["ruling", "intent", "doubt", "retry", "outcome", "completed"]
    assert len(bank.calls) == 2 and len(set(bank.calls)) == 1


def test_effect_is_recorded_before_and_after_the_call_with_one_key() -> None:
    with live_worker.worker():
        run = live_worker.ended(begin("manual"))
    assert told(run) == ["ruling", "intent", "outcome", "completed"]
    key = keys.effect_key(run.uid, 1, "bank.manual#1", 1)
    assert bank.posted == [key] and effects(run) == [(1, EffectState.DONE)]
    assert run.outcome.data == {"reference": "R1"}


def test_write_without_a_policy_is_denied_and_ends_with_that_verdict() -> None:
    Policy.objects.update(mode=Mode.OFF)
    with live_worker.worker():
        run = live_worker.ended(begin("manual"))
    assert (run.state, run.outcome.verdict) == ("completed", "denied") and bank.calls == []
    assert told(run) == ["ruling", "completed"]


def test_definite_refusal_is_waited_out_and_called_again_with_the_same_key() -> None:
    bank.faults = ["refused", "refused"]
    with live_worker.worker():
        run = live_worker.ended(begin("manual"))
    assert told(run) == ["ruling", "intent", "backoff", "retry", "backoff", "retry", "outcome", "completed"]
    assert len(set(bank.calls)) == 1 and len(bank.posted) == 1


def test_declared_error_fails_the_mission_and_nothing_is_in_doubt() -> None:
    bank.faults = ["declared"]
    with live_worker.worker():
        run = live_worker.ended(begin("manual"))
    assert run.state == "failed" and "No such account" in run.outcome.error
    assert effects(run) == [(1, EffectState.NOT_DONE)]


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
def test_keyed_effect_in_doubt_is_called_again_with_the_same_key(fault: str) -> None:
    bank.faults = [fault]
    with live_worker.worker():
        run = live_worker.ended(begin("keyed"))
    assert told(run) == ["ruling", "intent", "doubt", "retry", "outcome", "completed"]
    assert len(bank.calls) == 2 and len(set(bank.calls)) == 1 and effects(run) == [(1, EffectState.DONE)]


def test_verifiable_effect_that_happened_is_adopted_and_not_called_again() -> None:
    bank.faults = ["lost after"]
    with live_worker.worker():
        run = live_worker.ended(begin("verifiable"))
    assert told(run) == ["ruling", "intent", "doubt", "probed", "outcome", "completed"]
    assert len(bank.calls) == 1 and run.outcome.data == {"reference": "probed"}


def test_verifiable_effect_that_did_not_happen_is_called_anew_only_after_its_deadline(clock: Clock) -> None:
    bank.faults = ["lost before"]
    with live_worker.worker():
        run = live_worker.parked(begin("verifiable"), "tool:bank.verifiable")
        assert len(bank.calls) == 1  # "not found" before the deadline settles nothing
        clock.advance(seconds=60)
        feed.announce_due()
        live_worker.ended(run)
    assert told(run) == [
        "ruling", "intent", "doubt", "probed", "probed", "outcome", "intent", "outcome", "completed"
    ]
    assert len(set(bank.calls)) == 2 and len(bank.posted) == 1
    assert effects(run) == [(1, EffectState.NOT_DONE), (2, EffectState.DONE)]


@pytest.mark.parametrize(("choice", "state"), [("happened", "paid"), ("retry", "paid"), ("roll_back", "cancelled")])
def test_manual_effect_in_doubt_asks_a_person(choice: str, state: str, olivia: User) -> None:
    bank.faults = ["lost before"]
    with live_worker.worker():
        run = live_worker.parked(begin("manual"), "decision:")
        (decision,) = run.decisions.all()
        assert decision.kind == "in_doubt" and decision.sentence == "Did this happen? Pay 120"
        reference = "BANK-7" if choice == "happened" else ""
        votes.cast(
            decision.pk, olivia, "approve", decision.digest, choice=choice, reference=reference, channel="console"
        )
        live_worker.ended(run)
    assert run.outcome.verdict == state
    assert len(bank.calls) == (2 if choice == "retry" else 1)
    if choice == "happened":
        assert run.outcome.data == {"reference": "BANK-7"}
    expected = {"happened": [(1, "done")], "retry": [(1, "not_done"), (2, "done")], "roll_back": [(1, "in_doubt")]}
    assert effects(run) == expected[choice]


def test_unusable_result_is_recorded_as_done_and_raises() -> None:
    with live_worker.worker():
        run = live_worker.ended(begin("bytes"))
    assert run.state == "failed" and "result_unusable" in run.outcome.error
    assert effects(run) == [(1, EffectState.DONE)] and len(bank.posted) == 1


def test_approval_by_two_tiers_then_one_call(sam: User, fiona: User, person: Person) -> None:
    allow(escalate("supervisors", "finance"))
    with live_worker.worker():
        run = live_worker.parked(begin("manual", by=person("rita")), "decision:")
        (decision,) = run.decisions.all()
        votes.cast(decision.pk, sam, "approve", decision.digest, channel="console")
        assert run.decisions.get().state == "open"
        votes.cast(decision.pk, fiona, "approve", decision.digest, channel="console")
        live_worker.ended(run)
    assert told(run) == ["ruling", "asked", "answered", "intent", "outcome", "completed"]
    assert len(bank.calls) == 1


def test_rejection_ends_completed_with_the_reason_and_no_call(sam: User) -> None:
    allow(escalate("supervisors"))
    with live_worker.worker():
        run = live_worker.parked(begin("manual"), "decision:")
        (decision,) = run.decisions.all()
        votes.cast(decision.pk, sam, "reject", decision.digest, comment="Not our order.", channel="console")
        live_worker.ended(run)
    assert (run.state, run.outcome.verdict, run.outcome.summary) == ("completed", "rejected", "Not our order.")
    assert bank.calls == [] and effects(run) == []


def test_policy_tightened_while_waiting_opens_another_round_and_calls_nothing(sam: User, fiona: User) -> None:
    allow(escalate("supervisors"))
    with live_worker.worker():
        run = live_worker.parked(begin("manual"), "decision:")
        first = run.decisions.get()
        allow(escalate("supervisors", "finance"))
        votes.cast(first.pk, sam, "approve", first.digest, channel="console")
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2)
        live_worker.parked(run, "decision:")
    outcome = next(entry for entry in history.entries(run.pk) if entry.kind == Kind.OUTCOME)
    assert outcome.payload["state"] == "not_done" and bank.calls == []
    assert effects(run) == [(1, EffectState.NOT_DONE)]


def test_policy_that_denies_at_dispatch_refuses_the_effect(sam: User) -> None:
    allow(escalate("supervisors"))
    with live_worker.worker():
        run = live_worker.parked(begin("manual"), "decision:")
        decision = run.decisions.get()
        allow({"name": "stop", "scope": {"tool": "bank.*"}, "effect": "deny", "reason": "Closed."})
        votes.cast(decision.pk, sam, "approve", decision.digest, channel="console")
        live_worker.ended(run)
    assert run.outcome.verdict == "denied" and bank.calls == []


@pytest.mark.parametrize(("deaths", "told_last"), [(8, "completed"), (9, "asked")])
def test_workers_that_stop_in_a_keyed_call_are_no_answer_of_the_other_side(deaths: int, told_last: str) -> None:
    gate, entered = asyncio.Event(), threading.Semaphore(0)
    loops: list[asyncio.AbstractEventLoop] = []

    @tool(name="bank.mortal", effect="write", retry_safety="keyed")
    async def mortal(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        loops.append(asyncio.get_running_loop())
        if len(loops) > deaths:
            return bank.call(call.idempotency_key)
        entered.release()
        await gate.wait()
        raise TryLater("The worker has gone.")

    with live_worker.worker() as running:
        run = begin("mortal")
        for _ in range(deaths):
            assert entered.acquire(timeout=live_worker.PATIENCE) and running.incarnation is not None
            loops[0].call_soon_threadsafe(running.incarnation._lose, RuntimeError("the test cuts the lane"))
        live_worker.wait_until(run, lambda now: told(now)[-1] == told_last)
        loops[0].call_soon_threadsafe(gate.set)
    doubted = ["doubt", "retry"] * 8
    assert told(run) == ["ruling", "intent", *(
        [*doubted, "outcome", "completed"] if told_last == "completed" else [*doubted, "doubt", "asked"]
    )]
    assert len(bank.calls) == (told_last == "completed")


def test_keyed_call_that_no_worker_survives_is_looked_up_where_that_can_be() -> None:
    gate, entered = asyncio.Event(), threading.Semaphore(0)
    loops: list[asyncio.AbstractEventLoop] = []

    @tool(name="bank.looked_up", effect="write", retry_safety="keyed", probe=probe)
    async def looked_up(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        loops.append(asyncio.get_running_loop())
        bank.posted = [call.idempotency_key]
        entered.release()
        await gate.wait()
        raise TryLater("The worker has gone.")

    with live_worker.worker() as running:
        run = begin("looked_up")
        for _ in range(9):
            assert entered.acquire(timeout=live_worker.PATIENCE) and running.incarnation is not None
            loops[0].call_soon_threadsafe(running.incarnation._lose, RuntimeError("the test cuts the lane"))
        live_worker.ended(run)
        loops[0].call_soon_threadsafe(gate.set)
    assert told(run)[-4:] == ["doubt", "probed", "outcome", "completed"]
    assert run.outcome.data == {"reference": "probed"}


def test_looked_up_call_that_no_worker_survives_is_not_made_for_ever(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the journal that such a mission gets on, so quarantine never holds it."""
    monkeypatch.setattr(doubt, "DEATHS", 2)
    gate, entered = asyncio.Event(), threading.Semaphore(0)
    loops: list[asyncio.AbstractEventLoop] = []

    @tool(name="bank.lethal", effect="write", retry_safety="verifiable", probe=probe, timeout=30)
    async def lethal(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        loops.append(asyncio.get_running_loop())
        entered.release()
        await gate.wait()
        raise TryLater("The worker has gone.")

    with live_worker.worker() as running:
        run = begin("lethal")
        for count in (1, 2):
            assert entered.acquire(timeout=live_worker.PATIENCE) and running.incarnation is not None
            loops[0].call_soon_threadsafe(running.incarnation._lose, RuntimeError("the test cuts the lane"))
            live_worker.wait_until(run, lambda now, count=count: told(now).count("doubt") == count)
            live_worker.parked(run, "tool:bank.lethal")
            clock.advance(seconds=60)
            feed.announce_due()
        live_worker.wait_until(run, lambda now: told(now)[-1] == "asked")
        loops[0].call_soon_threadsafe(gate.set)
    assert told(run).count("intent") == 2 and len(loops) == 2 and bank.posted == []


def test_late_answer_is_adopted_as_evidence() -> None:
    """A worker that is fenced in mid-call lets the call end; its answer settles the doubt."""
    gate, entered = asyncio.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    @tool(name="bank.slow", effect="write", retry_safety="manual")
    async def slow(call: ToolCall, amount: int) -> dict[str, Any]:
        """Pay"""
        loops.append(asyncio.get_running_loop())
        entered.set()
        await gate.wait()
        return bank.call(call.idempotency_key)

    with live_worker.worker() as running:
        run = begin("slow")
        live_worker.wait_until(run, lambda now: Effect.objects.filter(mission_id=now.pk).exists() and bool(loops))
        assert running.incarnation is not None
        lost = running.incarnation
        loops[0].call_soon_threadsafe(lost._lose, RuntimeError("the test cuts the lane"))
        live_worker.parked(run, "decision:")
        loops[0].call_soon_threadsafe(gate.set)
        live_worker.ended(run)
    assert len(bank.calls) == 1 and run.outcome.data == {"reference": "R1"}
