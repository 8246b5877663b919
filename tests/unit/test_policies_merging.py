"""How the demands of several rules become one, and the laws that hold of any set of rules."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.policies import document, expr, facts, syntax
from approvals.policies.document import InvalidPolicy
from missions.governance import EffectClass, Ruling, RulingOutcome
from tests.policies import NOW, intent, row, ruled, table

ALLOW, DENY, ESCALATE = RulingOutcome.ALLOW, RulingOutcome.DENY, RulingOutcome.ESCALATE
STRICTNESS = [ALLOW, ESCALATE, DENY]
BOSS = {"attribute": "owner.manager", "fallback": {"group": "operators"}}
SAM, FINANCE = {"person": "sam"}, {"group": "finance"}


def asking(name: str, *tiers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return row(name, "escalate", tiers=list(tiers), **fields)


def tiers_of(*rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {tier["name"]: tier for tier in ruled(table(*rows)).tiers}


# -- Tiers in full -----------------------------------------------------------------------------------------------------


def test_a_tier_in_full_is_carried_in_the_shared_form() -> None:
    first = {"name": "either", "any_of": [FINANCE, SAM, BOSS], "quorum": 2, "calendar": "london", "sla": "4h"}
    second = {"name": "both", "all_of": [SAM, BOSS], "parallel": True, "distinct_from": []}
    assert tiers_of(asking("a", first, second)) == {
        "either": {
            "name": "either", "approvers": [FINANCE, SAM, BOSS], "all_of": False, "quorum": 2, "parallel": False,
            "distinct_from": None, "calendar": "london", "sla_seconds": 14_400, "expires_seconds": None,
            "on_expiry": "hold",
        },
        "both": {
            "name": "both", "approvers": [SAM, BOSS], "all_of": True, "quorum": 2, "parallel": True,
            "distinct_from": [], "calendar": "", "sla_seconds": None, "expires_seconds": None, "on_expiry": "hold",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tiers", "problem"),
    [
        ([{"quorum": 1}], "A tier has one of `group`, `any_of` and `all_of`."),
        ([{"any_of": [SAM]}], "A tier of several approvers wants a `name`."),
        ([{"name": "x", "any_of": [SAM], "quorum": 2}], "1 people can not give 2 approvals."),
        ([{"name": "x", "any_of": [SAM, SAM]}], "It names the same approver twice."),
        ([{"name": "x", "all_of": [SAM], "quorum": 1}], "`all_of` wants everyone, so it has no `quorum`."),
        ([{"name": "x", "any_of": [{"attribute": "owner.manager"}]}],
         "An `attribute` wants a `fallback` for when it leads to nobody, and nothing else does."),
        ([{"name": "x", "any_of": [{"attribute": "owner.friend", "fallback": SAM}]}], "It is none of owner.manager."),
        ([{"name": "x", "any_of": [{"group": "a", "person": "b"}]}], "Name one of `group`, `person` and `attribute`."),
        ([{"group": "a", "parallel": True}], "The first tier has none before it to be parallel to."),
        ([{"group": "a"}, {"group": "b", "name": "a"}], "Two tiers are called a."),
        ([{"group": "a"}, {"group": "b", "distinct_from": ["c"]}],
         "`distinct_from` of b names c, which is no other tier of this rule."),
        ([{"group": "a", "sla": "1h", "on_expiry": "escalate"}, {"group": "b", "parallel": True}],
         "The last tier has none to escalate to; use reject or hold."),
    ],
)  # fmt: skip
def test_a_tier_that_could_not_be_met_is_refused(tiers: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        table(asking("a", *tiers))
    assert str(refused.value).endswith(problem)


def test_the_same_approvers_are_asked_once_in_whatever_order_they_are_named() -> None:
    one = {"name": "one", "any_of": [SAM, FINANCE], "quorum": 2, "calendar": "london", "sla": "8h"}
    other = {"name": "other", "any_of": [FINANCE, SAM], "sla": "4h", "distinct_from": []}
    [merged] = tiers_of(asking("a", one), asking("b", other)).values()
    assert (merged["name"], merged["quorum"], merged["sla_seconds"], merged["calendar"], merged["distinct_from"]) == (
        "one", 2, 14_400, "", None,
    )  # fmt: skip
    everyone = {"name": "all", "all_of": [SAM, FINANCE]}
    assert list(tiers_of(asking("a", one), asking("b", everyone))) == ["one", "all"]


def test_tiers_open_together_only_where_every_rule_says_so() -> None:
    both = [{"group": "x"}, {"group": "y", "parallel": True}]
    assert tiers_of(asking("a", *both), asking("b", *both))["y"]["parallel"]
    assert not tiers_of(asking("a", *both), asking("b", {"group": "y"}))["y"]["parallel"]
    after_another = tiers_of(asking("a", {"group": "x"}, {"group": "z"}), asking("b", *both))
    assert list(after_another) == ["x", "z", "y"] and not after_another["y"]["parallel"]


def test_two_tiers_of_one_name_are_told_apart_and_still_name_one_another() -> None:
    mine = {"name": "first", "any_of": [SAM]}, {"group": "legal", "distinct_from": ["first"]}
    told = tiers_of(asking("a", {"name": "first", "any_of": [FINANCE]}), asking("b", *mine))
    assert list(told) == ["first", "first (b)", "legal"]
    assert told["legal"]["distinct_from"] == ["first (b)"]


# -- Evidence and holds ------------------------------------------------------------------------------------------------


def demand(source: str, **fields: Any) -> dict[str, Any]:
    return {"source": source, **fields}


def test_the_strictest_demand_for_evidence_and_the_longest_hold_count() -> None:
    rows = [
        asking("a", FINANCE, hold="5m", evidence=[demand("orders.get", max_age="1h")]),
        asking("b", FINANCE, hold="1h", evidence=[demand("orders.get", revalidate=True), demand("history")]),
        row("c", "allow", evidence=[demand("orders.get", max_age="10m")]),
        asking("d", FINANCE, when="false", hold="9h", evidence=[demand("never")]),
    ]
    ruling = ruled(table(*rows))
    assert ruling.hold_seconds == 3600
    assert list(ruling.evidence) == [
        {"source": "orders.get", "max_age_seconds": 600, "revalidate": True},
        {"source": "history", "max_age_seconds": None, "revalidate": False},
    ]
    denied = ruled(table(*rows, row("e", "deny")))
    assert (denied.hold_seconds, denied.evidence) == (0, ())


def test_a_ruling_names_what_it_read_by_a_digest_that_the_time_does_not_change() -> None:
    ruling, other = ruled(table(row("a", "allow"))), ruled(table(row("b", "deny")))
    assert ruling.context_digest == other.context_digest == facts.facts_of(intent(), dt.datetime.now(dt.UTC)).digest
    assert ruling.context_digest != ruled(table(row("a", "allow")), asked=intent(args={})).context_digest
    assert len(ruling.context_digest) == 64 and ruled().context_digest == ""


def test_a_ruling_survives_the_journal_and_an_older_record_is_read() -> None:
    ruling = ruled(table(asking("a", FINANCE, hold="1h", evidence=[demand("orders.get", max_age="1h")])))
    written = json.loads(json.dumps(ruling.as_json()))
    assert Ruling.from_json(written) == ruling
    for name in ("hold_seconds", "evidence", "context_digest"):
        del written[name]
    older = Ruling.from_json(written)
    assert (older.hold_seconds, older.evidence, older.context_digest) == (0, (), "")


# -- Laws --------------------------------------------------------------------------------------------------------------

PARTS = ["true", "false", "args.missing > 1", "args.order_id == 'ORD-1001'", "double(args.amount) > 500.0",
         "tool.name == 'other' // && not really\n", "(false || args.flag)",
         "args.amount in ['a && b', \"||\"]"]  # fmt: skip
drawn_rules = st.tuples(
    st.sampled_from(["allow", "deny", "escalate"]), st.sampled_from([None, *PARTS[:5]]),
    st.sampled_from(["*", "payments.*", "x"]), st.sampled_from(["finance", "legal"]), st.integers(1, 3),
    st.sampled_from([None, "1h", "2h"]), st.booleans(), st.sampled_from(["0s", "5m"]),
)  # fmt: skip
drawn = st.lists(drawn_rules, max_size=6)
effect_classes = st.sampled_from(list(EffectClass))


def built(rules: Any) -> list[dict[str, Any]]:
    rows = []
    for number, (effect, when, tool, group, quorum, age, again, hold) in enumerate(rules):
        fields: dict[str, Any] = {"scope": {"tool": tool}}
        if effect == "escalate":
            fields |= {"tiers": [{"group": group, "quorum": quorum}], "hold": hold}
        if effect != "deny":
            fields["evidence"] = [{"source": group, "revalidate": again, **({"max_age": age} if age else {})}]
        rows.append(row(f"r{number}", effect, when, **fields))
    return rows


def ruling_of(rules: Any, effect_class: EffectClass) -> Ruling:
    return ruled(*([table(*built(rules))] if rules else []), asked=intent(effect_class=effect_class))


def demands_of(ruling: Ruling) -> dict[str, Any]:
    """What is demanded, without regard to order."""
    return {
        "tiers": {tier["name"]: (tier["quorum"], tier["on_expiry"]) for tier in ruling.tiers},
        "evidence": sorted(map(str, ruling.evidence)), "hold": ruling.hold_seconds, "outcome": ruling.outcome,
    }  # fmt: skip


@given(drawn, st.randoms(use_true_random=False), effect_classes)
def test_order_changes_neither_the_outcome_nor_what_is_demanded(rules: Any, order: Any, effect: EffectClass) -> None:
    shuffled = list(rules)
    order.shuffle(shuffled)
    assert demands_of(ruling_of(shuffled, effect)) == demands_of(ruling_of(rules, effect))


@given(drawn, drawn_rules, effect_classes)
def test_a_rule_that_is_added_loosens_nothing_unless_it_allows(rules: Any, added: Any, effect: EffectClass) -> None:
    """An escalation may ask people where nothing spoke and the default denied; it never makes that an allowance."""
    before, after = ruling_of(rules, effect), ruling_of([*rules, added], effect)
    if added[0] == "allow":
        return
    spoke = bool(before.rules) or before.outcome is ALLOW
    assert after.outcome is not ALLOW or before.outcome is ALLOW
    if spoke:
        assert STRICTNESS.index(after.outcome) >= STRICTNESS.index(before.outcome)
    if before.outcome is ESCALATE and after.outcome is ESCALATE:
        had = {tier["name"]: tier["quorum"] for tier in before.tiers}
        has = {tier["name"]: tier["quorum"] for tier in after.tiers}
        assert all(has[name] >= quorum for name, quorum in had.items()) and after.hold_seconds >= before.hold_seconds
        assert {one["source"] for one in before.evidence} <= {one["source"] for one in after.evidence}


@given(drawn, effect_classes)
def test_the_strongest_of_what_fires_decides_and_errors_never_allow(rules: Any, effect: EffectClass) -> None:
    ruling = ruling_of(rules, effect)
    fired = {entry["effect"] for entry in ruling.trace if entry["fired"]}
    strongest = next((name for name in ("deny", "escalate", "allow") if name in fired), None)
    default = "allow" if effect is EffectClass.READ else "deny"
    assert str(ruling.outcome) == (strongest or default)
    assert all(entry["state"] == "true" for entry in ruling.trace if entry["fired"] and entry["effect"] == "allow")


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=8), st.sampled_from(["750.00", "1.00", "nan", "x"]))
def test_what_is_found_false_by_its_parts_is_false_as_a_whole(parts: list[str], amount: str) -> None:
    source = " && ".join(parts)
    condition = expr.compile_checked(source)
    reading = expr.reading(facts.context_of(intent(args={"order_id": "ORD-1001", "amount": amount, "flag": True}), NOW))
    whole = expr.Expression(source, condition._program, condition._conjuncts, condition._falses, None, False)
    found = condition.test(reading)
    assert len(syntax.conjuncts(source)) == len(parts)
    if not (condition._converts and reading.unreal):
        assert (found, found.failing) == (whole.test(reading), whole.test(reading).failing)


def test_a_rule_in_a_file_reads_back_as_it_was_written() -> None:
    written = asking("a", {"name": "x", "any_of": [SAM, BOSS]}, hold="1h", evidence=[demand("orders.get")])
    assert document.check({"name": "p", "rules": [written]}).written == [written]
