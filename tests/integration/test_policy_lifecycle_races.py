"""Policies changed by several people at once: one order of things comes of it, and nobody waits for ever."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from approvals.models import Decision, DecisionKind, DecisionState, Policy, PolicyVersion, VersionState
from approvals.policies import document, lifecycle, trail, versions
from approvals.refusals import VoteRefused
from missions.engine import alarms
from tests.policies import row
from tests.policy_lives import ASKS, approve, in_force, now_in_force, submitted

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 6


@pytest.fixture
def peter(person, sam):
    return person("peter", "policy-admins")


def at_once(*acts):
    """Run each act in a thread of its own, started together; what each returned, or the refusal that it got."""
    barrier, results, faults = threading.Barrier(len(acts)), [None] * len(acts), []

    def run(place, act):
        try:
            barrier.wait()
            results[place] = act()
        except (VoteRefused, lifecycle.WrongState, lifecycle.Outdated) as refused:
            results[place] = refused
        except Exception as error:  # shown below; a thread would lose it
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    return results


def denying(name):
    """A tightening of what is in force."""
    policy = Policy.objects.filter(name="refunds").first()
    found = versions.active(policy) if policy else None
    return [*(found.rules if found else [ASKS]), row(name, "deny", f"args.x == '{name}'")]


def test_two_versions_are_approved_at_once_and_one_is_asked_anew(paula, peter, person):
    in_force(ASKS)
    pia = person("pia", "policy-admins")
    for turn in range(ROUNDS):
        _, one = submitted(denying(f"one{turn}"), paula)
        _, other = submitted(denying(f"other{turn}"), paula)
        at_once(lambda one=one: approve(one, peter), lambda other=other: approve(other, pia))
        alarms.ring_due()
        states = sorted(Decision.objects.filter(pk__in=(one.pk, other.pk)).values_list("state", flat=True))
        assert states == [DecisionState.APPROVED, DecisionState.SUPERSEDED]
        assert PolicyVersion.objects.filter(state=VersionState.ACTIVE).count() == 1
        anew = Decision.objects.open().get(kind=DecisionKind.POLICY_CHANGE)
        lifecycle.withdraw(anew.policy_change.version, by=paula)
    assert trail.broken_at(Policy.objects.get()) is None


def test_an_activation_past_the_review_against_a_vote(paula, peter):
    in_force(ASKS)
    for turn in range(ROUNDS):
        version, decision = submitted(denying(f"v{turn}"), paula)
        written = document.parse({"name": "refunds", "rules": denying(f"bypass{turn}")}, "test")
        vote, loaded = at_once(
            lambda decision=decision: approve(decision, peter),
            lambda written=written: versions.load(written, activate=True, via="test"),
        )
        alarms.ring_due()
        decision.refresh_from_db()
        version.refresh_from_db()
        if isinstance(vote, VoteRefused):  # the bypass was first: what was asked is asked anew
            assert (decision.state, version.state) == (DecisionState.SUPERSEDED, VersionState.IN_REVIEW)
            lifecycle.withdraw(version, by=paula)
        else:  # the vote was first: the version was in force until the bypass
            assert (decision.state, version.state) == (DecisionState.APPROVED, VersionState.RETIRED)
        assert now_in_force() == loaded.version.number
    assert trail.broken_at(Policy.objects.get()) is None


def test_a_withdrawal_against_a_vote_has_one_outcome(paula, peter):
    in_force(ASKS)
    for turn in range(ROUNDS):
        version, decision = submitted(denying(f"v{turn}"), paula)
        at_once(
            lambda decision=decision: approve(decision, peter),
            lambda version=version: lifecycle.withdraw(version, by=paula),
        )
        decision.refresh_from_db()
        version = PolicyVersion.objects.get(pk=version.pk)
        ended = {DecisionState.APPROVED: VersionState.ACTIVE, DecisionState.WITHDRAWN: VersionState.DRAFT}
        assert version.state == ended[DecisionState(decision.state)]


def test_two_successors_of_a_draft_and_one_is_refused(paula, peter):
    base = lifecycle.save_draft("refunds", denying("base"), by=paula)
    results = at_once(
        lambda: lifecycle.save_draft("refunds", denying("one"), by=paula, base=PolicyVersion.objects.get(pk=base.pk)),
        lambda: lifecycle.save_draft("refunds", denying("two"), by=peter, base=PolicyVersion.objects.get(pk=base.pk)),
    )
    assert sorted(type(result).__name__ for result in results) == ["Outdated", "PolicyVersion"]
    assert PolicyVersion.objects.filter(state=VersionState.DRAFT).count() == 1


def test_submitted_twice_at_once_it_is_one_decision(paula, peter):
    in_force(ASKS)
    version = lifecycle.save_draft("refunds", denying("x"), by=paula)
    fresh = [PolicyVersion.objects.select_related("policy").get(pk=version.pk) for _ in range(4)]
    found = at_once(*(lambda one=one: lifecycle.submit(one, by=paula) for one in fresh))
    assert len({decision.pk for decision in found}) == 1
