"""What a replay counts: differences, how people had decided, and when which tier is asked. Pure.

Counts of parts add up: nothing is ever counted from rows, of which only some are kept.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from approvals.models import Change, DecisionState
from approvals.simulation.comparing import name_of
from missions.governance import Ruling, RulingOutcome

HOUR_SECONDS: Final = 3600
Hours = dict[str, Counter[int]]  # by tier: hours since the epoch, and how often it is asked in each
Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Count:
    """The counts of some rulings. Keys of `decided` are `change/state of the decision`."""

    read: int = 0
    judged: int = 0
    unrecorded: int = 0  # nobody kept what was ruled on
    faulty: int = 0  # a rule of the candidate ended in an error
    looser: int = 0  # less strict than what is in force
    changes: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    undone: Counter[str] = field(default_factory=Counter)
    present: Hours = field(default_factory=dict)  # asked by what is in force
    would: Hours = field(default_factory=dict)  # asked with the candidate

    def note_load(self, hours: Hours, ruling: Ruling, at: dt.datetime) -> None:
        """Note whom a ruling asks, and in which hour."""
        if ruling.outcome is RulingOutcome.ESCALATE:
            hour = int(at.timestamp()) // HOUR_SECONDS
            for name in {name_of(tier) for tier in ruling.tiers}:
                hours.setdefault(name, Counter())[hour] += 1

    def note_change(self, change: Change, *, decided: str, undone: bool) -> None:
        """Note one difference."""
        self.changes[change] += 1
        if decided:
            self.decided[f"{change}/{decided}"] += 1
        if undone:
            self.undone[change] += 1

    @property
    def differing(self) -> int:
        """How many rulings differ."""
        return self.changes.total()

    def add(self, other: Count) -> None:
        """Take the counts of another part."""
        for name in ("read", "judged", "unrecorded", "faulty", "looser"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("changes", "decided", "undone"):
            getattr(self, name).update(getattr(other, name))
        for name in ("present", "would"):
            for tier, hours in getattr(other, name).items():
                getattr(self, name).setdefault(tier, Counter()).update(hours)

    def as_json(self) -> Json:
        """Plain JSON; the inverse of `from_json`."""
        plain = {name: getattr(self, name) for name in ("read", "judged", "unrecorded", "faulty", "looser")}
        counters = {name: dict(getattr(self, name)) for name in ("changes", "decided", "undone")}
        return {**plain, **counters, "present": _plain(self.present), "would": _plain(self.would)}

    @classmethod
    def from_json(cls, data: Json) -> Count:
        """The inverse of `as_json`."""
        plain: Json = {name: data[name] for name in ("read", "judged", "unrecorded", "faulty", "looser")}
        counters: Json = {name: Counter(data[name]) for name in ("changes", "decided", "undone")}
        return cls(**plain, **counters, present=_hours(data["present"]), would=_hours(data["would"]))


def _plain(hours: Hours) -> Json:
    return {tier: {str(hour): number for hour, number in each.items()} for tier, each in hours.items()}


def _hours(data: Json) -> Hours:
    return {tier: Counter({int(hour): number for hour, number in each.items()}) for tier, each in data.items()}


def people(changes: Mapping[str, int], decided: Mapping[str, int], undone: Mapping[str, int]) -> Json:
    """The counts that reviewers ask for first."""

    def was_decided(ends: Iterable[Change], state: DecisionState) -> int:
        return sum(decided.get(f"{change}/{state}", 0) for change in ends)

    asks_more = (Change.ALLOW_ESCALATE, Change.DENY_ESCALATE)
    return {
        "allows_rejected": was_decided([Change.ESCALATE_ALLOW], DecisionState.REJECTED),
        "allows_expired": was_decided([Change.ESCALATE_ALLOW], DecisionState.EXPIRED),
        "allows_approved": was_decided([Change.ESCALATE_ALLOW], DecisionState.APPROVED),
        "denies_approved": was_decided([Change.ESCALATE_DENY], DecisionState.APPROVED),
        "asks_more": sum(changes.get(change, 0) for change in asks_more),
        "asks_more_undone": sum(undone.get(change, 0) for change in asks_more),
        "asks_less": sum(changes.get(change, 0) for change in (Change.ESCALATE_ALLOW, Change.ESCALATE_DENY)),
        "denies_undone": sum(undone.get(change, 0) for change in (Change.ALLOW_DENY, Change.ESCALATE_DENY)),
    }
