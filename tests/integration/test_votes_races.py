"""Votes, expiry and openings that meet: one outcome, whoever comes first."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from approvals import queue, votes
from approvals.models import Decision, Vote
from approvals.refusals import VoteRefused
from missions.engine import alarms
from missions.models import Mission, State
from tests.decisions import SUPERVISORS, answers, opened, request_of, waiting_mission

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
