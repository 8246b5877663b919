"""Votes: who counts, in which order tiers go, what is refused, and what the mission is told."""

from __future__ import annotations

import json
import uuid

import pytest

from approvals import coverage, queue, quorum, tiers, votes
from approvals.models import Decision, TierState, Vote
from approvals.plans import TierPlan
from approvals.refusals import AlreadyVoted, BadVote, NotEligible, NotOpen, StaleDigest, UnknownDecision
from approvals.roll import Roll
from missions.models import Alarm, Mission, State
from tests.decisions import FINANCE, IN_DOUBT, SUPERVISORS, answers, in_doubt, opened, waiting_mission

pytestmark = pytest.mark.django_db


def cast(decision, voter, verdict="approve", **fields):
    return votes.cast(decision.pk, voter, verdict, fields.pop("digest", decision.digest), channel="api", **fields)


def covers(decision, group):
    return coverage.missing(decision, [TierPlan(group=group)]) == ""


def answer_to(decision):
    [signal] = answers(decision)
    return json.loads(bytes(signal.payload))


def test_an_approval_settles_wakes_the_mission_and_says_who(sam):
    mission = waiting_mission(state=State.WAITING)
    decision = opened(mission)
    result = cast(decision, sam, comment="Fine.")
    assert (result.state, result.votes, result.quorum, result.repeated) == ("approved", 1, 1, False)
    decision.refresh_from_db()
    told = answer_to(decision)
    assert told == decision.resolution == result.resolution
    assert (told["verdict"], told["by"], told["comment"]) == ("approved", ["sam"], "Fine.")
    assert told["digest"] == decision.digest
    mission.refresh_from_db()
    assert (mission.inbox_seq, mission.wake_at is not None) == (1, True)
    assert answers(decision)[0].sender == "sam"


def test_a_rejection_settles_at_once_even_where_two_are_needed(sam):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2}, FINANCE)
    assert cast(decision, sam, "reject", comment="Wrong order.", reason_code="wrong_details").state == "rejected"
    told = answer_to(decision)
    assert (told["verdict"], told["comment"], told["reason_code"]) == ("rejected", "Wrong order.", "wrong_details")
    assert [tier.state for tier in decision.tiers.all()] == [TierState.FAILED, TierState.WAITING]


def test_asking_for_changes_brings_the_comment_to_the_mission(sam):
    decision = opened(waiting_mission())
    assert cast(decision, sam, "request_changes", comment="Split it.").state == "changes_requested"
    assert answer_to(decision)["comment"] == "Split it."


def test_a_quorum_needs_different_people(sam, person):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    assert cast(decision, sam).state == "open"
    assert answers(decision) == []
    assert cast(decision, person("simon", "supervisors")).state == "approved"
    assert answer_to(decision)["by"] == ["sam", "simon"]


def test_tiers_are_asked_one_after_the_other(sam, fiona):
    decision = opened(waiting_mission(), SUPERVISORS, {**FINANCE, "expires_seconds": 900})
    with pytest.raises(NotEligible):
        cast(decision, fiona)
    result = cast(decision, sam)
    assert (result.state, result.tier, result.tier_state, result.resolution) == ("open", 1, TierState.MET, None)
    second = decision.tiers.get(order=2)
    assert second.state == TierState.OPEN
    assert Alarm.objects.filter(what=f"decision.expire:{second.pk}", nominal_at=second.expires_at).exists()
    assert answers(decision) == []
    assert cast(decision, fiona).state == "approved"
    assert answer_to(decision)["by"] == ["sam", "fiona"]


def test_nobody_votes_in_two_tiers(sam, person):
    both = person("bo", "supervisors", "finance")
    decision = opened(waiting_mission(), SUPERVISORS, FINANCE)
    cast(decision, both)
    with pytest.raises(NotEligible, match="someone else"):
        cast(decision, both)
    with pytest.raises(NotEligible):
        cast(decision, both, "reject", comment="No.")
    assert Decision.objects.get().state == "open"


@pytest.mark.parametrize("superuser", [False, True])
def test_who_started_the_mission_never_counts(person, superuser):
    owner = person("ann", "supervisors", is_superuser=superuser)
    decision = opened(waiting_mission(started_by=owner))
    with pytest.raises(NotEligible, match="someone else"):
        cast(decision, owner)
    assert not Vote.objects.exists()
    assert quorum.may_vote(decision, decision.tiers.get(), Roll.call([decision])) == set()


def test_a_superuser_outside_the_group_does_not_count(person):
    with pytest.raises(NotEligible, match="not in it"):
        cast(opened(waiting_mission()), person("root", is_superuser=True, is_staff=True))


def test_an_inactive_member_does_not_count(person):
    with pytest.raises(NotEligible):
        cast(opened(waiting_mission()), person("ida", "supervisors", is_active=False))


def test_votes_of_people_who_left_do_not_complete_a_quorum(sam, person):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    cast(decision, sam)
    sam.groups.clear()
    assert quorum.counting(decision) == []
    assert cast(decision, person("simon", "supervisors")).state == "open"
    assert cast(decision, person("susan", "supervisors")).state == "approved"
    assert answer_to(decision)["by"] == ["simon", "susan"]


def test_membership_is_checked_again_after_the_decision(sam):
    decision = opened(waiting_mission())
    cast(decision, sam)
    assert covers(decision, "supervisors")
    sam.is_active = False
    sam.save()
    assert not covers(decision, "supervisors")


def test_an_escalated_tier_is_answered_for_by_the_next(clock, fiona):
    first = {**SUPERVISORS, "expires_seconds": 60, "on_expiry": "escalate"}
    decision = opened(waiting_mission(), first, FINANCE)
    clock.advance(61)
    assert cast(decision, fiona).state == "approved"
    assert covers(decision, "supervisors")
    assert not covers(decision, "legal")


def test_an_old_digest_is_refused_and_the_current_one_told(sam):
    decision = opened(waiting_mission())
    with pytest.raises(StaleDigest) as refused:
        cast(decision, sam, digest="0" * 64)
    assert refused.value.facts["digest"] == decision.digest
    assert not Vote.objects.exists()


def test_a_later_answer_gets_the_one_that_won(sam, person):
    decision = opened(waiting_mission())
    cast(decision, sam, "reject", comment="No.")
    with pytest.raises(NotOpen) as refused:
        cast(decision, person("simon", "supervisors"))
    assert refused.value.facts["state"] == "rejected"
    assert refused.value.facts["resolution"]["by"] == ["sam"]
    assert Vote.objects.count() == 1


@pytest.mark.parametrize("quorum_needed", [1, 2])
def test_the_same_vote_again_changes_nothing(sam, quorum_needed):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": quorum_needed})
    first, again = cast(decision, sam), cast(decision, sam)
    assert (first.repeated, again.repeated) == (False, True)
    assert (first.state, first.votes) == (again.state, again.votes)
    assert Vote.objects.count() == 1
    assert len(answers(decision)) == (quorum_needed == 1)


def test_a_vote_sent_again_after_its_tier_closed_is_recognised(sam, fiona):
    decision = opened(waiting_mission(), SUPERVISORS, FINANCE)
    cast(decision, sam)
    again = cast(decision, sam)
    assert (again.repeated, again.tier, again.tier_state) == (True, 1, TierState.MET)


def test_a_vote_can_not_be_taken_back(sam):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    cast(decision, sam)
    with pytest.raises(AlreadyVoted) as refused:
        cast(decision, sam, "reject", comment="After all, no.")
    assert refused.value.facts["verdict"] == "approve"


@pytest.mark.parametrize(
    ("verdict", "fields", "field"),
    [
        ("reject", {"comment": "No.", "reason_code": "mood"}, "reason_code"),
        ("reject", {}, "comment"), ("request_changes", {"comment": "  "}, "comment"), ("maybe", {}, "verdict"),
        ("approve", {"comment": "x" * 4001}, "comment"), ("approve", {"reference": "x" * 201}, "reference"),
        ("approve", {"comment": "a\x00b"}, "comment"),
    ],
)  # fmt: skip
def test_incomplete_votes_are_refused_by_field(sam, verdict, fields, field):
    decision = opened(waiting_mission())
    with pytest.raises(BadVote) as refused:
        cast(decision, sam, verdict, **fields)
    assert [error["field"] for error in refused.value.errors] == [field]
    assert not Vote.objects.exists()


@pytest.mark.parametrize(
    ("verdict", "fields", "field"),
    [
        ("approve", {}, "choice"), ("approve", {"choice": "maybe"}, "choice"),
        ("reject", {"comment": "No."}, "verdict"),
        ("approve", {"choice": "happened"}, "reference"),
    ],
)  # fmt: skip
def test_an_effect_in_doubt_needs_a_choice_and_its_reference(olivia, verdict, fields, field):
    decision = in_doubt(waiting_mission())
    with pytest.raises(BadVote) as refused:
        cast(decision, olivia, verdict, **fields)
    assert [error["field"] for error in refused.value.errors] == [field]


def test_the_answer_to_a_doubt_brings_choice_and_reference(olivia):
    decision = in_doubt(waiting_mission())
    cast(decision, olivia, choice="happened", reference="PAY-77")
    told = answer_to(decision)
    assert (told["verdict"], told["choice"], told["reference"]) == ("approved", "happened", "PAY-77")


def test_two_answers_to_a_doubt_have_to_agree(olivia, person):
    ruling_tiers = ({"group": "operators", "quorum": 2},)
    decision = opened(waiting_mission(), *ruling_tiers, kind="in_doubt", choices=IN_DOUBT)
    cast(decision, olivia, choice="retry")
    with pytest.raises(BadVote, match="agree"):
        cast(decision, person("otto", "operators"), choice="roll_back")


def test_a_vote_for_an_abandoned_timeline_is_refused(sam):
    mission = waiting_mission()
    decision = opened(mission)
    Mission.objects.filter(pk=mission.pk).update(timeline=2)
    with pytest.raises(NotOpen) as refused:
        cast(decision, sam)
    assert refused.value.facts["state"] == "superseded"
    decision.refresh_from_db()
    assert (decision.state, answers(decision), Vote.objects.count()) == ("superseded", [], 0)


def test_a_vote_for_an_ended_mission_withdraws(sam):
    mission = waiting_mission()
    decision = opened(mission)
    Mission.objects.filter(pk=mission.pk).update(state=State.CANCELLED)
    with pytest.raises(NotOpen) as refused:
        cast(decision, sam)
    assert refused.value.facts["state"] == "withdrawn"
    decision.refresh_from_db()
    assert (decision.state, Vote.objects.count()) == ("withdrawn", 0)


@pytest.mark.parametrize("on_expiry", ["reject", "escalate"])
def test_a_vote_after_the_time_is_over_does_not_count_even_before_the_alarm_rang(clock, sam, on_expiry):
    decision = opened(waiting_mission(), {**SUPERVISORS, "expires_seconds": 60, "on_expiry": on_expiry}, FINANCE)
    clock.advance(60)
    with pytest.raises((NotOpen, NotEligible)):
        cast(decision, sam)
    decision.refresh_from_db()
    assert decision.state == ("expired" if on_expiry == "reject" else "open")
    assert decision.tiers.get(order=1).state == TierState.FAILED
    assert Vote.objects.count() == 0
    assert len(answers(decision)) == (on_expiry == "reject")


def test_an_answer_that_comes_before_the_mission_waits_is_kept(sam):
    mission = waiting_mission(state=State.RUNNING)
    decision = opened(mission)
    cast(decision, sam)
    mission.refresh_from_db()
    assert mission.inbox_seq == 1


def test_a_decision_without_a_mission_is_settled_too(sam):
    decision = Decision.objects.create(kind="external", sentence="Ship it", digest="d" * 64, reversibility="reversible")
    tiers.create(decision, [tiers.TierPlan(group="supervisors")])
    assert cast(decision, sam).state == "approved"


def test_an_unknown_decision_is_named(sam):
    with pytest.raises(UnknownDecision):
        votes.cast(uuid.uuid4(), sam, "approve", "x", channel="api")


def test_claims_end_with_the_decision(sam):
    decision = opened(waiting_mission())
    queue.claim(decision.pk, sam)
    cast(decision, sam)
    decision.refresh_from_db()
    assert decision.claimed_by is None
