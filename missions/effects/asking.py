"""Asking people: an `asked` entry, the decision's upsert, the wait, and the `answered` entry.

The entry comes first, then the upsert, which every replay that ends at the wait repeats; so a crash between the two
loses nothing. The answer comes by the mailbox, also where it came before the mission waited.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from missions.data_classes import common
from missions.effects.acting import MISSION, Actor
from missions.engine import crashpoints
from missions.engine.branches import Wait
from missions.engine.codec import load
from missions.engine.run import Run
from missions.governance import Answer, Choice, DecisionRequest, Intent, Json, Ruling, gate
from missions.secrets.redacting import redact
from missions.tools.spec import ToolSpec


def intent_of(run: Run, *, tool: str, args: Json, **more: Any) -> Intent:
    """An intent in the name of this mission."""
    claimed = run.claimed
    return Intent(
        mission_uid=claimed.uid, mission_type=claimed.type, mission_title=claimed.title,
        owner_id=claimed.started_by_id, tool=tool, args=args, clearance=run.clearance,
        **{"untrusted": tuple(sorted(run.untrusted)), **more},
    )


def action_of(run: Run, spec: ToolSpec, args: Json, actor: Actor = MISSION) -> Intent:
    """The call of a tool as governance sees it."""
    intent = intent_of(
        run, tool=spec.name, args=args, effect_class=spec.effect, retry_safety=spec.retry_safety,
        reversible=bool(spec.compensate), data_class=spec.data_class, agent=actor.agent, untrusted=actor.untrusted,
    )
    less = actor.clearance
    return intent if less is None else replace(intent, clearance=common(intent.clearance, less))


def asked_payload(
    request_id: Any, *, kind: str, sentence: str, digest: str, ruling: Ruling, round: int, why: str = ""
) -> Json:
    """What the journal keeps of a question."""
    return {
        "decision": str(request_id), "kind": kind, "sentence": sentence, "digest": digest, "round": round,
        "tiers": list(ruling.tiers), "reason": why or ruling.reason,
    }


def request_of(
    run: Run, path: str, asked: Json, intent: Intent, ruling: Ruling, *, choices: Sequence[Choice] = (),
    facts: Json | None = None, answers: Json | None = None,
) -> DecisionRequest:
    """The decision that an `asked` entry stands for."""
    shown = replace(intent, args=redact(intent.args))
    return DecisionRequest(
        id=uuid.UUID(asked["decision"]), kind=asked["kind"], mission_id=run.claimed.id, attempt=run.claimed.attempt,
        timeline=run.claimed.timeline, intent=shown, sentence=asked["sentence"], ruling=ruling,
        digest=asked["digest"], evidence=tuple(run.evidence), choices=tuple(choices),
        facts=redact({**(facts or {}), "path": path}), answers=answers or {},
    )


class Overtaken(BaseException):
    """People steer the mission otherwise while this question of a control is open; for the control's end to catch."""

    def __init__(self, decision: uuid.UUID) -> None:
        super().__init__(str(decision))
        self.decision = decision


async def answer_of(
    run: Run, path: str, request: DecisionRequest, *, unless: str = ""
) -> tuple[Answer, int | None] | None:
    """Wait for the answer; it and the seq of the signal that brought it (None where the decision had it already).

    None once a signal of the name `unless` lies there, which makes the question idle. Raises Overtaken.
    """
    name = f"decision:{request.id}"
    while not (unless and run.inbox.has(unless)):
        mail = run.inbox.take(name)
        if mail is not None:
            return Answer.from_json(load(mail.body)), mail.seq
        if run.overtaken:
            raise Overtaken(request.id)
        known = await run.owner.in_database(gate().ask, request)
        crashpoints.reach("decision_upsert")
        if known is not None:
            return known, _seq_of(run, name)
        if not (run.inbox.has(name) or run.inbox.has(unless) or run.overtaken):
            await run.wait(path, Wait(label=name, signals=(name, unless)))
    return None


def _seq_of(run: Run, name: str) -> int | None:
    """The signal with the same answer may lie in the mailbox too; take it along."""
    mail = run.inbox.take(name)
    return mail.seq if mail is not None else None
