"""How rules combine: the strongest effect wins, errors count against the intent, shadow binds nothing."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.policies import evaluate
from missions.governance import EffectClass, Ruling, RulingOutcome
from tests.policies import NOW, intent, row, ruled, table

ALLOW, DENY, ESCALATE = RulingOutcome.ALLOW, RulingOutcome.DENY, RulingOutcome.ESCALATE
BROKEN = "args.missing > 1"  # an error on each intent of these tests
STRICTNESS = [ALLOW, ESCALATE, DENY]


@pytest.mark.parametrize(
    ("rows", "outcome", "rules"),
    [
        ([row("a", "allow")], ALLOW, ["a"]),
        ([row("a", "allow"), row("b", "escalate")], ESCALATE, ["b"]),
        ([row("a", "deny"), row("b", "escalate"), row("c", "allow")], DENY, ["a"]),
        ([row("a", "allow"), row("b", "deny", "args.amount == '1'")], ALLOW, ["a"]),
        ([row("a", "escalate"), row("b", "escalate")], ESCALATE, ["a", "b"]),
        ([row("a", "deny", BROKEN), row("b", "allow")], DENY, ["a"]),
        ([row("a", "escalate", BROKEN), row("b", "allow")], ESCALATE, ["a"]),
        ([row("a", "allow", BROKEN)], DENY, []),
        ([row("a", "allow", "double(args.amount) <= 500.0"), row("b", "escalate")], ESCALATE, ["b"]),
        ([row("a", "deny", scope={"tool": "orders.*"}), row("b", "allow")], ALLOW, ["b"]),
        ([row("a", "allow", scope={"mission_type": "transfer"})], DENY, []),
    ],
)
def test_the_strongest_effect_wins(rows, outcome, rules):
    ruling = ruled(table(*rows))
    assert (ruling.outcome, list(ruling.rules)) == (outcome, rules)


@pytest.mark.parametrize(
    ("effect_class", "outcome"),
    [(EffectClass.READ, ALLOW), (EffectClass.WRITE, DENY), (EffectClass.IRREVERSIBLE, DENY)],
)
def test_without_a_rule_reads_are_allowed_and_all_else_is_denied(effect_class, outcome):
    asked = intent(effect_class=effect_class)
    for tables in ([], [table(row("a", "deny", scope={"tool": "other"}))]):
        ruling = ruled(*tables, asked=asked)
        assert (ruling.outcome, ruling.policy_version, ruling.rules) == (outcome, "", ())


def test_a_rule_can_deny_a_read():
    asked = intent(effect_class=EffectClass.READ, data_class="health")
    assert ruled(table(row("a", "deny", scope={"data_class": "health"})), asked=asked).outcome is DENY


def test_a_number_that_turned_into_nan_does_not_slip_past_a_bar():
    rows = [row("all", "allow"), row("big", "escalate", "double(args.amount) > 500.0")]
    assert ruled(table(*rows), asked=intent(args={"amount": "499.99"})).outcome is ALLOW
    assert ruled(table(*rows), asked=intent(args={"amount": "nan"})).outcome is ESCALATE


def test_the_versions_and_reasons_of_all_that_decided_are_named():
    one = table(row("a", "deny", reason="First."), row("b", "deny", reason="Second."))
    two = table(row("c", "deny", reason="First."), row("d", "allow", reason="Never said."), policy="limits", number=1)
    ruling = ruled(one, two)
    assert ruling.policy_version == "refunds v3, limits v1"
    assert ruling.rules == ("a", "b", "c")
    assert ruling.reason == "First. Second."


def test_a_rule_that_fired_by_an_error_says_so():
    assert ruled(table(row("a", "escalate", BROKEN, reason="It is large."))).reason == (
        "It is large. (Rule a could not be evaluated, so it asks: Key not found in map : \"missing\".)"
    )


# -- Tiers -------------------------------------------------------------------------------------------------------------


def asking(name, *tiers):
    return row(name, "escalate", tiers=list(tiers))


def tiers_of(*rows):
    return [(one["group"], one["quorum"], one["sla_seconds"], one["expires_seconds"], one["on_expiry"])
            for one in ruled(table(*rows)).tiers]  # fmt: skip


def test_tiers_of_several_rules_follow_one_another():
    assert [tier[0] for tier in tiers_of(
        asking("a", {"group": "supervisors"}), asking("b", {"group": "finance"}, {"group": "legal"})
    )] == ["supervisors", "finance", "legal"]  # fmt: skip


def test_the_same_group_is_asked_once_and_most_strictly():
    assert tiers_of(
        asking("a", {"group": "finance", "sla": "4h", "expires": "7d", "on_expiry": "hold"}, {"group": "legal"}),
        asking("b", {"group": "finance", "quorum": 2, "sla": "8h", "expires": "1d", "on_expiry": "reject"}),
    ) == [("finance", 2, 14_400, 86_400, "reject"), ("legal", 1, None, None, "hold")]


def test_a_time_limit_is_stricter_than_none():
    assert tiers_of(asking("a", {"group": "f"}), asking("b", {"group": "f", "sla": "1h", "on_expiry": "reject"})) == [
        ("f", 1, 3600, 3600, "reject")
    ]


def test_escalating_on_is_never_left_to_the_last_tier():
    onwards = {"group": "supervisors", "expires": "1h", "on_expiry": "escalate"}
    assert tiers_of(asking("a", onwards, {"group": "finance"}))[0][4] == "escalate"
    assert tiers_of(asking("a", {"group": "finance"}), asking("b", onwards, {"group": "finance"}))[1] == (
        "supervisors", 1, None, 3600, "hold",
    )  # fmt: skip


def test_only_an_escalation_carries_tiers():
    assert ruled(table(asking("a", {"group": "f"}), row("b", "deny"))).tiers == ()


# -- Traces and shadow -------------------------------------------------------------------------------------------------


def test_the_trace_tells_what_came_of_each_rule_in_scope():
    ruling = ruled(table(
        row("a", "deny", "tool.name == 'payments.refund' && double(args.amount) > 900.0"),
        row("b", "allow", BROKEN),
        row("c", "escalate"),
        row("d", "deny", scope={"tool": "other"}),
    ))  # fmt: skip
    common = {"policy": "refunds v3", "mode": "enforce"}
    assert list(ruling.trace) == [
        {**common, "name": "a", "effect": "deny", "state": "false", "fired": False, "error": "",
         "failing": "double(args.amount) > 900.0"},
        {**common, "name": "b", "effect": "allow", "state": "error", "fired": False,
         "error": 'Key not found in map : "missing"', "failing": ""},
        {**common, "name": "c", "effect": "escalate", "state": "true", "fired": True, "error": "", "failing": ""},
    ]  # fmt: skip


def test_a_ruling_survives_the_journal():
    ruling = ruled(table(row("a", "escalate", BROKEN), row("b", "allow")))
    assert Ruling.from_json(json.loads(json.dumps(ruling.as_json()))) == ruling


def test_shadow_is_traced_and_binds_nothing():
    shadow = table(row("a", "deny"), policy="draft", number=1, enforced=False)
    ruling = ruled(shadow, table(row("b", "allow")))
    assert (ruling.outcome, ruling.rules, ruling.policy_version) == (ALLOW, ("b",), "refunds v3")
    assert [(one["name"], one["mode"], one["fired"]) for one in ruling.trace] == [
        ("a", "shadow", True), ("b", "enforce", True),
    ]  # fmt: skip


def test_shadow_alone_leaves_the_default():
    shadow = table(row("a", "allow"), enforced=False)
    assert ruled(shadow).outcome is DENY
    assert ruled(shadow, asked=intent(effect_class=EffectClass.READ)).outcome is ALLOW


# -- What can not be judged --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect_class", list(EffectClass))
def test_a_context_beyond_the_limits_is_denied_reads_too(effect_class):
    asked = intent(effect_class=effect_class, args={"text": "x" * 5000})
    ruling = ruled(table(row("a", "allow")), asked=asked)
    assert ruling.outcome is DENY
    assert ruling.reason.endswith("args.text takes 5,000 bytes; the limit is 4,096.")


def test_a_context_that_only_shadow_would_read_stops_nothing():
    asked = intent(effect_class=EffectClass.READ, args={"text": "x" * 5000})
    assert ruled(table(row("a", "deny"), enforced=False), asked=asked).outcome is ALLOW


# -- Properties --------------------------------------------------------------------------------------------------------

CONDITIONS = [None, "true", "false", BROKEN, "double(args.amount) > 500.0", "double(args.amount) > 900.0",
              f"{BROKEN} && false", f"{BROKEN} || true"]  # fmt: skip
drawn_tools = st.sampled_from(["*", "payments.*", "x"])
drawn_rules = st.tuples(st.sampled_from(["allow", "deny", "escalate"]), st.sampled_from(CONDITIONS), drawn_tools)
drawn = st.lists(drawn_rules, max_size=8)
amounts = st.sampled_from(["1.00", "750.00", "950.00", "nan", "abc", 750, None])


def ruling_of(rules, amount="750.00"):
    rows = [row(f"r{number}", effect, when, scope={"tool": tool}) for number, (effect, when, tool) in enumerate(rules)]
    return ruled(*([table(*rows)] if rows else []), asked=intent(args={"amount": amount}))


def outcome_of(rules, amount="750.00"):
    return ruling_of(rules, amount).outcome


@given(drawn, drawn_rules, amounts)
def test_adding_a_rule_that_denies_never_loosens(rules, added, amount):
    denying = ("deny", *added[1:])
    assert STRICTNESS.index(outcome_of([*rules, denying], amount)) >= STRICTNESS.index(outcome_of(rules, amount))


@given(drawn, st.randoms(use_true_random=False), amounts)
def test_the_order_of_rules_never_changes_the_outcome(rules, order, amount):
    shuffled = list(rules)
    random.Random(order.random()).shuffle(shuffled)
    assert outcome_of(shuffled, amount) is outcome_of(rules, amount)


@given(drawn, st.integers(min_value=0, max_value=7), amounts)
def test_an_error_in_a_rule_never_allows_and_never_lifts_the_denial_of_a_rule(rules, place, amount):
    """It may ask people where nothing spoke and the default denied: that is what its rule is for."""
    broken = [(effect, BROKEN if at == place else when, tool) for at, (effect, when, tool) in enumerate(rules)]
    before, after = ruling_of(rules, amount), ruling_of(broken, amount)
    assert after.outcome is not ALLOW or before.outcome is ALLOW
    assert after.outcome is DENY or not (before.outcome is DENY and before.rules)


@given(drawn, drawn)
def test_splitting_a_policy_in_two_changes_nothing(first, second):
    parts = [
        table(*(row(f"r{number}", *rule[:2], scope={"tool": rule[2]}) for number, rule in enumerate(part)), policy=name)
        for name, part in (("one", first), ("two", second))
        if part
    ]
    assert ruled(*parts).outcome is outcome_of([*first, *second])


@given(drawn, amounts)
def test_a_shadow_policy_never_changes_the_outcome(rules, amount):
    asked, binding = intent(args={"amount": amount}), table(row("a", "escalate", "double(args.amount) > 500.0"))
    rows = [row(f"r{number}", *rule[:2]) for number, rule in enumerate(rules)]
    shadow = [table(*rows, enforced=False)] if rows else []
    assert ruled(binding, *shadow, asked=asked).outcome is ruled(binding, asked=asked).outcome


def test_what_could_not_be_applied_is_denied():
    assert evaluate.unjudged("Because.").outcome is DENY
    assert evaluate.ruling(intent(effect_class=EffectClass.READ), [], NOW).outcome is ALLOW
