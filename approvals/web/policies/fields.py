"""One rule as the fields of a form, and back: the plain JSON of the policy file on one side, texts on the other.

Pure. Nothing is judged and nothing is lost: what does not fit its type stays the text that was typed, and
`approvals.policies.document` says what is wrong with it. A rule that went through the form untouched is the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

Json = Any
PREFIX: Final = "rule."
SCOPE: Final = ("mission_type", "tool", "effect_class", "agent", "data_class", "decision_class")
TEXTS: Final = ("name", "effect", "when", "bar", "reason", "hold")
KINDS: Final = ("group", "person", "attribute")
RULE_KEYS: Final = frozenset({"name", "scope", "when", "bar", "effect", "tiers", "evidence", "hold", "reason"})
TIER_KEYS: Final = frozenset({
    "name", "group", "any_of", "all_of", "quorum", "parallel", "distinct_from", "calendar", "sla", "expires",
    "on_expiry",
})  # fmt: skip
APPROVER_KEYS: Final = frozenset({*KINDS, "fallback"})
EVIDENCE_KEYS: Final = frozenset({"source", "max_age", "revalidate"})
MOST: Final = 25  # of tiers, approvers of one tier, or demands that a form carries; the checks allow fewer
INDEX: Final = re.compile(r"\d{1,2}", re.ASCII)


class NoForm(ValueError):
    """The rule has a part that the form has no field for; only its source can show it. The message names the part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approver:
    """Who may approve: a group, a person, or an attribute with what stands in where it names nobody."""

    kind: str = "group"
    who: str = ""
    fallback_kind: str = "group"
    fallback: str = ""

    def as_json(self) -> dict[str, Json]:
        """`{group: finance}`."""
        found: dict[str, Json] = {self.kind: self.who}
        if self.kind == "attribute" and self.fallback:
            found["fallback"] = {self.fallback_kind: self.fallback}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One tier. `distinct` is `all` (from every other tier), `none` (the same people may vote again) or `named`."""

    name: str = ""
    how: str = "any_of"
    approvers: tuple[Approver, ...] = (Approver(),)
    quorum: str = ""
    sla: str = ""
    expires: str = ""
    on_expiry: str = ""
    calendar: str = ""
    parallel: str = ""
    distinct: str = "all"
    distinct_from: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was filled in: such a tier is not there."""
        return self == Tier()

    def as_json(self) -> dict[str, Json]:
        """In its short form where one group is all that may approve."""
        found: dict[str, Json] = {"name": self.name} if self.name else {}
        [*approvers] = [one.as_json() for one in self.approvers] or [Approver().as_json()]
        if self.how == "any_of" and len(approvers) == 1 and "group" in approvers[0]:
            found |= approvers[0]
        else:
            found[self.how] = approvers
        if self.how == "any_of" and self.quorum:
            found["quorum"] = _number(self.quorum)
        found |= {name: value for name in ("sla", "expires", "on_expiry", "calendar") if (value := getattr(self, name))}
        if self.parallel:
            found["parallel"] = True
        if self.distinct != "all":
            names = self.distinct_from.split(",") if self.distinct == "named" else []
            found["distinct_from"] = [name.strip() for name in names if name.strip()]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One demand: which source, how fresh, and whether it is read anew at dispatch."""

    source: str = ""
    max_age: str = ""
    revalidate: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing was filled in."""
        return self == Evidence()

    def as_json(self) -> dict[str, Json]:
        """`{source, max_age?, revalidate?}`."""
        found: dict[str, Json] = {"source": self.source}
        if self.max_age:
            found["max_age"] = self.max_age
        return found | ({"revalidate": True} if self.revalidate else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One glob a field. An empty one is `*`, but for agent and data class, where empty means none."""

    mission_type: str = "*"
    tool: str = "*"
    effect_class: str = "*"
    agent: str = "*"
    data_class: str = "*"
    decision_class: str = ""  # empty: actions, and no decision of a mission

    def as_json(self) -> dict[str, Json]:
        """What is narrowed."""
        silent = {"agent": {"*"}, "data_class": {"*"}, "decision_class": {""}}
        return {name: glob for name, glob in asdict(self).items() if glob not in silent.get(name, {"", "*"})}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFields:
    """All fields of one rule. What its effect has no use for is kept here and left out of the rule."""

    name: str = ""
    effect: str = "deny"
    when: str = ""
    reason: str = ""
    hold: str = ""
    bar: str = ""
    scope: Scope = field(default_factory=Scope)
    tiers: tuple[Tier, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The rule as a policy file has it, without what says nothing."""
        asks = self.effect == "escalate"
        found: dict[str, Json] = {
            "name": self.name, "scope": self.scope.as_json(), "when": self.when if self.when.strip() else "",
            "bar": _decimal(self.bar) if asks else "", "effect": self.effect,
            "tiers": [tier.as_json() for tier in self.tiers if not tier.is_blank] if asks else [],
            "evidence": [one.as_json() for one in self.evidence if not one.is_blank] if self.effect != "deny" else [],
            "hold": self.hold if asks else "", "reason": self.reason,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value or name in ("name", "effect")}


def as_rule(form: RuleFields, before: Json) -> dict[str, Json]:
    """The rule of a form; `before` itself where the form says the same, so that reading a rule does not rewrite it."""
    made = form.as_json()
    try:
        return dict(before) if of_rule(before).as_json() == made else made
    except NoForm:
        return made


def of_rule(rule: Json) -> RuleFields:
    """The fields of a rule. Raises NoForm for what has no field."""
    _mapping(rule, RULE_KEYS, "the rule")
    scope = _mapping(rule.get("scope", {}), frozenset(SCOPE), "scope")
    return RuleFields(
        **{name: _text(rule[name], name) for name in TEXTS if name in rule},
        scope=Scope(**{name: _text(glob, f"scope.{name}") for name, glob in scope.items()}),
        tiers=tuple(_tier(tier, f"tiers[{at}]") for at, tier in enumerate(_list(rule.get("tiers", []), "tiers"))),
        evidence=tuple(
            _evidence(one, f"evidence[{at}]") for at, one in enumerate(_list(rule.get("evidence", []), "evidence"))
        ),
    )


def _tier(tier: Json, where: str) -> Tier:
    _mapping(tier, TIER_KEYS, where)
    forms = [name for name in ("group", "any_of", "all_of") if name in tier]
    if len(forms) > 1:
        raise NoForm(f"{where} has {' and '.join(forms)} at once")
    how = "all_of" if forms == ["all_of"] else "any_of"
    approvers = [{"group": tier.get("group", "")}] if forms in ([], ["group"]) else _list(tier[forms[0]], where)
    texts = ("name", "quorum", "sla", "expires", "on_expiry", "calendar")
    return Tier(
        how=how, approvers=tuple(_approver(one, where) for one in approvers),
        **{name: _text(tier[name], f"{where}.{name}") for name in texts if name in tier},
        parallel=_tick(tier.get("parallel", False), f"{where}.parallel"), **_distinct(tier.get("distinct_from"), where),
    )  # fmt: skip


def _distinct(names: Json, where: str) -> dict[str, str]:
    if names is None:
        return {}
    written = [_text(name, f"{where}.distinct_from") for name in _list(names, f"{where}.distinct_from")]
    if any("," in name or not name.strip() for name in written):
        raise NoForm(f"{where}.distinct_from holds a name with a comma")
    return {"distinct": "named" if written else "none", "distinct_from": ", ".join(written)}


def _approver(approver: Json, where: str) -> Approver:
    _mapping(approver, APPROVER_KEYS, f"an approver of {where}")
    kinds = [kind for kind in KINDS if kind in approver]
    if len(kinds) != 1:
        raise NoForm(f"an approver of {where} is not one of group, person and attribute")
    fallback = _mapping(approver.get("fallback", {}), frozenset(KINDS[:2]), f"a fallback of {where}")
    if len(fallback) > 1 or (fallback and kinds != ["attribute"]):
        raise NoForm(f"an approver of {where} has a fallback that has no field")
    kind, stand_in = next(iter(fallback.items()), ("group", ""))
    who = _text(approver[kinds[0]], where)
    return Approver(kind=kinds[0], who=who, fallback_kind=kind, fallback=_text(stand_in, where))


def _evidence(demand: Json, where: str) -> Evidence:
    _mapping(demand, EVIDENCE_KEYS, where)
    texts = {name: _text(demand[name], f"{where}.{name}") for name in ("source", "max_age") if name in demand}
    return Evidence(**texts, revalidate=_tick(demand.get("revalidate", False), f"{where}.revalidate"))


def _mapping(value: Json, known: frozenset[str], where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise NoForm(f"{where} is no mapping of names to values")
    unknown = sorted(map(str, value.keys() - known))
    if unknown:
        raise NoForm(f"{where} has the unknown field {unknown[0]}")
    return value


def _list(value: Json, where: str) -> list[Json]:
    if not isinstance(value, list):
        raise NoForm(f"{where} is no list")
    if len(value) > MOST:
        raise NoForm(f"{where} has more than {MOST} items")
    return value


def _text(value: Json, where: str) -> str:
    if isinstance(value, dict | list):
        raise NoForm(f"{where} is no single value")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _tick(value: Json, where: str) -> str:
    if not isinstance(value, bool):
        raise NoForm(f"{where} is neither true nor false")
    return "on" if value else ""


def posted(data: Mapping[str, str]) -> RuleFields:
    """The fields as they were sent under `rule.…`, line ends as the file has them."""
    sent = {name[len(PREFIX) :]: _plain(value) for name, value in data.items() if name.startswith(PREFIX)}
    return RuleFields(
        **_known(RuleFields, sent, ""), scope=Scope(**_known(Scope, sent, "scope.")),
        tiers=tuple(_posted_tier(sent, f"tiers.{at}.") for at in _indices(sent, "tiers.")),
        evidence=tuple(
            Evidence(**_known(Evidence, sent, f"evidence.{at}.")) for at in _indices(sent, "evidence.")
        ),
    )  # fmt: skip


def _posted_tier(sent: Mapping[str, str], prefix: str) -> Tier:
    texts = _known(Tier, sent, prefix)
    approvers = [_known(Approver, sent, f"{prefix}approvers.{at}.") for at in _indices(sent, f"{prefix}approvers.")]
    how = "all_of" if texts.pop("how", "") == "all_of" else "any_of"
    return replace(Tier(), **texts, how=how, approvers=tuple(map(_posted_approver, approvers)))


def _posted_approver(texts: dict[str, str]) -> Approver:
    """Kinds come from a list of choices; another one was forged and means the first."""
    kind, fallback = texts.get("kind"), texts.get("fallback_kind")
    return Approver(
        kind=kind if kind in KINDS else "group", who=texts.get("who", ""),
        fallback_kind=fallback if fallback in KINDS[:2] else "group", fallback=texts.get("fallback", ""),
    )  # fmt: skip


def _known(shape: Any, sent: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The sent texts of a shape's own fields that hold a text."""
    names = (prefix + one.name for one in fields(shape) if one.type == "str")
    return {name.removeprefix(prefix): sent[name] for name in names if name in sent}


def _indices(sent: Iterable[str], prefix: str) -> list[int]:
    found = {name[len(prefix) :].partition(".")[0] for name in sent if name.startswith(prefix)}
    return sorted(int(at) for at in found if INDEX.fullmatch(at))[:MOST]


def _plain(value: str) -> str:
    """Line ends as they were before the browser; NUL, which no text may hold, as its symbol."""
    return value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\N{SYMBOL FOR NULL}")


def _decimal(text: str) -> float | str:
    return float(text) if re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text, re.ASCII) else text


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else text
