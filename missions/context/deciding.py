"""Decisions of the mission itself: recorded, held to what policy demands, and looked at again by people where it fails.

What policy says is asked once and recorded with the decision, so that replay asks nobody. Nothing comes between a
decision that needs a second look and that look: the next effect waits for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from missions.context.base import Calls
from missions.effects import asking
from missions.effects.questions import Question, Validator, findings_of
from missions.engine import codec, guard
from missions.engine.branches import durable
from missions.errors import Denied
from missions.governance import EffectClass, Intent, Json, RetrySafety, Ruling, RulingOutcome, gate
from missions.models import Kind

CLASS_LENGTH = 100
RESTS_ON = 20  # the latest results before a decision, kept with it as what it rests on
TIERS: tuple[Json, ...] = ({"group": "supervisors", "quorum": 1},)


class Deciding(Calls):
    """The calls by which a mission decides."""

    @durable
    async def decide(
        self, name: str, proposal: Any, *, confidence: float | None = None, alternatives: Sequence[Any] = (),
        evidence: Sequence[Any] = (), validators: Sequence[Validator] = (), tiers: Sequence[Json] | None = None,
        decision_class: str = "",
    ) -> Any:
        """Record a decision of the mission, immutable from then on, and return the proposal as plain JSON.

        `confidence` is 0 to 1. A failed validator, a missing confidence, or one under the bar stops the mission here
        until people have looked at it: the bar of the policies for its `decision_class` (by default its name), else
        MISSIONS_CONFIDENCE_BAR. Policy names who looks, else `tiers`. Raises Denied, Rejected, Expired,
        ChangesRequested, ValueError.
        """
        _check(confidence, decision_class or name)
        path = self._here.path(name)
        plain = codec.load(codec.dump({"proposal": proposal, "alternatives": alternatives, "evidence": evidence}))
        told = {**plain, "confidence": confidence, **({"class": decision_class} if decision_class else {})}
        input_hash = codec.input_hash([plain, confidence, *([decision_class] if decision_class else [])])
        entry = await self._run.recorded(path, input_hash, lambda: told)
        if entry is None:
            payload = await self._judged(name, decision_class or name, plain, confidence, validators)
            await self._record(Kind.DECIDED, path, payload, input_hash)
        elif entry.kind == Kind.DECIDED:
            payload = entry.payload
        else:
            self._run.unexpected(entry, path)
        await self._second_look(path, payload, tiers or TIERS)
        return payload["proposal"]

    async def _judged(
        self, name: str, class_: str, plain: Json, confidence: float | None, validators: Sequence[Validator]
    ) -> Json:
        """What the journal keeps of a decision: it, what speaks against it, and what policy says."""
        proposal = plain["proposal"]
        failed = await guard.under(self._run.scope, findings_of(proposal, validators))
        facts: Json = {"class": class_, "name": name, "findings": len(failed)}
        if confidence is not None:
            facts["confidence"] = float(confidence)
        ruling: Ruling = await self._run.owner.in_database(gate().rule, self._intent(class_, facts, proposal))
        title = name.replace("-", " ").replace("_", " ").capitalize()
        return {
            "name": name, "title": title, "class": class_, **plain, "confidence": confidence,
            "findings": [*failed, *_doubts(confidence, ruling)], "ruling": ruling.as_json(),
            "rests_on": [one["seq"] for one in list(self._run.evidence)[-RESTS_ON:]],
        }

    def _intent(self, class_: str, facts: Json, proposal: Any) -> Intent:
        return asking.intent_of(
            self._run, tool="", args={"proposal": proposal}, effect_class=EffectClass.READ,
            retry_safety=RetrySafety.KEYED, decision_class=class_, decision=facts,
        )

    async def _second_look(self, path: str, payload: Json, tiers: Sequence[Json]) -> None:
        """Have people look at a decision that something speaks against. Raises what `decide` does."""
        ruling = Ruling.from_json(payload["ruling"]) if "ruling" in payload else None
        if ruling is not None and ruling.outcome is RulingOutcome.DENY:
            raise Denied(ruling.reason)
        if not payload["findings"]:
            return
        asked = ruling.tiers if ruling is not None and ruling.tiers else tiers
        details = {key: payload[key] for key in ("proposal", "confidence", "alternatives", "findings")}
        sentence = f"{payload['title']}: go on with this decision?"
        question = Question(
            self._run, f"{path}/second-look", kind="validation", sentence=sentence, details=details, tiers=asked
        )
        question.by_policy = ruling
        await question.answer()


def _check(confidence: float | None, class_: str) -> None:
    if confidence is not None and not 0 <= confidence <= 1:  # NaN is in no range
        raise ValueError(f"A confidence is a number from 0 to 1, not {confidence!r}.")
    if not (0 < len(class_) <= CLASS_LENGTH and class_.isprintable()):
        raise ValueError(f"A decision's class has 1 to {CLASS_LENGTH} printable characters.")


def _doubts(confidence: float | None, ruling: Ruling) -> list[str]:
    """What speaks against going on beside the validators: no confidence, too little of it, or a rule that asks."""
    bar = settings.MISSIONS_CONFIDENCE_BAR
    if ruling.outcome is RulingOutcome.ESCALATE:
        return [ruling.reason]
    if confidence is None:
        return ["No confidence was given."]
    if not ruling.rules and confidence < bar:  # a rule that allows it has a say instead of the bar of all
        return [f"The confidence of {confidence:.0%} is under the bar of {bar:.0%}."]
    return []
