"""Finding out whether an effect in doubt happened, by what its tool declares.

keyed: call again with the same key, as long as the other side remembers it. verifiable: probe; "not found" counts only
after the call's deadline, since a call may still be on its way until then. manual, and whatever those two can not
settle: ask a person.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

from missions.effects import asking, dispatch, keys
from missions.effects.progress import Progress
from missions.engine import controls
from missions.engine.branches import Wait
from missions.engine.codec import load
from missions.governance import Answer, Choice, Json, RetrySafety, Ruling, RulingOutcome, gate
from missions.models import EffectState, Kind

if TYPE_CHECKING:
    from missions.effects.call import ToolRun

RESTORED = "A backup was restored; this may have happened already."
KEYED_TRIES, KEYED_CUTS, PROBES = 8, 8, 12  # then a person is asked
DEATHS = 20  # the same: what a call records keeps it out of quarantine, and this one may be what kills its workers
GRACE = dt.timedelta(seconds=2)  # after the deadline: longer than a call of ours may still be waited for
CHOICES = (
    Choice(value="happened", label="It happened: here is the reference"),
    Choice(value="retry", label="It did not happen: do it"),
    Choice(value="roll_back", label="Stop, and undo what was done before"),
)
RULING = Ruling(outcome=RulingOutcome.ESCALATE, reason="Nobody but a person can tell whether this happened.")


async def begin(op: ToolRun, *, forgotten: bool) -> None:
    """Record that nobody knows what came of the call: a worker stopped, or a restored backup forgot."""
    why = RESTORED if forgotten else "The worker stopped before it could record what came of the call."
    await op.record(Kind.DOUBT, settle=EffectState.IN_DOUBT, key=op.progress.key, why=why, restored=forgotten)


async def resolve(op: ToolRun) -> None:
    """One act towards a definite outcome."""
    answer = op.progress.answer
    if answer is not None and op.progress.asked.get("kind") == "in_doubt":
        await _apply(op, answer)
    elif (mail := op.run.inbox.take(f"effect:{op.progress.key}")) is not None:
        await _adopt(op, load(mail.body), "The answer came late.")
    elif op.progress.forgotten:
        await _recall(op)
    elif op.spec.retry_safety is RetrySafety.KEYED and _may_call_again(op.progress) and remembered(op):
        await _call_again(op)
    elif _may_probe(op):
        await _probe(op)
    else:
        await ask_person(op, "There was no definite answer.")


async def _recall(op: ToolRun) -> None:
    """A backup was restored: never call again blindly, keyed or not, since keys may be forgotten over there as well."""
    if op.spec.probe is not None and op.progress.probes < PROBES:
        await _probe(op)
    else:
        await ask_person(op, RESTORED)


def remembered(op: ToolRun) -> bool:
    """Whether the other side still knows the key of the first call."""
    intent, ttl = op.progress.intent, op.spec.key_ttl_seconds
    if intent is None or ttl is None:
        return True
    made_at = dt.datetime.fromisoformat(intent["deadline_at"]) - dt.timedelta(seconds=op.spec.timeout_seconds)
    return not op.run.is_past(made_at + dt.timedelta(seconds=ttl))


def _may_call_again(progress: Progress) -> bool:
    """Whether there is hope that a keyed call is answered: workers that stopped are no sign of the other side's."""
    return progress.tries - progress.cuts < KEYED_TRIES and progress.cuts <= KEYED_CUTS


def _may_probe(op: ToolRun) -> bool:
    """Whether to look it up: also what is keyed, where worker after worker stopped before it had an answer."""
    apt = op.spec.retry_safety is RetrySafety.VERIFIABLE or (op.progress.cut and op.spec.probe is not None)
    return apt and op.progress.probes < PROBES


async def _call_again(op: ToolRun) -> None:
    if op.progress.cut or op.progress.tries == op.progress.cuts:
        await op.retry("The other side counts the same key once.")
    else:
        await op.put_off("There was no definite answer; it is asked again with the same key.")


async def _probe(op: ToolRun) -> None:
    progress = op.progress
    if progress.resume_at is not None and not op.run.is_past(progress.resume_at):
        await op.run.wait(op.path, Wait(label=f"tool:{op.spec.name}", wake_at=progress.resume_at))
        return
    deadline = (progress.deadline or op.run.clock.now()) + GRACE
    over = op.run.is_past(deadline)  # read before the probe: what it finds then is the state after the deadline
    found = await dispatch.probe(op.run, op.spec, dispatch.call_of(op), op.args)
    for_people = found.found is None and found.final
    settled = found.found is True or (over and (found.found is False or for_people))
    resume_at = None
    if not settled:
        until = deadline if found.found is False or for_people else op.later(None, progress.probes + 1)
        resume_at = until.isoformat()
    await op.record(Kind.PROBED, key=progress.key, found=found.found, detail=found.detail, resume_at=resume_at)
    if found.found is True:
        await _adopt(op, {**await dispatch.kept(found.result), "reference": found.reference}, found.detail)
    elif settled and not for_people and progress.deaths >= DEATHS:
        await ask_person(op, f"It did not happen, and {progress.deaths} workers have stopped in this call.")
    elif settled and for_people:
        await ask_person(op, found.detail)
    elif settled:
        await _not_done(op, "The other side knows nothing of it, and its deadline has passed.")


async def _adopt(op: ToolRun, outcome: Json, why: str) -> None:
    await op.record(
        Kind.OUTCOME, settle=EffectState.DONE, key=op.progress.key, adopted=True, why=why, sentence=op.sentence,
        effect_class=op.spec.effect, **outcome,
    )


async def _not_done(op: ToolRun, why: str) -> None:
    if op.progress.forgotten:  # under this very key nothing happened, so it may be used; a later one is as doubtful
        await op.retry(why)
        return
    await op.record(
        Kind.OUTCOME, settle=EffectState.NOT_DONE, key=op.progress.key, state="not_done", again="call",
        error={"type": "not_done", "message": why}, sentence=op.sentence, effect_class=op.spec.effect,
    )


async def look_up(op: ToolRun, why: str) -> None:
    """It may not be called again: find out whether it happened, by the tool's probe, else by people."""
    if op.spec.probe is not None and op.progress.probes < PROBES:
        await _probe(op)
    else:
        await ask_person(op, why)


async def settled_by_late_answer(op: ToolRun, decision_id: uuid.UUID) -> bool:
    """Whether the call has answered after all while a person was being asked; then nobody needs to answer any more."""
    mail = op.run.inbox.take(f"effect:{op.progress.key}")
    if mail is None:
        return False
    why = "The call has answered after all."
    await op.run.owner.in_database(gate().withdraw, decision_id, why)
    await _adopt(op, load(mail.body), why)
    return True


async def _apply(op: ToolRun, answer: Answer) -> None:
    """Do what the person said; an answer that says nothing (expired, withdrawn) is asked for again."""
    who = ", ".join(answer.by)
    if answer.choice == "happened":
        result = {"state": "done", "result": {"reference": answer.reference}, "reference": answer.reference}
        await _adopt(op, result, f"{who} says that it happened.")
    elif answer.choice == "retry":
        await _not_done(op, f"{who} says that it did not happen.")
    elif answer.choice == "roll_back":
        await _give_up(op, who)
    else:
        await ask_person(op, "The question was left unanswered.")


async def _give_up(op: ToolRun, who: str) -> None:
    """The mission ends and what it did before is undone; this effect stays in doubt, on the record."""

    def cancel() -> None:
        controls.request(
            op.run.claimed.id, "cancel", reason=f"{who} stopped here: {op.sentence}", by=who,
            key=f"control:{op.progress.key}", compensate=True,
        )

    await op.run.owner.in_database(cancel)
    if not op.run.of_control:
        op.run.close({"verb": "cancel"})
        await op.run.put_back(op.path)
        return
    await op.record(
        Kind.OUTCOME, key=op.progress.key, state="unknown", sentence=op.sentence, effect_class=op.spec.effect,
        error={"type": "stopped", "message": f"{who} stopped here."},
    )


async def ask_person(op: ToolRun, why: str) -> None:
    """Open a decision of kind in_doubt."""
    sentence = f"Did this happen? {op.sentence}"
    digest = keys.approval_digest(op.intent, sentence, {"key": op.progress.key, "round": op.progress.round + 1})
    await op.record(Kind.ASKED, **asking.asked_payload(
        op.next_decision(), kind="in_doubt", sentence=sentence, digest=digest, ruling=RULING,
        round=op.progress.round + 1, why=why,
    ))


def facts(op: ToolRun) -> Json:
    """What the reviewer needs to look it up on the other side."""
    return {
        "key": op.progress.key, "why": op.progress.asked.get("reason", ""), "tool": op.spec.name,
        "deadline_at": op.progress.deadline.isoformat() if op.progress.deadline else None,
    }
