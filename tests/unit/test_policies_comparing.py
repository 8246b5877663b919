"""What a comparison of two tables tells, and that no looser table ever passes for one that is not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.policies import comparing, document, evaluate
from approvals.policies.comparing import Comparison, FieldChange, compare
from approvals.policies.rules import Table
from missions.governance import EffectClass
from tests.policies import NOW, intent, row

ENDS = ("escalate", "hold", "reject")


def tier(group="supervisors", **fields):
    return {"group": group, **fields}


def test_rules_are_compared_by_name_field_by_field():
    old = [row("a", "deny", "args.x > 1"), row("b", "allow"), row("c", "deny")]
    new = [row("c", "deny"), row("a", "deny", "args.x > 2", reason="Too much."), row("d", "deny")]
    found = compare(old, new)
    assert [rule["name"] for rule in found.added] == ["d"]
    assert [rule["name"] for rule in found.removed] == ["b"]
    assert [change.name for change in found.changed] == ["a"]
    assert found.changed[0].fields == (
        FieldChange(field="when", old="args.x > 1", new="args.x > 2"),
        FieldChange(field="reason", old=None, new="Too much."),
    )
    assert [(move.name, move.old, move.new) for move in found.moved] in ([("a", 1, 2)], [("c", 2, 1)])
    assert any("when was args.x > 1 and is args.x > 2" in line for line in comparing.sentences(found))


def test_nothing_changed_is_told_as_nothing():
    rules = [row("a", "deny", "args.x > 1"), row("b", "escalate")]
    found = compare(rules, rules)
    assert found == Comparison()


ASKS = row("ask", "escalate", "double(args.amount) > 500.0")
SMALL = row("small", "allow", "double(args.amount) <= 500.0")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([row("a", "deny", "args.x > 5")], [row("a", "deny", "args.x > 3")]),
        ([row("a", "deny", "args.x > 5")], [row("a", "deny")]),
        ([row("a", "deny", "args.x > 5 && args.y == 1")], [row("a", "deny", "args.y==1")]),
        ([row("a", "deny", "args.x > 5")], [row("a", "deny", "args.x > 5 || args.y == 1")]),
        ([row("a", "deny", scope={"tool": "payments.refund"})], [row("b", "deny", scope={"tool": "payments.*"})]),
        ([row("a", "escalate")], [row("a", "deny")]),
        ([row("a", "allow")], [row("a", "escalate")]),
        ([row("a", "allow")], [row("a", "allow", "args.x == 1")]),
        ([row("a", "allow", "args.x < 9")], [row("a", "allow", "args.x <= 4")]),
        ([ASKS, SMALL], [{**ASKS, "when": "double(args.amount) > 250.0"},
                         {**SMALL, "when": "double(args.amount) <= 250.0"}]),
        ([row("a", "escalate")], [row("a", "escalate", tiers=[tier(quorum=2), tier("finance")])]),
        ([row("a", "escalate", tiers=[tier(expires="1d", on_expiry="hold")])],
         [row("a", "escalate", tiers=[tier(expires="1d", on_expiry="reject")])]),
        ([], [row("a", "deny")]),
        ([row("a", "escalate"), row("b", "deny")], [row("b", "deny"), row("a", "escalate")]),
        ([row("a", "deny")], [row("a", "deny", reason="Other words.")]),
        ([], [row("a", "escalate", scope={"effect_class": "read"})]),
    ],
)
def test_a_stricter_table_does_not_loosen(old, new):
    assert compare(old, new).why == ()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ([row("a", "deny")], [row("b", "allow", "args.x == 1")], "a denied what no single rule denies any more."),
        ([row("a", "deny", "args.x > 5")], [row("a", "deny", "args.x > 6")], "a denied what"),
        ([row("a", "deny", "args.x > 5")], [row("a", "deny", "args.x >= 6")], "a denied what"),
        ([row("a", "deny")], [row("a", "deny", scope={"tool": "payments.*"})], "a denied what"),
        ([row("a", "deny", "args.x > 5")], [row("a", "deny", "args.x > 5.0")], "a denied what"),
        # an argument that double() can not take is an error, and the old rule denies on errors
        ([row("a", "deny", "args.x > 5 && double(args.y) > 1.0")], [row("a", "deny", "args.x > 5")], "a denied what"),
        ([row("a", "deny")], [row("a", "escalate")], "a denied what"),
        ([row("a", "escalate")], [row("a", "allow")], "a asked people where no single rule asks any more."),
        ([row("a", "escalate", "args.x > 5")], [row("a", "escalate", "args.x > 9")], "a asked people"),
        ([row("a", "allow")], [row("a", "allow"), row("b", "allow", scope={"tool": "x"})], ""),
        ([row("a", "allow", "args.x == 1")], [row("a", "allow")], "a allows what no single rule allowed."),
        ([], [row("a", "allow")], "a allows what no single rule allowed."),
        ([], [row("a", "escalate")], "a may ask people about what no rule spoke of: that was denied."),
        # the allowing rule did not fire on an error, the asking one does
        ([row("a", "allow", "args.x == 1")], [row("a", "escalate", "args.x == 1")], "a may ask people"),
        ([row("a", "escalate", tiers=[tier(quorum=2)])], [row("a", "escalate", tiers=[tier()])],
         "a needed 2 of supervisors, and needs fewer now."),
        ([row("a", "escalate", tiers=[tier(), tier("finance")])], [row("a", "escalate", tiers=[tier()])],
         "a asked finance, who are no longer asked."),
        ([row("a", "escalate", tiers=[tier(expires="1d", on_expiry="reject")])],
         [row("a", "escalate", tiers=[tier(expires="1d", on_expiry="hold")])], "a was stricter on what happens"),
        ([row("a", "escalate", tiers=[tier(expires="1d", on_expiry="escalate"), tier("finance")])],
         [row("a", "escalate", tiers=[tier(expires="1h", on_expiry="escalate"), tier("finance")])],
         "a passes on to the next tier in time"),
    ],
)
def test_a_looser_table_is_told_and_why(old, new, why):
    found = compare(old, new)
    assert found.loosens is bool(why)
    assert why in " ".join(found.why)


# -- no false negatives ---------------------------------------------------------------------------------------------

CONDITIONS = [
    None, "true", "args.x > 1", "args.x > 2", "args.x >= 2", "args.x < 2", "args.x <= 1", "args.x == 1",
    "double(args.a) > 1.0", "double(args.a) > 2.0", "double(args.a) <= 2.0", "double(args.a) <= 1.0",
    "args.x > 1 && double(args.a) > 1.0", "double(args.a) > 1.0 && args.x > 1", "args.x > 1 || double(args.a) > 1.0",
    "(args.x > 1)", "!(args.x > 1)", "has(args.x) && args.x > 1", "args.s == 'p' || args.x > 2", "args.x in [1, 2]",
    "args.x > 1 ? args.x < 5 : args.x > 0", "args.x - 1 > 1", "args.x > -1", "args.x > -2",
]  # fmt: skip
SCOPES = [{}, {"tool": "pay.*"}, {"tool": "pay.out"}, {"tool": "p?y.*"}, {"effect_class": "read"},
          {"effect_class": "write"}, {"tool": "pay.*", "mission_type": "refund"}, {"agent": ""}, {"data_class": "pii"}]
VALUES = [
    {}, *({"x": x, "a": a} for x in (0, 1, 2, 3, "text", None) for a in ("0", "1.5", "nan", "2.5", "no")),
    {"x": 3}, {"a": "3"}, {"x": 1.5, "a": 1.5}, {"s": "p", "a": "nan"}, {"s": "p", "x": 0, "a": "1"},
]  # fmt: skip
INTENTS = [
    intent(args=args, tool=tool, effect_class=kind, agent=agent, data_class=data)
    for args in VALUES
    for tool, kind in (("pay.out", EffectClass.WRITE), ("pay.look", EffectClass.READ), ("post", EffectClass.WRITE))
    for agent, data in (("", ""), ("bot", "pii"))
]
tiers = st.lists(
    st.builds(
        lambda group, quorum, end: tier(group, quorum=quorum, **({"expires": "1d", "on_expiry": end} if end else {})),
        st.sampled_from(["one", "two"]), st.integers(1, 2), st.sampled_from([None, "hold", "reject"]),
    ),
    min_size=1, max_size=2, unique_by=lambda one: one["group"],
)  # fmt: skip


@st.composite
def rules(draw, name):
    effect = draw(st.sampled_from(["deny", "escalate", "allow"]))
    when = draw(st.sampled_from(CONDITIONS))
    fields = {"tiers": draw(tiers)} if effect == "escalate" else {}
    return row(name, effect, when, scope=draw(st.sampled_from(SCOPES)), **fields)


@st.composite
def pairs(draw):
    """A table and what some edits make of it, so that the two are alike enough to be told apart wrongly."""
    old = [draw(rules(f"r{number}")) for number in range(draw(st.integers(0, 3)))]
    new = list(old)
    for number in range(draw(st.integers(1, 2))):
        edit = draw(st.sampled_from(["add", "remove", "replace", "condition", "scope", "move"]))
        if edit == "add" or not new:
            new.append(draw(rules(f"n{number}")))
            continue
        place = draw(st.integers(0, len(new) - 1))
        if edit == "remove":
            del new[place]
        elif edit == "replace":
            new[place] = draw(rules(f"n{number}"))
        elif edit == "move":
            new.insert(0, new.pop(place))
        elif edit == "condition":
            kept = {key: value for key, value in new[place].items() if key != "when"}
            when = draw(st.sampled_from(CONDITIONS))
            new[place] = kept | ({"when": when} if when else {})
        else:
            new[place] = {**new[place], "scope": draw(st.sampled_from(SCOPES))}
    return old, new


def strictness(ruling):
    """What a ruling demands: 0 nothing, 1 people (with each tier's demand), 2 never."""
    rank = {"allow": 0, "escalate": 1, "deny": 2}[str(ruling.outcome)]
    return rank, {one["group"]: (one["quorum"], ENDS.index(one["on_expiry"])) for one in ruling.tiers}


def looser(before, after):
    (old_rank, old_tiers), (new_rank, new_tiers) = strictness(before), strictness(after)
    if old_rank != new_rank or old_rank != 1:
        return new_rank < old_rank
    missing = (0, -1)
    return any(
        new_tiers.get(group, missing)[0] < quorum or new_tiers.get(group, missing)[1] < end
        for group, (quorum, end) in old_tiers.items()
    )


def tables(*written):
    return [
        Table(policy=f"p{number}", number=1, enforced=True, rules=document.rules_of(rules, "p"))
        for number, rules in enumerate(written) if rules
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("effect", "becomes", "others"),
    [
        *((effect, effect, [row("others", "allow")]) for effect in ("deny", "escalate", "allow")),
        ("allow", "escalate", []), ("escalate", "deny", [row("others", "allow")]),
    ],
)  # fmt: skip
def test_no_change_of_a_condition_that_loosens_goes_untold(effect, becomes, others):
    asked = [intent(args=args, tool="pay.out") for args in VALUES]
    old = {when: [row("r", effect, when), *others] for when in CONDITIONS}
    new = {when: [row("r", becomes, when), *others] for when in CONDITIONS}
    ruled, then = (
        {when: [evaluate.ruling(one, tables(rules), NOW) for one in asked] for when, rules in each.items()}
        for each in (old, new)
    )
    kept = 0
    for before, after in itertools.product(CONDITIONS, repeat=2):
        if compare(old[before], new[after]).loosens:
            continue
        kept += before != after
        for one, was, now in zip(asked, ruled[before], then[after], strict=True):
            assert not looser(was, now), (before, after, one.args)
    assert kept >= len(CONDITIONS) - 1  # it is not that everything is told


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pair=pairs(), beside=st.lists(rules("beside"), max_size=1))
def test_no_intent_is_ruled_less_strictly_unless_it_is_told(pair, beside):
    old, new = pair
    if compare(old, new).loosens:
        return
    for others in ([], beside):
        before, after = tables(old, others), tables(new, others)
        for asked in INTENTS:
            was, now = (evaluate.ruling(asked, one, NOW) for one in (before, after))
            assert not looser(was, now), (old, new, asked.args, asked.tool, was.outcome, now.outcome)
