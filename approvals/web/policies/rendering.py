"""What the editor shows: the rows of the table, the fields of the open rule, and beside each what is said about it.

Pure. A slot is the one place on the page where the notes of a field stand; the page renders all of them, and the
answer while somebody types renders the same slots again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from approvals.web.policies.checking import WHOLE, Checked, Note, marked
from approvals.web.policies.drafting import Draft
from approvals.web.policies.fields import KINDS, Approver, Evidence, Json, RuleFields, Tier
from approvals.web.words import Sign

PART: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
EFFECTS: Final = {
    "allow": Sign("Allow", "check", "ok"), "deny": Sign("Deny", "ban", "bad"),
    "escalate": Sign("Escalate", "people", "human"),
}  # fmt: skip
SCOPE_WORDS: Final = {
    "mission_type": "mission", "tool": "tool", "effect_class": "effect", "agent": "agent", "data_class": "data",
    "decision_class": "decisions",
}  # fmt: skip
SUGGESTED: Final = {"mission_type": "offers-missions", "tool": "offers-tools", "effect_class": "offers-effects"}
CHOICES: Final = {
    "effects": ("deny", "escalate", "allow"), "kinds": KINDS, "fallbacks": KINDS[:2],
    "ends": ("reject", "escalate", "hold"),
}  # fmt: skip
SHOWN: Final = 300  # characters of a condition in a row


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One field of the open rule: its name in the form, its value, and what is said about it."""

    name: str
    value: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def id(self) -> str:
        """The id of the control; that of its notes ends in `-notes`."""
        return self.name.replace(".", "-")

    @property
    def is_wrong(self) -> bool:
        """Whether an error is among the notes."""
        return any(note.is_error for note in self.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRule:
    """The open rule: its place, its fields, and a slot for each of them by its name without `rule.`."""

    at: int
    form: RuleFields
    slots: dict[str, Slot]

    @property
    def general(self) -> Slot:
        """Where stands what is about no field."""
        return self.slots[""]

    @property
    def has_known_effect(self) -> bool:
        """Whether the list of effects has this one."""
        return self.form.effect in EFFECTS

    @property
    def when_rows(self) -> int:
        """The lines that the condition's field shows at first."""
        return min(max(self.form.when.count("\n") + 1, 2), 12)

    @property
    def scope(self) -> list[dict[str, Any]]:
        """The fields of the scope with their words, and the list that suggests values."""
        return [
            {"word": word, "slot": self.slots[f"scope.{name}"], "list": SUGGESTED.get(name, "")}
            for name, word in SCOPE_WORDS.items()
        ]

    @property
    def tiers(self) -> list[dict[str, Any]]:
        """The tiers, a blank one where there is none; each is a mapping of its slots, with its approvers."""
        return [
            {"at": at, **self._under(f"tiers.{at}", Tier), "approvers": self._approvers(at, tier),
             "is_special": any((tier.name, tier.calendar, tier.parallel, tier.distinct != "all")),
             "strange_expiry": tier.on_expiry not in ("", *CHOICES["ends"])}
            for at, tier in enumerate(self.form.tiers or (Tier(),))
        ]

    def _approvers(self, at: int, tier: Tier) -> list[dict[str, Any]]:
        places = range(len(tier.approvers or (Approver(),)))
        return [
            {"at": at * 100 + which, **self._under(f"tiers.{at}.approvers.{which}", Approver)} for which in places
        ]

    @property
    def evidence(self) -> list[dict[str, Any]]:
        """The demands for evidence, each a mapping of its slots."""
        return [
            {"at": at, **self._under(f"evidence.{at}", Evidence)} for at in range(len(self.form.evidence))
        ]

    def _under(self, prefix: str, shape: Any) -> dict[str, Slot]:
        names = [one.name for one in fields(shape) if one.type == "str"]
        return {"all": self.slots[prefix], **{name: self.slots[f"{prefix}.{name}"] for name in names}}

    @property
    def mirror(self) -> tuple[str, str, str]:
        """The condition, cut around what its first error is about."""
        condition = self.form.when
        note = next((note for note in self.slots["when"].notes if note.line), None)
        return marked(condition, note) if note else (condition, "", "")


def open_rule(draft: Draft, checked: Checked) -> OpenRule | None:
    """The open rule with its notes; None where none is open."""
    if draft.open is None or draft.form is None:
        return None
    values = dict(_values(draft.form, ""))
    notes: dict[str, list[Note]] = {}
    for note in checked.of(draft.open):
        notes.setdefault(_slot_of(note.field, values), []).append(note)
    slots = {
        name: Slot(name=f"rule.{name}" if name else "rule", value=value, notes=tuple(notes.get(name, ())))
        for name, value in values.items()
    }
    return OpenRule(at=draft.open, form=draft.form, slots=slots)


def _values(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every field by its name, and each part that holds fields; a rule has at least one tier to fill in."""
    if isinstance(value, str):
        yield name, value
        return
    part = name.rpartition(".")[2]
    if part != "approvers":  # what is said of all of them stands with their tier
        yield name, ""
    if isinstance(value, tuple):
        blank = {"tiers": (Tier(),), "approvers": (Approver(),)}.get(part, ())
        for at, item in enumerate(value or blank):
            yield from _values(item, f"{name}.{at}")
        return
    for one in fields(value):
        yield from _values(getattr(value, one.name), f"{name}.{one.name}" if name else one.name)


def _slot_of(field: str, known: dict[str, str]) -> str:
    """The slot of a field of the file: `tiers[0].any_of[1].person` is that of the second approver's name."""
    parts = [index or name for index, name in PART.findall(field)]
    if parts[:1] == ["tiers"] and len(parts) > 2:
        parts = parts[:2] + _of_a_tier(parts[2:])
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts)


def _of_a_tier(parts: list[str]) -> list[str]:
    if parts[0] == "group":
        return ["approvers", "0", "who"]
    if parts[0] in ("any_of", "all_of"):
        which, inner = parts[1:2], parts[2:]
        if not which:
            return ["approvers"]
        return ["approvers", *which, "fallback" if "fallback" in inner else "who"]
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rule in the table."""

    at: int
    name: str
    effect: Sign
    scope: tuple[str, ...]
    when: str
    people: str
    reason: str
    notes: tuple[Note, ...] = ()

    @property
    def number(self) -> int:
        """Its place from 1."""
        return self.at + 1


def rows(rules: list[Json], checked: Checked | None = None) -> list[Row]:
    """The rules as rows, in order."""
    notes: dict[int, list[Note]] = {}
    for note in checked.notes if checked else ():
        notes.setdefault(note.at, []).append(note)
    return [_row(at, rule, tuple(notes.get(at, ()))) for at, rule in enumerate(rules)]


def _row(at: int, rule: Json, notes: tuple[Note, ...]) -> Row:
    scope = rule.get("scope") if isinstance(rule.get("scope"), dict) else {}
    when, effect = rule.get("when") or "", str(rule.get("effect", ""))
    sign = EFFECTS.get(effect, Sign(effect or "no effect", "question", "warn"))
    return Row(
        at=at, name=str(rule.get("name", "")), effect=sign,
        scope=tuple(f"{SCOPE_WORDS.get(name, name)} {glob or '(none)'}" for name, glob in scope.items() if glob != "*"),
        when=str(when)[:SHOWN], people=people(rule), reason=str(rule.get("reason") or ""), notes=notes,
    )  # fmt: skip


def people(rule: Json) -> str:
    """Who is asked, in one line: `supervisors, then 2 of finance or fiona`."""
    tiers = rule.get("tiers")
    told = ""
    for tier in tiers if isinstance(tiers, list) else []:
        if isinstance(tier, dict):
            joint = " and at once " if tier.get("parallel") is True else ", then "
            told += (joint if told else "") + _tier(tier)
    return told


def _tier(tier: Json) -> str:
    if isinstance(tier.get("all_of"), list):
        return " and ".join(map(_approver, tier["all_of"]))
    approvers = tier["any_of"] if isinstance(tier.get("any_of"), list) else [tier]
    quorum = tier.get("quorum", 1)
    return (f"{quorum} of " if quorum != 1 else "") + " or ".join(map(_approver, approvers))


def _approver(approver: Json) -> str:
    return next((str(approver[kind]) for kind in ("group", "person", "attribute") if approver.get(kind)), "nobody")


def whole(checked: Checked) -> list[Note]:
    """What concerns the table as a whole."""
    return checked.of(WHOLE)
