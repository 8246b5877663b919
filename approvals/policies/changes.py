"""A change of a policy as a decision of other people: what it would do, who is asked, and whether it still is the same.

Callers hold the policy's row lock. A change is bound by its digest to the rules, to the version in force, to the modes
and to the time: where one of these is another by now, the decision is superseded and asked anew.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from approvals import queue, quorum, resolution, tiers
from approvals.models import (
    Decision,
    DecisionKind,
    DecisionState,
    Mode,
    Policy,
    PolicyChange,
    PolicyVersion,
    VersionState,
)
from approvals.policies import approving, comparing, document, gains, modes, trail, versions
from approvals.policies.modes import Modes
from approvals.policies.trail import Via
from approvals.roll import Roll
from missions.engine import codec

Json = dict[str, Any]
LINES: Final = 100  # of a list that is shown with the decision; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for: a version in force, or another mode (`mode_change`: mode, scope)."""

    version: PolicyVersion | None = None
    mode_change: Json | None = None
    activate_at: dt.datetime | None = None
    note: str = ""
    lines: Json | None = None  # more for the reader: findings, touched

    @classmethod
    def of(cls, change: PolicyChange) -> Wish:
        """What a decision asks for."""
        facts = change.decision.facts
        return cls(
            version=change.version, mode_change=change.mode_change, activate_at=change.activate_at, note=change.note,
            lines={name: facts[name] for name in ("findings", "touches") if name in facts},
        )

    @property
    def what(self) -> str:
        """What it changes, in a word."""
        return "rules" if self.version is not None else "mode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a change would do."""

    sentence: str
    why: tuple[str, ...]  # it loosens; empty: it does not
    lines: tuple[str, ...]  # each difference
    gains: Json


def digest(policy: Policy, wish: Wish) -> str:
    """What an approval is given for: it holds only while none of this changes."""
    in_force = versions.active(policy)
    return codec.digest_of({
        "policy": policy.name,
        "version": [wish.version.number, codec.digest_of(wish.version.rules)] if wish.version else None,
        "in_force": [in_force.number, in_force.digest] if in_force else None,
        "mode": policy.mode, "modes": policy.modes, "mode_change": wish.mode_change,
        "activate_at": wish.activate_at.astimezone(dt.UTC).isoformat() if wish.activate_at else None,
    })  # fmt: skip


def ask(policy: Policy, wish: Wish, by: User) -> Decision:
    """Open the decision, with its tiers. Raises ChangeDenied."""
    effect = _of_version(policy, wish.version) if wish.version is not None else _of_mode(policy, wish.mode_change or {})
    authors = {by.pk, *(lineage(wish.version) if wish.version else ())}
    approval = approving.needed(policy, wish.what, bool(effect.why), authors)
    decision = Decision.objects.create(
        kind=DecisionKind.POLICY_CHANGE, sentence=effect.sentence, digest=digest(policy, wish), requested_by=by,
        action={"tool": "", "args": _args(policy, wish), "effect_class": "write", "args_schema": {}},
        facts=_facts(wish, effect), reversibility="reversible", risk="high" if effect.why else "medium",
        blast={"count": 1, "money": None, "recipients": []}, reason=approval.reason,
        policy_version=approval.policy_version, rules=list(approval.rules),
    )  # fmt: skip
    PolicyChange.objects.create(
        policy=policy, decision=decision, version=wish.version, mode_change=wish.mode_change,
        activate_at=wish.activate_at, note=wish.note, gains=effect.gains,
    )
    queue.put_before_people(decision, approval.tiers)
    _tell_who_is_missing(decision)
    facts = {"digest": decision.digest, "loosens": bool(effect.why)}
    trail.record(policy, "asked", Via(by=by), version=wish.version, decision=decision, why=wish.note, **facts)
    return decision


def _tell_who_is_missing(decision: Decision) -> None:
    """Say in its facts where a tier can not come to its quorum: the change would wait until somebody joins."""
    fresh = tiers.loaded(decision)
    roll = Roll.call([fresh])
    able = {tier: len(quorum.may_vote(fresh, tier, roll)) for tier in fresh.tiers.all()}
    short = [
        f"Approvals needed of {tier.label}: {tier.quorum}; {count or 'nobody'} can give one."
        for tier, count in able.items() if count < tier.quorum
    ]  # fmt: skip
    if short:
        why = "Who wrote a change, or gains by it, does not decide on it."
        decision.facts = {**decision.facts, "people_missing": " ".join([*short, why])}
        decision.save(update_fields=["facts"])


def ask_anew(change: PolicyChange, policy: Policy, why: str) -> Decision | None:
    """Put a fresh decision in the place of one that no longer fits; None where there is nothing to ask any more.

    The caller holds the decision's row too; it is closed as superseded if it is open.
    """
    wish, decision = Wish.of(change), change.decision
    try:
        following = _asked_again(policy, wish, decision.requested_by)
    except approving.ChangeDenied as denied:
        following, why = None, f"{why} {denied}"
    if following is None and wish.version is not None:
        wish.version.state = VersionState.DRAFT
        wish.version.save(update_fields=["state"])
    if decision.is_open:
        resolution.supersede(decision, following, why)
    trail.record(policy, "overtaken", Via(), version=wish.version, decision=decision, why=why)
    return following


def _asked_again(policy: Policy, wish: Wish, by: User | None) -> Decision | None:
    """The fresh decision, in the name of who asked first."""
    return ask(policy, wish, by) if by is not None and _still_means_something(policy, wish) else None


def _still_means_something(policy: Policy, wish: Wish) -> bool:
    if wish.mode_change is None:
        return True
    before = Modes.of(policy.mode, policy.modes)
    return before.changed(*mode_of(wish.mode_change)) != before


def is_outdated(change: PolicyChange, policy: Policy) -> bool:
    """Whether what the decision was asked about is not what there is now."""
    return digest(policy, Wish.of(change)) != change.decision.digest


def lineage(version: PolicyVersion) -> set[int]:
    """Everybody who edited the draft: its authors back to the last version that was in force."""
    found: set[int] = set()
    at: PolicyVersion | None = version
    while at is not None:
        found |= {at.created_by_id} if at.created_by_id else set()
        at = at.base if at.base is not None and at.base.activated_at is None else None
    return found


def open_for(policy: Policy, wish: Wish) -> Decision | None:
    """The open decision that asks for exactly this."""
    found = Decision.objects.filter(
        policy_change__policy=policy, policy_change__version=wish.version, state=DecisionState.OPEN
    )
    if wish.version is None:
        found = found.filter(digest=digest(policy, wish))
    return found.first()


def mode_of(mode_change: Json) -> tuple[Mode | None, Json | None]:
    """The mode and the scope of a change of modes."""
    return (Mode(mode_change["mode"]) if mode_change["mode"] else None), mode_change["scope"]


def _of_version(policy: Policy, version: PolicyVersion) -> Effect:
    in_force = versions.active(policy)
    before, unread = _readable(in_force)
    comparison = comparing.compare(before, version.rules)
    replayed = (version.replay or {}).get("loosens")
    told = ("A replay on history found actions that it rules on less strictly.",) if replayed else ()
    why = (*comparison.why, *told, *unread)
    place = f" in the place of v{in_force.number}" if in_force else ""
    return Effect(
        sentence=f"Put {version} in force{place}{': it loosens the policy' if why else ''}", why=why,
        lines=tuple(comparing.sentences(comparison)),
        gains=gains.of(comparing.rows(before), comparing.rows(version.rules)),
    )


def _readable(version: PolicyVersion | None) -> tuple[list[Json], tuple[str, ...]]:
    """The rules of what is in force; none, and why, where they can not be read: then everything is denied."""
    if version is None:
        return [], ()
    try:
        document.rules_of(version.rules, str(version))
    except document.InvalidPolicy:
        return [], (f"{version} can not be read, so everything is denied while it is in force.",)
    rules: list[Json] = version.rules
    return rules, ()


def _of_mode(policy: Policy, mode_change: Json) -> Effect:
    """Binding less is a loosening; binding more is one where the rules, taken alone, allow what was denied."""
    before, in_force = Modes.of(policy.mode, policy.modes), versions.active(policy)
    mode, scope = mode_of(mode_change)
    after = before.changed(mode, scope)
    written, unread = _readable(in_force)
    rules = comparing.rows(written)
    why = list(unread)
    gained = gains.of([], [])
    if modes.lowers(before, after, scope):
        why.append("Rules that bind now would no longer bind there.")
        gained = gains.of(rules, [])
    if in_force is not None and modes.raises(before, after, scope):
        why += comparing.compare([], written).why
        gained = gains.merged(gained, gains.of([], rules))
    lines = (f"Modes by scope before: {'; '.join(modes.told(before.rows)) or 'none'}.",
             f"Modes by scope after: {'; '.join(modes.told(after.rows)) or 'none'}.")  # fmt: skip
    sentence = modes.sentence(policy.name, mode, scope, before) + (": it loosens the policy" if why else "")
    return Effect(sentence=sentence[:500], why=tuple(why), lines=lines, gains=gained)


def _args(policy: Policy, wish: Wish) -> Json:
    in_force = versions.active(policy)
    asked: Json = {"policy": policy.name, "in_force": in_force.number if in_force else None, "mode": policy.mode}
    if wish.version is not None:
        asked |= {"version": wish.version.number, "rules_digest": wish.version.digest}
    return asked | (wish.mode_change or {})


def _facts(wish: Wish, effect: Effect) -> Json:
    """For people, in words; who gains and what is bound are kept beside the decision."""
    replay = (wish.version.replay or {}) if wish.version else {}
    facts = {
        "note": wish.note, "loosens": shown(effect.why), "changes": shown(effect.lines),
        "activate_at": wish.activate_at.isoformat() if wish.activate_at else "",
        "expected_load": replay.get("load", ""), **(wish.lines or {}),
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value}


def shown(lines: tuple[str, ...] | list[str]) -> str:
    """Lines as one text, cut where there are too many to read."""
    rest = [f"… and {len(lines) - LINES} more."] if len(lines) > LINES else []
    return "\n".join([*lines[:LINES], *rest])
