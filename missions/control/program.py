"""What the programs of controls share: their own path, notes, questions to people, and the one way to end.

A program is durable like a mission: what it found out and did is recorded under `control#SEQ/…`, so that one that was
cut off anywhere goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from missions.effects.questions import Question
from missions.engine import codec, history
from missions.engine.attempt import ENDS, outcome_of
from missions.engine.branches import Branch
from missions.engine.claims import CONTROL, Mail
from missions.engine.record import OF_CONTROLS
from missions.engine.run import Run
from missions.engine.writes import Draft, Index, Release, Turn
from missions.errors import ChangesRequested, Rejected
from missions.governance import Answer, Choice, Json
from missions.models import ENDED, Entry, Kind, Mission, State

GIVEN_UP = "control given up"
OPERATORS = ({"group": "operators", "quorum": 1},)
TELLING = (*ENDS, Kind.CANCELLED, Kind.PAUSED, Kind.RESUMED, Kind.TIMELINE)  # entries that say where a mission stands


class Program:
    """One control under way. `was` tells the state that the control met."""

    def __init__(self, run: Run, mail: Mail) -> None:
        self.run, self.seq = run, mail.seq
        self.asked: Json = codec.load(mail.body)
        self.branch = Branch(run, f"{CONTROL}#{mail.seq}/")
        self._gave_way_at = self.branch.path("gave-way")
        self.was: Json = {}
        self.changed = False  # something was undone, ended or withdrawn: the mission does not stand as it stood

    @property
    def by(self) -> str:
        """Who asked for it."""
        return str(self.asked.get("by", ""))

    @property
    def reason(self) -> str:
        """Why."""
        return str(self.asked.get("reason", ""))

    @property
    def mission_id(self) -> int:
        """The mission, as the tables know it."""
        return self.run.claimed.id

    async def begin(self) -> None:
        """Record that the control was taken, and where the mission stood."""
        path = self.branch.path("taken")
        entry = await self.run.recorded(path)
        if entry is None:
            was = await self.run.owner.in_database(standing_of, self.mission_id)
            payload = {**self.asked, "seq": self.seq, "was": was}
            await self.run.append(Draft(kind=Kind.CONTROL, path=path, payload=codec.dump(payload)))
        else:
            was = entry.payload["was"]
        self.was = was

    async def note(self, name: str, find: Callable[..., Any], *args: Any) -> Any:
        """What a synchronous function finds, as plain JSON, recorded once."""
        path = self.branch.path(name)
        entry = await self.run.recorded(path)
        if entry is not None:
            return entry.payload["result"]
        found = codec.load(codec.dump(await self.run.owner.in_database(find, *args)))
        body = codec.dump({"name": name, "title": name.replace("-", " ").capitalize(), "result": found})
        await self.run.append(Draft(kind=Kind.STEP, path=path, payload=body))
        return found

    async def ask(
        self, name: str, kind: str, sentence: str, choices: Sequence[Choice], details: Json, reason: str
    ) -> tuple[str, Answer | None]:
        """Put a question to the operators; what they chose, or nothing where they rejected all choices."""
        question = Question(
            self.run, self.branch.path(name), kind=kind, sentence=sentence, details=details, tiers=OPERATORS,
            choices=choices,
        )
        question.reason = reason
        try:
            answer = await question.answer()
        except (Rejected, ChangesRequested):
            return "", None
        return answer.choice, answer

    async def end(
        self, release: Release, kind: Kind, payload: Json, index: Sequence[Index] = (), **turn: int
    ) -> None:
        """Record how it ended and let go of the mission; the control is done with."""
        release.turn = Turn(control_done=self.seq, **turn)
        path = self.branch.path("end")
        if await self.run.recorded(path) is None:
            draft = Draft(kind=kind, path=path, payload=codec.dump(payload))
            await self.run.release(release, draft, index=index)
        else:  # it was recorded, but the row was not let go of
            await self.run.release(release)

    # -- The states it may leave behind --------------------------------------------------------------------------------

    @property
    def had_ended(self) -> bool:
        """Whether the mission had ended when the control came."""
        return self.was["state"] in ENDED

    def go_on(self) -> Release:
        """The mission runs on, at once."""
        release = self.run.due()
        release.reopens = self.had_ended
        return release

    def as_it_was(self) -> Release:
        """The mission stays where it stood."""
        state = self.was["state"]
        if state in ENDED:
            outcome = outcome_of(self.was["ending"])
            return Release(state=state, inbox_seq=self.run.inbox.seq, step=self.run.step, outcome=outcome)
        return self.run.paused(self.was["reason"]) if state == State.PAUSED else self.run.due()

    @property
    def gave_way(self) -> bool:
        """Whether it was given up before, and only the row was not let go of."""
        return self.run.record.find(self._gave_way_at) is not None

    async def give_way(self) -> None:
        """People steer the mission otherwise; where something was undone already, it stays paused and they say on."""
        words = f"The control “{self.asked['verb']}” gave way: a person steers the mission otherwise."
        if (entry := self.run.record.find(self._gave_way_at)) is not None:  # recorded, but the row was not let go of
            was = self.run.record.find(self.branch.path("taken"))
            self.was = was.payload["was"] if was is not None else {"state": State.READY}
            self.changed = entry.kind == Kind.PAUSED
        release = self.run.paused(GIVEN_UP) if self.changed else self.as_it_was()
        release.turn = Turn(control_done=self.seq)
        if entry is not None:
            await self.run.release(release)
            return
        told: Json = {"text": words, "level": "info"}
        if self.changed:
            told = {"reason": GIVEN_UP, "detail": f"{words} What it had undone by then stays undone.", "by": self.by}
        kind = Kind.PAUSED if self.changed else Kind.OBSERVED
        draft = Draft(kind=kind, path=self._gave_way_at, payload=codec.dump(told))
        await self.run.release(release, draft)

    async def break_off(self, why: str) -> None:
        """The program itself failed: the mission is paused, and other controls may follow."""
        payload = {"reason": "control failed", "detail": f"{self.asked.get('verb')}: {why}", "by": self.by}
        release = self.run.paused("control failed")
        release.turn = Turn(control_done=self.seq)
        draft = Draft(kind=Kind.PAUSED, path=self.branch.path("broken"), payload=codec.dump(payload))
        await self.run.release(release, draft)

    async def refuse(self, why: str) -> None:
        """End without having changed anything, and say why."""
        payload = {"text": f"The control “{self.asked['verb']}” was not carried out: {why}", "level": "warning"}
        await self.end(self.as_it_was(), Kind.OBSERVED, payload)


def standing_of(mission_id: int) -> Json:
    """Where a mission stands, as its journal tells: state, the reason of a pause, how it ended.

    Some pauses have no entry (quarantine, and where even the entry was refused); the row alone tells of these, which
    keeps the reason of a pause until the mission goes on.
    """
    reason = Mission.objects.filter(pk=mission_id).values_list("reason", flat=True).first() or ""
    rows = Entry.objects.filter(mission_id=mission_id, kind__in=TELLING).order_by("-seq")[:1]
    last = next(iter(history.decode(list(rows))), None)
    if last is not None and last.kind in (*ENDS, Kind.CANCELLED):
        state = State.CANCELLED if last.kind == Kind.CANCELLED else ENDS[Kind(last.kind)]
        return {"state": state, "reason": "", "ending": last.payload}
    if reason:
        return {"state": State.PAUSED, "reason": reason, "ending": {}}
    if last is not None and last.kind == Kind.PAUSED:
        later = Entry.objects.filter(mission_id=mission_id, seq__gt=last.seq).exclude(path__startswith=OF_CONTROLS)
        state = State.READY if later.exists() else State.PAUSED  # its row may not have been let go of
        return {"state": state, "reason": last.payload["reason"], "ending": {}}
    return {"state": State.READY, "reason": "", "ending": {}}
