"""Performs scenes on forked workers that faults befall, several at a time, and looks at what became of them.

One performance: an earlier worker where the scene wants one, then the victim with its faults, which goes on as long as
it lives; for what it left unfinished another worker comes. In the end each mission must have come to its right end, each
effect to its one posting, and nothing may be left over.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from approvals.models import Decision, DecisionState
from approvals.policies import document, versions
from missions.engine import history, limits
from missions.engine import registry as known
from missions.engine.clock import database_now
from missions.engine.starting import start
from missions.models import Alarm, Circuit, Effect, EffectState, Entry, Mission, Permit, Progress, Signal, State, Worker
from missions.models.fields import DatabaseNow
from missions.testing.clock import Clock
from tests.deaths import audience, scenes, world
from tests.deaths.faults import STRUCK, Fault, Harm
from tests.deaths.forks import Forks, Order

AT_ONCE, LOOK_SECONDS = 3, 0.01
VICTIM_SECONDS, REST_SECONDS, LEAVE_SECONDS = 45.0, 90.0, 30.0
SETTLED = (EffectState.DONE, EffectState.NOT_DONE, EffectState.UNDONE)
CHILD = "-child"


@dataclass(slots=True)
class Performance:
    """One scene with its faults, and what is seen of it."""

    number: int
    scene: str
    faults: tuple[Fault, ...] = ()
    mission: Any = None
    victim: int = 0  # its pid
    first: int = 0  # the pid of the earlier worker
    begun_at: float = 0.0
    leaving_at: float = 0.0  # since when the victim is asked to leave
    over: bool = False  # the victim has ended
    status: int = 0
    wrong: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    told: dict[str, Any] = field(default_factory=dict)
    reached: list[str] = field(default_factory=list)  # names, in the order of arrival
    struck: int = 0

    @property
    def type(self) -> str:
        """The type that only this performance's missions have."""
        return f"stage.{self.scene}-{self.number}"

    @property
    def types(self) -> dict[str, str]:
        """Its types and their scenes."""
        more = {self.type + CHILD: "child"} if self.scene == "parent" else {}
        return {self.type: self.scene, **more}

    def missions(self) -> list[Mission]:
        """Its mission, and that mission's children."""
        return list(Mission.objects.filter(type__in=list(self.types)).order_by("pk"))

    def __str__(self) -> str:
        return f"{self.scene}: {', '.join(map(str, self.faults)) or 'nothing happens'}"


class Stage:
    """Where scenes are performed: a database of tests, a folder, and a process that forks workers."""

    def __init__(self, folder: Path, forks: Forks, world_folder: Path) -> None:
        self._folder, self._forks, self._world = folder, forks, world_folder
        self._clock, self._count = Clock(), 0

    def prepare(self) -> None:
        """People, policy and limits; once a database."""
        audience.gather()
        rules: list[dict[str, Any]] = [
            {"name": "asked", "scope": {"tool": "stage.asked"}, "effect": "escalate", "reason": "A test.",
             "tiers": [{"group": "supervisors", "quorum": 1}]},
            {"name": "free", "scope": {"tool": "*"}, "effect": "allow", "reason": "A test."},
        ]  # fmt: skip
        versions.load(document.check({"name": "stage", "mode": "enforce", "rules": rules}), activate=True, via="test")
        limits.put("tool", "stage.limited", concurrency=1, escalate_after_seconds=0.01)

    def new(self, scene: str, *faults: Fault) -> Performance:
        """A performance that is to come."""
        self._count += 1
        return Performance(self._count, scene, (*scenes.SCENES[scene].first_hurt, *faults))

    def perform(self, performances: Sequence[Performance], *, rest: bool = True) -> None:
        """All of them; each `wrong` then tells what was not as it should be."""
        types = {name: scene for one in performances for name, scene in one.types.items()}
        before = dict(known._types)
        scenes.register(types)
        try:
            self._with_victims(list(performances))
            if rest:
                self._with_rest(performances, types)
        finally:
            known._types.clear()
            known._types.update(before)
        for one in performances:
            self._judge(one)

    # -- The victims ---------------------------------------------------------------------------------------------------

    def _with_victims(self, coming: list[Performance]) -> None:
        going: list[Performance] = []
        while coming or going:
            while coming and len(going) < AT_ONCE:
                going.append(coming.pop(0))
                self._begin(going[-1])
            time.sleep(LOOK_SECONDS)
            ended = self._forks.look()
            for one in going:
                self._look(one, ended)
            if not coming and all(self._sleeps(one) for one in going):
                self._clock.advance(31)
            going = [one for one in going if not one.over]

    def _sleeps(self, one: Performance) -> bool:
        """Whether nothing but time will wake it."""
        if one.leaving_at or not one.victim:
            return False
        unfinished = [mission for mission in one.missions() if not mission.ended]
        return bool(unfinished) and all(
            mission.owner is None and mission.wake_at is not None and mission.wake_at > database_now()
            for mission in unfinished
        )

    def _order(self, one: Performance, **more: Any) -> int:
        log = str(self._folder / f"{one.number}.log")
        return self._forks.fork(Order(types=one.types, log=log, **more))

    def _begin(self, one: Performance) -> None:
        scene, one.begun_at = scenes.SCENES[one.scene], time.monotonic()
        more: dict[str, Any] = {}
        if scene.deadline is not None:
            more["deadline_at"] = database_now() + type(self)._span(scene.deadline)
        one.mission, _ = start(one.type, {"child": one.type + CHILD}, **more)
        if scene.first_dies_at:
            one.first = self._order(one, crash_at=scene.first_dies_at)
        else:
            self._raise_curtain(one)

    @staticmethod
    def _span(seconds: float) -> Any:
        import datetime as dt

        return dt.timedelta(seconds=seconds)

    def _raise_curtain(self, one: Performance) -> None:
        one.begun_at = time.monotonic()
        one.victim = self._order(one, faults=one.faults, trace=str(self._trace(one)))

    def _trace(self, one: Performance) -> Path:
        return self._folder / f"{one.number}.trace"

    def _look(self, one: Performance, ended: dict[int, int]) -> None:
        scene = scenes.SCENES[one.scene]
        if not one.victim:
            stopped = scene.first_dies_at.endswith("STOP") and self._is_stopped(one.first)
            if one.first in ended or stopped:
                audience.at_once(scene, one.mission)
                self._raise_curtain(one)
            return
        if one.victim in ended:
            one.over, one.status = True, ended[one.victim]
            return
        now = time.monotonic()
        missions = one.missions()
        if not one.leaving_at:
            audience.attend(scene, missions)
            if all(self._is_over(scene, mission) for mission in missions):
                one.leaving_at = now
                self._forks.signal(one.victim, signal.SIGTERM)
            elif now - one.begun_at > VICTIM_SECONDS:
                one.wrong.append(f"it does not end: {[_story(mission) for mission in missions if not mission.ended]}")
                one.leaving_at = now
                self._forks.signal(one.victim, signal.SIGTERM)
        elif now - one.leaving_at > LEAVE_SECONDS:
            one.wrong.append("its worker does not leave")
            self._forks.signal(one.victim, signal.SIGKILL)

    @staticmethod
    def _is_stopped(pid: int) -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    @staticmethod
    def _is_over(scene: scenes.Scene, mission: Mission) -> bool:
        again = mission.state == State.FAILED and "retry" in scene.people and mission.timeline == 1
        return mission.ended and mission.owner is None and mission.control_seq <= mission.control_done and not again

    # -- Whoever comes after -------------------------------------------------------------------------------------------

    def _with_rest(self, performances: Sequence[Performance], types: dict[str, str]) -> None:
        log = str(self._folder / f"rest-{self._count}.log")
        survivor = self._forks.fork(Order(types=types, concurrency=200, log=log))
        until = time.monotonic() + REST_SECONDS
        while (left := list(self._left(performances))) and time.monotonic() < until:
            for one in left:
                audience.attend(scenes.SCENES[one.scene], one.missions())
            if all(self._sleeps(one) for one in left if not all(m.ended for m in one.missions())):
                self._clock.advance(31)
            time.sleep(LOOK_SECONDS)
        self._tidy(until)
        self._forks.signal(survivor, signal.SIGTERM)
        until = time.monotonic() + LEAVE_SECONDS
        while survivor not in self._forks.look() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        self._forks.signal(survivor, signal.SIGKILL)

    def _left(self, performances: Iterable[Performance]) -> Iterator[Performance]:
        for one in performances:
            scene = scenes.SCENES[one.scene]
            one.leaving_at = 0.0
            if not all(self._is_over(scene, mission) for mission in one.missions()):
                yield one

    def _tidy(self, until: float) -> None:
        """Wait for what is given back late: permits of the dead, alarms that are due, the dead themselves."""
        while time.monotonic() < until:
            due = Alarm.objects.filter(rung_at=None, nominal_at__lte=DatabaseNow()).exists()
            if not (due or Permit.objects.exists() or Worker.objects.filter(dead_at=None).count() > 1):
                return
            self._clock.advance(31)
            time.sleep(0.05)

    # -- What became of it ---------------------------------------------------------------------------------------------

    def _judge(self, one: Performance) -> None:
        scene, trace = scenes.SCENES[one.scene], self._trace(one)
        lines = trace.read_text().splitlines() if trace.exists() else []
        one.reached = [line for line in lines if not line.startswith(STRUCK)]
        one.struck = len(lines) - len(one.reached)
        killed = bool(one.faults) and one.faults[-1].harm in (Harm.BEFORE, Harm.AFTER)
        died = -signal.SIGKILL if killed and one.struck == len(one.faults) else 0
        if one.status != died:
            one.wrong.append(f"its worker ended with {one.status}, not {died}")
        missions = one.missions()
        for mission in missions:
            one.wrong += wrong_with(mission)
            one.done += world.done(str(mission.uid))
        one.mission.refresh_from_db()
        if one.mission.state != scene.ends:
            one.wrong.append(f"it is {one.mission.state}: {_story(one.mission)}")
        elif one.mission.state == State.COMPLETED:
            one.told = {"verdict": one.mission.outcome.verdict, "data": one.mission.outcome.data}


def wrong_with(mission: Mission) -> list[str]:
    """What is left over of a mission that should have ended, or is not whole."""
    wrong = [f"{name} is left" for name, rows in _leftovers(mission).items() if rows.exists()]
    if not mission.ended or mission.owner is not None or mission.wake_at is not None:
        wrong.append(f"it is {mission.state}, owner {mission.owner}, due {mission.wake_at}: {_story(mission)}")
    verified = history.verify(mission)
    if not verified.ok:
        wrong.append(f"its chain: {verified}")
    entries = history.entries(mission.pk)
    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
        wrong.append("entries are missing")
    once = Counter((e.timeline, e.kind, e.path) for e in entries if e.kind in ("step", "slept", "won", "completed"))
    wrong += [f"{what} is recorded {count} times" for what, count in once.items() if count > 1 and what[1] != "step"]
    return wrong


def _leftovers(mission: Mission) -> dict[str, Any]:
    return {
        "an open effect": Effect.objects.filter(mission_id=mission.pk).exclude(state__in=SETTLED),
        "a permit": Permit.objects.filter(mission_id=mission.pk),
        "progress": Progress.objects.filter(mission_id=mission.pk),
        "an open decision": Decision.objects.filter(mission_id=mission.pk, state=DecisionState.OPEN),
    }


def _story(mission: Mission) -> str:
    mission.refresh_from_db()
    told = [f"{e.seq} a{e.attempt} t{e.timeline} {e.kind} {e.path} {str(e.payload)[:160]}" for e in history.entries(mission.pk)]
    mail = list(Signal.objects.filter(mission_id=mission.pk).values_list("seq", "name"))
    where = f"{mission.type} {mission.state} owner={mission.owner} waits_for={mission.waits_for!r} wake={mission.wake_at}"
    return "\n  ".join([where + f" reason={mission.reason!r} mail={mail}", *told])


__all__ = ["Circuit", "Entry", "Performance", "Stage", "wrong_with"]
