"""What the lint finds in a table, and what it must not find."""

from __future__ import annotations

import pytest

from approvals.policies import comparing, expr, lint, probing
from approvals.policies.lint import Severity
from approvals.policies.staffing import Staff
from missions.governance import EffectClass
from missions.tools.arguments import SchemaArguments
from missions.tools.spec import ToolSpec
from tests.policies import row

STAFF = Staff(groups={"supervisors": 2, "finance": 0}, people=frozenset({"sam"}))


def tool(name, effect=EffectClass.WRITE):
    return ToolSpec(name=name, function=lambda call: None, arguments=SchemaArguments({"type": "object"}), effect=effect)


def found(*rules, tools=()):
    return [(one.rule, one.code) for one in lint.judged(comparing.rows(list(rules)), STAFF, list(tools))]


@pytest.mark.parametrize(
    ("when", "verdict"),
    [
        ("args.x > 5 && args.x < 3", True),
        ("args.x > 5 && args.x < 7", False),
        ("double(args.amount) > 500.0 && double(args.amount) < 400.0", True),
        ("double(args.amount) > 500.0 && double(args.amount) < 500.5", False),
        ("tool.effect_class == 'writes'", True),
        ("tool.effect_class == 'write' && tool.retry_safety == 'manual'", False),
        ("tool.effect_class == 'read' && tool.effect_class == 'write'", True),
        ("tool.reversible && !tool.reversible", True),
        ("args.a == 'x' && args['a'] == 'y'", True),
        ("args.a == 'x' || args.a == 'y'", False),
        ("args.a in ['x', 'y'] && args.a == 'z'", True),
        ("!has(args.note)", False),
        ("!has(args.note) && args.note == 'x'", True),
        ("has(args.note) && size(args.note) > 40", False),
        ("args.x == null", False),
        ("args.flag == true && args.flag == false", True),
        ("args.mail.endsWith('.org') && args.mail.startsWith('a@')", False),
        ("args.x > -3 && args.x < -1", False),
        ("double(args.x) == 5.0 && args.x == '5'", False),
        ("false", True),
        # what it can not judge
        ("now.getHours() > 30", None),
        ("args.items.exists(one, one > 3)", None),
        ("args.a + args.b == 100 && args.a == 30", None),
        ("args.deep.er == 'x'", None),
        ("args.a == 11 && args.b == 12 && args.c == 13 && args.d == 14 && args.a == 15", None),
    ],
)
def test_a_condition_that_can_never_be_true(when, verdict):
    assert probing.never_true(expr.compile_checked(when)) is verdict


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([row("a", "allow", "args.x > 5"), row("b", "deny")], [("a", "shadowed")]),
        ([row("a", "allow", "args.x > 5"), row("b", "deny", "args.x > 3")], [("a", "shadowed")]),
        ([row("a", "allow", "args.x > 5"), row("b", "deny", "args.x > 7")], []),
        ([row("a", "allow", scope={"tool": "pay.out"}), row("b", "escalate", scope={"tool": "pay.*"})],
         [("a", "shadowed")]),
        ([row("a", "allow", scope={"tool": "pay.*"}), row("b", "escalate", scope={"tool": "pay.out"})], []),
        ([row("a", "escalate", "args.x == 1"), row("b", "deny")], [("a", "shadowed")]),
        ([row("a", "deny"), row("b", "deny")], []),
        ([row("a", "escalate"), row("b", "escalate")], []),
        ([row("a", "deny", "args.x > 2 && args.x < 1")], [("a", "never_true")]),
    ],
)
def test_a_rule_that_never_decides(rules, expected):
    assert found(*rules) == expected


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        ([{"group": "supervisors", "quorum": 2}], []),
        ([{"group": "supervisors", "quorum": 3}], ["unreachable_quorum"]),
        ([{"group": "finance"}], ["unreachable_quorum"]),
        ([{"group": "fynance"}], ["unknown_group"]),
    ],
)
def test_a_quorum_that_nobody_can_reach(tiers, expected):
    assert [code for _, code in found(row("a", "escalate", tiers=tiers))] == expected


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([tool("pay.out"), tool("pay.back")], ["No rule speaks of pay.back in missions of type refund: it is denied."]),
        ([tool("pay.look", EffectClass.READ), tool("post.send")], []),
    ],
)
def test_a_tool_that_no_rule_speaks_of(tools, expected):
    rules = comparing.rows([row("a", "allow", scope={"tool": "pay.out", "mission_type": "refund"})])
    assert [one.message for one in lint.judged(rules, STAFF, tools) if one.code == "gap"] == expected


def test_a_finding_names_rule_field_and_weight():
    [one] = lint.judged(comparing.rows([row("a", "escalate", tiers=[{"group": "nobody"}])]), STAFF, [])
    assert (one.rule, one.field, one.code, one.severity) == ("a", "tiers[0].group", "unknown_group", Severity.ERROR)
    assert one.message == "There is no group nobody."
