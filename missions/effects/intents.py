"""What comes before a call that changes the world: its ruling, its intent, and the last look before it is made.

An effect's intent is committed before its call; nothing here calls a tool. Acts of `missions.effects.call.ToolRun`.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings

from missions.effects import admission, charging, consent, doubt, evidence, keys, preparing, standing
from missions.engine import codec, crashpoints
from missions.engine.writes import OpenEffect
from missions.governance import EffectClass, Intent, Json, Ruling, RulingOutcome, beyond_clearance, gate
from missions.models import EffectState, Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

RULED_BYTES = 16 * 1024  # of arguments that an entry of a ruling keeps
EFFECTS_OFF = Ruling(outcome=RulingOutcome.DENY, reason="Effects are off in this fork and in what it starts.")


async def rule(op: ToolRun) -> tuple[Ruling, Intent]:
    """What policy says of the action, and what it was asked: with the period budgets that were looked at.

    An action that people edited is ruled on anew, with their approval in hand.
    """
    intent = op.intent
    if op.run.claimed.effects_off and op.spec.effect is not EffectClass.READ:
        return EFFECTS_OFF, intent
    if (beyond := beyond_clearance(intent)) is not None:
        return beyond, intent
    intent = await charging.informed(op)
    if op.progress.recheck:
        return await op.run.owner.in_database(_confirmed, op, intent), intent
    return await op.run.owner.in_database(gate().rule, intent), intent


def judged(op: ToolRun, ruling: Ruling) -> Json:
    """What was ruled on, to go into the ruling's entry, so that another policy can be tried on it later.

    Empty where no policy was asked. Arguments beyond what rules may read at all are left out, and only their size told.
    """
    if ruling is EFFECTS_OFF:
        return {}
    told, size = op.intent.as_json(), len(codec.dump(op.args))
    if size > RULED_BYTES:
        told = {**told, "args": None, "args_bytes": size}
    return {"intent": told}


def _confirmed(op: ToolRun, intent: Intent) -> Ruling:
    """What policy says of exactly what is to be done, given the approval, if there is one; in a thread of its own.

    The digest is that of the arguments in hand, not the one on record: what differs from the approval is refused.
    """
    approved = op.progress.approved
    decision = uuid.UUID(approved["decision"]) if approved else None
    digest = consent.digest_of(op, approved.get("evidence", ())) if approved else ""
    confirm: Any = gate().confirm  # what was said when it was asked counts for nothing, and may be gone
    confirmed: Ruling = confirm(intent, op.progress.ruling, decision, digest)
    return confirmed


async def open_effect(op: ToolRun) -> None:
    """Record the intent, and the effect with it."""
    claimed, spec, progress = op.run.claimed, op.spec, op.progress
    generation = standing.generation(op)
    key = op.key_of(generation)
    deadline, args_digest = op.deadline(), codec.digest_of(op.args)
    effect = OpenEffect(
        id=keys.effect_id(key), chapter=claimed.chapter, path=op.path, generation=generation,
        tool=spec.name, key=key, args_digest=args_digest, effect_class=spec.effect, retry_safety=spec.retry_safety,
        compensate=spec.compensate, deadline_at=deadline,
    )
    approved = progress.approved or {}
    taken: Json = {"charged": True} if op.charged else {}
    await op.record(
        Kind.INTENT, effect=effect, sentence=op.sentence, args=op.args, args_digest=args_digest, key=key,
        generation=generation, effect_class=spec.effect, retry_safety=spec.retry_safety,
        deadline_at=deadline.isoformat(), compensate=spec.compensate, decision=approved.get("decision"),
        digest=approved.get("digest", ""), **taken,
    )
    crashpoints.reach("after_intent")


async def stands(op: ToolRun) -> bool:
    """Rule again just before dispatch, then make sure that this worker still owns the mission: may the call be made?

    Where it may not, what follows from that is recorded, or it is asked again.
    """
    if admission.stop_over(op) is not None:
        await op.put_off("People stopped it before the call was made.", 0.0)
        return False
    if not await preparing.stands(op):
        return False
    progress = op.progress
    confirmed: Ruling | None = beyond_clearance(op.intent)  # a tool's class may have changed since
    if confirmed is None:
        confirmed = await op.run.owner.in_database(_confirmed, op, await charging.informed(op))
    demanded = evidence.added(op, confirmed)
    if confirmed.outcome is not RulingOutcome.ALLOW or demanded:
        await refused(op, demanded or confirmed.reason)
        return False
    asked_at = time.monotonic()
    await op.run.still_owner()
    crashpoints.reach("after_recheck")
    # A process that was stopped here for long may have been taken over: then it asks again, over the same lane.
    if time.monotonic() - asked_at > settings.MISSIONS_HUNG_SECONDS / 4:
        return False
    if progress.uncertain and not doubt.remembered(op):
        await doubt.ask_person(op, "It may have happened, and the other side no longer knows the key.")
        return False
    if progress.deadline is not None and op.run.is_past(progress.deadline):
        await op.retry("The call's deadline passed before it was made.")
        return False
    return True


async def refused(op: ToolRun, reason: str, by: str = "policy no longer allows it") -> None:
    """Record that an effect with an intent is refused; where it may have happened, people say."""
    if op.progress.uncertain:
        await doubt.ask_person(op, f"It may have happened, and {by}: {reason}")
        return
    await op.record(
        Kind.OUTCOME, settle=EffectState.NOT_DONE, state="not_done", again="rule", key=op.progress.key,
        error={"type": "refused", "message": reason}, sentence=op.sentence, effect_class=op.spec.effect,
    )
