"""Conditions: what they answer, the traps of CEL that must not open a gate, and attacks that must end."""

from __future__ import annotations

import threading

import pytest

from approvals.policies import expr, stress, syntax
from approvals.policies.expr import ExpressionError, Truth
from tests.policies import NOW, intent, result_of


@pytest.mark.parametrize(
    ("source", "truth"),
    [
        ('tool.name == "payments.refund"', Truth.TRUE),
        ('tool.effect_class in ["read", "irreversible"]', Truth.FALSE),
        ("double(args.amount) > 500.0 && args.order_id.startsWith('ORD-')", Truth.TRUE),
        ('mission.type == "refund" && mission.owner_id == 5 && tool.reversible', Truth.TRUE),
        ("agent.name == '' && data.class == ''", Truth.TRUE),
        ("now.getDayOfWeek() == 1 && now.getHours('UTC') == 9", Truth.TRUE),
        ("has(args.note) && args.note == ''", Truth.FALSE),
        ("args.all(name, name in ['order_id', 'amount'])", Truth.TRUE),
    ],
)
def test_conditions_read_the_context(source, truth):
    assert result_of(source).truth is truth


# -- The traps ---------------------------------------------------------------------------------------------------------


def test_an_error_that_cel_returns_as_a_text_is_an_error_and_not_true():
    result = result_of("args.missing > 5")
    assert result.truth is Truth.ERROR
    assert result.message == 'Key not found in map : "missing"'


def test_an_error_that_cel_raises_is_an_error_too():
    items = list(range(256))
    source = " || ".join(["args.items.exists(i, i < 0)"] * 45)  # over the budget of 10,000 iterations
    result = result_of(source, args={"items": items})
    assert result.truth is Truth.ERROR
    assert "budget" in result.message


@pytest.mark.parametrize(("operator", "known", "truth"), [("||", "true", Truth.TRUE), ("&&", "false", Truth.FALSE)])
def test_a_known_side_absorbs_an_error(operator, known, truth):
    assert result_of(f"args.missing > 5 {operator} {known}").truth is truth
    assert result_of(f"{known} {operator} args.missing > 5").truth is truth


@pytest.mark.parametrize("source", ["mission.owner_id == 0", "mission.owner_id < 100"])
def test_a_missing_field_is_an_error_and_not_its_zero_value(source):
    assert result_of(source, owner_id=None).truth is Truth.ERROR
    assert result_of(f"has(mission.owner_id) && {source}", owner_id=None).truth is Truth.FALSE


@pytest.mark.parametrize(
    ("source", "value", "truth"),
    [
        ('args.id == "5"', 5, Truth.FALSE),  # equality across types is false, silently: schemas come first
        ('args.id != "5"', 5, Truth.TRUE),
        ("args.id > 5", "7", Truth.ERROR),  # order across types is not
        ("args.id > 5", 7.5, Truth.TRUE),
        ("args.id > 5", None, Truth.ERROR),
    ],
)
def test_types_are_told_apart(source, value, truth):
    assert result_of(source, args={"id": value}).truth is truth


@pytest.mark.parametrize("amount", ["nan", "NaN", " -nan ", "nan(1)", "inf", "-Infinity", "1e999", "-1e200", "0x1p999"])
def test_an_amount_that_is_no_finite_number_is_an_error(amount):
    result = result_of("double(args.amount) > 500.0", args={"amount": amount})
    assert result == expr.Result(Truth.ERROR, "args.amount is not a finite number")


@pytest.mark.parametrize("text", ["Nancy", "info", "inf.", "12 Nan Road", "1_000", ""])
def test_a_text_that_only_resembles_one_disturbs_no_condition(text):
    assert result_of("double(args.amount) > 500.0", args={"amount": "750.00", "note": text}).truth is Truth.TRUE


def test_nothing_can_be_divided_for_zero_by_zero_would_compare_false():
    with pytest.raises(ExpressionError, match="_/_"):
        expr.compile_checked("double(args.a) / double(args.b) > 0.5")


@pytest.mark.parametrize(
    "source", ["args.flag", "tool.name", "double(args.amount)", "args.flag ? args.a : args.b", "1"]
)
def test_a_condition_that_may_be_no_boolean_is_refused(source):
    with pytest.raises(ExpressionError, match=r"true or false|no boolean"):
        expr.compile_checked(source)


def test_a_value_that_is_no_boolean_after_all_is_an_error():
    assert result_of("args.flag && true", args={"flag": "yes"}).truth is Truth.ERROR
    assert result_of("args.flag || false", args={"flag": 1}).truth is Truth.ERROR


# -- The check ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ('tool.nmae == "x"', (1, 5), "undefined field 'nmae' not found in struct 'Tool'"),
        ("tool.name > 5", (1, 11), "no matching overload"),
        ('tool.name == "a" &&\n  bogus', (2, 3), "undeclared reference to 'bogus'"),
        ("decision.certainty > 0.9", (1, 9), "undefined field 'certainty'"),
        ("args.a ==", (1, 10), "Syntax error"),
        ('args.a.matches("a+")', (1, 15), "undeclared reference to 'matches'"),
        ("args.l.map(a, a) == []", (1, 12), "undeclared reference"),
        ("args.l.filter(a, true) == []", (1, 15), "undeclared reference"),
        ("args.l.exists_one(a, true)", (1, 19), "undeclared reference"),
        ("", (1, 1), "empty"),
        ("\ud800 == 1", (1, 1), "half a character"),
    ],
)
def test_a_wrong_condition_is_refused_with_its_place(source, place, message):
    with pytest.raises(ExpressionError) as refused:
        expr.compile_checked(source)
    assert (refused.value.line, refused.value.column) == place
    assert message in refused.value.message


# -- Explanations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("a == 1", ["a == 1"]),
        ("a && b && c", ["a", "b", "c"]),
        ("(a && b) && f(c && d)", ["(a && b)", "f(c && d)"]),
        ("a || b && c", ["a || b && c"]),  # && binds stronger: there is no top-level conjunct
        ("a ? b : c && d", ["a ? b : c && d"]),
        ("a == '&&' && b == \"x'&&\"", ["a == '&&'", "b == \"x'&&\""]),
        ("a == r'\\' && b", ["a == r'\\'", "b"]),
        ("a == '''x\n' && y''' && b", ["a == '''x\n' && y'''", "b"]),
        ("a // one && two\n && b", ["a // one && two", "b"]),
        ("a && {'k': [b && c]}.k", ["a", "{'k': [b && c]}.k"]),
        ("a && 'unfinished", ["a && 'unfinished"]),
    ],
)
def test_a_condition_is_split_at_its_top_level_conjuncts(source, parts):
    assert list(syntax.conjuncts(source)) == parts


def test_the_first_false_conjunct_explains_a_condition():
    from_context = expr.reading(expr_context())
    source = "tool.name == 'payments.refund' && args.missing > 1 && args.order_id == '' && false"
    condition = expr.compile_checked(source)
    assert condition.test(from_context).truth is Truth.FALSE
    assert condition.test(from_context).failing == "args.order_id == ''"


def expr_context():
    return {
        "tool": {"name": "payments.refund"}, "args": intent().args, "mission": {}, "agent": {}, "data": {},
        "decision": {}, "budget": {}, "now": NOW,
    }  # fmt: skip


# -- Attacks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "args.l.all(a, args.l.all(b, args.l.all(c, a + b + c > 0)))",
        "args.l.exists(a, [a].exists(b, args.s.contains(b)))",
        "args.l.exists(a, (args.m.all (b, b == a)))",
        "(" * 5000 + "true" + ")" * 5000,
        "args.s" + " + args.s" * 100 + " == ''",
        "args" + ".a" * 990 + " == 1",
        "true" + " || true" * 20_000,
    ],
)
def test_an_attack_in_the_source_is_refused(source):
    with pytest.raises(ExpressionError):
        expr.compile_checked(source)


@pytest.mark.parametrize(
    "source",
    [
        f"args.l.exists(a, {' || '.join(['args.l + args.l + args.l == args.m'] * 30)})",
        f"args.l.exists(a, {' || '.join(['args.s.contains(args.t + a)'] * 50)})",
    ],
)
def test_a_condition_that_takes_long_on_large_arguments_is_found(source):
    assert stress.too_slow(expr.compile_checked(source)) > stress.LIMIT_SECONDS


@pytest.mark.parametrize(
    "source",
    [
        "double(args.amount) > 500.0 && tool.name == 'payments.refund'",
        "args.recipients.all(one, one.endsWith('@example.com'))",
        "args['lines'].exists(line, line.price > 100 || line.sku in ['a', 'b'])",
        "true",
    ],
)
def test_usual_conditions_are_fast_on_the_largest_arguments(source):
    assert stress.too_slow(expr.compile_checked(source)) is None


def test_threads_share_a_condition():
    condition, wrong = expr.compile_checked("double(args.amount) > 500.0"), []

    def work(amount, truth):
        reading = expr.reading({**expr_context(), "args": {"amount": amount}})
        wrong.extend(result for _ in range(500) if (result := condition.test(reading)).truth is not truth)

    threads = [
        threading.Thread(target=work, args=case)
        for case in [("750.00", Truth.TRUE), ("7.00", Truth.FALSE), ("x", Truth.ERROR)] * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []

