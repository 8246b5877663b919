"""A draft while it is edited: the rules, the one that is open with its fields, and what the buttons do to them.

Pure: each verb takes a draft and answers another. The page carries the whole draft, so nothing is stored before it is
saved, and everything works without scripts. Rules that are not open travel as plain JSON in one hidden field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from approvals.web.policies import fields
from approvals.web.policies.fields import Approver, Evidence, Json, RuleFields, Tier
from missions.web.parsers import read_object

NAME_LENGTH: Final = 100
TABLE, SOURCE = "table", "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The rule that was removed last, and where it stood."""

    at: int
    rule: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """`base` is the number of the version that it began from, `seen` that of the newest that its editor knows of; None
    for a policy that is to be new. `rules` hold the open one as it was before it was opened."""

    rules: tuple[Json, ...] = ()
    base: int | None = None
    seen: int | None = None
    open: int | None = None
    form: RuleFields | None = None
    removed: Removed | None = None
    view: str = TABLE
    source: str = ""
    focus: str = ""  # the id of the element that has the focus next

    @property
    def written(self) -> list[Json]:
        """The rules as plain JSON, the open one included."""
        found = list(self.rules)
        if self.open is not None and self.form is not None:
            found[self.open] = fields.as_rule(self.form, found[self.open])
        return found

    def focus_of(self, kind: str) -> int | None:
        """The row whose button of this kind has the focus next."""
        name, _, at = self.focus.rpartition("-")
        return int(at) if name == kind and at.isdecimal() else None

    @property
    def carried(self) -> str:
        """The rules in one line, for the hidden field."""
        return json.dumps(self.rules, ensure_ascii=False, separators=(",", ":"))

    @property
    def carried_removal(self) -> str:
        """What was removed last, for the hidden field."""
        return json.dumps({"at": self.removed.at, "rule": self.removed.rule}) if self.removed else ""


def posted(data: Mapping[str, str]) -> Draft:
    """The draft of a form that was sent. Raises Problem for hidden fields that were not made here."""
    rules = [rule for rule in _loaded(data.get("rules", "[]"), list) if isinstance(rule, dict)]
    at, removal = _whole(data, "open"), data.get("removed", "")
    opened = at if at is not None and at < len(rules) else None
    gone = _loaded(removal, dict) if removal else {}
    return Draft(
        rules=tuple(rules), base=_whole(data, "base"), seen=_whole(data, "seen"),
        open=opened, form=fields.posted(data) if opened is not None else None,
        removed=_removed(gone),
        view=SOURCE if data.get("view") == SOURCE else TABLE,
        source=data.get("source", "").replace("\r\n", "\n"),
    )  # fmt: skip


def _removed(gone: Json) -> Removed | None:
    at, rule = gone.get("at"), gone.get("rule")
    return Removed(at=at, rule=rule) if isinstance(at, int) and isinstance(rule, dict) else None


def _whole(data: Mapping[str, str], name: str) -> int | None:
    """A whole number of few digits, None for all else."""
    text = data.get(name, "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else None


def _loaded(text: str, kind: type) -> Any:
    value = read_object(f'{{"value":{text}}}'.encode(errors="replace"))["value"]
    return value if isinstance(value, kind) else kind()


def opened(draft: Draft, at: int | None, focus: str = "") -> Draft:
    """The draft with another rule open, None for none; what was typed in the one before is kept. Raises NoForm."""
    rules = tuple(draft.written)
    if at is None or at >= len(rules):
        return replace(draft, rules=rules, open=None, form=None, focus=focus)
    return replace(draft, rules=rules, open=at, form=fields.of_rule(rules[at]), focus=focus or "rule-name")


def with_fields(draft: Draft, **changes: Any) -> Draft:
    """The draft with fields of the open rule changed; itself where none is open."""
    return replace(draft, form=replace(draft.form, **changes)) if draft.form else draft


# -- Rules -------------------------------------------------------------------------------------------------------------
def _open(draft: Draft, at: int) -> Draft:
    return opened(draft, at)


def _close(draft: Draft, at: int) -> Draft:
    return opened(draft, None, focus=f"open-{at}")


def _add(draft: Draft, _: int) -> Draft:
    """A new rule at the end."""
    rules = draft.written
    made = RuleFields(name=_free(rules, f"rule-{len(rules) + 1}")).as_json()
    grown = replace(draft, rules=(*rules, made), open=None, form=None)
    return opened(grown, len(rules), focus="rule-when")


def _duplicate(draft: Draft, at: int) -> Draft:
    """A copy under another name, below its origin."""
    rules = draft.written
    copy = {**rules[at], "name": _free(rules, f"{str(rules[at].get('name', 'rule'))[: NAME_LENGTH - 8]}-copy")}
    grown = replace(draft, rules=(*rules[: at + 1], copy, *rules[at + 1 :]), open=None, form=None)
    return opened(grown, at + 1, focus="rule-when")


def _remove(draft: Draft, at: int) -> Draft:
    rules = draft.written
    left = (*rules[:at], *rules[at + 1 :])
    now_open = None if draft.open is None or draft.open == at else draft.open - (draft.open > at)
    shrunk = replace(draft, rules=left, open=None, form=None, removed=Removed(at=at, rule=rules[at]))
    focus = f"open-{min(at, len(left) - 1)}" if left else "add-rule"
    return opened(shrunk, now_open, focus=focus)


def _put_back(draft: Draft, _: int) -> Draft:
    """The rule that was removed last, where it stood."""
    if draft.removed is None:
        return draft
    at, rules = max(min(draft.removed.at, len(draft.rules)), 0), draft.written
    grown = replace(draft, rules=(*rules[:at], draft.removed.rule, *rules[at:]), open=None, form=None, removed=None)
    return opened(grown, None if draft.open is None else draft.open + (draft.open >= at), focus=f"open-{at}")


def _moved(step: int) -> Callable[[Draft, int], Draft]:
    way = "up" if step < 0 else "down"

    def move(draft: Draft, at: int) -> Draft:
        """The rule one place further; the one that is open stays open."""
        to, rules = at + step, draft.written
        if not 0 <= to < len(rules):
            return draft
        rules[at], rules[to] = rules[to], rules[at]
        places = {at: to, to: at}
        focus = f"open-{to}" if to in (0, len(rules) - 1) else f"{way}-{to}"  # at the ends the button is off
        now_open = places.get(draft.open, draft.open) if draft.open is not None else None
        return opened(replace(draft, rules=tuple(rules), open=None, form=None), now_open, focus=focus)

    return move


def _free(rules: list[Json], wanted: str) -> str:
    """A name that no rule has."""
    taken = {rule.get("name") for rule in rules if isinstance(rule, dict)}
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


# -- Parts of the open rule --------------------------------------------------------------------------------------------
def _tier_add(draft: Draft, _: int) -> Draft:
    tiers = draft.form.tiers if draft.form else ()
    grown = (*(tiers or (Tier(),)), Tier())
    return replace(with_fields(draft, tiers=grown), focus=f"rule-tiers-{len(grown) - 1}-approvers-0-who")


def _tier_remove(draft: Draft, at: int) -> Draft:
    return replace(with_fields(draft, tiers=_without(draft.form.tiers if draft.form else (), at)), focus="add-tier")


def _tier_up(draft: Draft, at: int) -> Draft:
    tiers = list(draft.form.tiers if draft.form else ())
    if 0 < at < len(tiers):
        tiers[at - 1], tiers[at] = tiers[at], tiers[at - 1]
    return replace(with_fields(draft, tiers=tuple(tiers)), focus=f"rule-tiers-{max(at - 1, 0)}-approvers-0-who")


def _approver_add(draft: Draft, at: int) -> Draft:
    tiers = list((draft.form.tiers if draft.form else ()) or (Tier(),))
    if at >= len(tiers):
        return draft
    tiers[at] = replace(tiers[at], approvers=(*tiers[at].approvers, Approver()))
    focus = f"rule-tiers-{at}-approvers-{len(tiers[at].approvers) - 1}-who"
    return replace(with_fields(draft, tiers=tuple(tiers)), focus=focus)


def _approver_remove(draft: Draft, place: int) -> Draft:
    """The place counts tiers in hundreds: 203 is the fourth approver of the third tier."""
    at, which = divmod(place, 100)
    tiers = list(draft.form.tiers if draft.form else ())
    if at >= len(tiers):
        return draft
    tiers[at] = replace(tiers[at], approvers=_without(tiers[at].approvers, which) or (Approver(),))
    return replace(with_fields(draft, tiers=tuple(tiers)), focus=f"rule-tiers-{at}-approvers-0-who")


def _evidence_add(draft: Draft, _: int) -> Draft:
    demands = (*(draft.form.evidence if draft.form else ()), Evidence())
    return replace(with_fields(draft, evidence=demands), focus=f"rule-evidence-{len(demands) - 1}-source")


def _evidence_remove(draft: Draft, at: int) -> Draft:
    demands = _without(draft.form.evidence if draft.form else (), at)
    return replace(with_fields(draft, evidence=demands), focus="add-evidence")


def _without(items: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    return (*items[:at], *items[at + 1 :])


OF_A_RULE: Final = {
    "open": _open, "close": _close, "duplicate": _duplicate, "remove": _remove, "up": _moved(-1), "down": _moved(1),
}  # fmt: skip
OF_THE_DRAFT: Final = {
    "add": _add, "put-back": _put_back, "tier-add": _tier_add, "tier-remove": _tier_remove, "tier-up": _tier_up,
    "approver-add": _approver_add, "approver-remove": _approver_remove, "evidence-add": _evidence_add,
    "evidence-remove": _evidence_remove,
}  # fmt: skip


def done(draft: Draft, do: str) -> Draft:
    """What a button does: `add`, `up:3`, … A button that was not made here does nothing. Raises NoForm."""
    verb, _, place = do.partition(":")
    at = int(place) if place.isdecimal() and place.isascii() and len(place) < 6 else 0
    if verb in OF_A_RULE:
        if at >= len(draft.rules):
            return draft
        return OF_A_RULE[verb](draft, at)
    return OF_THE_DRAFT[verb](draft, at) if verb in OF_THE_DRAFT else draft
