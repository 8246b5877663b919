"""Delegation: dated, scoped, not handed on, on the record; and whose votes by it count."""

from __future__ import annotations

import datetime as dt
import threading
import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from approvals import coverage, delegations, quorum, tiers, votes
from approvals.delegations import DelegationRefused, UnknownDelegation
from approvals.models import Decision, Delegation, DelegationFact, Profile, Vote
from approvals.plans import plans_of
from approvals.refusals import NotEligible
from approvals.roll import Roll
from tests.decisions import FINANCE, SUPERVISORS, opened, waiting_mission

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def give(clock, giver, receiver, **terms):
    return delegations.give(giver, receiver.username, **{"until": clock.now() + DAY, **terms})


def cast(decision, voter, verdict="approve", **fields):
    return votes.cast(decision.pk, voter, verdict, decision.digest, channel="api", **fields)


def queue_of(user):
    return set(Decision.objects.visible_to(user).for_voter(user))


@pytest.fixture
def dee(person):
    """In no group."""
    return person("dee")


def test_a_delegate_sees_the_decision_and_votes_on_behalf_of_the_giver(clock, sam, dee):
    decision = opened(waiting_mission(), SUPERVISORS)
    assert (queue_of(dee), set(Decision.objects.visible_to(dee))) == (set(), set())
    given = give(clock, sam, dee)
    assert queue_of(dee) == {decision}
    assert cast(decision, dee).state == "approved"
    vote = Vote.objects.get()
    assert (vote.voter, vote.on_behalf_of, vote.delegation, vote.tier.name) == (dee, sam, given, "supervisors")
    assert set(Decision.objects.visible_to(dee)) == {decision}
    assert coverage.missing(decision, plans_of([SUPERVISORS])) == ""


def test_the_giver_still_votes_and_then_the_delegate_does_not(clock, sam, dee):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    give(clock, sam, dee)
    cast(decision, sam)
    assert queue_of(dee) == set()
    with pytest.raises(NotEligible, match="same standing"):
        cast(decision, dee)


def test_after_the_delegate_the_giver_does_not_vote_again(clock, sam, dee):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    give(clock, sam, dee)
    cast(decision, dee)
    assert queue_of(sam) == set()
    with pytest.raises(NotEligible, match="same standing"):
        cast(decision, sam)


def test_the_giver_votes_where_what_the_delegate_voted_was_revoked(clock, sam, dee, person):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    given = give(clock, sam, dee)
    cast(decision, dee)
    with pytest.raises(NotEligible, match="same standing"):
        cast(decision, sam)
    delegations.revoke(given.pk, sam)
    assert queue_of(sam) == {decision}
    assert (cast(decision, sam).state, cast(decision, person("sue", "supervisors")).state) == ("open", "approved")


def test_who_is_waited_for_leaves_out_standings_that_voted_and_seats_that_are_filled(clock, sam, fiona, dee, person):
    person("simon", "supervisors")
    board = {"name": "board", "approvers": [{"group": "supervisors"}, {"group": "finance"}], "all_of": True}
    decision = opened(waiting_mission(), board)
    give(clock, sam, dee)
    cast(decision, dee)
    asked = tiers.loaded(decision)
    assert quorum.waited_for(asked, asked.open_tiers[0], Roll.call([asked])) == {fiona.pk}


def test_one_delegate_of_two_people_is_one_person(clock, sam, person, dee):
    decision = opened(waiting_mission(), {**SUPERVISORS, "quorum": 2})
    give(clock, sam, dee)
    give(clock, person("simon", "supervisors"), dee)
    assert cast(decision, dee).state == "open"
    assert queue_of(dee) == set()
    assert cast(decision, dee).repeated
    assert Vote.objects.count() == 1


@pytest.mark.parametrize("moment", ["ahead", "over", "revoked", "giver inactive", "giver left"])
def test_a_delegation_out_of_force_gives_nothing(clock, sam, dee, moment):
    decision = opened(waiting_mission(), SUPERVISORS)
    starts = clock.now() + DAY if moment == "ahead" else None
    given = give(clock, sam, dee, starts=starts, until=clock.now() + 2 * DAY)
    if moment == "over":
        clock.advance(days=2, seconds=1)
    elif moment == "revoked":
        delegations.revoke(given.pk, sam)
    elif moment == "giver inactive":
        sam.is_active = False
        sam.save()
    elif moment == "giver left":
        sam.groups.clear()
    assert queue_of(dee) == set()
    with pytest.raises(NotEligible):
        cast(decision, dee)


def test_out_of_office_begins_by_itself(clock, sam, dee):
    decision = opened(waiting_mission(), SUPERVISORS)
    give(clock, sam, dee, starts=clock.now() + DAY, until=clock.now() + 2 * DAY)
    clock.advance(days=1)
    assert queue_of(dee) == {decision}
    assert cast(decision, dee).state == "approved"


def test_a_delegation_is_not_handed_on(clock, sam, dee, person):
    decision = opened(waiting_mission(), SUPERVISORS)
    give(clock, sam, dee)
    third = person("tom")
    give(clock, dee, third)
    assert queue_of(third) == set()
    with pytest.raises(NotEligible):
        cast(decision, third)


def test_a_delegation_of_some_groups(clock, person, dee):
    both = person("bo", "supervisors", "finance")
    one, other = opened(waiting_mission(), SUPERVISORS), opened(waiting_mission(), FINANCE)
    give(clock, both, dee, groups=["finance"])
    assert queue_of(dee) == {other}
    with pytest.raises(NotEligible):
        cast(one, dee)
    assert cast(other, dee).state == "approved"


def test_a_delegation_of_groups_covers_no_seat_by_name(clock, sam, dee):
    decision = opened(waiting_mission(), {"name": "sam", "approvers": [{"person": "sam"}]})
    give(clock, sam, dee, groups=["supervisors"])
    assert queue_of(dee) == set()
    with pytest.raises(NotEligible):
        cast(decision, dee)
    give(clock, sam, dee)
    assert queue_of(dee) == {decision}
    assert cast(decision, dee).state == "approved"


def test_a_delegation_of_one_decision(clock, sam, dee):
    one, other = opened(waiting_mission(), SUPERVISORS), opened(waiting_mission(), SUPERVISORS)
    give(clock, sam, dee, decision=one)
    assert queue_of(dee) == {one}
    with pytest.raises(NotEligible):
        cast(other, dee)
    assert cast(one, dee).state == "approved"


def test_a_delegate_of_a_manager(clock, person, dee):
    ann, max_ = person("ann"), person("max")
    Profile.objects.create(user=ann, manager=max_)
    spec = {"name": "manager", "approvers": [{"attribute": "owner.manager", "fallback": {"group": "finance"}}]}
    decision = opened(waiting_mission(started_by=ann), spec)
    give(clock, max_, dee)
    assert queue_of(dee) == {decision}
    assert cast(decision, dee).state == "approved"


# -- Who is behind the request -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("superuser", [False, True])
def test_the_owner_counts_neither_as_a_delegate_nor_through_one(clock, person, sam, dee, superuser):
    owner = person("ann", "supervisors", is_superuser=superuser)
    decision = opened(waiting_mission(started_by=owner), SUPERVISORS)
    give(clock, sam, owner)
    give(clock, owner, dee)
    assert (queue_of(owner), queue_of(dee)) == (set(), set())
    for one in (owner, dee):
        with pytest.raises(NotEligible):
            cast(decision, one)
    assert not quorum.may_vote(decision, decision.tiers.get(), Roll.call([decision])) - {sam.pk}


def test_the_requester_counts_neither_as_a_delegate_nor_through_one(clock, person, sam, dee):
    asker = person("ann", "supervisors")
    decision = opened(waiting_mission(), SUPERVISORS)
    Decision.objects.filter(pk=decision.pk).update(requested_by=asker)
    give(clock, sam, asker)
    give(clock, asker, dee)
    assert (queue_of(asker), queue_of(dee)) == (set(), set())
    for one in (asker, dee):
        with pytest.raises(NotEligible):
            cast(decision, one)


# -- Before dispatch ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["revoked", "giver left", "delegate inactive"])
def test_a_vote_by_a_delegation_is_looked_at_again_before_dispatch(clock, sam, dee, change):
    decision = opened(waiting_mission(), SUPERVISORS)
    given = give(clock, sam, dee)
    cast(decision, dee)
    if change == "revoked":
        delegations.revoke(given.pk, sam)
    elif change == "giver left":
        sam.groups.clear()
    else:
        dee.is_active = False
        dee.save()
    assert coverage.missing(decision, plans_of([SUPERVISORS])) == "It lacks the 1 of supervisors that it needs by now."


def test_a_delegation_that_ran_out_leaves_what_was_voted_in_its_time(clock, sam, dee):
    decision = opened(waiting_mission(), SUPERVISORS)
    give(clock, sam, dee)
    cast(decision, dee)
    clock.advance(days=3)
    assert coverage.missing(decision, plans_of([SUPERVISORS])) == ""


# -- Giving and revoking -----------------------------------------------------------------------------------------------


def test_each_step_is_a_fact_that_nobody_changes(clock, sam, dee):
    given = give(clock, sam, dee, reason="Away")
    delegations.revoke(given.pk, sam)
    delegations.revoke(given.pk, sam)
    facts = list(given.history.order_by("pk").values_list("what", "by__username", "terms__receiver", "terms__reason"))
    assert facts == [("given", "sam", "dee", "Away"), ("revoked", "sam", "dee", "Away")]
    for change in (DelegationFact.objects.all().delete, lambda: DelegationFact.objects.update(what="lost")):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change()


def test_the_same_again_is_the_same(clock, sam, dee):
    until = clock.now() + DAY
    first = give(clock, sam, dee, until=until)
    assert give(clock, sam, dee, until=until) == first
    assert DelegationFact.objects.count() == 1


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"to": "sam"}, "to"), ({"to": "ghost"}, "to"), ({"to": "ida"}, "to"), ({"groups": ["legal"]}, "groups"),
        ({"until": -DAY}, "until"), ({"until": 400 * DAY}, "until"), ({"starts": 3 * DAY}, "until"),
        ({"reason": "x" * 501}, "reason"), ({"reason": "a\x00b"}, "reason"),
    ],
)  # fmt: skip
def test_what_can_not_be_given(clock, sam, dee, person, terms, field):
    person("ida", is_active=False)
    now = clock.now()
    timed = {name: now + value if isinstance(value, dt.timedelta) else value for name, value in terms.items()}
    with pytest.raises(DelegationRefused) as refused:
        delegations.give(sam, timed.pop("to", "dee"), **{"until": now + DAY, **timed})
    assert [error["field"] for error in refused.value.errors] == [field]
    assert not Delegation.objects.exists()


def test_only_what_one_may_decide_oneself_is_handed_on(clock, sam, dee, person):
    decision = opened(waiting_mission(), SUPERVISORS)
    give(clock, sam, dee)
    for giver in (dee, person("oscar")):  # a delegate, and one who was never asked
        with pytest.raises(DelegationRefused, match="could not decide"):
            give(clock, giver, person(f"{giver}2"), decision=decision)


def test_nobody_hands_a_decision_to_who_asked_for_it(clock, sam, person):
    owner = person("ann", "supervisors")
    decision = opened(waiting_mission(started_by=owner), SUPERVISORS)
    with pytest.raises(DelegationRefused, match="behind this request"):
        give(clock, sam, owner, decision=decision)
    with pytest.raises(DelegationRefused, match="could not decide"):
        give(clock, owner, sam, decision=decision)


def test_only_the_giver_and_administrators_revoke(clock, sam, dee, person):
    given = give(clock, sam, dee)
    with pytest.raises(UnknownDelegation):
        delegations.revoke(given.pk, dee)
    with pytest.raises(UnknownDelegation):
        delegations.revoke(uuid.uuid4(), sam)
    assert delegations.revoke(given.pk, person("root", is_superuser=True)).revoked_at


@pytest.mark.django_db(transaction=True)
def test_a_vote_and_a_revocation_at_once_leave_no_vote_that_counts(clock, sam, dee):
    """Whoever comes first: where the vote is in, the look before dispatch does not count it."""
    decision = opened(waiting_mission(), SUPERVISORS)
    given = give(clock, sam, dee)

    def run(call):
        try:
            call()
        except NotEligible:
            pass
        finally:
            connection.close()

    calls = (lambda: cast(decision, dee), lambda: delegations.revoke(given.pk, sam))
    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert coverage.missing(decision, plans_of([SUPERVISORS])) != ""
