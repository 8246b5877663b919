"""The port between the engine and governance: Intent in, Ruling out, and decisions that people answer.

The engine knows only this module. The setting MISSIONS_GATE names the class that implements `Gate`; without one the
default gate denies every write. Methods are synchronous and own their transactions; the engine calls them in a thread.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from missions import data_classes

Json = dict[str, Any]
CLEARANCE = ("clearance",)  # the rules of a ruling that no policy made

OF_MISSION = ("mission_uid", "mission_type", "mission_title")  # the fields of an intent that its mission tells


class EffectClass(StrEnum):
    """What a tool does to the world."""

    READ = "read"  # changes nothing
    WRITE = "write"  # changes something that can be undone or corrected
    IRREVERSIBLE = "irreversible"  # can never be taken back


class RetrySafety(StrEnum):
    """How an effect in doubt may be resolved."""

    KEYED = "keyed"  # the other side deduplicates by key: call again with the same key
    VERIFIABLE = "verifiable"  # a probe tells whether it happened
    MANUAL = "manual"  # only a person can tell


class RulingOutcome(StrEnum):
    """What policy says of an intent."""

    ALLOW = "allow"  # go on
    DENY = "deny"  # never
    ESCALATE = "escalate"  # ask people first


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An action that a mission asks to take. `args` are plain JSON, valid against the tool's schema."""

    mission_uid: uuid.UUID
    mission_type: str
    mission_title: str
    owner_id: int | None  # the user who started the mission
    tool: str
    args: Json
    effect_class: EffectClass
    retry_safety: RetrySafety
    reversible: bool = False  # whether the tool names a compensation
    data_class: str = ""  # of what the tool, or the document that is asked for, holds
    agent: str = ""
    untrusted: tuple[str, ...] = ()  # the sources outside our trust that whoever asks has read from, by name
    decision_class: str = ""  # where it is no action but a decision of the mission itself: `Context.decide`
    decision: Json = field(default_factory=dict)  # of such a one: class, name, confidence (absent: none), findings
    clearance: data_classes.Clearance = data_classes.DEFAULT  # the mission's
    budgets: tuple[Json, ...] = ()  # the period budgets it comes under: name, counts, spent, left (decimal texts)

    def as_json(self) -> Json:
        """What the journal keeps beside the ruling: all but the mission's own facts, which it has already."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in OF_MISSION}

    @classmethod
    def from_json(cls, data: Json, **mission: Any) -> Intent:
        """The inverse of `as_json`, with the mission's facts; unknown fields are ignored."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        kinds = {"effect_class": EffectClass(data["effect_class"]), "retry_safety": RetrySafety(data["retry_safety"])}
        return cls(**{**known, **kinds, **mission})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Policy's answer, as recorded in the journal. `tiers` are plain JSON that only the gate interprets."""

    outcome: RulingOutcome
    reason: str
    policy_version: str = ""  # "NAME vN", empty where no policy spoke
    rules: tuple[str, ...] = ()  # the names of the rules that decided
    tiers: tuple[Json, ...] = ()
    trace: tuple[Json, ...] = ()  # per rule: name, state, error
    hold_seconds: float = 0  # how long an approval may be taken back before it is given
    evidence: tuple[Json, ...] = ()  # demands: source (a tool that reads), max_age_seconds or null, revalidate
    context_digest: str = ""  # sha256 in hex over all that the rules read, but the time; empty where none read

    @property
    def unevaluated(self) -> list[str]:
        """The names of the rules that decided although their condition failed with an error."""
        failed = (entry.get("name", "") for entry in self.trace if entry.get("state") == "error")
        return [name for name in failed if name in self.rules]

    def as_json(self) -> Json:
        """The form in which the journal keeps it."""
        return {**asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_json(cls, data: Json) -> Ruling:
        """The inverse of `as_json`; tolerates records of a version that knew fewer fields."""
        lists = {name: tuple(data.get(name, ())) for name in ("rules", "tiers", "trace", "evidence")}
        return cls(
            outcome=RulingOutcome(data["outcome"]), reason=data["reason"], policy_version=data["policy_version"],
            hold_seconds=data.get("hold_seconds", 0), context_digest=data.get("context_digest", ""), **lists,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to answer a decision that is not plain approval."""

    value: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """A decision that a mission needs. The same id is sent again on each replay that ends at the wait."""

    id: uuid.UUID  # uuid5(mission uid, timeline, chapter, path, round)
    kind: str  # action, question, validation, in_doubt
    mission_id: int
    attempt: int  # the upsert holds only while (mission_id, attempt) still match
    timeline: int
    intent: Intent
    sentence: str  # plain words for people
    ruling: Ruling
    digest: str  # over all that is approved; a vote must name it
    evidence: tuple[Json, ...] = ()
    choices: tuple[Choice, ...] = ()
    facts: Json = field(default_factory=dict)  # kind-specific: proposal, key, why in doubt
    answers: Json = field(default_factory=dict)  # of a question: {form: text | options | schema, schema?}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a decision ended; travels as the payload of the signal `decision:ID`."""

    verdict: str  # approved, rejected, changes_requested, expired, withdrawn, superseded
    digest: str
    by: tuple[str, ...] = ()  # the voters who counted
    at: str = ""  # RFC 3339
    comment: str = ""
    reason_code: str = ""
    choice: str = ""  # of the request's choices
    edited_args: Json | None = None  # what was approved instead of what was asked for
    edit: int = 0  # how often the arguments were changed; part of the digest, so that no earlier one comes back
    reference: str = ""  # in doubt, happened: the other side's reference
    value: Any = None  # the answer to a question: text, or what its schema says

    def as_json(self) -> Json:
        """The form in which mailbox and journal keep it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Answer:
        """The inverse of `as_json`; unknown fields are ignored."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        known["by"] = tuple(known.get("by", ()))
        return cls(**known)


def beyond_clearance(intent: Intent) -> Ruling | None:
    """The denial of an intent whose data class its mission is not cleared for; None where it is. No policy lifts it."""
    if data_classes.covers(intent.clearance, intent.data_class):
        return None
    cleared = ", ".join(data_classes.opened(intent.clearance)) or "nothing that bears a class"
    reason = f"The data is {intent.data_class}, and this mission is cleared for {cleared} only."
    return Ruling(outcome=RulingOutcome.DENY, reason=reason, rules=CLEARANCE)


class Gate(Protocol):
    """What the engine asks of governance."""

    def rule(self, intent: Intent) -> Ruling:
        """Say what policy holds of the intent now. Never raises for a policy's fault: that is a denial."""

    def ask(self, request: DecisionRequest) -> Answer | None:
        """Open the decision, or find it open; returns its answer where it already has one.

        Another digest under the same mission, timeline, chapter and path supersedes an open decision. Does nothing and
        returns None where the mission's attempt is no longer `request.attempt` (checked under FOR SHARE).
        """

    def withdraw(self, decision_id: uuid.UUID, why: str) -> None:
        """The mission needs no answer any more; does nothing to a decision that is settled."""

    def supersede(self, decision_id: uuid.UUID, why: str, changed: Sequence[Json]) -> None:
        """What an approval rests on has changed, so it counts no more; `changed` tells for each source how.

        Does nothing to a decision that ended otherwise.
        """

    def outdate(self, decision_id: uuid.UUID, answer: Answer) -> None:
        """What it asks rests on a goal that is amended: it closes as superseded, with this answer for the mission.

        An approval that is held closes too. Does nothing to a decision that ended otherwise, or that is not there.
        """

    def confirm(self, intent: Intent, ruling: Ruling, decision_id: uuid.UUID | None, digest: str) -> Ruling:
        """Rule again just before dispatch. Allows only if policy still allows, or if the decision `decision_id` was
        approved for exactly `digest` by people who may still approve it and covers all tiers now required."""


class DenyWrites:
    """The gate without a policy: reads are allowed, all else is denied."""

    def rule(self, intent: Intent) -> Ruling:
        if intent.effect_class is EffectClass.READ:
            return Ruling(outcome=RulingOutcome.ALLOW, reason="Reads are allowed.")
        return Ruling(outcome=RulingOutcome.DENY, reason="No policy allows this, so it is denied.")

    def ask(self, request: DecisionRequest) -> Answer | None:
        at = dt.datetime.now(dt.UTC).isoformat()
        return Answer(verdict="rejected", digest=request.digest, comment="There is no decision queue here.", at=at)

    def withdraw(self, decision_id: uuid.UUID, why: str) -> None:
        return None

    def supersede(self, decision_id: uuid.UUID, why: str, changed: Sequence[Json]) -> None:
        return None

    def outdate(self, decision_id: uuid.UUID, answer: Answer) -> None:
        return None

    def confirm(self, intent: Intent, ruling: Ruling, decision_id: uuid.UUID | None, digest: str) -> Ruling:
        return self.rule(intent)


@functools.cache
def gate() -> Gate:
    """The gate that MISSIONS_GATE names."""
    path = getattr(settings, "MISSIONS_GATE", "")
    built: Gate = import_string(path)() if path else DenyWrites()
    return built
