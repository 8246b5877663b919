"""The gate: policies in force, seen at once, and the second look just before an effect is dispatched."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from approvals import votes
from approvals.gate import PolicyGate
from approvals.models import Decision, DecisionKind, Policy, VersionState
from approvals.policies import document, evaluate, files, versions
from missions.governance import EffectClass, RetrySafety, RulingOutcome
from tests.decisions import intent_of, request_of, waiting_mission
from tests.policies import intent, row

pytestmark = pytest.mark.django_db
ALLOW, DENY, ESCALATE = RulingOutcome.ALLOW, RulingOutcome.DENY, RulingOutcome.ESCALATE
BY_SUPERVISORS = [{"group": "supervisors"}]
BY_BOTH = [{"group": "supervisors"}, {"group": "finance"}]


def load(*rows, name="refunds", mode="enforce"):
    """Put these rules in force."""
    return versions.load(document.check({"name": name, "mode": mode, "rules": list(rows)}), activate=True).version


def ask(*tiers):
    """A rule that asks these tiers about each refund."""
    return row("refunds", "escalate", scope={"tool": "payments.refund"}, tiers=list(tiers))


# -- Ruling ------------------------------------------------------------------------------------------------------------


def test_without_a_policy_reads_are_allowed_and_writes_denied():
    assert PolicyGate().rule(intent(effect_class=EffectClass.READ)).outcome is ALLOW
    assert PolicyGate().rule(intent()).outcome is DENY
    assert PolicyGate().rule(intent(effect_class=EffectClass.READ, args={"x": "y" * 20_000})).outcome is ALLOW


def test_a_new_version_binds_the_next_ruling():
    gate = PolicyGate()
    load(row("all", "allow"))
    assert (gate.rule(intent()).outcome, gate.rule(intent()).policy_version) == (ALLOW, "refunds v1")
    load(row("all", "deny"))
    assert (gate.rule(intent()).outcome, gate.rule(intent()).policy_version) == (DENY, "refunds v2")


def test_a_mode_binds_the_next_ruling():
    gate = PolicyGate()
    load(row("all", "allow"), name="open")
    load(row("all", "deny"), name="shut")
    assert gate.rule(intent()).outcome is DENY
    Policy.objects.filter(name="shut").update(mode="shadow")
    shadowed = gate.rule(intent())
    assert (shadowed.outcome, [one["mode"] for one in shadowed.trace]) == (ALLOW, ["enforce", "shadow"])
    Policy.objects.filter(name="shut").update(mode="off")
    assert [one["policy"] for one in gate.rule(intent()).trace] == ["open v1"]


def test_a_stored_policy_that_can_not_be_read_denies_everything(caplog):
    load(row("all", "allow"))
    Policy.objects.create(name="broken").versions.create(number=1, state=VersionState.ACTIVE, rules=[1], digest="x")
    with caplog.at_level(logging.CRITICAL, "approvals.policies.versions"):
        ruling = PolicyGate().rule(intent(effect_class=EffectClass.READ))
    assert (ruling.outcome, ruling.rules) == (DENY, ())
    assert "broken v1" in ruling.reason


def test_a_broken_evaluation_denies_and_is_logged(monkeypatch, caplog):
    load(row("all", "allow"))

    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(evaluate.expr, "reading", broken)
    ruling = PolicyGate().rule(intent(effect_class=EffectClass.READ))
    assert (ruling.outcome, ruling.reason) == (
        DENY, "The rules could not be applied, so it is denied. The evaluation broke: MemoryError.",
    )  # fmt: skip
    assert caplog.records[-1].action == "ruling_broke"


def test_an_error_of_the_database_is_no_ruling():
    with connection.cursor() as cursor:
        cursor.execute("alter table approvals_policyversion rename to gone")
    with pytest.raises(DatabaseError):
        PolicyGate().rule(intent())


def test_the_clock_of_a_rule_is_the_database_clock(clock):
    load(row("later", "deny", f"now > timestamp('{clock.now().isoformat()}') + duration('24h')"), row("all", "allow"))
    assert PolicyGate().rule(intent()).outcome is ALLOW
    clock.advance(days=2)
    assert PolicyGate().rule(intent()).outcome is DENY


@pytest.mark.parametrize(
    ("tool", "amount", "outcome", "groups"),
    [
        ("payments.refund", "0.01", ESCALATE, ["supervisors"]),
        ("payments.refund", "500.00", ESCALATE, ["supervisors"]),
        ("payments.refund", "500.01", ESCALATE, ["supervisors", "finance"]),
        ("payments.refund", "0.00", DENY, []),
        ("payments.refund", "-5.00", DENY, []),
        ("payments.refund", "nan", ESCALATE, ["supervisors", "finance"]),
        ("payments.reverse", "9.00", ESCALATE, ["supervisors"]),
        ("payments.pay", "9.00", DENY, []),
    ],
)
def test_the_demo_policy_asks_as_it_says(settings, tool, amount, outcome, groups):
    [demo] = files.read(settings.BASE_DIR / "approvals" / "demo" / "refunds.yaml")
    versions.load(demo, activate=True)
    ruling = PolicyGate().rule(intent(tool=tool, args={"amount": amount}))
    assert (ruling.outcome, [tier["group"] for tier in ruling.tiers]) == (outcome, groups)


# -- Asking and the second look ----------------------------------------------------------------------------------------


class Asked:
    """An escalation as it was put before people, and what the gate says of it before dispatch."""

    def __init__(self, **fields):
        self.mission = waiting_mission()
        self.intent = intent_of(self.mission, **fields)
        self.ruling = PolicyGate().rule(self.intent)
        self.request = replace(request_of(self.mission, intent=self.intent), ruling=self.ruling)
        assert PolicyGate().ask(self.request) is None

    def approved_by(self, *voters):
        for voter in voters:
            votes.cast(self.request.id, voter, "approve", self.request.digest, channel="api")
        return self

    def confirmed(self, **changed):
        asked = {"decision_id": self.request.id, "digest": self.request.digest, "intent": self.intent, **changed}
        return PolicyGate().confirm(asked["intent"], self.ruling, asked["decision_id"], asked["digest"])


def test_the_answer_comes_back_once_there_is_one(sam):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    answer = PolicyGate().ask(asked.request)
    assert (answer.verdict, answer.by, answer.digest) == ("approved", ("sam",), asked.request.digest)


def test_an_approval_of_all_tiers_confirms(sam, fiona):
    load(ask(*BY_BOTH))
    confirmed = Asked().approved_by(sam, fiona).confirmed()
    assert (confirmed.outcome, confirmed.reason, confirmed.policy_version, confirmed.rules) == (
        ALLOW, "Approved by sam, fiona.", "refunds v1", ("refunds",),
    )  # fmt: skip


def test_what_is_allowed_needs_no_decision():
    load(row("all", "allow"))
    allowed = PolicyGate().rule(intent())
    assert PolicyGate().confirm(intent(), allowed, None, "").outcome is ALLOW


def test_what_was_allowed_and_is_asked_by_now_is_not_dispatched():
    load(row("all", "allow"))
    allowed = PolicyGate().rule(intent())
    load(ask(*BY_SUPERVISORS))
    assert PolicyGate().confirm(intent(), allowed, None, "").outcome is ESCALATE


def test_an_approval_does_not_outlive_a_denial(sam):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    load(row("all", "deny", reason="Refunds are stopped."))
    confirmed = asked.confirmed()
    assert (confirmed.outcome, confirmed.reason) == (DENY, "Refunds are stopped.")


@pytest.mark.parametrize(
    ("tiers", "missing"),
    [
        (BY_BOTH, "It lacks the 1 of finance that it needs by now."),
        ([{"group": "supervisors", "quorum": 2}], "It lacks the 2 of supervisors that it needs by now."),
    ],
)
def test_a_demand_that_was_added_in_the_meantime_asks_again(sam, tiers, missing):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    load(ask(*tiers))
    confirmed = asked.confirmed()
    assert (confirmed.outcome, confirmed.policy_version) == (ESCALATE, "refunds v2")
    assert confirmed.reason.startswith(missing)
    assert [tier["group"] for tier in confirmed.tiers] == [tier["group"] for tier in tiers]


def test_a_demand_that_was_dropped_in_the_meantime_still_confirms(sam, fiona):
    load(ask(*BY_BOTH))
    asked = Asked().approved_by(sam, fiona)
    load(ask(*BY_SUPERVISORS))
    assert asked.confirmed().outcome is ALLOW


def test_a_voter_who_left_the_group_counts_no_more(sam):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    sam.groups.clear()
    assert asked.confirmed().outcome is ESCALATE
    sam.groups.add(Group.objects.get(name="supervisors"))
    assert asked.confirmed().outcome is ALLOW


def test_a_voter_whose_account_was_closed_counts_no_more(sam):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    sam.is_active = False
    sam.save()
    assert asked.confirmed().outcome is ESCALATE


def test_a_vote_for_one_tier_does_not_count_in_another(sam, fiona):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    sam.groups.add(*fiona.groups.all())
    load(ask({"group": "finance"}))
    assert asked.confirmed().outcome is ESCALATE


@pytest.mark.parametrize("digest", ["0" * 64, ""])
def test_another_digest_is_another_action(sam, digest):
    load(ask(*BY_SUPERVISORS))
    confirmed = Asked().approved_by(sam).confirmed(digest=digest)
    assert confirmed.outcome is ESCALATE
    assert confirmed.reason.startswith("Something else was approved")


def test_a_decision_that_is_still_open_confirms_nothing(sam):
    load(ask(*BY_BOTH))
    confirmed = Asked().approved_by(sam).confirmed()
    assert confirmed.outcome is ESCALATE
    assert confirmed.reason.startswith("The decision is open, not approved.")


def test_a_rejected_decision_confirms_nothing(sam):
    load(ask(*BY_SUPERVISORS))
    asked = Asked()
    votes.cast(asked.request.id, sam, "reject", asked.request.digest, comment="No.", reason_code="other", channel="api")
    assert asked.confirmed().outcome is ESCALATE


def test_a_decision_of_another_mission_confirms_nothing(sam):
    load(ask(*BY_SUPERVISORS))
    other = Asked().approved_by(sam)
    mine = Asked()
    assert mine.confirmed(decision_id=other.request.id, digest=other.request.digest).outcome is ESCALATE
    assert mine.confirmed(decision_id=uuid.uuid4()).outcome is ESCALATE


def test_an_answer_to_another_kind_of_question_confirms_nothing(sam):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    Decision.objects.filter(pk=asked.request.id).update(kind=DecisionKind.IN_DOUBT)
    assert asked.confirmed().outcome is ESCALATE


def test_the_second_look_locks_nothing(sam):
    load(ask(*BY_SUPERVISORS))
    asked = Asked().approved_by(sam)
    with CaptureQueriesContext(connection) as seen:
        assert asked.confirmed().outcome is ALLOW
    assert all(query["sql"].startswith("SELECT") and "FOR " not in query["sql"].split("WHERE")[-1] for query in seen)


def test_a_changed_argument_is_ruled_on_as_it_is_now(sam):
    load(row("big", "deny", "double(args.amount) > 1000.0"), ask(*BY_SUPERVISORS))
    asked = Asked(args={"amount": "900.00"}, retry_safety=RetrySafety.MANUAL).approved_by(sam)
    assert asked.confirmed(intent=replace(asked.intent, args={"amount": "1900.00"})).outcome is DENY
