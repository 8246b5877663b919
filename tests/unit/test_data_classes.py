"""Data classes: what covers what, and what is no class at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from missions import data_classes
from missions.data_classes import LEVELS, clearance, common, covers
from missions.governance import EffectClass, RulingOutcome, beyond_clearance
from tests.policies import intent, row, ruled, table

NAMES = st.lists(st.sampled_from([*LEVELS, "regulated", "health"]))


@pytest.mark.parametrize(
    ("names", "data_class", "covered"),
    [
        (["internal"], "", True), ([], "", True), ([], "public", False), (["internal"], "public", True),
        (["internal"], "confidential", False), (["restricted"], "confidential", True),
        (["restricted"], "regulated", False), (["public", "regulated"], "regulated", True),
        (["regulated"], "public", False),
    ],
)  # fmt: skip
def test_a_level_covers_those_below_it_and_a_label_itself_alone(
    names: list[str], data_class: str, covered: bool
) -> None:
    assert covers(clearance(names), data_class) is covered


@given(NAMES, NAMES, st.sampled_from(["", *LEVELS, "regulated", "health"]))
def test_what_two_clearances_have_in_common_covers_what_both_cover(
    one: list[str], other: list[str], data_class: str
) -> None:
    both = common(clearance(one), clearance(other))
    assert covers(both, data_class) is (covers(clearance(one), data_class) and covers(clearance(other), data_class))
    assert clearance(both) == both


@pytest.mark.parametrize("name", ["Internal", "a b", "*", "-x", "x" * 51, "é"])
def test_what_is_no_name_is_no_class(name: str) -> None:
    with pytest.raises(ValueError, match="no data class"):
        clearance([name])


def test_one_text_is_no_list_of_classes() -> None:
    with pytest.raises(ValueError, match="list"):
        clearance("internal")


@pytest.mark.parametrize("effect_class", list(EffectClass))
def test_no_policy_opens_data_beyond_the_clearance(effect_class: EffectClass) -> None:
    asked = intent(data_class="restricted", effect_class=effect_class, clearance=("confidential", "regulated"))
    ruling = ruled(table(row("open", "allow")), asked=asked)
    assert ruling == beyond_clearance(asked) and ruling.outcome is RulingOutcome.DENY
    assert ruling.rules == ("clearance",)
    assert "restricted" in ruling.reason and "public, internal, confidential, regulated" in ruling.reason


def test_rules_read_the_class_and_the_clearance() -> None:
    asked = intent(data_class="internal", clearance=("confidential", "regulated"))
    when = 'data.class == "internal" && "confidential" in data.clearance && "regulated" in data.clearance'
    assert ruled(table(row("named", "allow", when)), asked=asked).rules == ("named",)
    assert ruled(table(row("not", "allow", '"health" in data.clearance')), asked=asked).outcome is RulingOutcome.DENY


def test_rules_read_what_is_left_of_a_named_budget_and_fail_closed_where_there_is_none() -> None:
    rows = ({"name": "daily-refunds", "counts": "money", "left": "40.0000", "spent": "60"},)
    low = table(row("low", "deny", 'budget.left["daily-refunds"] < 50.0 && budget.spent["daily-refunds"] == 60.0'),
                row("open", "allow"))  # fmt: skip
    assert ruled(low, asked=intent(budgets=rows)).rules == ("low",)
    none = ruled(low, asked=intent())
    assert none.outcome is RulingOutcome.DENY and none.trace[0]["state"] == "error"
    guarded = table(row("low", "deny", '"x" in budget.left && budget.left["x"] < 50.0'), row("open", "allow"))
    assert ruled(guarded, asked=intent()).outcome is RulingOutcome.ALLOW


def test_most_classes_are_counted() -> None:
    with pytest.raises(ValueError, match="at most"):
        clearance(f"label{number}" for number in range(data_classes.MOST + 1))
