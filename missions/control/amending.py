"""Amending a mission's goal: ruled on and written as a tool call, and what was asked under the old goal is answered.

Decisions about actions that were open then count no more: people see them as superseded, and the mission is told that
changes are requested, so that an agent goes on from the new goal. An approval that the mission was told of stands.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, Final

from missions.agents import goals
from missions.control.lineage import rows_of
from missions.control.program import Program
from missions.effects.call import ToolRun
from missions.engine import codec, crashpoints, history, mailbox
from missions.engine.clock import database_now
from missions.errors import Denied, StandfastError
from missions.governance import Answer, Intent, Json, gate
from missions.models import Entry, Kind, Mission
from missions.tools.registry import get_tool

ACTION: Final = "action"
SHOWN: Final = 1000  # characters of a goal in a comment
HOW: Final = f"People amend goals where a rule of a policy allows or escalates the tool {goals.TOOL}."


class Amending(ToolRun):
    """The call that writes the goal. Who asks for it is its requester, and has no vote on it."""

    def __init__(self, program: Program) -> None:
        asked = program.asked
        args = {"goal": asked["goal"], "reason": program.reason, "by": program.by, "control": program.seq}
        super().__init__(program.run, program.branch.path(f"tool:{goals.TOOL}"), get_tool(goals.TOOL), args)
        self._asked_by: int | None = asked.get("by_id")

    @property
    def intent(self) -> Intent:
        """The amendment, in the name of who asks for it."""
        return replace(super().intent, owner_id=self._asked_by)


async def amend(program: Program) -> None:
    """Have the goal amended, and the mission go on from where it stood."""
    await program.begin()
    if program.had_ended:
        await program.refuse("the mission has ended.")
        return
    try:
        written = await Amending(program).perform()
    except StandfastError as error:
        hint = f" {HOW}" if isinstance(error, Denied) else ""
        await program.refuse(f"{codec.words(error) or error.code}{hint}")
        return
    told = _comment(written["goal"])
    for asked in await program.note("open-questions", open_actions, program.mission_id):
        await program.run.owner.in_database(_answer, program.mission_id, asked, told)
        crashpoints.reach("goal_answered")
    payload = {"text": told, "level": "info", "goal": written["version"], "by": program.by, "reason": program.reason}
    await program.end(program.as_it_was(), Kind.OBSERVED, payload)


def _comment(goal: str) -> str:
    return f"The goal was amended: {goal if len(goal) <= SHOWN else goal[: SHOWN - 1] + '…'}"


def open_actions(mission_id: int) -> list[Json]:
    """The decisions about actions that the mission asked for and has no answer to; {decision, digest} of each."""
    mission = Mission.objects.get(pk=mission_id)
    rows = rows_of(mission).filter(seq__gte=mission.replay_from)
    paths = rows.filter(kind=Kind.ASKED).values_list("path", flat=True).distinct()
    last: dict[str, Entry] = {row.path: row for row in rows.filter(path__in=list(paths)).order_by("seq")}
    asked = [row for row in last.values() if row.kind == Kind.ASKED and not row.path.startswith("control#")]
    told: list[dict[str, Any]] = [entry.payload for entry in history.decode(asked)]
    return [{"decision": one["decision"], "digest": one["digest"]} for one in told if one["kind"] == ACTION]


def _answer(mission_id: int, asked: Json, why: str) -> None:
    """Close the question, and tell the mission; once each, however often it is called."""
    at = database_now().isoformat()
    answer = Answer(verdict="changes_requested", digest=asked["digest"], at=at, comment=why)
    gate().outdate(uuid.UUID(asked["decision"]), answer)
    name = f"decision:{asked['decision']}"
    mailbox.deliver(mission_id, name, answer.as_json(), key=name)
