"""Decisions that other systems open: an agent that runs elsewhere asks, people answer, and the answer goes back.

Owns `ask` and `withdraw`. What an action may do is ruled on by the gate like a mission's (mission type `external`,
agent = source): allowed, it is born approved; denied, born rejected with the reason; escalated, it goes to the tiers of
the policies. Tiers that the caller names only add. What names no tool does nothing by itself: a plain question, for the
tiers that the caller names, or operators.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from approvals import audience, queue, resolution
from approvals.models import Decision, DecisionKind, DecisionState, External
from approvals.outbound import guard
from approvals.policies import durations
from missions.engine import codec, stops
from missions.engine.clock import database_now
from missions.errors import InvalidInput, StandfastError, UnknownTool
from missions.governance import (
    Answer,
    Choice,
    DecisionRequest,
    EffectClass,
    Intent,
    Json,
    RetrySafety,
    Ruling,
    RulingOutcome,
    gate,
)
from missions.tools.registry import get_tool

logger = logging.getLogger(__name__)
MISSION_TYPE, QUESTION = "external", "external.question"
MOST_OPEN = 500  # decisions of one caller that wait for people
MOST_TIERS = 5
OPERATORS = {"group": "operators"}  # who answers a question that names nobody


class KeyUsed(StandfastError):
    """This key opened another decision. Facts: `decision`."""

    code = "key_reused"


class TooManyOpen(StandfastError):
    """Too many decisions that you opened wait for people. Facts: `most`."""

    code = "too_many_open"


class NotTheOpener(StandfastError):
    """Only who opened a decision from outside may withdraw it."""

    code = "permission_denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A decision as a system outside wants it. `action` is empty or {tool?, args, effect_class?}."""

    sentence: str
    action: Json
    evidence: tuple[Json, ...] = ()
    choices: tuple[Choice, ...] = ()
    tiers: tuple[Json, ...] = ()  # {group, quorum?}
    due_in: str = ""  # as in policies: 4h
    expires_in: str = ""
    on_expiry: str = "reject"
    callback_url: str = ""
    source: str = ""

    def digest(self) -> str:
        """sha256 over all of it."""
        told = {
            "sentence": self.sentence, "action": self.action, "evidence": list(self.evidence), "source": self.source,
            "choices": [{"value": one.value, "label": one.label} for one in self.choices], "tiers": list(self.tiers),
            "times": [self.due_in, self.expires_in, self.on_expiry], "callback_url": self.callback_url,
        }
        return hashlib.sha256(codec.dump(told)).hexdigest()


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
    plans = _judged(wanted, resolver)
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


def _judged(wanted: Ask, resolver: guard.Resolve) -> list[Json]:
    """The caller's own tiers with their times. Raises InvalidInput for all that can not be taken, PayloadTooLarge."""
    codec.dump([wanted.action, list(wanted.evidence)], limit=queue.CONTENT_BYTES)
    errors: list[dict[str, str]] = []
    seconds = {name: _seconds(name, getattr(wanted, name), errors) for name in ("due_in", "expires_in")}
    known = set(Group.objects.filter(user__is_active=True).values_list("name", flat=True))
    if len(wanted.tiers) > MOST_TIERS:
        errors.append({"field": "tiers", "message": f"At most {MOST_TIERS}."})
    groups = [tier["group"] for tier in wanted.tiers]
    for group in groups:
        if group not in known or groups.count(group) > 1:
            errors.append({"field": "tiers", "message": f"{group[:100]}: a group with members, named once."})
    values = [choice.value for choice in wanted.choices]
    if len(set(values)) != len(values):
        errors.append({"field": "choices", "message": "Each value once."})
    if wanted.callback_url:
        try:
            guard.check(wanted.callback_url, resolver)
        except (guard.Refused, OSError) as refused:
            why = str(refused) if isinstance(refused, guard.Refused) else "Its host can not be resolved."
            errors.append({"field": "callback_url", "message": why})
    if errors:
        raise InvalidInput("Nothing was opened.", errors=errors)
    times = {"sla_seconds": seconds["due_in"], "expires_seconds": seconds["expires_in"], "on_expiry": wanted.on_expiry}
    asked = wanted.tiers or (() if wanted.action.get("tool") else (OPERATORS,))
    return [{**tier, **times} for tier in asked]


def _seconds(name: str, text: str, errors: list[dict[str, str]]) -> int | None:
    try:
        found = durations.seconds(text) if text else None
    except ValueError as error:
        errors.append({"field": name, "message": f"{str(error).capitalize()}."})
        return None
    if found == 0:
        errors.append({"field": name, "message": "Longer than nothing."})
    return found


def _open(wanted: Ask, plans: list[Json], caller: User) -> Decision:
    """Write the decision as the ruling wants it; the answer, where there is one at once, goes out like any other."""
    id_ = uuid.uuid4()
    intent = _intent(id_, wanted, caller)
    ruling = _ruled(intent)
    request = DecisionRequest(
        id=id_, kind=DecisionKind.EXTERNAL, mission_id=0, attempt=0, timeline=1, intent=intent, ruling=ruling,
        sentence=wanted.sentence, digest=wanted.digest(), evidence=wanted.evidence, choices=wanted.choices,
    )
    if not wanted.action.get("tool"):
        request = replace(request, intent=replace(intent, tool=""))
    decision = Decision.objects.create(pk=id_, **_content(request, wanted.source))
    facts = {"action": "decision_opened", "decision": str(id_), "kind": decision.kind, "ruling": str(ruling.outcome)}
    logger.info("Another system asks", extra=facts)
    settled = _born(ruling, plans, bool(wanted.action.get("tool")))
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
    tool = str(wanted.action.get("tool") or "")
    effect = _effect(tool, wanted.action) if tool else EffectClass.READ
    return Intent(
        mission_uid=id_, mission_type=MISSION_TYPE, mission_title=wanted.sentence[:200], owner_id=caller.pk,
        tool=tool or QUESTION, args=wanted.action.get("args") or {}, effect_class=effect,
        retry_safety=RetrySafety.MANUAL, agent=wanted.source,
    )


def _effect(tool: str, action: Json) -> EffectClass:
    """What the caller says that it does, or what the tool is known to do where that is more."""
    said = EffectClass(action.get("effect_class") or EffectClass.WRITE)
    try:
        known = get_tool(tool).effect
    except UnknownTool:
        return said
    return max(said, known, key=list(EffectClass).index)


def _content(request: DecisionRequest, source: str) -> dict[str, Any]:
    """The row: as a mission's decision is written, without a mission."""
    return {**queue.content(request, 1), "mission_id": None, "facts": {"agent": source, "source": source}}
