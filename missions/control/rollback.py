"""Rolling back: end the children left behind, settle what is in doubt, undo what can be undone, open a timeline.

Effects are undone newest first; the new timeline begins at the point.
`retry` opens a timeline as well, and undoes nothing: what was done stands, and the new timeline adopts it.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import asdict
from typing import Any

from missions.control import lineage, preview, undo
from missions.control.program import Program
from missions.engine import controls, history
from missions.engine.writes import OpenTimeline
from missions.errors import AgentFailed, ControlRefused
from missions.governance import Json, gate
from missions.models import EffectState, Entry, Kind, Mission, State, Timeline

FAILINGS = (Kind.STEP_FAILED, Kind.OUTCOME, Kind.WON, Kind.LLM)
OPEN = (EffectState.INTENDED, EffectState.IN_DOUBT)


async def rollback(program: Program) -> None:
    """Go back to `to`. Refused where the mission went on since the preview with `preview_digest` was read."""
    await program.begin()
    asked = program.asked
    plan = await program.note("plan", plan_rollback, program.mission_id, asked["to"], asked.get("preview_digest", ""))
    if plan["refused"]:
        await program.refuse(plan["refused"])
        return
    await take_back(program, plan, "Rolled back.")
    await open_timeline(program, plan, "rollback")


async def retry(program: Program) -> None:
    """Go on from the last checkpoint of a failed mission; asked for twice, it goes on once."""
    await program.begin()
    if program.was["state"] != State.FAILED:
        await program.refuse("the mission goes on already.")
        return
    plan = await program.note("plan", plan_retry, program.mission_id)
    if plan["refused"]:
        await program.refuse(plan["refused"])
        return
    await settle_all(program, plan)
    await open_timeline(program, plan, "retry")


async def settle_all(program: Program, plan: Json) -> None:
    """Find out what became of the effects that nobody knows of."""
    for effect in plan["effects"]:
        if effect["state"] in OPEN:
            await undo.settle(program, effect)


async def take_back(program: Program, plan: Json, why: str) -> None:
    """Withdraw what is being asked, cancel the plan's children, then settle and undo its effects in their order."""
    program.changed = bool(plan["decisions"] or plan["children"])
    for decision in plan["decisions"]:
        await program.run.owner.in_database(gate().withdraw, uuid.UUID(decision), why)
    for child_id in plan["children"]:
        await program.run.owner.in_database(leave_behind, child_id, program.mission_id, program.seq, program.by)
    await settle_all(program, plan)
    for effect in plan["effects"]:
        if effect["undo"]:
            await undo.undo(program, effect)


def leave_behind(child_id: int, parent_id: int, seq: int, by: str) -> None:
    """Cancel a child that was started after the point, undoing what it did; once for the control with this seq."""
    with contextlib.suppress(ControlRefused):  # it has ended meanwhile
        controls.request(
            child_id, "cancel", reason="Its parent was rolled back to before its start.", by=by,
            key=f"control:rollback:{parent_id}:{seq}", compensate=True,
        )


async def open_timeline(program: Program, plan: Json, verb: str) -> None:
    """The end of the program: the new timeline, from which the mission goes on at once."""
    claimed, point, asked = program.run.claimed, plan["point"], program.asked
    guidance = str(asked.get("guidance", ""))
    opened = OpenTimeline(
        number=plan["number"], parent=plan["number"] - 1, to_seq=point["seq"], verb=verb, reason=program.reason,
        seed=seed_of(claimed.uid, plan["number"]), guidance=guidance, opened_by=program.by,
    )
    payload = {
        "number": opened.number, "parent": opened.parent, "to_seq": opened.to_seq, "verb": verb, "by": program.by,
        "reason": program.reason, "guidance": guidance,
    }
    program.run.head.timeline = opened.number
    turn = {name: point[name] for name in ("chapter", "replay_from", "mail_from")}
    await program.end(program.go_on(), Kind.TIMELINE, payload, index=[opened], timeline=opened.number, **turn)


def seed_of(uid: uuid.UUID, number: int) -> uuid.UUID:
    """What `uuid` and `random` of a timeline come from."""
    return uuid.uuid5(uid, f"timeline/{number}")


# -- Plans: synchronous, read-only, noted once -------------------------------------------------------------------------


def plan_rollback(mission_id: int, to_seq: int, digest: str = "") -> Json:
    """What going back to an entry takes."""
    mission = Mission.objects.get(pk=mission_id)
    try:
        seen = preview.preview(mission, to_seq)
    except ControlRefused as error:
        return {"refused": str(error)}
    if digest and digest != seen.digest:
        return {"refused": "The mission went on since the preview was read; look at it again."}
    left = [child.id for child in seen.children]
    return {**_plan(mission, seen.point), "decisions": list(seen.decisions), "children": left}


def plan_retry(mission_id: int) -> Json:
    """What trying again takes: the point before what failed the mission, or its very end where no entry did."""
    mission = Mission.objects.get(pk=mission_id)
    rows = Entry.objects.filter(mission_id=mission_id, kind=Kind.FAILED).order_by("-seq")[:1]
    failed = next(iter(history.decode(list(rows))), None)
    if failed is None:
        return {"refused": "The mission did not fail."}
    begun, payload = lineage.chapter_start(mission, failed.seq)
    at = _before_failure(mission, failed, lineage.calls(mission, begun))
    chapter, mail_from = int(payload.get("chapter", 1)), int(payload.get("mail_from", 0))
    point = lineage.Point(seq=at, chapter=chapter, replay_from=begun, mail_from=mail_from)
    return {**_plan(mission, point), "decisions": []}


def _before_failure(mission: Mission, failed: history.HistoryEntry, calls: list[lineage.Call]) -> int:
    """The entry to go on from. An agent is asked its last turn again, whether that failed or led nowhere."""
    ended_by = failed.payload["error"]
    for call in reversed(calls):
        if _failed_by(mission, call, ended_by):
            return call.rest(call.answered - 1) if call.answered else call.first - 1
    if calls and calls[-1].answered and ended_by["type"] == AgentFailed.code:
        return calls[-1].rest(calls[-1].answered - 1)
    return failed.seq - 1


def _failed_by(mission: Mission, call: lineage.Call, ended_by: Json) -> bool:
    """Whether this call recorded the failure that ended the mission."""
    rows = Entry.objects.filter(
        mission_id=mission.pk, seq__gte=call.first, seq__lte=call.last, kind__in=FAILINGS
    ).order_by("seq")
    return any(_tells_of(entry, ended_by) for entry in history.decode(list(rows)))


def _tells_of(entry: history.HistoryEntry, ended_by: Json) -> bool:
    if entry.kind == Kind.WON:  # a `wait_for` whose time has passed: on replay it would pass at once, again and again
        waited = entry.path.rpartition("/")[2].startswith("wait_for#") and entry.payload["index"] == 1
        return waited and ended_by["type"] == TimeoutError.__name__
    message = (entry.payload.get("error") or {}).get("message")
    return bool(message) and str(message) in str(ended_by["message"])


def _plan(mission: Mission, point: lineage.Point) -> Json:
    later = preview.effects_after(mission, point.seq)
    effects = [effect for effect in later if effect.state in (*OPEN, EffectState.DONE)]
    intents = Entry.objects.filter(mission_id=mission.pk, seq__in=[effect.seq for effect in effects])
    sentences = {entry.seq: str(entry.payload.get("sentence", "")) for entry in history.decode(list(intents))}
    newest = Timeline.objects.filter(mission_id=mission.pk).order_by("-number").values_list("number", flat=True).first()
    return {
        "refused": "", "point": asdict(point), "number": max(mission.timeline, newest or 1) + 1,
        "effects": [
            undo.plan_of(effect, sentences.get(effect.seq, ""), preview.undo_tool(effect), mission.replay_from)
            for effect in effects
        ],
    }


def plan_all(mission_id: int) -> dict[str, Any]:
    """What undoing everything takes. Children are left to what their parent's end means for each."""
    mission = Mission.objects.get(pk=mission_id)
    point = lineage.Point(seq=0, chapter=1, replay_from=1, mail_from=0)
    return {**_plan(mission, point), "decisions": preview.open_decisions(mission, 0), "children": []}
