"""The program of each control, and `steer`, which runs one."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from missions.control import amending, rollback
from missions.control.program import Program
from missions.effects import asking
from missions.engine import alarms, codec, controls
from missions.engine.claims import Mail
from missions.engine.run import Run
from missions.engine.writes import Outcome, Release
from missions.errors import Suspended
from missions.governance import Choice, gate
from missions.models import ENDED, Kind, State

logger = logging.getLogger(__name__)
DIVERGED = (
    Choice(value="retry", label="The code is right now: try again"),
    Choice(value="roll_back", label="Undo what came after, and go on from the last point that matches"),
    Choice(value="accept", label="Keep what was done, and go on with the new code from the last point that matches"),
    Choice(value="cancel", label="Cancel the mission"),
)
VIOLATED = "The code of this mission does by itself what only tools may do."
LATE = (
    Choice(value="go_on", label="Go on without a deadline"),
    Choice(value="extend", label="Give it one more day"),
    Choice(value="cancel", label="Cancel the mission"),
)


async def steer(run: Run, control: Mail) -> None:
    """Run a control's program until it ends or leaves memory. One that breaks pauses the mission, and says why."""
    program = Program(run, control)
    verb = program.asked["verb"]
    run.overtaken_by = partial(controls.overtakes, verb=verb)
    run.overtaken = any(run.overtaken_by(codec.load(mail.body)["verb"]) for mail in run.claimed.controls[1:])
    try:
        if program.gave_way:
            await program.give_way()
        else:
            await PROGRAMS[verb](program)
    except asking.Overtaken as overtaken:
        why = "A person steers the mission otherwise."
        await run.owner.in_database(gate().withdraw, overtaken.decision, why)
        await program.give_way()
    except (Suspended, asyncio.CancelledError):
        if not run.has_left:
            raise
    except Exception as error:
        logger.exception("A control's program broke", extra={"action": "control_broke", "mission": run.claimed.id})
        if run.has_left:
            return
        await program.break_off(codec.words(error))


async def _pause(program: Program) -> None:
    await program.begin()
    if program.was["state"] != State.READY:
        await program.end(program.as_it_was(), Kind.OBSERVED, {"text": "It stood still already.", "level": "info"})
        return
    words = "stopped by a person" if program.asked["verb"] == "stop" else "paused by a person"
    payload = {"reason": words, "detail": program.reason, "by": program.by}
    await program.end(program.run.paused(words), Kind.PAUSED, payload)


async def _resume(program: Program) -> None:
    await program.begin()
    if program.was["state"] in ENDED:
        await program.refuse("the mission has ended.")
        return
    await program.end(program.go_on(), Kind.RESUMED, {"by": program.by, "reason": program.reason})


async def _cancel(program: Program) -> None:
    await program.begin()
    if program.was["state"] in ENDED:
        await program.refuse("the mission has ended.")
        return
    await cancel(program, compensate=bool(program.asked.get("compensate")))


async def cancel(program: Program, *, compensate: bool) -> None:
    """End the mission: what is in doubt is found out first, and undone with all else where that was asked for."""
    plan = await program.note("plan", rollback.plan_all, program.mission_id)
    if not compensate:
        for effect in plan["effects"]:
            effect["undo"] = ""
    await rollback.take_back(program, plan, "The mission was cancelled.")
    ending = Outcome(verdict="cancelled", summary=program.reason)
    release = Release(state=State.CANCELLED, inbox_seq=program.run.inbox.seq, step=program.run.step, outcome=ending)
    payload = {"reason": program.reason, "by": program.by, "compensated": compensate, "verdict": "cancelled",
               "summary": program.reason}  # fmt: skip
    await program.end(release, Kind.CANCELLED, payload)


async def _attend(program: Program) -> None:
    """The code no longer does what was recorded: people say what becomes of the mission, which stays paused."""
    await program.begin()
    asked = program.asked
    program.run.park_state, program.run.park_reason = State.PAUSED, program.reason
    details = {name: asked[name] for name in ("matched_seq", "differs") if name in asked} | {"why": asked["detail"]}
    sentence = VIOLATED if program.reason == "violation" else "The code no longer does what this mission recorded."
    choice, answer = await program.ask(
        "attend", "divergence", f"{sentence} How does it go on?", DIVERGED, details, asked["detail"],
    )
    if choice == "retry" and answer is not None:
        await program.end(program.go_on(), Kind.RESUMED, {"by": ", ".join(answer.by), "reason": answer.comment})
    elif choice == "cancel":
        await cancel(program, compensate=False)
    elif choice:
        await _go_back(program, undoing=choice == "roll_back")
    else:
        words = {"text": "Nobody chose how it goes on; it stays paused.", "level": "warning"}
        await program.end(program.as_it_was(), Kind.OBSERVED, words)


async def _go_back(program: Program, *, undoing: bool) -> None:
    """To the last entry that the code matches, with or without undoing what came after it."""
    plan = await program.note("plan", rollback.plan_rollback, program.mission_id, program.asked["matched_seq"])
    if undoing:
        await rollback.take_back(program, plan, "Rolled back.")
    else:
        await rollback.settle_all(program, plan)
    await rollback.open_timeline(program, plan, "rollback" if undoing else "accept")


async def _deadline(program: Program) -> None:
    """The mission's time is up: people say whether it goes on."""
    await program.begin()
    if program.was["state"] in ENDED:
        await program.refuse("the mission has ended.")
        return
    choice, answer = await program.ask(
        "deadline", "question", "The mission's deadline has passed. Does it go on?", LATE, {}, program.reason
    )
    if choice == "cancel":
        await cancel(program, compensate=False)
        return
    if choice == "extend":
        at = program.run.clock.now() + dt.timedelta(days=1)
        await program.run.owner.in_database(alarms.set_alarm, f"mission.deadline:{program.mission_id}", at)
    told = {"by": ", ".join(answer.by) if answer else "", "reason": answer.comment if answer else ""}
    await program.end(program.as_it_was(), Kind.RESUMED, told)


PROGRAMS: dict[str, Callable[[Program], Awaitable[None]]] = {
    "pause": _pause, "stop": _pause, "resume": _resume, "cancel": _cancel, "rollback": rollback.rollback,
    "retry": rollback.retry, "amend": amending.amend, "attend": _attend, "deadline": _deadline,
}
