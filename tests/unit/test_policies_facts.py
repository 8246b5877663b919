"""The context of a ruling: what it holds, and what is refused before a rule can misread it."""

from __future__ import annotations

import pytest

from approvals.policies.facts import FIELDS, ContextRefused, context_of
from tests.policies import NOW, intent


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "args.x is not a number of a sensible size"),
        (float("-inf"), "sensible size"),
        (1e101, "sensible size"),
        (2**63, "more than 64 bits"),
        (-(2**63) - 1, "more than 64 bits"),
        ("x" * 4097, "4,097 bytes; the limit is 4,096"),
        ("é" * 2049, "4,098 bytes"),
        ("\ud800", "half a character"),
        (list(range(257)), "257 items; the limit is 256"),
        (dict.fromkeys(map(str, range(257))), "257 items"),
        ({1: "a"}, "the key 1, which is not text"),
        ({"k" * 5000: 1}, "a key of args.x takes 5,000 bytes"),
        (nested(16), "nested deeper than 16 levels"),
        (nested(5000), "nested deeper than 16 levels"),
        ((1, 2), "args.x is a tuple, which is not JSON"),
        (NOW, "a datetime, which is not JSON"),
        (["x" * 100] * 200, "the limit is 16,384"),
    ],
)
def test_arguments_beyond_a_limit_are_refused_by_name(value, message):
    with pytest.raises(ContextRefused) as refused:
        context_of(intent(args={"x": value}), NOW)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "value", [1e100, 2**63 - 1, -(2**63), "x" * 4096, [0] * 256, nested(14), None, True, {"a": {"b": []}}, "\x00"]
)
def test_arguments_at_a_limit_pass_as_they_are(value):
    assert context_of(intent(args={"x": value}), NOW)["args"] == {"x": value}


def test_every_field_that_rules_may_name_is_filled_with_its_type():
    decision = {"class": "payout", "name": "payout", "confidence": 0.9, "findings": 0}
    context = context_of(intent(decision_class="payout", decision=decision), NOW)
    assert set(context) == {*FIELDS, "args", "now"}
    for variable, fields in FIELDS.items():
        assert {name: type(value) for name, value in context[variable].items()} == dict(fields)
