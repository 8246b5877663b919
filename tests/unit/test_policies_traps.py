"""The seven traps of CEL, and what surrounds it: denial, error and absence all fail closed.

Each trap would open the gate if it were missed. Each condition that fails is tried as a rule that denies and as one
that escalates beside a rule that allows, and as the only rule that allows.
"""

from __future__ import annotations

from typing import Any

import pytest

from approvals.policies import evaluate, expr
from approvals.policies.document import InvalidPolicy
from missions.governance import EffectClass, RulingOutcome
from tests.policies import intent, row, ruled, table

ALLOW, DENY, ESCALATE = RulingOutcome.ALLOW, RulingOutcome.DENY, RulingOutcome.ESCALATE
ALL = row("all", "allow")

# Conditions that end in an error on these arguments, by the trap that makes them look true or false.
ERRORS: list[tuple[str, str, dict[str, Any]]] = [
    ("1 an error is returned as a value, whose text is true in Python", "args.missing > 5", {}),
    ("1 an error of a conversion", "double(args.amount) > 5.0", {"amount": "many"}),
    ("2 an error inside a loop", "args.a.all(x, args.b.contains(x))", {"a": [[]], "b": "x"}),
    ("2 an overflow", "args.n * 4611686018427387904 > 0", {"n": 4}),
    ("4 a missing field is no empty one", "args.note == ''", {}),
    ("4 null is no number", "args.n > 5", {"n": None}),
    ("5 an order between types", "args.n > 5", {"n": "7"}),
    ("6 NaN as a text", "double(args.amount) > 5.0", {"amount": "nan"}),
    ("6 infinity as a text", "double(args.amount) > 5.0", {"amount": " -Infinity "}),
    ("6 a number beyond every amount", "double(args.amount) > 5.0", {"amount": "1e200"}),
    ("7 a result of no known type", "args.flag == true && args.items[7] == 1", {"flag": True, "items": []}),
]


@pytest.mark.parametrize(("trap", "when", "args"), ERRORS, ids=[trap for trap, _, _ in ERRORS])
def test_an_error_denies_asks_and_never_allows(trap: str, when: str, args: dict[str, Any]) -> None:
    asked = intent(args=args)
    assert ruled(table(row("r", "deny", when), ALL), asked=asked).outcome is DENY
    assert ruled(table(row("r", "escalate", when), ALL), asked=asked).outcome is ESCALATE
    alone = ruled(table(row("r", "allow", when)), asked=asked)
    assert (alone.outcome, alone.rules, alone.trace[0]["state"]) == (DENY, (), "error")


# Trap 3: && and || absorb errors, and the side that is known decides; for each effect, that is the stricter reading.
@pytest.mark.parametrize(
    ("when", "truth"),
    [
        ("args.missing > 5 || true", "true"), ("true || args.missing > 5", "true"),
        ("args.missing > 5 && false", "false"), ("false && args.missing > 5", "false"),
        ("args.missing > 5 || false", "error"), ("args.missing > 5 && true", "error"),
        ("args.missing > 5 && tool.name == 'other' && true", "false"),
    ],
)  # fmt: skip
def test_a_known_side_decides_and_an_open_one_is_an_error(when: str, truth: str) -> None:
    trace = ruled(table(row("r", "deny", when), ALL)).trace
    assert trace[0]["state"] == truth


# Trap 5: == between types is false, so the type that the schema lets through decides, and policy says what it means.
def test_equality_between_types_is_false_and_its_denial_has_to_be_written_for_the_schema() -> None:
    rule = table(row("r", "deny", "args.id == '5'"), ALL)
    assert ruled(rule, asked=intent(args={"id": "5"})).outcome is DENY
    assert ruled(rule, asked=intent(args={"id": 5})).trace[0]["state"] == "false"


# Traps 6 and the limits: what no rule may read is denied before any rule is asked, reads too.
@pytest.mark.parametrize(
    "args",
    [
        {"n": float("nan")}, {"n": float("inf")}, {"n": 2**64}, {"n": -(2**63) - 1}, {"n": 1e300}, {"t": "x" * 5000},
        {"l": list(range(300))}, {"m": {str(n): n for n in range(300)}}, {"t": ["x" * 4000] * 5}, {"t": "\ud800"},
        {"\ud800": 1}, {"o": object()}, {"o": {1: 2}}, {"o": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]},
    ],
    ids=["nan", "infinite", "2^64", "below 64 bits", "huge", "long text", "long list", "wide map", "much in all",
         "half a character", "half a key", "no JSON", "a key of no text", "deep"],
)  # fmt: skip
@pytest.mark.parametrize("effect_class", list(EffectClass))
def test_what_no_rule_may_read_is_denied(args: dict[str, Any], effect_class: EffectClass) -> None:
    ruling = ruled(table(ALL), asked=intent(args=args, effect_class=effect_class))
    assert (ruling.outcome, ruling.rules) == (DENY, ())
    assert ruling.reason.startswith("The rules could not be applied, so it is denied.")


# Trap 4 at save, and 7: a field that is not there, and a result that may be none, are refused before they can mislead.
@pytest.mark.parametrize(
    "when",
    ["tool.nmae == 'x'", "decision.kind == 'x'", "args.flag", "args.n", "'yes'", "1", "tool.name > 5"],
)
def test_a_condition_that_could_mislead_is_refused_when_it_is_saved(when: str) -> None:
    with pytest.raises(InvalidPolicy):
        table(row("r", "allow", when))


class Oddly:
    """Stands in for a compiled condition whose evaluation goes wrong in a way that CEL should not."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def eval(self, activation: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return expr.RUN.compile(self._answer).eval(activation)


RAISED = (RuntimeError("Iteration budget exceeded"), ValueError("odd"))


@pytest.mark.parametrize("answer", [*RAISED, "1", "'true'", "[true]"])
def test_an_evaluator_that_fails_or_gives_no_boolean_never_allows(answer: Any) -> None:
    given = expr.compile_checked("tool.name == 'payments.refund'")
    broken = expr.Expression(given.source, Oddly(answer), (), given._falses, None, False)
    from_context = expr.reading({"args": {}, "tool": {}, "mission": {}, "agent": {}, "data": {}, "decision": {},
                                 "budget": {}})  # fmt: skip
    assert broken.test(from_context).truth is expr.Truth.ERROR


def test_without_a_policy_and_without_a_ruling_nothing_is_written() -> None:
    assert ruled().outcome is DENY
    assert ruled(asked=intent(effect_class=EffectClass.IRREVERSIBLE)).outcome is DENY
    assert evaluate.unjudged("Nothing could be read.").outcome is DENY
