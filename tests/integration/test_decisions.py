"""The queue: opening decisions again and again, superseding, time limits, leases, withdrawal."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import replace

import pytest
from django.db import IntegrityError, connection, transaction

from approvals import currency, queue, votes
from approvals.models import Decision, DecisionState, TierState, Vote
from approvals.refusals import NotEligible, NotOpen
from missions.engine import alarms
from missions.errors import PayloadTooLarge
from missions.governance import EffectClass, Ruling, RulingOutcome
from missions.models import Alarm, Mission, State
from tests.decisions import FINANCE, SUPERVISORS, answers, in_doubt, intent_of, opened, request_of, waiting_mission

pytestmark = pytest.mark.django_db


def tier_states(decision):
    return list(decision.tiers.order_by("order").values_list("state", flat=True))


def expiring(on_expiry, group="supervisors", **fields):
    return {**SUPERVISORS, "group": group, "expires_seconds": 600, "on_expiry": on_expiry, **fields}


def test_opening_opens_the_first_tier_and_sets_its_times(clock):
    decision = opened(waiting_mission(), {**SUPERVISORS, "expires_seconds": 7200}, FINANCE)
    first, second = decision.tiers.all()
    assert (first.state, second.state) == (TierState.OPEN, TierState.WAITING)
    assert first.expires_at - first.due_at == dt.timedelta(hours=1)
    assert abs(first.due_at - clock.now() - dt.timedelta(hours=1)) < dt.timedelta(seconds=5)
    assert (decision.due_at, decision.expires_at) == (first.due_at, first.expires_at)
    assert second.due_at is None
    assert set(Alarm.objects.filter(what__startswith="decision").values_list("what", "nominal_at")) == {
        (f"decision.due:{first.pk}", first.due_at), (f"decision.expire:{first.pk}", first.expires_at),
    }


def test_the_same_request_again_changes_nothing():
    request = request_of(waiting_mission(), SUPERVISORS, FINANCE)
    assert queue.open_decision(request) is None
    before = list(Decision.objects.values()), Alarm.objects.count()
    assert queue.open_decision(request) is None
    assert (list(Decision.objects.values()), Alarm.objects.count()) == before
    assert Decision.objects.get().tiers.count() == 2


def test_a_settled_decision_answers_when_it_is_asked_again(sam):
    request = request_of(waiting_mission())
    queue.open_decision(request)
    votes.cast(request.id, sam, "approve", request.digest, channel="api")
    answer = queue.open_decision(request)
    assert (answer.verdict, answer.by, answer.digest) == ("approved", ("sam",), request.digest)


def test_a_fenced_attempt_opens_nothing():
    mission = waiting_mission(attempt=3)
    assert queue.open_decision(replace(request_of(mission), attempt=2)) is None
    assert not Decision.objects.exists()


def test_a_fenced_attempt_supersedes_nothing():
    mission = waiting_mission(attempt=3)
    decision = opened(mission, path="pay#1")
    queue.open_decision(replace(request_of(mission, path="pay#1"), attempt=2))
    decision.refresh_from_db()
    assert decision.state == DecisionState.OPEN


def test_another_request_at_the_same_place_supersedes(sam):
    mission = waiting_mission()
    old = opened(mission, path="pay#1")
    new = opened(mission, path="pay#1", digest="b" * 64)
    old.refresh_from_db()
    assert (old.state, old.superseded_by, old.resolution["verdict"]) == ("superseded", new, "superseded")
    assert tier_states(old) == [TierState.FAILED]
    with pytest.raises(NotOpen) as refused:
        votes.cast(old.pk, sam, "approve", old.digest, channel="api")
    assert refused.value.facts["superseded_by"] == str(new.pk)
    assert answers(old) == []


def test_branches_ask_side_by_side():
    mission = waiting_mission()
    one, two, nowhere = opened(mission, path="a#1"), opened(mission, path="b#1"), opened(mission)
    assert {one.pk, two.pk, nowhere.pk} == set(Decision.objects.open().values_list("pk", flat=True))


def test_another_digest_under_the_same_id_is_answered_as_superseded():
    request = request_of(waiting_mission(), path="pay#1")
    queue.open_decision(request)
    changed = replace(request, digest="c" * 64)
    assert queue.open_decision(changed).verdict == "superseded"
    assert queue.open_decision(changed).verdict == "superseded"
    assert answers(Decision.objects.get()) == []


def test_an_effect_in_doubt_without_a_policy_goes_to_the_operators():
    tier = in_doubt(waiting_mission()).tiers.get()
    assert (tier.group, tier.quorum, tier.state) == ("operators", 1, TierState.OPEN)


@pytest.mark.parametrize(
    ("effect_class", "reversible", "told"),
    [
        (EffectClass.READ, False, ("read", "low")), (EffectClass.WRITE, True, ("compensable", "low")),
        (EffectClass.WRITE, False, ("reversible", "medium")),
        (EffectClass.IRREVERSIBLE, True, ("irreversible", "high")),
    ],
)  # fmt: skip
def test_what_is_at_stake_follows_the_effect(effect_class, reversible, told):
    mission = waiting_mission()
    decision = opened(mission, intent=intent_of(mission, effect_class=effect_class, reversible=reversible))
    assert (decision.reversibility, decision.risk) == told
    assert decision.blast["money"] == {"amount": "900.00", "currency": "GBP"}


def test_long_sentences_are_shortened_and_huge_arguments_refused():
    mission = waiting_mission()
    assert len(opened(mission, sentence="x" * 900).sentence) == 500
    with pytest.raises(PayloadTooLarge):
        queue.open_decision(request_of(mission, intent=intent_of(mission, args={"note": "x" * 1_100_000})))


def test_expiry_that_rejects_settles_and_tells_the_mission(clock):
    decision = opened(waiting_mission(), expiring("reject"))
    clock.advance(601)
    alarms.ring_due()
    decision.refresh_from_db()
    assert (decision.state, decision.resolution["verdict"]) == ("expired", "expired")
    [signal] = answers(decision)
    assert json.loads(bytes(signal.payload))["verdict"] == "expired"
    assert tier_states(decision) == [TierState.FAILED]


def test_expiry_that_escalates_opens_the_next_tier_with_its_own_times(clock):
    decision = opened(waiting_mission(), expiring("escalate"), expiring("reject", "finance"))
    clock.advance(601)
    alarms.ring_due()
    decision.refresh_from_db()
    first, second = decision.tiers.all()
    assert (decision.state, first.state, second.state) == ("open", TierState.FAILED, TierState.OPEN)
    assert first.expired_at == first.expires_at
    assert abs(second.expires_at - clock.now() - dt.timedelta(seconds=600)) < dt.timedelta(seconds=5)
    assert decision.expires_at == second.expires_at


@pytest.mark.parametrize("on_expiry", ["hold", "escalate"])
def test_a_last_tier_that_holds_or_cannot_escalate_stays_open(clock, sam, on_expiry):
    decision = opened(waiting_mission(), expiring(on_expiry))
    clock.advance(601)
    alarms.ring_due()
    decision.refresh_from_db()
    tier = decision.tiers.get()
    assert (decision.state, tier.state, tier.expired_at) == ("open", TierState.OPEN, tier.expires_at)
    assert votes.cast(decision.pk, sam, "approve", decision.digest, channel="api").state == "approved"


def test_an_alarm_of_a_settled_tier_does_nothing(clock, sam):
    decision = opened(waiting_mission(), expiring("reject"))
    votes.cast(decision.pk, sam, "approve", decision.digest, channel="api")
    clock.advance(601)
    alarms.ring_due()
    decision.refresh_from_db()
    assert decision.state == DecisionState.APPROVED
    assert len(answers(decision)) == 1


def test_the_due_alarm_changes_nothing(clock):
    decision = opened(waiting_mission())
    before = list(Decision.objects.values())
    clock.advance(hours=2)
    Alarm.objects.exclude(what__startswith="decision").delete()  # housekeeping's own
    assert alarms.ring_due() == 1
    assert list(Decision.objects.values()) == before
    assert tier_states(decision) == [TierState.OPEN]


def test_expiry_of_an_ended_mission_withdraws(clock):
    mission = waiting_mission()
    decision = opened(mission, expiring("reject"))
    Mission.objects.filter(pk=mission.pk).update(state=State.CANCELLED)
    clock.advance(601)
    alarms.ring_due()
    decision.refresh_from_db()
    assert decision.state == DecisionState.WITHDRAWN


def test_withdrawing_closes_once_and_delivers_nothing():
    decision = opened(waiting_mission())
    assert queue.withdraw(decision.pk) is True
    assert queue.withdraw(decision.pk) is False
    assert queue.withdraw(uuid.uuid4()) is False
    decision.refresh_from_db()
    assert (decision.state, answers(decision)) == (DecisionState.WITHDRAWN, [])


def test_a_claim_warns_and_blocks_nobody(clock, sam, person):
    other = person("simon", "supervisors")
    decision = opened(waiting_mission())
    assert queue.claim(decision.pk, sam).taken_from == ""
    assert queue.claim(decision.pk, sam).taken_from == ""
    assert queue.claim(decision.pk, other).taken_from == "sam"
    assert queue.release(decision.pk, sam) is False
    assert votes.cast(decision.pk, sam, "approve", decision.digest, channel="api").state == "approved"


def test_a_claim_runs_out_after_a_quarter_of_an_hour(clock, sam, person):
    decision = opened(waiting_mission())
    queue.claim(decision.pk, sam)
    clock.advance(minutes=15)
    assert queue.claim(decision.pk, person("simon", "supervisors")).taken_from == ""


def test_only_those_who_may_vote_may_claim(fiona, sam):
    decision = opened(waiting_mission(started_by=sam))
    for user in (fiona, sam):
        with pytest.raises(NotEligible):
            queue.claim(decision.pk, user)
    queue.withdraw(decision.pk)
    with pytest.raises(NotOpen):
        queue.claim(decision.pk, sam)


@pytest.mark.parametrize("statement", ["update approvals_vote set verdict = 'approve'", "delete from approvals_vote"])
def test_votes_can_not_be_changed_or_deleted(sam, statement):
    decision = opened(waiting_mission())
    votes.cast(decision.pk, sam, "reject", decision.digest, comment="No.", channel="api")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Vote.objects.get().verdict == "reject"


def test_a_ruling_without_tiers_waits_for_the_operators():
    ruling = Ruling(outcome=RulingOutcome.ESCALATE, reason="Someone has to look.")
    decision = opened(waiting_mission(), kind="validation", ruling=ruling)
    assert decision.open_tier.group == "operators"


def test_what_missions_left_behind_is_swept(sam):
    ended, moved, alive = waiting_mission(), waiting_mission(), waiting_mission()
    withdrawn, superseded, kept = opened(ended), opened(moved), opened(alive)
    Mission.objects.filter(pk=ended.pk).update(state=State.COMPLETED)
    Mission.objects.filter(pk=moved.pk).update(timeline=2)
    assert currency.sweep() == 2
    assert currency.sweep() == 0
    states = {row.pk: row.state for row in Decision.objects.all()}
    assert states == {withdrawn.pk: "withdrawn", superseded.pk: "superseded", kept.pk: "open"}


def test_asking_on_a_new_timeline_supersedes_what_the_old_one_asked():
    mission = waiting_mission()
    old = opened(mission)
    Mission.objects.filter(pk=mission.pk).update(timeline=2)
    mission.refresh_from_db()
    new = opened(mission)
    old.refresh_from_db()
    assert (old.state, old.superseded_by) == ("superseded", new)
