"""Tiers of groups, persons and attributes; all of them, some of them, side by side; who has to differ from whom."""

from __future__ import annotations

import pytest

from approvals import coverage, quorum, votes
from approvals.models import Decision, Profile, TierState
from approvals.plans import plans_of
from approvals.refusals import AlreadyVoted, NotEligible, NotOpen
from approvals.roll import Roll
from tests.decisions import FINANCE, SUPERVISORS, answers, opened, waiting_mission

pytestmark = pytest.mark.django_db
LEGAL = {"group": "legal", "quorum": 1}


def any_of(name, *approvers, **more):
    return {"name": name, "approvers": list(approvers), **more}


def all_of(name, *approvers, **more):
    return any_of(name, *approvers, all_of=True, **more)


def group(name):
    return {"group": name}


def manager(fallback, of="owner"):
    return {"attribute": f"{of}.manager", "fallback": fallback}


def cast(decision, voter, verdict="approve", **fields):
    decision.refresh_from_db()
    return votes.cast(decision.pk, voter, verdict, decision.digest, channel="api", **fields)


def states(decision):
    return {tier.name: str(tier.state) for tier in decision.tiers.all()}


def queue_of(user):
    return set(Decision.objects.visible_to(user).for_voter(user))


# -- Who sits in a tier ------------------------------------------------------------------------------------------------


def test_any_of_takes_different_people_of_the_union(sam, fiona, lee):
    groups = map(group, ("supervisors", "finance", "legal"))
    decision = opened(waiting_mission(), any_of("board", *groups, quorum=2))
    assert cast(decision, sam).state == "open"
    sam.groups.add(*fiona.groups.all())  # under another hat still the same person
    with pytest.raises(AlreadyVoted):
        cast(decision, sam, "reject", comment="No.")
    assert cast(decision, lee).state == "approved"
    assert decision.tiers.get().approvers.count() == 3


def test_all_of_takes_one_person_for_each(person, sam, fiona):
    simon = person("simon", "supervisors")
    decision = opened(waiting_mission(), all_of("both", group("supervisors"), group("finance")))
    assert cast(decision, sam).state == "open"
    assert decision not in queue_of(simon)  # his group has given its vote
    with pytest.raises(NotEligible, match="still needs others"):
        cast(decision, simon)
    assert decision in queue_of(fiona)
    assert cast(decision, fiona).state == "approved"


def test_all_of_finds_room_for_who_fits_one_seat_only(person, sam):
    both = person("bo", "supervisors", "finance")
    decision = opened(waiting_mission(), all_of("both", group("supervisors"), group("finance")))
    cast(decision, both)
    assert decision in queue_of(sam)  # bo's vote moves to finance
    assert cast(decision, sam).state == "approved"


def test_a_person_is_asked_by_name(person, sam):
    decision = opened(waiting_mission(), any_of("sam himself", {"person": "sam"}))
    assert queue_of(sam) == {decision}
    with pytest.raises(NotEligible):
        cast(decision, person("simon", "supervisors"))
    assert cast(decision, sam).state == "approved"


def test_a_person_who_is_not_known_leaves_the_tier_unreachable(sam):
    decision = opened(waiting_mission(), any_of("nobody", {"person": "ghost"}))
    with pytest.raises(NotEligible):
        cast(decision, sam)
    assert quorum.may_vote(decision, decision.tiers.get(), Roll.call([decision])) == set()


# -- Attributes --------------------------------------------------------------------------------------------------------


def managed(user, by):
    Profile.objects.update_or_create(user=user, defaults={"manager": by})


def test_the_owners_manager_is_asked_and_what_was_found_is_kept(person):
    ann, max_ = person("ann"), person("max")
    managed(ann, max_)
    decision = opened(waiting_mission(started_by=ann), any_of("manager", manager(group("finance"))))
    assert queue_of(max_) == {decision}
    [found] = decision.tiers.get().approvers.get().resolved
    assert (found["person"], found["why"]) == ("max", "owner.manager is max.")
    assert cast(decision, max_).state == "approved"


@pytest.mark.parametrize("why", ["nobody", "inactive", "the asker"])
def test_the_fallback_stands_in_where_an_attribute_leads_nowhere(person, fiona, why):
    ann = person("ann")
    if why != "nobody":
        managed(ann, ann if why == "the asker" else person("max", is_active=False))
    decision = opened(waiting_mission(started_by=ann), any_of("manager", manager(group("finance"))))
    seat = decision.tiers.get().approvers.get()
    assert (seat.group, seat.person) == ("finance", None)
    assert seat.resolved[0]["why"].endswith("So finance stands in.")
    assert cast(decision, fiona).state == "approved"


def test_a_managers_manager(person):
    ann, max_, mona = person("ann"), person("max"), person("mona")
    managed(ann, max_)
    managed(max_, mona)
    spec = {"attribute": "owner.manager.manager", "fallback": {"person": "max"}}
    decision = opened(waiting_mission(started_by=ann), any_of("above", spec))
    assert decision.tiers.get().approvers.get().person == mona


def test_a_manager_is_looked_up_again_at_the_vote(person):
    ann, max_, mona = person("ann"), person("max"), person("mona")
    managed(ann, max_)
    decision = opened(waiting_mission(started_by=ann), any_of("manager", manager(group("finance"))))
    managed(ann, mona)
    with pytest.raises((NotEligible, NotOpen)):
        cast(decision, max_)
    assert [one["person"] for one in decision.tiers.get().approvers.get().resolved] == ["max", "mona"]
    assert cast(decision, mona).state == "approved"


def test_a_manager_is_looked_up_again_before_dispatch(person):
    ann, max_ = person("ann"), person("max")
    managed(ann, max_)
    asked = [any_of("manager", manager(group("finance")))]
    decision = opened(waiting_mission(started_by=ann), *asked)
    cast(decision, max_)
    assert coverage.missing(decision, plans_of(asked)) == ""
    managed(ann, person("mona"))
    assert coverage.missing(decision, plans_of(asked)) == "It lacks the 1 of manager that it needs by now."


# -- Side by side ------------------------------------------------------------------------------------------------------


def test_parallel_tiers_are_open_at_once_and_all_have_to_be_met(sam, fiona, lee):
    decision = opened(waiting_mission(), SUPERVISORS, {**FINANCE, "parallel": True}, LEGAL)
    assert states(decision) == {"supervisors": "open", "finance": "open", "legal": "waiting"}
    assert (queue_of(sam), queue_of(fiona), queue_of(lee)) == ({decision}, {decision}, set())
    cast(decision, fiona)
    assert states(decision) == {"supervisors": "open", "finance": "met", "legal": "waiting"}
    cast(decision, sam)
    assert states(decision) == {"supervisors": "met", "finance": "met", "legal": "open"}
    assert cast(decision, lee).state == "approved"


def test_a_rejection_in_one_of_them_ends_it(sam, fiona):
    decision = opened(waiting_mission(), SUPERVISORS, {**FINANCE, "parallel": True})
    assert cast(decision, fiona, "reject", comment="No.").state == "rejected"
    assert states(decision) == {"supervisors": "failed", "finance": "failed"}
    assert (queue_of(sam), len(answers(decision))) == (set(), 1)


def test_who_sits_in_both_does_not_block_who_sits_in_one(person, sam):
    both = person("bo", "supervisors", "finance")
    decision = opened(waiting_mission(), SUPERVISORS, {**FINANCE, "parallel": True})
    assert cast(decision, both).tier == 1
    assert states(decision) == {"supervisors": "open", "finance": "open"}  # bo's vote would do for either
    assert cast(decision, sam).state == "approved"
    assert coverage.missing(decision, plans_of([SUPERVISORS, FINANCE])) == ""
    assert answers(decision)


def test_nobody_votes_in_two_parallel_tiers(person):
    both = person("bo", "supervisors", "finance")
    decision = opened(waiting_mission(), SUPERVISORS, {**FINANCE, "parallel": True})
    cast(decision, both)
    with pytest.raises(NotEligible):
        cast(decision, both, tier="finance")
    assert queue_of(both) == set()


@pytest.mark.parametrize("parallel", [False, True])
def test_the_same_people_may_vote_again_where_policy_says_so(person, parallel):
    both = person("bo", "supervisors", "finance")
    again = {**FINANCE, "distinct_from": [], "parallel": parallel}
    decision = opened(waiting_mission(), SUPERVISORS, again)
    cast(decision, both)
    assert queue_of(both) == {decision}
    assert cast(decision, both).repeated  # sent twice by accident: the second vote names its tier
    assert cast(decision, both, tier="finance").state == "approved"
    assert coverage.missing(decision, plans_of([SUPERVISORS, again])) == ""
    assert coverage.missing(decision, plans_of([SUPERVISORS, FINANCE])) == (  # once they have to differ, one is missing
        "It lacks the 1 of finance that it needs by now."
    )


def test_a_tier_may_differ_from_some_only(person):
    all_three = person("bo", "supervisors", "finance", "legal")
    free, bound = {**FINANCE, "distinct_from": []}, {**LEGAL, "distinct_from": ["finance"]}
    decision = opened(waiting_mission(), SUPERVISORS, free, bound)
    cast(decision, all_three)
    cast(decision, all_three, tier="finance")
    with pytest.raises(NotEligible, match="finance already"):
        cast(decision, all_three, tier="legal")


# -- Time --------------------------------------------------------------------------------------------------------------


def test_an_escalation_adds_the_next_tier_beside_those_that_are_open(clock, sam, fiona, lee):
    slow = {**SUPERVISORS, "expires_seconds": 60, "on_expiry": "escalate"}
    decision = opened(waiting_mission(), slow, {**FINANCE, "parallel": True}, LEGAL)
    clock.advance(61)
    cast(decision, fiona)
    assert states(decision) == {"supervisors": "failed", "finance": "met", "legal": "open"}
    assert cast(decision, lee).state == "approved"
    assert coverage.missing(decision, plans_of([slow, FINANCE])) == ""


def test_time_alone_never_approves(clock, fiona, lee):
    """Both tiers of a stage escalate, and the one that answers for them was met before the second did."""
    first = {**SUPERVISORS, "expires_seconds": 60, "on_expiry": "escalate"}
    second = {"group": "operators", "parallel": True, "expires_seconds": 600, "on_expiry": "escalate"}
    decision = opened(waiting_mission(), first, second, LEGAL)
    clock.advance(61)
    cast(decision, lee)
    clock.advance(600)
    with pytest.raises(NotEligible):
        cast(decision, fiona)
    decision.refresh_from_db()
    assert (decision.state, states(decision)["operators"]) == ("open", TierState.OPEN)


def test_the_earliest_time_limit_of_the_open_tiers_is_shown(clock):
    sooner = {**FINANCE, "sla_seconds": 300, "parallel": True}
    decision = opened(waiting_mission(), {**SUPERVISORS, "sla_seconds": 900}, sooner)
    assert decision.due_at == decision.tiers.get(name="finance").due_at


def test_of_two_limits_that_are_over_the_earlier_decides(clock, sam):
    early = {**SUPERVISORS, "expires_seconds": 60, "on_expiry": "escalate"}
    late = {**FINANCE, "parallel": True, "expires_seconds": 90, "on_expiry": "reject"}
    decision = opened(waiting_mission(), early, late, LEGAL)
    clock.advance(120)
    with pytest.raises(NotOpen):
        cast(decision, sam)
    decision.refresh_from_db()
    assert (decision.state, states(decision)) == (
        "expired", {"supervisors": "failed", "finance": "failed", "legal": "failed"},
    )


# -- Who never counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["owner", "requester"])
@pytest.mark.parametrize("superuser", [False, True])
def test_who_is_behind_the_request_completes_no_quorum(person, sam, who, superuser):
    behind = person("ann", "supervisors", "finance", is_superuser=superuser)
    decision = opened(waiting_mission(started_by=behind if who == "owner" else None), {**SUPERVISORS, "quorum": 2})
    if who == "requester":
        Decision.objects.filter(pk=decision.pk).update(requested_by=behind)
    cast(decision, sam)
    with pytest.raises(NotEligible, match="someone else"):
        cast(decision, behind)
    assert queue_of(behind) == set()
