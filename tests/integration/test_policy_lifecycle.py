"""The life of a policy version: who may do what to it, who decides on it, and what follows."""

from __future__ import annotations

import contextlib
import datetime as dt

import pytest
from django.db import IntegrityError, connection, transaction

from approvals.models import (
    Decision,
    DecisionKind,
    DecisionState,
    Mode,
    Policy,
    PolicyEvent,
    PolicyVersion,
    VersionState,
)
from approvals.policies import approving, lifecycle, rights, touching, trail, versions
from approvals.policies.document import InvalidPolicy
from approvals.refusals import NotEligible, NotOpen, StaleDigest
from missions.engine import alarms
from missions.models import Mission, State
from tests.decisions import intent_of, opened, waiting_mission
from tests.policies import row
from tests.policy_lives import ASKS, LOOSE, STRICT, approve, events, in_force, now_in_force, submitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def peter(person):
    """A second policy admin."""
    return person("peter", "policy-admins")


@pytest.fixture
def grace(person):
    """A governor."""
    return person("grace", "governors")


@pytest.fixture(autouse=True)
def supervisors(sam):
    """The demo's rules ask supervisors; there is one."""


def evaluated():
    return [(one.label, one.enforced) for one in versions.in_force().tables]


@contextlib.contextmanager
def past_the_triggers():
    """As a database superuser changes what nobody may."""
    with connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        yield
        cursor.execute("set local session_replication_role = origin")


def tiers_of(decision):
    return list(decision.tiers.values_list("group", "quorum"))


# -- drafts ---------------------------------------------------------------------------------------------------------


def test_a_saved_draft_makes_the_policy_and_binds_nothing(paula):
    version = lifecycle.save_draft("refunds", STRICT, by=paula)
    assert (version.number, version.state, version.created_by) == (1, VersionState.DRAFT, paula)
    assert versions.in_force().tables == ()
    assert events() == ["saved"]


def test_a_draft_is_replaced_by_its_successor_and_a_second_successor_is_refused(paula, peter):
    first = lifecycle.save_draft("refunds", STRICT, by=paula)
    second = lifecycle.save_draft("refunds", LOOSE, by=peter, base=first)
    first.refresh_from_db()
    assert (first.state, second.state, second.base) == (VersionState.RETIRED, VersionState.DRAFT, first)
    with pytest.raises(lifecycle.Outdated) as refused:
        lifecycle.save_draft("refunds", [row("x", "deny")], by=paula, base=first)
    assert refused.value.facts == {"newer": 2}
    assert PolicyVersion.objects.count() == 2


def test_the_same_rules_make_no_new_draft(paula):
    first = lifecycle.save_draft("refunds", STRICT, by=paula)
    assert lifecycle.save_draft("refunds", STRICT, by=paula) == first
    assert lifecycle.save_draft("refunds", STRICT, by=paula, base=first) == first


@pytest.mark.parametrize("who", ["sam", "audrey", "olivia", "outsider"])
def test_only_policy_admins_and_administrators_change_policies(request, who, paula):
    someone = request.getfixturevalue(who)
    version = in_force()
    draft = lifecycle.save_draft("refunds", STRICT, by=paula)
    for attempt in (
        lambda: lifecycle.save_draft("refunds", LOOSE, by=someone),
        lambda: lifecycle.submit(draft, by=someone),
        lambda: lifecycle.withdraw(draft, by=someone),
        lambda: lifecycle.restore(version, by=someone),
        lambda: lifecycle.set_mode(version.policy, Mode.OFF, by=someone),
    ):
        with pytest.raises(rights.Forbidden):
            attempt()
    assert PolicyVersion.objects.count() == 2


def test_a_draft_with_errors_is_refused_with_all_of_them(paula):
    with pytest.raises(InvalidPolicy) as refused:
        lifecycle.save_draft("refunds", [row("a", "deny", "tool.nmae == 'x'"), row("b", "permit")], by=paula)
    assert [(one.rule, one.line, one.column) for one in refused.value.problems] == [("a", 1, 5), ("b", None, None)]
    assert not Policy.objects.exists()


# -- a change is a decision -----------------------------------------------------------------------------------------


def test_a_tightening_needs_one_other_policy_admin(paula, peter):
    in_force(*LOOSE)
    _, decision = submitted(STRICT, paula)
    assert (decision.kind, decision.mission) == (DecisionKind.POLICY_CHANGE, None)
    assert tiers_of(decision) == [("policy-admins", 1)]
    assert decision.sentence == "Put refunds v2 in force in the place of v1"
    assert (decision.facts["note"], decision.facts["changes"]) == ("As agreed.", "all is new: deny.")
    assert now_in_force() == 1
    assert approve(decision, peter).state == DecisionState.APPROVED
    assert now_in_force() == 2
    assert events() == ["saved", "activated", "saved", "submitted", "asked", "activated"]
    told = PolicyEvent.objects.order_by("pk").last()
    assert (told.facts["approved_by"], told.facts["in_place_of"]) == (["peter"], 1)


def test_a_loosening_needs_a_policy_admin_and_a_governor(paula, peter, grace):
    in_force(*STRICT)
    _, decision = submitted(LOOSE, paula)
    assert tiers_of(decision) == [("policy-admins", 1), ("governors", 1)]
    assert decision.sentence.endswith(": it loosens the policy")
    assert decision.facts["loosens"] == "all denied what no single rule denies any more."
    approve(decision, peter)
    assert now_in_force() == 1
    approve(decision, grace)
    assert now_in_force() == 2


def test_without_a_governor_but_the_author_a_loosening_needs_two_policy_admins(person, peter):
    in_force(*STRICT)
    gina = person("gina", "policy-admins", "governors")
    _, decision = submitted(LOOSE, gina)
    assert tiers_of(decision) == [("policy-admins", 2)]
    approve(decision, peter)
    assert now_in_force() == 1
    approve(decision, person("pia", "policy-admins"))
    assert now_in_force() == 2


@pytest.mark.parametrize("superuser", [False, True])
def test_an_author_does_not_approve_what_they_wrote(person, peter, superuser):
    in_force(*LOOSE)
    author = person("ann", "policy-admins", is_superuser=superuser)
    _, decision = submitted(STRICT, author)
    with pytest.raises(NotEligible, match="You wrote a part of this change"):
        approve(decision, author)
    assert now_in_force() == 1


def test_nobody_of_the_drafts_lineage_approves(person, paula, peter):
    in_force(*LOOSE)
    first = lifecycle.save_draft("refunds", [*STRICT, row("more", "deny", "args.x == 1")], by=peter)
    second = lifecycle.save_draft("refunds", STRICT, by=paula, base=first)
    pat = person("pat", "policy-admins")
    decision = lifecycle.submit(second, by=pat)
    for one in (paula, peter):
        with pytest.raises(NotEligible, match="You wrote a part"):
            approve(decision, one)
    with pytest.raises(NotEligible, match="You asked for this"):
        approve(decision, pat)
    approve(decision, person("pia", "policy-admins"))
    assert now_in_force() == 3


def test_an_administrator_outside_the_groups_has_no_vote(person, paula):
    in_force(*LOOSE)
    _, decision = submitted(STRICT, paula)
    with pytest.raises(NotEligible, match="group policy-admins"):
        approve(decision, person("root", is_superuser=True))


def test_a_rejection_sends_the_draft_back_with_the_reason(paula, peter):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula)
    approve(decision, peter, verdict="reject", comment="Not before the audit.")
    version.refresh_from_db()
    assert version.state == VersionState.DRAFT
    told = PolicyEvent.objects.order_by("pk").last()
    assert (told.what, told.why, told.facts["state"]) == ("sent_back", "Not before the audit.", "rejected")
    assert now_in_force() == 1
    again = lifecycle.submit(version, by=paula)
    assert again.pk != decision.pk


def test_a_change_that_nobody_can_approve_yet_says_so(paula, person):
    in_force(ASKS)
    _, decision = submitted(STRICT, paula)
    assert decision.facts["people_missing"].startswith("Approvals needed of policy-admins: 1; nobody can give one.")
    person("peter", "policy-admins")
    in_force(ASKS, name="others")
    _, decision = submitted(STRICT, paula, name="others")
    assert "people_missing" not in decision.facts


def test_submitting_twice_answers_the_open_decision(paula):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula)
    assert lifecycle.submit(version, by=paula) == decision
    assert Decision.objects.count() == 1


def test_what_is_in_force_or_retired_can_not_be_submitted(paula):
    version = in_force()
    with pytest.raises(lifecycle.WrongState, match="only a draft"):
        lifecycle.submit(version, by=paula)


def test_withdrawn_it_is_a_draft_again_and_nobody_can_vote(paula, peter):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula)
    lifecycle.withdraw(version, by=peter, why="Too early.")
    decision.refresh_from_db()
    assert (version.state, decision.state) == (VersionState.DRAFT, DecisionState.WITHDRAWN)
    with pytest.raises(NotOpen):
        approve(decision, peter)
    with pytest.raises(lifecycle.WrongState, match="not in review"):
        lifecycle.withdraw(version, by=paula)


# -- nobody gives themselves a right --------------------------------------------------------------------------------


def test_who_becomes_an_approver_by_the_change_has_no_say_in_it(person, paula, peter):
    in_force(ASKS)
    fred = person("fred", "policy-admins", "finance")
    also = {**ASKS, "tiers": [*ASKS["tiers"], {"group": "finance"}]}
    _, decision = submitted([also], paula)
    with pytest.raises(NotEligible, match="let you approve more"):
        approve(decision, fred)
    approve(decision, peter)
    assert now_in_force() == 2


def test_joining_the_group_later_counts_as_well(person, paula, peter, fiona):
    in_force(ASKS)
    _, decision = submitted([{**ASKS, "tiers": [*ASKS["tiers"], {"group": "finance"}]}], paula)
    peter.groups.add(fiona.groups.get())
    with pytest.raises(NotEligible, match="let you approve more"):
        approve(decision, peter)


def test_an_approver_whose_part_is_as_it_was_may_vote(person, paula):
    in_force(*LOOSE)
    sue = person("sue", "policy-admins", "supervisors")
    _, decision = submitted(STRICT, paula)
    approve(decision, sue)
    assert now_in_force() == 2


def test_who_owns_missions_that_may_do_more_has_no_say(person, paula, grace, peter):
    in_force(*STRICT)
    allowed = [*STRICT, row("free", "allow", scope={"mission_type": "refund", "tool": "x"})]
    _, decision = submitted(allowed, paula)
    mission = waiting_mission(started_by=peter)
    with pytest.raises(NotEligible, match="let missions of yours do more"):
        approve(decision, peter)
    Mission.objects.filter(pk=mission.pk).update(state=State.COMPLETED)
    approve(decision, peter)
    approve(decision, grace)
    assert now_in_force() == 2


# -- what is approved is what comes into force ----------------------------------------------------------------------


def test_an_activation_meanwhile_supersedes_what_is_asked_and_asks_anew(paula, peter):
    in_force(*LOOSE)
    _, decision = submitted(STRICT, paula)
    in_force(ASKS, row("other", "deny", "args.x == 1"))
    with pytest.raises(NotOpen):
        approve(decision, peter)
    decision.refresh_from_db()
    anew = decision.superseded_by
    assert (decision.state, anew.state, anew.requested_by) == (DecisionState.SUPERSEDED, DecisionState.OPEN, paula)
    assert anew.sentence == "Put refunds v2 in force in the place of v3"
    assert "other is gone" in anew.facts["changes"]
    assert now_in_force() == 3
    approve(anew, peter)
    assert now_in_force() == 2


def test_the_alarm_asks_anew_where_nobody_votes(paula, peter):
    in_force(*LOOSE)
    _, decision = submitted(STRICT, paula)
    in_force(ASKS, row("other", "deny", "args.x == 1"))
    alarms.ring_due()
    decision.refresh_from_db()
    assert decision.state == DecisionState.SUPERSEDED
    assert decision.superseded_by.is_open


def test_a_change_that_became_a_loosening_is_asked_of_the_higher_tier(paula, peter, grace):
    in_force(*LOOSE)
    _, decision = submitted([ASKS, row("other", "deny", "args.x == 1")], paula)
    in_force(*STRICT)
    alarms.ring_due()
    decision.refresh_from_db()
    assert tiers_of(decision.superseded_by) == [("policy-admins", 1), ("governors", 1)]


def test_a_changed_digest_is_refused(paula, peter):
    in_force(*LOOSE)
    _, decision = submitted(STRICT, paula)
    with pytest.raises(StaleDigest):
        approve(decision, peter, digest="0" * 64)
    assert now_in_force() == 1


def test_rules_that_were_tampered_with_are_not_put_in_force(paula, peter):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula)
    with past_the_triggers():
        PolicyVersion.objects.filter(pk=version.pk).update(rules=[row("free", "allow")])
    with pytest.raises(NotOpen):
        approve(decision, peter)
    assert now_in_force() == 1


# -- at a time ------------------------------------------------------------------------------------------------------


def test_a_scheduled_version_runs_in_shadow_until_its_time(paula, peter, clock):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula, activate_at=clock.now() + dt.timedelta(hours=8))
    approve(decision, peter)
    version.refresh_from_db()
    assert (version.state, now_in_force()) == (VersionState.SHADOW, 1)
    assert evaluated() == [("refunds v1", True), ("refunds v2", False)]
    clock.advance(hours=7)
    alarms.ring_due()
    assert now_in_force() == 1
    clock.advance(hours=2)
    alarms.ring_due()
    assert now_in_force() == 2
    assert evaluated() == [("refunds v2", True)]


def test_a_schedule_is_kept_only_by_people_who_still_count(paula, peter, clock):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula, activate_at=clock.now() + dt.timedelta(hours=8))
    approve(decision, peter)
    peter.groups.clear()
    clock.advance(hours=9)
    alarms.ring_due()
    version.refresh_from_db()
    assert (version.state, now_in_force()) == (VersionState.IN_REVIEW, 1)
    assert Decision.objects.open().filter(kind=DecisionKind.POLICY_CHANGE).count() == 1


def test_a_schedule_ends_with_a_withdrawal_or_another_activation(paula, peter, clock):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula, activate_at=clock.now() + dt.timedelta(hours=8))
    approve(decision, peter)
    lifecycle.withdraw(version, by=paula)
    clock.advance(hours=9)
    alarms.ring_due()
    assert (version.state, now_in_force()) == (VersionState.DRAFT, 1)
    decision = lifecycle.submit(version, by=paula, activate_at=clock.now() + dt.timedelta(hours=8))
    approve(decision, peter)
    in_force(ASKS, row("other", "deny", "args.x == 1"))
    clock.advance(hours=9)
    alarms.ring_due()
    version.refresh_from_db()
    assert (version.state, now_in_force()) == (VersionState.IN_REVIEW, 3)


def test_a_time_that_is_over_or_too_far_is_refused(paula, clock):
    in_force(*LOOSE)
    version = lifecycle.save_draft("refunds", STRICT, by=paula)
    for days in (-1, 400):
        with pytest.raises(lifecycle.WrongState, match="The time of the activation"):
            lifecycle.submit(version, by=paula, activate_at=clock.now() + dt.timedelta(days=days))
    assert version.state == VersionState.DRAFT


# -- modes ----------------------------------------------------------------------------------------------------------


def test_lowering_a_mode_is_a_loosening_and_raising_a_tightening(paula, peter, grace):
    version = in_force(row("all", "deny"))
    decision = lifecycle.set_mode(version.policy, Mode.SHADOW, by=paula, reason="It denies too much.")
    assert tiers_of(decision) == [("policy-admins", 1), ("governors", 1)]
    assert decision.sentence == "Change the mode of refunds from enforce to shadow: it loosens the policy"
    approve(decision, peter)
    assert versions.in_force().tables[0].enforced
    approve(decision, grace)
    assert not versions.in_force().tables[0].enforced
    raising = lifecycle.set_mode(version.policy, Mode.ENFORCE, by=paula)
    assert tiers_of(raising) == [("policy-admins", 1)]
    approve(raising, peter)
    assert versions.in_force().tables[0].enforced


def test_enforcing_rules_that_allow_is_a_loosening(paula, grace):
    version = in_force(row("free", "allow"), mode="shadow")
    decision = lifecycle.set_mode(version.policy, Mode.ENFORCE, by=paula)
    assert tiers_of(decision) == [("policy-admins", 1), ("governors", 1)]


def test_a_mode_by_scope_binds_there_only(paula, peter, grace):
    version = in_force(row("all", "deny"))
    decision = lifecycle.set_mode(version.policy, Mode.SHADOW, by=paula, scope={"tool": "mail.*"})
    approve(decision, peter)
    approve(decision, grace)
    mission = waiting_mission()
    force = versions.in_force()
    assert [one.enforced for one in force.tables_for(intent_of(mission, tool="mail.send"))] == [False]
    assert [one.enforced for one in force.tables_for(intent_of(mission, tool="payments.refund"))] == [True]
    version.policy.refresh_from_db()
    back = lifecycle.set_mode(version.policy, None, by=paula, scope={"tool": "mail.*"})
    assert tiers_of(back) == [("policy-admins", 1)]
    approve(back, peter)
    assert versions.in_force().by_scope == ()


def test_a_mode_that_binds_in_a_scope_of_a_policy_that_is_off(paula, peter):
    version = in_force(row("all", "deny"), mode="off")
    approve(lifecycle.set_mode(version.policy, Mode.ENFORCE, by=paula, scope={"mission_type": "refund"}), peter)
    force, mission = versions.in_force(), waiting_mission()
    assert force.tables == ()
    assert [one.enforced for one in force.tables_for(intent_of(mission))] == [True]
    assert force.tables_for(intent_of(waiting_mission(type="other"))) == ()


def test_the_mode_of_a_policy_without_a_version_in_force_changes_at_once(paula):
    version = lifecycle.save_draft("refunds", STRICT, by=paula)
    assert lifecycle.set_mode(version.policy, Mode.SHADOW, by=paula) is None
    assert Policy.objects.get().mode == Mode.SHADOW
    assert events() == ["saved", "mode"]


def test_a_changed_mode_outdates_what_is_asked_about_the_rules(paula, peter):
    in_force(*LOOSE)
    _, decision = submitted(STRICT, paula)
    in_force(*LOOSE, mode="shadow")
    with pytest.raises(NotOpen):
        approve(decision, peter)
    decision.refresh_from_db()
    assert decision.superseded_by.is_open


@pytest.mark.parametrize(
    ("mode", "scope"),
    [
        (Mode.ENFORCE, None), (None, None), (Mode.OFF, {"colour": "red"}), (Mode.OFF, {"tool": ""}),
        (Mode.OFF, {"tool": 5}),
    ],
)
def test_a_mode_that_can_not_be_is_refused(paula, mode, scope):
    version = in_force()
    with pytest.raises(lifecycle.WrongState):
        lifecycle.set_mode(version.policy, mode, by=paula, scope=scope)


# -- who decides on policies is a policy ----------------------------------------------------------------------------


def test_the_policy_governance_names_who_approves(paula, lee, peter):
    legal = [{"group": "legal"}]
    rule = row("legal", "escalate", "args.policy == 'refunds' && args.loosens == true", tiers=legal)
    in_force(rule, row("never", "deny", "args.policy == 'frozen'"), name="governance")
    in_force(*STRICT)
    _, decision = submitted(LOOSE, paula)
    assert (tiers_of(decision), decision.policy_version) == ([("legal", 1)], "governance v1")
    approve(decision, lee)
    assert now_in_force() == 2
    with pytest.raises(approving.ChangeDenied):
        submitted(STRICT, paula, name="frozen")
    assert tiers_of(submitted(STRICT, paula)[1]) == [("policy-admins", 1)]


def test_governance_rules_on_nothing_else_and_is_changed_by_the_higher_tier(paula, grace):
    in_force(row("never", "deny"), name="governance")
    assert versions.in_force().tables == ()
    _, decision = submitted([row("never", "deny", reason="New words.")], paula, name="governance")
    assert tiers_of(decision) == [("policy-admins", 1), ("governors", 1)]


# -- what a replay told ---------------------------------------------------------------------------------------------


def test_a_replay_that_found_a_loosening_asks_the_higher_tier(paula, peter, grace):
    in_force(*LOOSE)
    version, decision = submitted(STRICT, paula)
    lifecycle.attach_replay(version, {"load": "3 more a day for supervisors", "loosens": False})
    decision.refresh_from_db()
    assert (decision.is_open, decision.facts["expected_load"]) == (True, "3 more a day for supervisors")
    lifecycle.attach_replay(version, {"loosens": True})
    decision.refresh_from_db()
    assert decision.state == DecisionState.SUPERSEDED
    assert tiers_of(decision.superseded_by) == [("policy-admins", 1), ("governors", 1)]


# -- what is touched, restored, recorded ----------------------------------------------------------------------------


def test_a_submission_lists_the_open_decisions_that_would_be_ruled_on_otherwise(paula):
    in_force(ASKS)
    large, mission = opened(waiting_mission()), waiting_mission()
    small = opened(mission, intent=intent_of(mission, args={"amount": "5"}))
    two = [{"group": "supervisors", "quorum": 2}]
    more = [ASKS, row("large", "escalate", "double(args.amount) > 500.0", tiers=two)]
    version, decision = submitted(more, paula)
    assert lifecycle.touched(version) == touching.Touched(decisions=(large,))
    assert touching.touched(version, most=1).count == "at least 1"
    assert str(large.pk) in decision.facts["touches"]
    assert str(small.pk) not in decision.facts["touches"]
    other = in_force(ASKS, row("other", "deny", "args.x == 'y'", scope={"tool": "none"}))
    assert lifecycle.touched(other) == touching.Touched()


def test_a_restored_version_is_a_new_draft_with_the_old_rules(paula, peter):
    old = in_force(*STRICT)
    in_force(*LOOSE)
    draft = lifecycle.restore(old, by=paula)
    assert (draft.number, draft.state, draft.digest) == (3, VersionState.DRAFT, old.digest)
    assert lifecycle.restore(old, by=paula) == draft
    approve(lifecycle.submit(draft, by=paula), peter)
    assert now_in_force() == 3
    with pytest.raises(lifecycle.WrongState):
        lifecycle.restore(old, by=paula)


def test_the_trail_is_chained_and_can_not_be_changed(paula, peter):
    in_force(*LOOSE)
    _, decision = submitted(STRICT, paula)
    approve(decision, peter)
    policy = Policy.objects.get()
    assert trail.broken_at(policy) is None
    for change in (lambda: PolicyEvent.objects.update(why="x"), lambda: PolicyEvent.objects.first().delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()
    with past_the_triggers():
        PolicyEvent.objects.filter(seq=3).update(by="mallory")
    assert trail.broken_at(policy) == 3
