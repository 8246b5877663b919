"""The live sockets: of one mission, of the queue, of one decision, of the list of missions.

Messages to the browser are HTML fragments that swap themselves in by id, or JSON: `{"event": "refresh"}` (lists ask
again), `{"cursor": …}` (the rail is complete up to here). Messages from it are JSON: `{"since": CURSOR}` (send me what
follows), `{"have": CURSOR}` (I have shown it). A program may name `?since=` in the address instead, as cursor or seq.
"""

from __future__ import annotations

import datetime as dt
import json
from urllib.parse import parse_qs

from approvals.models import Decision
from missions.visibility import NOTHING
from missions.web.access import visible_missions
from observability.console import fragments, live, sharing
from observability.console.sockets import BAD_REQUEST, NOT_ALLOWED, LiveConsumer, read
from observability.hub import AGAIN, ANY_MISSION, QUEUE, mission_topic
from observability.rail import BadCursor

LIST_PACE_SECONDS = 1.0  # lists are asked for anew at most so often
HIDDEN_SECONDS = (0.05, 0.25, 1.0, 2.0)  # when to look again for items behind an open transaction; the last repeats
UNANSWERED = 16  # pushes to a rail that were not acknowledged; beyond it the client is too slow, and we wait for it


class QueueConsumer(LiveConsumer):
    """Announces that the queue changed, and how many decisions wait for this person."""

    pace = LIST_PACE_SECONDS / 4
    beside: tuple[str, ...] = ()

    async def topics(self) -> list[str]:
        return [QUEUE, *self.beside]

    async def push(self, hints: set[str]) -> None:
        if hints & {QUEUE, AGAIN}:
            await self.push_queue_count()
        await self.event(event="refresh")


class OverviewConsumer(QueueConsumer):
    """Announces that missions changed."""

    pace = LIST_PACE_SECONDS
    beside = (ANY_MISSION,)


class DecisionConsumer(QueueConsumer):
    """Announces that the queue changed, or the mission that one decision is for: an approval is not yet a deed."""

    pace = LIST_PACE_SECONDS

    async def topics(self) -> list[str]:
        mission_id = await read(self._mission_id)
        return [QUEUE] if mission_id is None else [QUEUE, mission_topic(mission_id)]

    def _mission_id(self) -> int | None:
        """Of a decision that the viewer may see, if it is for a mission."""
        user, wanted = live.person(self.viewer), self.scope["url_route"]["kwargs"]["decision_id"]
        seen = Decision.objects.visible_to(user).filter(pk=wanted) if user else Decision.objects.none()
        return seen.values_list("mission_id", flat=True).first()


class MissionConsumer(LiveConsumer):
    """Sends what is new on one mission's page: the rail's items after the client's cursor, the head, the effects."""

    mission_id = 0
    view = fragments.NARRATIVE
    cursor: str | None = None  # unknown until the client names one; then only the head and the effects are sent
    last_at: dt.datetime | None = None
    answers = False  # whether the client acknowledges at all; programs that follow by `?since=` need not
    unanswered = hidden_looks = 0
    viewed = live.Outlook("", NOTHING)  # what the viewer may do and see
    timeline = 0  # the one that the page was drawn with; 0 before the first look, where it does not say

    async def topics(self) -> list[str]:
        self.shown: dict[str, str] = {}
        query = parse_qs(self.scope.get("query_string", b"").decode("ascii", "replace"), keep_blank_values=True)
        if query.get("view") == [fragments.LOG]:
            self.view = fragments.LOG
        drawn = query.get("timeline", [""])[0]
        self.timeline = int(drawn) if drawn.isdecimal() and len(drawn) < 10 else 0
        found = await read(self._mission_id)
        if found is None:
            await self.refuse(NOT_ALLOWED)
            return []
        self.mission_id = found
        if "since" in query and not await self._begin(query["since"][0]):
            await self.refuse(BAD_REQUEST)
            return []
        return [mission_topic(found)]

    def _mission_id(self) -> int | None:
        user, uid = live.person(self.viewer), self.scope["url_route"]["kwargs"]["uid"]
        return visible_missions(user).filter(uid=uid).values_list("pk", flat=True).first() if user else None

    async def _begin(self, since: str) -> bool:
        """Take up the rail after a cursor; False where it is none."""
        try:
            self.cursor, self.last_at = await read(live.place, self.mission_id, since)
        except BadCursor:
            return False
        self.unanswered = 0
        return True

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """`since` asks for what follows a cursor; `have` says that the client keeps up."""
        try:
            message = json.loads(text_data or "null")
        except ValueError:
            message = None
        if not isinstance(message, dict):
            await self.close(code=BAD_REQUEST)
            return
        self.answers = True
        if isinstance(since := message.get("since"), str):
            await (self._look() if await self._begin(since) else self.close(code=BAD_REQUEST))
        elif "have" in message:
            was_slow, self.unanswered = self._too_slow(), 0
            if was_slow:
                await self._look()

    async def _look(self) -> None:
        self.inbox.put(mission_topic(self.mission_id))

    def _too_slow(self) -> bool:
        return self.answers and self.unanswered >= UNANSWERED

    async def push(self, hints: set[str]) -> None:
        viewer, mission_id = self.viewer, self.mission_id
        viewed = await sharing.once(("may", viewer, mission_id), lambda: read(live.outlook, viewer, mission_id))
        if viewed is None:
            await self.close(code=NOT_ALLOWED)
            return
        self.viewed = viewed
        if hints & {QUEUE, AGAIN}:
            await self.push_queue_count()
        if not self._too_slow():
            await self._push_rail()
            await self._push_surroundings()

    async def _push_rail(self) -> None:
        while self.cursor is not None and not self._too_slow():
            begun, last_at = self.cursor, self.last_at
            found = await self._addition(begun, last_at)
            if self.cursor != begun:
                return  # the client named another cursor meanwhile
            if found.html:
                await self.send(text_data=found.html)
                self.unanswered += 1
            if found.cursor != begun:
                self.cursor, self.last_at = found.cursor, found.last_at
                await self.event(cursor=found.cursor)
            if not found.more:
                self._mind_hidden(found.hidden)
                return

    async def _addition(self, after: str, last_at: dt.datetime | None) -> live.Addition:
        """Rendered once for all sockets that stand at the same place."""
        asked = (self.mission_id, after, last_at, self.view, self.viewed.power)
        found: live.Addition = await sharing.once(("rail", *asked), lambda: read(live.addition, *asked))
        return found

    def _mind_hidden(self, hidden: bool) -> None:
        """Items behind an open transaction bring no hint of their own when it ends, so look again, ever later."""
        if hidden:
            later = HIDDEN_SECONDS[min(self.hidden_looks, len(HIDDEN_SECONDS) - 1)]
            self.look_again(later, mission_topic(self.mission_id))
        self.hidden_looks = self.hidden_looks + 1 if hidden else 0

    async def _push_surroundings(self) -> None:
        """Send what stands around the rail where it differs from the last; a new timeline redraws the rail."""
        asked = (self.mission_id, self.viewed)
        found = await sharing.once(("around", *asked), lambda: read(live.surroundings, *asked))
        changed = [html for name, html in found.items() if self.shown.get(name) != html]
        self.shown = found
        if changed:
            await self.send(text_data="".join(changed))
        number = await sharing.once(("timeline", self.mission_id), lambda: read(live.timeline, self.mission_id))
        if self.timeline not in (0, number):
            await self.event(event="timeline")
        self.timeline = number
