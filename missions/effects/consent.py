"""People's consent to a call, or their word on what became of one: the entry that asks, and the wait for the answer.

Acts of `missions.effects.call.ToolRun`; which question it is, its entry tells.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from missions.effects import asking, doubt, evidence, keys, standing
from missions.governance import Choice, Json
from missions.models import Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun


def digest_of(op: ToolRun, basis: Sequence[Json]) -> str:
    """The digest of the action as it would be done now; the same when it is asked for and when it is dispatched.

    `basis` are the reads that it rests on, and stay the same in between.
    """
    edit: Json = {"edit": op.progress.edit} if op.progress.edit else {}
    return keys.approval_digest(op.intent, op.sentence, {**edit, **_covered(basis)})


def _covered(basis: Sequence[Json]) -> Json:
    """What the digest covers of the evidence: sources and versions."""
    return {"evidence": [[item["source"], item["version"]] for item in basis]} if basis else {}


async def ask(op: ToolRun) -> None:
    """Open a decision where policy escalates the call."""
    ruling = op.progress.ruling
    if ruling is None:
        raise TypeError("a decision follows a ruling")
    basis = await evidence.at_hand(op)
    if basis is None:
        return
    asked = asking.asked_payload(
        op.next_decision(), kind="action", sentence=op.sentence, ruling=ruling, round=op.progress.round + 1,
        digest=digest_of(op, basis),
    )
    rests: Json = {"evidence": basis} if basis else {}
    await op.record(Kind.ASKED, **asked, **rests)


async def await_answer(op: ToolRun) -> None:
    """Wait for the answer and record it; an effect whose own answer comes late needs none."""
    asked, ruling = op.progress.asked, op.progress.ruling
    choices: tuple[Choice, ...] = ()
    facts: Json = {}
    if asked["kind"] == "action":
        covered = _covered(asked.get("evidence", ()))
        facts = {**op.progress.superseded, **({"covered": covered} if covered else {})}
    elif asked["kind"] == "in_doubt":
        if await doubt.settled_by_late_answer(op, uuid.UUID(asked["decision"])):
            return
        ruling, choices, facts = doubt.RULING, doubt.CHOICES, doubt.facts(op)
    elif asked["kind"] == "standing":
        ruling, choices, facts = standing.RULING, standing.CHOICES, standing.facts(op)
    if ruling is None:
        raise TypeError("an answer follows a ruling")
    request = asking.request_of(op.run, op.path, asked, op.intent, ruling, choices=choices, facts=facts)
    late = f"effect:{op.progress.key}" if asked["kind"] == "in_doubt" else ""
    if (answered := await asking.answer_of(op.run, op.path, request, unless=late)) is not None:
        answer, seq = answered
        await op.record(Kind.ANSWERED, decision=asked["decision"], answer=answer.as_json(), seq=seq)
