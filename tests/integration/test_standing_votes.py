"""Votes that stand: policy tightens while people are asked, a real worker runs, and nobody is asked twice."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import refreshing, votes
from approvals.models import Decision, PolicyVersion
from approvals.policies import document, touching, versions
from approvals.refreshing import Refreshed
from approvals.refusals import VoteRefused
from missions.authoring import Context, Rejected, ToolCall, Verdict, mission, tool
from missions.engine import history
from missions.engine.starting import start
from missions.models import Kind, Mission
from tests import live_worker
from tests.conftest import Clock, Person

pytestmark = pytest.mark.django_db(transaction=True)
paid: list[str] = []


@tool(name="standing.pay", effect="write", retry_safety="keyed", sentence="Pay {amount}")
async def pay(call: ToolCall, amount: int) -> dict[str, Any]:
    """Pay"""
    paid.append(call.idempotency_key)
    return {"reference": f"R{len(paid)}"}


@mission("standing.till", version=1)
async def till(m: Context, input: dict[str, Any]) -> Verdict:
    """Pay once"""
    try:
        await m.tool("standing.pay", amount=input.get("amount", 7))
    except Rejected:
        return Verdict("rejected", "They said no.")
    return Verdict("paid", "It is paid.")


@pytest.fixture(autouse=True)
def _nothing_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever looks again at open decisions is the test: a worker that did so by its alarm would come before it."""
    paid.clear()
    monkeypatch.setattr(versions, "set_alarm", lambda *_: None)


def demand(*tiers: Any, effect: str = "escalate", activate: bool = True, **fields: Any) -> PolicyVersion:
    """Put a policy in force that asks these groups (or tiers) about each payment."""
    asked = [{"group": one, "quorum": 1} if isinstance(one, str) else one for one in tiers]
    rule = {"name": "money", "scope": {"tool": "standing.*"}, "effect": effect, "reason": "Money moves."}
    rules = [{**rule, **fields, "tiers": asked} if asked else rule]
    table = document.check({"name": "till", "mode": "enforce", "rules": rules})
    return versions.load(table, activate=activate, via="test").version


def approve(decision: Decision, *voters: User) -> None:
    for voter in voters:
        votes.cast(decision.pk, voter, "approve", decision.digest, channel="console")


def newest(run: Mission) -> Decision:
    return run.decisions.order_by("-opened_at")[0]


def tiers_of(decision: Decision) -> list[tuple[str, str, list[str]]]:
    """Each tier with its state and who voted in it."""
    return [
        (tier.name, str(tier.state), [vote.voter.get_username() for vote in tier.votes.order_by("pk")])
        for tier in decision.tiers.all()
    ]


def test_a_policy_tightened_in_mid_wait_opens_the_new_tier_and_keeps_the_old_vote(sam: User, fiona: User) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        first = run.decisions.get()
        demand("supervisors", "finance")
        approve(first, sam)
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2)
        live_worker.parked(run, "decision:")
        second = newest(run)
        assert paid == []
        assert tiers_of(second) == [("supervisors", "met", ["sam"]), ("finance", "open", [])]
        [stood] = second.votes.all()
        assert stood.carried_from == first.votes.get() and stood.cast_at == first.votes.get().cast_at
        assert set(Decision.objects.for_voter(sam)) == set()  # nobody asks him again
        assert set(Decision.objects.for_voter(fiona)) == {second}
        approve(second, fiona)
        run = live_worker.ended(run)
    assert (run.outcome.verdict, len(paid)) == ("paid", 1)
    [answer] = [e.payload for e in history.entries(run.pk) if e.kind == Kind.ANSWERED][1:]
    assert answer["answer"]["by"] == ["sam", "fiona"]


def test_a_raised_quorum_keeps_the_vote_and_asks_one_more(sam: User, person: Person) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        first = run.decisions.get()
        demand({"group": "supervisors", "quorum": 2})
        approve(first, sam)
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2)
        live_worker.parked(run, "decision:")
        assert tiers_of(newest(run)) == [("supervisors", "open", ["sam"])]
        approve(newest(run), person("simon", "supervisors"))
        run = live_worker.ended(run)
    assert (run.outcome.verdict, len(paid)) == ("paid", 1)


def test_votes_stand_through_several_rounds(sam: User, fiona: User, lee: User) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        for count, (voter, asked) in enumerate(((sam, ("supervisors", "finance")),
                                                (fiona, ("supervisors", "finance", "legal"))), 2):  # fmt: skip
            at = newest(run)
            demand(*asked)
            approve(at, voter)
            live_worker.wait_until(run, lambda now, count=count: now.decisions.count() == count)
            live_worker.parked(run, "decision:")
        assert [state for _, state, _ in tiers_of(newest(run))] == ["met", "met", "open"]
        approve(newest(run), lee)
        run = live_worker.ended(run)
    assert (run.outcome.verdict, len(paid)) == ("paid", 1)
    assert [len(one.votes.all()) for one in run.decisions.order_by("opened_at")] == [1, 2, 3]


def test_who_lost_the_right_in_the_meantime_is_not_counted_in_the_next_round(sam: User, person: Person) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        first = run.decisions.get()
        demand("supervisors", "finance")
        approve(first, sam)
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2)
        live_worker.parked(run, "decision:")
        sam.groups.clear()
        approve(newest(run), person("fred", "finance"))
        live_worker.wait_until(run, lambda now: now.decisions.count() == 3)
        live_worker.parked(run, "decision:")
        third = newest(run)
        assert [state for _, state, _ in tiers_of(third)] == ["open", "waiting"]
        approve(third, person("simon", "supervisors"))
        run = live_worker.ended(run)  # fred's vote stood and met his tier as soon as it opened
    assert (run.outcome.verdict, len(paid)) == ("paid", 1)


def test_a_refusal_of_the_next_round_ends_it(sam: User, fiona: User) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        demand("supervisors", "finance")
        approve(run.decisions.get(), sam)
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2)
        second = newest(run)
        votes.cast(second.pk, fiona, "reject", second.digest, comment="No.", channel="console")
        run = live_worker.ended(run)
    assert (run.outcome.verdict, paid) == ("rejected", [])


# -- At activation -----------------------------------------------------------------------------------------------------


def test_an_open_decision_is_brought_up_to_date_at_once(sam: User, fiona: User) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        decision = run.decisions.get()
        demand("supervisors", "finance")
        assert refreshing.refresh(decision.pk) is Refreshed.EXTENDED
        assert refreshing.refresh(decision.pk) is Refreshed.UNCHANGED
        decision.refresh_from_db()
        assert (decision.policy_version, decision.state) == ("till v2", "open")
        approve(decision, sam, fiona)
        run = live_worker.ended(run)
    assert (run.outcome.verdict, run.decisions.count()) == ("paid", 1)


def test_a_hold_that_policy_demands_by_now_holds_what_is_open(sam: User) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        decision = run.decisions.get()
        version = demand("supervisors", hold="10m", activate=False)
        assert touching.touched(version).decisions == (decision,)
        demand("supervisors", hold="10m")
        assert refreshing.refresh(decision.pk) is Refreshed.EXTENDED
        assert refreshing.refresh(decision.pk) is Refreshed.UNCHANGED
        approve(decision, sam)
    decision.refresh_from_db()
    assert decision.is_held and paid == []


def test_a_hold_that_policy_demands_by_now_holds_an_approval_that_was_given(sam: User, clock: Clock) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        first = run.decisions.get()
        demand("supervisors", hold="10m")
        approve(first, sam)
        live_worker.wait_until(run, lambda now: now.decisions.count() == 2)
        live_worker.parked(run, "decision:")
        second = newest(run)
        assert second.is_held and tiers_of(second) == [("supervisors", "met", ["sam"])] and paid == []
        clock.advance(minutes=11)
        run = live_worker.ended(run)
    assert (run.outcome.verdict, run.decisions.count(), len(paid)) == ("paid", 2, 1)


def test_a_raised_quorum_opens_a_met_tier_again(sam: User, fiona: User, person: Person) -> None:
    demand("supervisors", "finance")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        decision = run.decisions.get()
        approve(decision, sam)
        demand({"group": "supervisors", "quorum": 2}, "finance")
        assert refreshing.refresh(decision.pk) is Refreshed.EXTENDED
        assert tiers_of(decision) == [("supervisors", "open", ["sam"]), ("finance", "open", [])]
        approve(decision, fiona, person("simon", "supervisors"))
        run = live_worker.ended(run)
    assert (run.outcome.verdict, run.decisions.count()) == ("paid", 1)


def test_a_denial_supersedes_and_the_mission_hears_it(sam: User) -> None:
    demand("supervisors")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        decision = run.decisions.get()
        demand(effect="deny")
        assert refreshing.refresh(decision.pk) is Refreshed.DENIED
        run = live_worker.ended(run)
    with pytest.raises(VoteRefused):
        approve(decision, sam)
    assert (run.outcome.verdict, paid) == ("denied", [])
    decision.refresh_from_db()
    assert decision.state == "superseded"


def test_what_is_no_longer_asked_stays_asked(sam: User, fiona: User) -> None:
    demand("supervisors", "finance")
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        demand("supervisors")
        assert refreshing.refresh(run.decisions.get().pk) is Refreshed.UNCHANGED
        approve(run.decisions.get(), sam, fiona)
        run = live_worker.ended(run)
    assert run.outcome.verdict == "paid"


# -- Expiry needs no housekeeping --------------------------------------------------------------------------------------


def test_decisions_expire_within_a_second_of_their_time_by_a_mission_worker_alone() -> None:
    """No qcluster runs here. Real time: the worker's one timer is what is measured."""
    demand({"group": "supervisors", "quorum": 1, "expires": "1s", "on_expiry": "reject"})
    with live_worker.worker():
        runs = [start("standing.till", {})[0] for _ in range(20)]
        for run in runs:
            live_worker.ended(run)
    late = [one.resolved_at - one.expires_at for one in Decision.objects.filter(state="expired")]
    assert len(late) == 20 and paid == []
    assert dt.timedelta() <= min(late) and max(late) < dt.timedelta(seconds=1), max(late)


def test_a_worker_that_has_nothing_to_do_wakes_for_the_expiry(settings: Any) -> None:
    """It hears of the alarm by a hint and sleeps until then, not until its next heartbeat."""
    settings.MISSIONS_HEARTBEAT_SECONDS = 60
    demand({"group": "supervisors", "quorum": 1, "expires": "2s", "on_expiry": "reject"})
    with live_worker.worker():
        run = live_worker.parked(start("standing.till", {})[0], "decision:")
        live_worker.ended(run)
    decision = run.decisions.get()
    assert decision.resolved_at - decision.expires_at < dt.timedelta(seconds=10)
