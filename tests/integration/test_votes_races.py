"""Votes, expiry and openings that meet: one outcome, whoever comes first."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from approvals import delegations, queue, refreshing, resolution, votes
from approvals.models import Decision, Tier, Vote
from approvals.plans import plans_of
from approvals.refusals import VoteRefused
from missions.engine import alarms
from missions.engine.clock import database_now
from missions.models import Alarm, Mission, State
from tests.decisions import FINANCE, SUPERVISORS, answers, opened, request_of, waiting_mission

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls):
    """Run all calls in threads that start together; their results, refusals as their codes."""
    gun = threading.Barrier(len(calls))

    def run(call):
        gun.wait(timeout=60)
        try:
            return call()
        except VoteRefused as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def vote(decision, voter, verdict):
    return lambda: votes.cast(decision.pk, voter, verdict, decision.digest, comment="Because.", channel="api").state


def test_fifty_people_at_once_make_one_resolution(person):
    voters = [person(f"voter{number}", "supervisors") for number in range(50)]
    decision = opened(waiting_mission())
    verdicts = ["approve" if number % 2 else "reject" for number in range(50)]
    results = Counter(at_once(*(vote(decision, *pair) for pair in zip(voters, verdicts, strict=True))))
    decision.refresh_from_db()
    assert results == {decision.state: 1, "decision_closed": 49}
    assert Vote.objects.get().voter.username == decision.resolution["by"][0]
    assert len(answers(decision)) == 1


def test_fifty_tries_of_one_vote_count_once(person, sam):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    assert Counter(at_once(*[vote(decision, sam, "approve")] * 50)) == {"open": 50}
    assert Vote.objects.count() == 1
    assert answers(decision) == []


def test_a_quorum_is_met_by_exactly_as_many_as_it_needs(person):
    voters = [person(f"voter{number}", "supervisors") for number in range(8)]
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 3})
    results = Counter(at_once(*(vote(decision, voter, "approve") for voter in voters)))
    assert results == {"open": 2, "approved": 1, "decision_closed": 5}
    assert Vote.objects.count() == 3
    assert len(answers(decision)) == 1


def test_a_vote_and_an_expiry_have_one_outcome(clock, sam):
    seen = set()
    for _ in range(10):
        decision = opened(waiting_mission(), {**SUPERVISORS, "expires_seconds": 60, "on_expiry": "reject"})
        clock.advance(60)
        at_once(vote(decision, sam, "approve"), alarms.ring_due, alarms.ring_due)
        decision.refresh_from_db()
        seen.add(decision.state)
        assert len(answers(decision)) == 1
        assert decision.resolution["verdict"] == decision.state
    assert seen == {"expired"}  # the time was over for all of them; a late vote never turns that into an approval


def test_votes_and_the_expiry_around_the_very_moment_have_one_outcome(sam, fiona):
    """Real time: the votes are sent so that the limit passes among them. Either side may win, and only one does."""
    seen = Counter()
    for number in range(30):
        first = {**SUPERVISORS, "expires_seconds": 1, "on_expiry": "reject"}
        decision = opened(waiting_mission(), first, {**FINANCE, "parallel": True})
        shift_to_end(decision, 0.004 * (number % 10))
        results = at_once(vote(decision, sam, "approve"), vote(decision, fiona, "approve"), alarms.ring_due)
        alarms.ring_due()
        decision.refresh_from_db()
        seen[decision.state] += 1
        assert decision.state in ("approved", "expired"), results
        assert decision.resolution["verdict"] == decision.state
        assert len(answers(decision)) == 1
        cast = list(Vote.objects.filter(decision=decision).values_list("cast_at", flat=True))
        assert (decision.state == "approved") == (len(cast) == 2)
        assert set(results[:2]) <= {"open", "approved", "decision_closed"}
    assert sum(seen.values()) == 30


def shift_to_end(decision, seconds):
    """Move the tier's limit to so many seconds ahead, with its alarm."""
    tier = decision.tiers.get(order=1)
    at = database_now() + dt.timedelta(seconds=seconds)
    Alarm.objects.filter(what=f"decision.expire:{tier.pk}").update(nominal_at=at)
    Tier.objects.filter(pk=tier.pk).update(expires_at=at)


def test_fifty_votes_in_parallel_tiers_make_one_resolution(person):
    people = [person(f"voter{number}", ("supervisors", "finance")[number % 2]) for number in range(50)]
    decision = opened(waiting_mission(), SUPERVISORS, {**FINANCE, "parallel": True})
    results = Counter(at_once(*(vote(decision, voter, "approve") for voter in people)))
    assert results["approved"] == 1
    assert results["open"] == 1
    assert results["not_eligible"] + results["decision_closed"] == 48
    assert (Vote.objects.count(), len(answers(decision))) == (2, 1)


def test_fifty_votes_of_one_standing_count_once(clock, person, sam):
    """The giver and 24 delegates, twice each: one standing, one vote."""
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    delegates = [person(f"dee{number}") for number in range(24)]
    for one in delegates:
        delegations.give(sam, one.username, until=clock.now() + dt.timedelta(days=1))
    results = Counter(at_once(*(vote(decision, one, "approve") for one in [sam, *delegates] * 2)))
    assert results == {"open": 2, "not_eligible": 48}  # the first, and the same again
    assert Vote.objects.count() == 1


def test_a_refreshed_decision_and_its_votes_do_not_meet_halfway(sam, fiona):
    """The last vote and a new demand come together: it is approved before, or still asks for the new tier."""
    for _ in range(10):
        decision = opened(waiting_mission())
        at_once(vote(decision, sam, "approve"), lambda one=decision: added(one))
        decision.refresh_from_db()
        asked = {tier.name: tier.state for tier in decision.tiers.all()}
        assert (decision.state, asked) in (
            ("approved", {"supervisors": "met"}), ("open", {"supervisors": "met", "finance": "open"}),
        )


def added(decision):
    with transaction.atomic():
        held = resolution.locked(decision.pk)
        return refreshing.extend(held, plans_of([FINANCE])) if held.is_open else False


def test_a_vote_just_before_the_time_is_over_wins_against_its_alarm(clock, sam):
    decision = opened(waiting_mission(), {**SUPERVISORS, "expires_seconds": 60, "on_expiry": "reject"})
    at_once(vote(decision, sam, "approve"), alarms.ring_due)
    clock.advance(61)
    alarms.ring_due()
    decision.refresh_from_db()
    assert (decision.state, len(answers(decision))) == ("approved", 1)


def test_a_vote_and_the_end_of_the_mission_have_one_outcome(sam):
    mission = waiting_mission()
    decision = opened(mission)

    def end():
        Mission.objects.filter(pk=mission.pk).update(state=State.CANCELLED)

    at_once(vote(decision, sam, "approve"), end)
    decision.refresh_from_db()
    assert (decision.state, len(answers(decision))) in (("approved", 1), ("withdrawn", 0))


def test_the_same_request_from_many_threads_opens_one_decision():
    request = request_of(waiting_mission(), path="pay#1")
    assert at_once(*[lambda: queue.open_decision(request)] * 12) == [None] * 12
    assert Decision.objects.get().tiers.count() == 1


def test_voting_and_superseding_end_in_one_state(sam):
    mission = waiting_mission()
    decision = opened(mission, path="pay#1")
    other = request_of(mission, path="pay#1", digest="e" * 64)
    at_once(vote(decision, sam, "approve"), lambda: queue.open_decision(other))
    decision.refresh_from_db()
    assert (decision.state, len(answers(decision))) in (("approved", 1), ("superseded", 0))
