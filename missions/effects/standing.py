"""Effects that stand on a timeline that was left: the new one adopts them, or asks people; it never repeats them.

The same arguments: the outcome is adopted. Other arguments: a decision, since what stands can not be made undone by
wanting something else. An effect that was undone, or certainly never happened, leaves only its generation behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from missions.effects import asking, keys
from missions.engine import codec, history
from missions.engine.claims import Standing
from missions.governance import Choice, Json, Ruling, RulingOutcome
from missions.models import EffectState, Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

STANDS = (EffectState.DONE, EffectState.IN_DOUBT, EffectState.INTENDED)  # it happened, or may have
OPERATORS = ({"group": "operators", "quorum": 1},)
RULING = Ruling(
    outcome=RulingOutcome.ESCALATE, reason="What was done before stands, and the new timeline wants something else.",
    tiers=OPERATORS,
)
CHOICES = (
    Choice(value="adopt", label="Keep what was done and go on with its result"),
    Choice(value="both", label="Do the new one as well"),
    Choice(value="stop", label="Stop here"),
)


def of(op: ToolRun) -> Standing | None:
    """What an earlier timeline left at this path."""
    claimed = op.run.claimed
    left = claimed.standing.get((claimed.chapter, op.path))
    return left if left is not None and left.timeline < claimed.timeline else None


def generation(op: ToolRun) -> int:
    """The generation of the next intent at this path."""
    left = of(op)
    return max(op.progress.generation, left.generation + 1 if left is not None else 1)


async def settle(op: ToolRun) -> bool:
    """Before anything is ruled on: adopt what stands, or ask about it; False where nothing stands in the way."""
    left = of(op)
    if left is None or left.state not in STANDS or op.progress.both:
        return False
    if left.state == EffectState.DONE and left.args_digest == codec.digest_of(op.args):
        await adopt(op)
        return True
    known = "It was done before, and the new timeline wants something else"
    if left.state != EffectState.DONE:  # its tool was unknown to the rollback, or a person could not tell
        known = "Nobody knows whether this was done before"
    sentence = f"{known}: {op.sentence}"
    digest = keys.approval_digest(op.intent, sentence, {"stands": left.key})
    await op.record(Kind.ASKED, **asking.asked_payload(
        op.next_decision(), kind="standing", sentence=sentence, digest=digest, ruling=RULING,
        round=op.progress.round + 1,
    ))
    return True


async def adopt(op: ToolRun) -> None:
    """Take the outcome that stands for this call's own."""
    left = of(op)
    if left is None:
        raise TypeError("nothing stands here")
    if left.state == EffectState.DONE:
        outcome = await op.run.owner.in_database(_outcome, op.run.claimed.id, left.outcome_seq)
    else:  # people say that it was done; what it answered nobody knows
        lost = {"type": "unknown_result", "message": "It was done, and what it answered is not known."}
        outcome = {"state": "done", "usable": False, "result_digest": "", "error": lost}
    words = {"key": left.key, "adopted": True, "why": f"It was done on timeline {left.timeline} and stands."}
    await op.record(
        Kind.OUTCOME, sentence=op.sentence, effect_class=op.spec.effect, **{**outcome, **words}
    )


def _outcome(mission_id: int, seq: int) -> Json:
    """The part of a recorded outcome that holds the result."""
    (entry,) = history.entries(mission_id, after=seq - 1, limit=1)
    kept = ("state", "result", "usable", "result_digest", "error", "reference")
    return {name: entry.payload[name] for name in kept if name in entry.payload}


def facts(op: ToolRun) -> Json:
    """What the reviewer needs to compare the two."""
    left = of(op)
    return {"stands": left.key if left else "", "stands_seq": left.seq if left else 0, "tool": op.spec.name}
