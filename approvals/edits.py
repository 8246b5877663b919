"""Approving with other arguments: what is asked changes, earlier votes are void, and the editor's own does not count.

Callers hold the decision's row lock. The digest is the one that the mission makes of the same arguments, so that the
executor refuses everything else; the number of the edit is part of it, so that no earlier digest ever comes back.
"""

from __future__ import annotations

from approvals import exposure, likeness, tiers
from approvals.ballots import under
from approvals.intents import intent_of, tool_of
from approvals.models import Decision, DecisionKind, Tier, TierState
from approvals.refusals import BadVote
from missions.effects import differing, evidence, keys
from missions.engine.readings import Readings
from missions.errors import InvalidInput
from missions.governance import Json, Ruling, RulingOutcome, gate
from missions.tools import learning
from missions.tools.arguments import SchemaArguments

SENTENCE_LENGTH, EDITS = 500, 50


def why_not(decision: Decision) -> str | None:
    """Why its arguments can not be edited; None where they can."""
    if decision.kind != DecisionKind.ACTION or not decision.tool or decision.mission is None:
        return "Only the arguments of an action can be edited."
    if not schema_of(decision).get("properties"):
        return "The tool's schema is not known, so its arguments can not be edited."
    if tool_of(decision) is None:
        learning.refresh()  # it may have come since this process looked
    if tool_of(decision) is None:
        return "This server does not know the tool, so its arguments can not be edited here."
    return f"They were edited {EDITS} times; reject it instead." if decision.edits >= EDITS else None


def schema_of(decision: Decision) -> Json:
    """The JSON Schema of the arguments, as it was when it was asked."""
    schema: Json = decision.action.get("args_schema") or {}
    return schema


def checked(decision: Decision, args: Json) -> tuple[Json, Ruling]:
    """The edited arguments as plain JSON, and how policy rules on them.

    Raises BadVote with errors by field, also where policy denies them, or demands evidence that was not read for them.
    """
    learning.refresh()
    if refusal := why_not(decision):
        raise BadVote([{"field": "edited_args", "message": refusal}])
    spec = tool_of(decision)
    assert spec is not None
    try:
        plain = SchemaArguments(schema_of(decision)).check(args)
        plain = spec.check_args(plain) if spec.arguments.known else plain
    except InvalidInput as refused:
        raise BadVote(list(under("edited_args", refused))) from refused
    if plain == decision.action["args"]:
        raise BadVote([{"field": "edited_args", "message": "Nothing is changed; approve it as it is."}])
    ruling = gate().rule(intent_of(decision, plain))
    if denied := _why_denied(decision, ruling, plain):
        raise BadVote([{"field": "edited_args", "message": f"Policy denies this: {denied}"}])
    return plain, ruling


def _why_denied(decision: Decision, ruling: Ruling, args: Json) -> str:
    """In words; empty where it is not. The mission will not read for the edited arguments what it has not read yet."""
    if ruling.outcome is RulingOutcome.DENY:
        return ruling.reason
    if not ruling.evidence or decision.mission_id is None:
        return ""
    readings = Readings()
    for reading in differing.readings_of(decision.mission_id):
        readings.add(reading)
    unread = [one["source"] for one in ruling.evidence if readings.latest(one["source"], args) is None]
    return f"Evidence is missing: “{evidence.title(unread[0])}” was not read for this." if unread else ""


def apply(decision: Decision, editor_id: int, args: Json, ruling: Ruling) -> None:
    """Ask for these arguments instead, from the first tier on. Both are as `checked` returned them."""
    spec = tool_of(decision)
    assert spec is not None
    intent, sentence = intent_of(decision, args), spec.describe(args)
    decision.edits += 1
    decision.hold_seconds = max(decision.hold_seconds, ruling.hold_seconds)
    covered = {"edit": decision.edits, **decision.facts.get("covered", {})}  # the evidence stays the same
    decision.digest = keys.approval_digest(intent, sentence, covered)
    decision.sentence = " ".join(sentence.split())[:SENTENCE_LENGTH]
    decision.action = {**decision.action, "args": args}
    decision.editors = sorted({*decision.editors, editor_id})
    reach = exposure.assess(decision.kind, intent)
    decision.reversibility, decision.blast, decision.risk = reach.reversibility, reach.blast, reach.risk
    decision.searched = likeness.searched(decision.sentence, intent.mission_title)
    decision.subject, decision.band = likeness.subject_of(args), likeness.band_of(reach.blast)
    decision.save(update_fields=[
        "edits", "digest", "sentence", "action", "editors", "reversibility", "blast", "risk", "searched", "subject",
        "band", "hold_seconds",
    ])
    _start_over(decision)


def _start_over(decision: Decision) -> None:
    """Every tier votes again; one that ran out of time and was escalated stays answered for by the next."""
    tiers.begin_again(Tier.objects.filter(decision=decision, state__in=(TierState.OPEN, TierState.MET)))
    tiers.open_next(decision)
