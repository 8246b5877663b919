"""A rule through the form, a draft through its YAML, and what the buttons do: nothing is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from approvals.policies import writing
from approvals.web.policies import drafting, fields, source
from approvals.web.policies.drafting import Draft
from tests.policies import row

FULL: dict[str, Any] = {
    "name": "large", "scope": {"mission_type": "refund", "tool": "payments.*", "agent": "", "data_class": "personal"},
    "when": "double(args.amount) > 500.0\n  && args.currency == 'GBP'", "effect": "escalate",
    "tiers": [
        {"group": "supervisors", "quorum": 2, "sla": "4h", "expires": "7d", "on_expiry": "reject", "calendar": "uk"},
        {"name": "money", "any_of": [{"group": "finance"}, {"person": "fiona"}], "quorum": 2, "parallel": True},
        {"name": "both", "all_of": [{"attribute": "owner.manager", "fallback": {"person": "lee"}}, {"group": "legal"}],
         "distinct_from": ["supervisors", "money"]},
        {"group": "auditors", "distinct_from": []},
    ],
    "evidence": [{"source": "orders.get", "max_age": "1h", "revalidate": True}, {"source": "ledger"}],
    "hold": "15m", "reason": "It is a lot.\nAsk.",
}  # fmt: skip
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=30)


def sent(form: fields.RuleFields) -> dict[str, str]:
    """What a browser sends of the rendered form: every field under its name, line ends as browsers write them."""
    found: dict[str, str] = {}

    def walk(value: Any, name: str) -> None:
        if isinstance(value, str):
            found[name] = value.replace("\n", "\r\n")
        elif isinstance(value, tuple):
            for at, item in enumerate(value):
                walk(item, f"{name}.{at}")
        else:
            for one in fields.fields(value):
                walk(getattr(value, one.name), f"{name}.{one.name}")

    walk(form, "rule")
    return found


def through_the_form(rule: Any) -> Any:
    return fields.posted(sent(fields.of_rule(rule))).as_json()


def test_every_field_of_the_contract_comes_back_from_the_form() -> None:
    assert through_the_form(FULL) == FULL


@pytest.mark.parametrize("rule", [
    row("a", "allow"), row("b", "deny", "true", scope={"agent": ""}), row("c", "escalate", hold="1h"),
    row("bar", "escalate", scope={"decision_class": "pay*"}, bar=0.9), row("e", "escalate", bar="low"),
    row("d", "escalate", tiers=[{"group": "a", "quorum": "two", "sla": "soon"}]), {"name": "", "effect": "maybe"},
])  # fmt: skip
def test_short_and_wrong_rules_come_back_too(rule: dict[str, Any]) -> None:
    assert fields.as_rule(fields.posted(sent(fields.of_rule(rule))), rule) == rule


def test_a_rule_that_was_only_looked_at_keeps_what_says_nothing() -> None:
    wordy = row("a", "escalate", scope={"tool": "*"}, hold="0s", tiers=[{"group": "x", "quorum": 1, "parallel": False}])
    assert fields.as_rule(fields.posted(sent(fields.of_rule(wordy))), wordy) == wordy
    changed = fields.replace(fields.of_rule(wordy), reason="Now.")
    assert fields.as_rule(changed, wordy)["tiers"] == [{"group": "x", "quorum": 1}]


def test_tiers_are_left_out_of_a_rule_that_does_not_ask_and_kept_in_its_form() -> None:
    form = fields.replace(fields.of_rule(FULL), effect="deny")
    assert "tiers" not in form.as_json() and "hold" not in form.as_json() and len(form.tiers) == 4


@pytest.mark.parametrize("rule", [
    "text", {"name": "a", "new": 1}, {"tiers": "none"}, {"tiers": [5]}, {"scope": []}, {"name": {"a": 1}},
    {"tiers": [{"group": "a", "any_of": []}]}, {"tiers": [{"any_of": [{"group": "a", "person": "b"}]}]},
    {"tiers": [{"any_of": [{"group": "a", "fallback": {"group": "b"}}]}]}, {"tiers": [{"group": "a"}] * 26},
    {"tiers": [{"group": "a", "distinct_from": ["a, b"]}]}, {"evidence": [{"revalidate": "yes"}]},
])  # fmt: skip
def test_what_has_no_field_is_named_and_not_dropped(rule: Any) -> None:
    with pytest.raises(fields.NoForm, match=r"[a-z]"):
        fields.of_rule(rule)


def test_forged_names_of_fields_are_passed_over() -> None:
    data = QueryDict("rule.scope=x&rule.tiers=y&rule.tiers.99999.name=z&rule.tiers.0.approvers=q&rule.tiers.0.how=no"
                     "&rule.tiers.0.approvers.0.kind=root&rule.name=a%00b&rule.tiers.%C2%B2.name=z")  # fmt: skip
    form = fields.posted(data)
    assert (form.name, len(form.tiers), form.tiers[0].how) == ("a␀b", 1, "any_of")
    assert form.tiers[0].approvers[0].kind == "group"


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_survives_the_yaml(name: str, when: str, reason: str) -> None:
    rules = [{"name": name, "when": when, "reason": reason, "tiers": [{"group": when, "quorum": 2}]}]
    assert source.read(writing.written("p", rules)) == ({"name": "p", "rules": rules}, None)


@pytest.mark.parametrize("text", ["off", "1.5e3", "2026-01-01", "4:00", "0x1F", "null", "~", "1_000", "=", "yes", "&a",
                                  "a: b", "- x", "\N{RIGHT-TO-LEFT OVERRIDE}", "a\n\n b \n", "\t", "#", ".5"])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    written = writing.written("p", [{"reason": text}])
    assert source.read(written)[0]["rules"] == [{"reason": text}]
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in written


@pytest.mark.parametrize("text, line, said", [
    ("rules:\n  - {name: a, name: b}", 2, "given twice"), ("rules: [a", 1, "Expected"),
    ("a: &x 1\nb: *x", 2, "Aliases"),
    ("hello", 0, "list of rules"), ("", 0, "list of rules"),
    ('- a: "\\ud800"', 0, "surrogate"), ('[{a: "\\0"}]', 0, "NUL"),
])  # fmt: skip
def test_a_source_that_can_not_be_read_says_where(text: str, line: int, said: str) -> None:
    policy, fault = source.read(text)
    assert policy == {} and fault is not None and (fault.line, said in fault.message) == (line, True), fault


def test_a_field_is_found_in_the_source() -> None:
    text = writing.written("p", [row("a", "deny"), FULL])
    lines, places = text.splitlines(), source.Places(text)
    for field, begins in (("when", "when"), ("tiers[1].any_of[1].person", "- person"), ("name", "- name")):
        line, _ = places.of(1, field)
        assert begins in lines[line - 1] + lines[line - 2], field
    assert places.of(1, "nowhere")[0] == places.of(1, "")[0] and places.of(9, "when") == (1, 1)


# -- Buttons -----------------------------------------------------------------------------------------------------------
def draft_of(*names: str, **more: Any) -> Draft:
    return Draft(rules=tuple(row(name, "deny") for name in names), base=3, **more)


def names_of(draft: Draft) -> list[str]:
    return [rule["name"] for rule in draft.written]


def after(draft: Draft, *buttons: str) -> Draft:
    """The draft after the buttons, each pressed on the page that the one before rendered."""
    for do in buttons:
        page = {"rules": draft.carried, "base": str(draft.base or ""), "removed": draft.carried_removal,
                "open": "" if draft.open is None else str(draft.open)}  # fmt: skip
        draft = drafting.done(drafting.posted(page | (sent(draft.form) if draft.form else {})), do)
    return draft


@pytest.mark.parametrize("buttons, names, opened", [
    (["add"], "a b c rule-4", 3), (["duplicate:0"], "a a-copy b c", 1), (["remove:1"], "a c", None),
    (["up:2"], "a c b", None), (["down:0"], "b a c", None), (["up:0"], "a b c", None), (["down:2"], "a b c", None),
    (["open:2", "up:2"], "a c b", 1), (["open:2", "up:1"], "b a c", 2), (["open:2", "remove:0"], "b c", 1),
    (["open:1", "remove:1"], "a c", None), (["remove:1", "put-back"], "a b c", None), (["put-back"], "a b c", None),
    (["open:0", "remove:2", "put-back"], "a b c", 0), (["remove:0"] * 3 + ["add"], "rule-1", 0),
    (["duplicate:0", "duplicate:0"], "a a-copy-2 a-copy b c", 1), (["open:9"], "a b c", None),
    (["nonsense"], "a b c", None),
    (["open:1", "close:1"], "a b c", None),
])  # fmt: skip
def test_the_buttons_of_rules(buttons: list[str], names: str, opened: int | None) -> None:
    found = after(draft_of("a", "b", "c"), *buttons)
    assert (" ".join(names_of(found)), found.open, found.base) == (names, opened, 3)


def test_what_was_typed_stays_when_another_rule_is_opened_moved_or_removed() -> None:
    typed = drafting.with_fields(drafting.opened(draft_of("a", "b"), 0), when="args.x == 1", effect="allow")
    for do in ("open:1", "up:1", "remove:1", "close:0", "add", "duplicate:0"):
        assert {"name": "a", "effect": "allow", "when": "args.x == 1"} in after(typed, do).written, do


def test_tiers_approvers_and_evidence_are_added_moved_and_removed() -> None:
    asks = drafting.opened(Draft(rules=(row("a", "escalate", tiers=[{"group": "x"}]),)), 0)
    grown = after(asks, "tier-add", "approver-add:1", "evidence-add")
    assert [len(tier.approvers) for tier in grown.form.tiers] == [1, 2] and len(grown.form.evidence) == 1
    assert grown.written[0]["tiers"][0] == {"group": "x"}
    moved = after(grown, "tier-up:1")
    assert [len(tier.approvers) for tier in moved.form.tiers] == [2, 1]
    less = after(moved, "approver-remove:1", "tier-remove:1", "evidence-remove:0")
    assert [len(tier.approvers) for tier in less.form.tiers] == [1] and less.form.evidence == ()
    for do in ("tier-remove:7", "approver-add:9", "approver-remove:901", "tier-up:9", "evidence-remove:4"):
        assert after(less, do).form == less.form


def test_the_page_carries_hostile_rules_unchanged() -> None:
    rules = ({"name": "</script>\"'<b>\N{RIGHT-TO-LEFT OVERRIDE}", "effect": "deny", "when": "a\nb"}, FULL)
    assert tuple(after(Draft(rules=rules), "check").rules) == rules
