"""Policy files: what they may say, and that each mistake is named with its place."""

from __future__ import annotations

import json

import pytest

from approvals.models import Mode, OnExpiry
from approvals.policies import document, durations, files
from approvals.policies.document import InvalidPolicy
from approvals.policies.rules import Demand, Effect, Scope
from tests.policies import intent, row

TIER = {"group": "finance", "quorum": 2, "sla": "4h", "expires": "2d", "on_expiry": "hold"}


def policy(*rows, **fields):
    return {"name": "refunds", "rules": list(rows) or [row("all", "deny")], **fields}


def problems_of(data, source="refunds.yaml"):
    with pytest.raises(InvalidPolicy) as refused:
        document.check(data, source)
    return [str(problem) for problem in refused.value.problems]


def problem_of(**fields):
    [problem] = problems_of(policy({"name": "one", "effect": "deny", **fields}))
    return problem


def tier_problem(**fields):
    [problem] = problems_of(policy({"name": "one", "effect": "escalate", "tiers": [{"group": "finance", **fields}]}))
    return problem


def test_a_rule_keeps_all_that_it_says():
    scope = {"mission_type": "refund", "tool": "payments.*"}
    written = row("big", "escalate", "double(args.amount) > 500.0", scope=scope, tiers=[TIER], hold="1h",
                  evidence=[{"source": "orders.get", "max_age": "10m"}], reason="Big.")  # fmt: skip
    checked = document.check(policy(written, mode="shadow"))
    [rule] = checked.rules
    assert (checked.name, checked.mode, checked.written) == ("refunds", Mode.SHADOW, [written])
    assert (rule.name, rule.effect, rule.when.source, rule.reason) == ("big", Effect.ESCALATE, written["when"], "Big.")
    assert rule.scope == Scope(mission_type="refund", tool="payments.*")
    assert [tier.as_json() for tier in rule.tiers] == [{
        "group": "finance", "name": "finance", "approvers": [{"group": "finance"}], "all_of": False, "quorum": 2,
        "parallel": False, "distinct_from": None, "calendar": "", "sla_seconds": 14_400, "expires_seconds": 172_800,
        "on_expiry": "hold",
    }]  # fmt: skip
    assert (rule.evidence, rule.hold_seconds) == ((Demand(source="orders.get", max_age_seconds=600),), 3600)


@pytest.mark.parametrize(
    ("tier", "expires", "on_expiry"),
    [
        ({}, None, OnExpiry.HOLD),
        ({"sla": "4h"}, None, OnExpiry.HOLD),  # a due time alone ends nothing
        ({"sla": "4h", "on_expiry": "reject"}, 14_400, OnExpiry.REJECT),  # an end that is asked for has a time
        ({"expires": "1d"}, 86_400, OnExpiry.REJECT),
        ({"expires": "1d", "on_expiry": "hold"}, 86_400, OnExpiry.HOLD),
    ],
)
def test_what_a_tier_leaves_out_has_a_default_that_approves_nothing(tier, expires, on_expiry):
    checked = document.check(policy(row("one", "escalate", tiers=[{"group": "finance", **tier}])))
    [built] = checked.rules[0].tiers
    assert (built.quorum, built.expires_seconds, built.on_expiry) == (1, expires, on_expiry)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"effect": "permit"}, "effect: Input should be 'allow', 'deny' or 'escalate'."),
        ({"wen": "true"}, "wen: Extra inputs are not permitted."),
        ({"when": True}, "when: Input should be a valid string."),
        ({"when": "tool.nmae == 'x'"}, "when 1:5: Undefined field 'nmae' not found in struct 'Tool'."),
        ({"when": "true &&\n\n  bogus"}, "when 3:3: Undeclared reference to 'bogus' (in container '')."),
        ({"scope": {"tol": "x"}}, "scope.tol: Extra inputs are not permitted."),
        ({"scope": {"effect_class": "wirte"}}, "scope.effect_class: It matches none of read, write, irreversible."),
        ({"scope": {"tool": ""}}, "scope.tool: It is empty, or begins or ends with a blank."),
        ({"tiers": [TIER]}, "A rule that escalates names its tiers, and no other rule does."),
        ({"effect": "escalate"}, "A rule that escalates names its tiers, and no other rule does."),
        (
            {"effect": "escalate", "tiers": [TIER, TIER]},
            "tiers: The group finance has two tiers; raise its quorum instead.",
        ),
        ({"hold": "1h"}, "Only a rule that escalates can `hold`: nobody approves what the others decide."),
        ({"hold": "soon"}, "hold: A duration is written like 30s, 15m, 4h, 1d or 2w."),
        ({"evidence": [{"source": "orders.get"}]}, "A rule that denies needs no `evidence`."),
        (
            {"effect": "allow", "evidence": [{"source": "a"}, {"source": "a", "revalidate": True}]},
            "evidence: The source a is demanded twice.",
        ),
        (
            {"effect": "allow", "evidence": [{"source": "orders.*"}]},
            "evidence[0].source: A source is the name of one tool, not a pattern.",
        ),
        (
            {"effect": "allow", "evidence": [{"source": "a", "max_age": "0s"}]},
            "evidence[0].max_age: Nothing is that fresh; use `revalidate` to have it read again before the effect.",
        ),
        ({"reason": "bell \a"}, "reason: It holds a control character or half a character."),
    ],
)
def test_a_mistake_in_a_rule_is_named_with_file_rule_and_field(fields, message):
    assert problem_of(**fields) == f"refunds.yaml: refunds: rule one: {message}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quorum": 0}, "tiers[0].quorum: Input should be greater than or equal to 1."),
        ({"quorum": True}, "tiers[0].quorum: Input should be a valid integer."),
        ({"group": " finance"}, "tiers[0].group: It is empty, or begins or ends with a blank."),
        ({"sla": "4 hours"}, "tiers[0].sla: A duration is written like 30s, 15m, 4h, 1d or 2w."),
        ({"sla": 240}, "tiers[0].sla: Input should be a valid string."),
        ({"sla": "0s"}, "tiers[0]: A time of nothing leaves nobody time to decide."),
        ({"sla": "2d", "expires": "1d"}, "tiers[0]: It would expire before it is due: `sla` is longer than `expires`."),
        ({"on_expiry": "reject"}, "tiers[0]: `on_expiry: reject` wants `expires` or `sla`."),
        ({"on_expiry": "approve", "sla": "1h"}, "tiers[0].on_expiry: Input should be 'reject', 'escalate' or 'hold'."),
        ({"on_expiry": "escalate", "sla": "1h"}, "tiers: The last tier has none to escalate to; use reject or hold."),
        ({"approver": "owner.manager"}, "tiers[0].approver: Extra inputs are not permitted."),
    ],
)
def test_a_mistake_in_a_tier_is_named(fields, message):
    assert tier_problem(**fields) == f"refunds.yaml: refunds: rule one: {message}"


def test_all_problems_are_told_at_once():
    rows = [row("a", "deny", "bogus"), row("a", "allow"), row("a", "deny"), {"effect": "deny"}, "text"]
    assert problems_of(policy(*rows)) == [
        "refunds.yaml: refunds: rule a: when 1:1: Undeclared reference to 'bogus' (in container '').",
        "refunds.yaml: refunds: rule number 4: name: Field required.",
        "refunds.yaml: refunds: rule number 5: It is no mapping of names to values.",
        "refunds.yaml: refunds: rule a: name: Two rules have this name.",
    ]


@pytest.mark.parametrize(
    "data", [None, [], "text", {}, policy(name="a b"), {"name": "a", "rules": []}, policy(mode="on")]
)
def test_what_is_no_policy_is_refused(data):
    assert problems_of(data)


def test_a_name_is_twice_also_where_one_of_its_rules_is_wrong():
    told = problems_of(policy(row("a", "deny", "bogus"), row("a", "allow")))
    assert [line.split(": ")[3] for line in told] == ["when 1:1", "name"]


def test_five_hundred_rules_are_the_limit():
    rows = [row(f"r{number}", "deny") for number in range(501)]
    assert len(document.check(policy(*rows[:500])).rules) == 500
    assert "at most 500 items" in problems_of(policy(*rows))[0]


def test_a_condition_that_takes_too_long_is_named():
    slow = f"args.l.exists(a, {' || '.join(['args.l + args.l + args.l == args.m'] * 30)})"
    [problem] = problems_of(policy(row("slow", "deny", slow)))
    assert problem.startswith("refunds.yaml: refunds: rule slow: when: It takes ")


def test_a_rule_about_policies_can_not_demand_what_only_actions_know():
    rule = row("all", "escalate", tiers=[TIER], hold="1h", evidence=[{"source": "orders.get"}])
    problems = problems_of(policy(rule, name="governance"))
    assert problems == [
        f"refunds.yaml: governance: rule all: {field}: A change of a policy knows no `{field}`: it is for actions of"
        " missions." for field in ("evidence", "hold")
    ]  # fmt: skip
    assert document.check(policy(rule)).rules


def test_the_digest_is_that_of_the_rules_alone():
    one, other = policy(row("a", "deny")), policy({"effect": "deny", "name": "a"}, mode="shadow")
    assert document.check(one).digest == document.check(other).digest
    assert document.check(one).digest != document.check(policy(row("a", "allow"))).digest


# -- Scopes and durations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({}, True),
        ({"tool": "payments.*", "mission_type": "refund", "effect_class": "write"}, True),
        ({"tool": "payments.*", "mission_type": "transfer"}, False),
        ({"tool": "Payments.*"}, False),
        ({"tool": "payments"}, False),
        ({"tool": "paymentsXrefund"}, False),
        ({"tool": "payments.re[fv]*"}, True),
        ({"effect_class": "[!r]*"}, True),
        ({"agent": ""}, True),
        ({"agent": "?*"}, False),
        ({"data_class": "secret"}, False),
    ],
)
def test_a_scope_covers_what_all_its_globs_match(scope, covered):
    [rule] = document.check(policy(row("one", "deny", scope=scope))).rules
    assert rule.scope.covers(intent()) is covered


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("4h", 14_400), ("1d12h", 129_600), ("2w", 1_209_600)]
)
def test_durations_are_read(text, seconds):
    assert durations.seconds(text) == seconds
    assert durations.seconds(durations.written(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "-4h", "4H", "1.5h", "4h ", "367d", "9999999999s", "٣h"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="duration"):
        durations.seconds(text)


# -- Files -------------------------------------------------------------------------------------------------------------


def read(tmp_path, text, name="refunds.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return files.read(path)


def refusal(tmp_path, text, name="refunds.yaml"):
    with pytest.raises(InvalidPolicy) as refused:
        read(tmp_path, text, name)
    return str(refused.value)


RULES = "rules: [{name: a, effect: deny}]"


def test_a_file_holds_one_policy_or_a_list(tmp_path):
    assert [one.name for one in read(tmp_path, f"name: a\n{RULES}")] == ["a"]
    assert [one.name for one in read(tmp_path, f"- name: a\n  {RULES}\n- name: b\n  {RULES}")] == ["a", "b"]
    assert [one.name for one in read(tmp_path, json.dumps(policy()), "p.json")] == ["refunds"]


def test_off_is_a_mode_and_no_boolean(tmp_path):
    assert read(tmp_path, f"name: a\nmode: off\n{RULES}")[0].mode is Mode.OFF


def test_numbers_in_base_60_and_dates_stay_text(tmp_path):
    text = "name: a\nrules: [{name: a, effect: escalate, reason: 2026-01-01, tiers: [{group: f, sla: 4:00}]}]"
    assert "tiers[0].sla: A duration is written like" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"name: a\nname: b\n{RULES}", "refunds.yaml: line 2, column 1: the key 'name' is given twice."),
        ("name: a\nrules: [{name: a, effect: deny, effect: allow}]", "column 33: the key 'effect' is given twice"),
        ("name: &n a\nrules: [{name: *n, effect: deny}]", "line 2, column 16: aliases are refused"),
        (f"name: a\n<<: {{mode: off}}\n{RULES}", "<<: Extra inputs are not permitted"),
        ("name: [", "refunds.yaml: line 1, column 8: "),
        ("name: !!python/object:os.system x", "could not determine a constructor"),
        (f"---\nname: a\n{RULES}\n---\nname: b\n{RULES}", "but found another document"),
        ("{1: 2}", "the key 1 is not text"),
        ("[]", "It holds no policy"),
        ("x: \x00", "It can not be read"),
        (f"- name: a\n  {RULES}\n- name: a\n  {RULES}", "Two policies are called a"),
        ("[" * 5000, "It can not be read"),
    ],
)
def test_yaml_that_could_mean_something_else_is_refused(tmp_path, text, message):
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "a", "name": "b", "rules": []}', "a key is given twice among name, rules"),
        ('{"name": "a", "rules": [{"name": NaN}]}', "NaN is no JSON number"),
        ('{"name": ', "It can not be read"),
    ],
)
def test_json_that_could_mean_something_else_is_refused(tmp_path, text, message):
    assert message in refusal(tmp_path, text, "policy.json")


def test_a_file_beyond_the_limit_is_not_parsed(tmp_path):
    assert "the limit is 1,048,576" in refusal(tmp_path, "# " + "x" * 1024 * 1024)


def test_the_demo_policy_is_valid(settings):
    [demo] = files.read(settings.BASE_DIR / "approvals" / "demo" / "refunds.yaml")
    assert (demo.name, demo.mode, [rule.name for rule in demo.rules]) == (
        "refunds", Mode.ENFORCE, ["supervisors", "finance", "reversals"],
    )  # fmt: skip
