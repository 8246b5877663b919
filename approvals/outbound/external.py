"""Decisions that other systems open: an agent that runs elsewhere asks, people answer, and the answer goes back.

Owns `ask` and `withdraw`. What an action may do is ruled on by the gate like a mission's (mission type `external`,
the token's agent): allowed, it is born approved; denied, born rejected with the reason; escalated, it goes to the tiers
of the policies. What the caller says of itself counts for nothing: its `source` is shown to people, the effect class
that it gives can only make things worse, and tiers that it names only add. What names no tool does nothing by itself: a
question, for the tiers that the caller names, or operators.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from approvals import audience, queue, resolution
from approvals.models import Decision, DecisionKind, DecisionState, External
from approvals.outbound import asks, guard
from approvals.outbound.asks import Ask
from missions.engine import stops
from missions.engine.clock import database_now
from missions.errors import StandfastError, UnknownTool
from missions.governance import (
    Answer,
    DecisionRequest,
    EffectClass,
    Intent,
    Json,
    RetrySafety,
    Ruling,
    RulingOutcome,
    gate,
)
from missions.tools import learning

logger = logging.getLogger(__name__)
MISSION_TYPE, QUESTION = "external", "external.question"
MOST_OPEN = 500  # decisions of one caller that wait for people


class KeyUsed(StandfastError):
    """This key opened another decision. Facts: `decision`."""

    code = "key_reused"


class TooManyOpen(StandfastError):
    """Too many decisions that you opened wait for people. Facts: `most`."""

    code = "too_many_open"


class NotTheOpener(StandfastError):
    """Only who opened a decision from outside may withdraw it."""

    code = "permission_denied"


def ask(
    wanted: Ask, *, caller: User, token_id: int | None = None, key: str | None = None,
    resolver: guard.Resolve = guard.resolve,
) -> tuple[Decision, bool]:
    """Open the decision, or find the one that the same caller opened under this key: it, and whether it is new.

    Own transaction. Raises InvalidInput, KeyUsed, TooManyOpen, PayloadTooLarge.
    """
    digest = wanted.digest()
    if key is not None and (known := _known(caller, key)) is not None:
        return _same(known, digest), False
    plans = asks.judged(wanted, caller, resolver)
    if Decision.objects.open().filter(external__opened_by=caller).count() >= MOST_OPEN:
        raise TooManyOpen(f"{MOST_OPEN} decisions that you opened wait for people. Nothing was opened.", most=MOST_OPEN)
    try:
        with transaction.atomic():
            decision = _open(wanted, plans, caller)
            External.objects.create(
                decision=decision, opened_by=caller, token_id=token_id, source=wanted.source, key=key,
                body_digest=digest, callback_url=wanted.callback_url,
            )
    except IntegrityError:
        if key is None or (known := _known(caller, key)) is None:
            raise
        return _same(known, digest), False  # another request with the key was first
    return decision, True


def withdraw(decision: Decision, caller: User, why: str) -> bool:
    """Take a decision back; False where it is settled already. Own transaction. Raises NotTheOpener."""
    if not External.objects.filter(decision=decision, opened_by=caller).exists():
        raise NotTheOpener
    return queue.withdraw(decision.pk, why or "Who asked needs no answer any more.")


def _known(caller: User, key: str) -> External | None:
    return External.objects.select_related("decision").filter(opened_by=caller, key=key).first()


def _same(known: External, digest: str) -> Decision:
    if known.body_digest != digest:
        raise KeyUsed("This key opened another decision. Nothing was opened.", decision=str(known.pk))
    return known.decision


def _open(wanted: Ask, plans: list[Json], caller: User) -> Decision:
    """Write the decision as the ruling wants it; the answer, where there is one at once, goes out like any other."""
    id_ = uuid.uuid4()
    intent = _intent(id_, wanted, caller)
    ruling = _ruled(intent)
    request = DecisionRequest(
        id=id_, kind=DecisionKind.EXTERNAL, mission_id=0, attempt=0, timeline=1, intent=intent, ruling=ruling,
        sentence=wanted.sentence, digest=wanted.digest(), evidence=wanted.evidence, choices=wanted.choices,
        answers=wanted.answers,
    )
    if not wanted.tool:
        request = replace(request, intent=replace(intent, tool=""))
    decision = Decision.objects.create(pk=id_, **_content(request, wanted.source))
    facts = {"action": "decision_opened", "decision": str(id_), "kind": decision.kind, "ruling": str(ruling.outcome)}
    logger.info("Another system asks", extra=facts)
    settled = _born(ruling, plans, bool(wanted.tool))
    if settled is not None:
        at = database_now().isoformat()
        answer = Answer(verdict=str(settled), digest=decision.digest, comment=ruling.reason, at=at)
        resolution.settle(decision, settled, answer)
        audience.refresh(decision)
        return decision
    queue.put_before_people(decision, together(ruling.tiers, plans))
    return decision


def _ruled(intent: Intent) -> Ruling:
    """What policy says, and what no approval helps against: a stop, and evidence that nobody has read for it."""
    ruling = gate().rule(intent)
    why = ""
    if intent.tool != QUESTION and stops.load().of_call(intent.mission_type, intent.tool, intent.agent) is not None:
        why = "It is stopped: a person has to lift the stop first."
    elif ruling.evidence and ruling.outcome is not RulingOutcome.DENY:
        sources = ", ".join(str(one.get("source")) for one in ruling.evidence)
        why = f"A rule demands evidence of {sources}, which only missions can read."
    return replace(ruling, outcome=RulingOutcome.DENY, reason=why) if why else ruling


def _born(ruling: Ruling, plans: list[Json], acts: bool) -> DecisionState | None:
    """How the ruling alone settles it; None where people are asked."""
    if ruling.outcome is RulingOutcome.DENY:
        return DecisionState.REJECTED
    return DecisionState.APPROVED if ruling.outcome is RulingOutcome.ALLOW and acts and not plans else None


def together(ruled: Sequence[Json], own: Sequence[Json]) -> list[Json]:
    """The policies' tiers, then those of the caller that they do not name. The caller's only add: to a tier of both at
    most more people, never fewer, and never another time or end. Pure."""
    named = {_name(tier): tier for tier in own}
    found = [
        {**tier, "quorum": max(int(tier.get("quorum") or 1), int(named[_name(tier)].get("quorum") or 1))}
        if _name(tier) in named else tier
        for tier in ruled
    ]
    return [*found, *(tier for tier in own if _name(tier) not in {_name(one) for one in ruled})]


def _name(tier: Json) -> str:
    return str(tier.get("name") or tier.get("group") or "")


def _intent(id_: uuid.UUID, wanted: Ask, caller: User) -> Intent:
    effect = _effect(wanted.tool, wanted.action) if wanted.tool else EffectClass.READ
    return Intent(
        mission_uid=id_, mission_type=MISSION_TYPE, mission_title=wanted.sentence[:200], owner_id=caller.pk,
        tool=wanted.tool or QUESTION, args=wanted.action.get("args") or {}, effect_class=effect,
        retry_safety=RetrySafety.MANUAL, agent=wanted.agent,
    )


def _effect(tool: str, action: Json) -> EffectClass:
    """What the caller says that it does, or what the tool is known to do where that is more; of an unknown one nobody
    but the caller says that it only reads, so it writes at least."""
    said = EffectClass(action.get("effect_class") or EffectClass.WRITE)
    try:
        known = learning.current_tool(tool).effect
    except UnknownTool:
        known = EffectClass.WRITE
    return max(said, known, key=list(EffectClass).index)


def _content(request: DecisionRequest, source: str) -> dict[str, Any]:
    """The row: as a mission's decision is written, without a mission."""
    facts = {"agent": request.intent.agent, "source": source}
    return {**queue.content(request, 1), "mission_id": None, "facts": facts}
