"""Performs scenes on forked workers that faults befall, several at a time, and looks at what became of them.

One performance: an earlier worker where the scene wants one, then the victim with its faults, which goes on as long as
it lives; for what it left unfinished another worker comes. In the end each mission must have come to its right end,
each effect to its one posting, and nothing may be left over.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from approvals.policies import document, versions
from missions.engine import alarms, limits, period_budgets
from missions.engine import registry as known
from missions.engine.clock import database_now
from missions.engine.starting import start
from missions.models import Alarm, Mission, Permit, State, Worker
from missions.models.fields import DatabaseNow
from missions.testing.clock import Clock
from tests.deaths import audience, scenes, scenes_of_agents, world
from tests.deaths.faults import STRUCK, Fault, Harm
from tests.deaths.forks import Forks, Order
from tests.deaths.judging import story, wrong_with
from tests.deaths.scene import SCENES, Scene

AT_ONCE, LOOK_SECONDS = 3, 0.01
VICTIM_SECONDS, REST_SECONDS, LEAVE_SECONDS = 45.0, 90.0, 30.0
CHILD = "-child"
SLEEP_SECONDS = 31.0  # by which the clock is moved where nothing but time is waited for
STRIKES, NOBODY = 2, 0
PROOF = [{"source": "stage.look", "max_age": "1s", "revalidate": True}]


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

    @property
    def is_alone(self) -> bool:
        """Whether nothing else may be performed beside it."""
        return SCENES[self.scene].is_alone

    def missions(self) -> list[Mission]:
        """Its mission, and that mission's children."""
        return list(Mission.objects.filter(type__in=list(self.types)).order_by("pk"))

    def __str__(self) -> str:
        return f"{self.scene}: {', '.join(map(str, self.faults)) or 'nothing happens'}"


class Stage:
    """Where scenes are performed: a database of tests, a folder, and a process that forks workers."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        self._folder, self._forks = folder, forks
        self._clock, self._count = Clock(), 0

    def prepare(self) -> None:
        """People, policy and limits; once a database."""
        audience.gather()
        scenes_of_agents.people()
        rules: list[dict[str, Any]] = [
            {"name": "asked", "scope": {"tool": "stage.asked"}, "effect": "escalate", "reason": "A test.",
             "tiers": [{"group": "supervisors", "quorum": 1}]},
            {"name": "never", "scope": {"tool": "stage.never"}, "effect": "escalate", "reason": "A test.",
             "tiers": [{"group": "supervisors", "quorum": 1}]},
            {"name": "proven", "scope": {"tool": "stage.pro*"}, "effect": "escalate", "reason": "A test.",
             "tiers": [{"group": "supervisors", "quorum": 1}], "evidence": PROOF},
            {"name": "freely", "scope": {"tool": "stage.freely"}, "effect": "allow", "evidence": PROOF},
            {"name": "free", "scope": {"tool": "*"}, "effect": "allow", "reason": "A test."},
        ]  # fmt: skip
        versions.load(document.check({"name": "stage", "mode": "enforce", "rules": rules}), activate=True, via="test")
        limits.put("tool", "stage.proven", concurrency=9, escalate_after_seconds=9)
        limits.put("tool", "stage.limited", concurrency=1, escalate_after_seconds=0.01)

    def new(self, scene: str, *faults: Fault) -> Performance:
        """A performance that is to come."""
        self._count += 1
        return Performance(self._count, scene, (*SCENES[scene].first_hurt, *faults))

    def perform(self, performances: Sequence[Performance]) -> None:
        """All of them; each `wrong` then tells what was not as it should be."""
        types = {name: scene for one in performances for name, scene in one.types.items()}
        for name, scene in types.items():
            _keep_budgets(name, SCENES[scene].period_budgets if scene in SCENES else {})
        known.all_types()  # what is found only now would be lost with what comes after
        before = dict(known._types)
        scenes.register(types)
        try:
            crowd = [one for one in performances if not one.is_alone]
            for together in (crowd, *([one] for one in performances if one.is_alone)):
                self._with_victims(list(together))
                if any(self._left(together)):
                    self._with_rest(together, types)
            self._tidy(types)
        finally:
            known._types.clear()
            known._types.update(before)
        for one in performances:
            self._judge(one)

    # -- The victims ---------------------------------------------------------------------------------------------------

    def _with_victims(self, coming: list[Performance]) -> None:
        going: list[Performance] = []
        while coming or going:
            while coming and self._may_come(coming[0], going):
                going.append(coming.pop(0))
                self._begin(going[-1])
            time.sleep(LOOK_SECONDS)
            ended = self._forks.look()
            for one in going:
                self._look(one, ended)
            if any(self._sleeps(one) for one in going):
                self._clock.advance(SLEEP_SECONDS)
            going = [one for one in going if not one.over]

    @staticmethod
    def _may_come(one: Performance, going: Sequence[Performance]) -> bool:
        return len(going) < AT_ONCE and not (going and (one.is_alone or going[0].is_alone))

    def _sleeps(self, one: Performance) -> bool:
        """Whether nothing but time will wake it. Permits of those who died before it are void after a while, too."""
        if one.leaving_at or not one.victim:
            return False
        unfinished, now = [mission for mission in one.missions() if not mission.ended], database_now()
        return bool(unfinished) and all(
            mission.owner is None
            and (mission.waits_for.startswith("limit:") or (mission.wake_at is not None and mission.wake_at > now))
            for mission in unfinished
        )

    def _order(self, one: Performance, **more: Any) -> int:
        log = str(self._folder / f"{one.number}.log")
        return self._forks.fork(Order(types=one.types, log=log, **more))

    def _begin(self, one: Performance) -> None:
        scene, one.begun_at = SCENES[one.scene], time.monotonic()
        more: dict[str, Any] = {}
        if scene.deadline is not None:
            more["deadline_at"] = database_now() + dt.timedelta(seconds=scene.deadline)
        one.mission, _ = start(one.type, {"child": one.type + CHILD}, **more)
        if scene.first_dies_at:
            one.first = self._order(one, crash_at=scene.first_dies_at)
        else:
            self._raise_curtain(one)

    def _raise_curtain(self, one: Performance) -> None:
        one.begun_at = time.monotonic()
        one.victim = self._order(one, faults=one.faults, trace=str(self._trace(one)))

    def _trace(self, one: Performance) -> Path:
        return self._folder / f"{one.number}.trace"

    def _look(self, one: Performance, ended: dict[int, int]) -> None:
        scene = SCENES[one.scene]
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
                one.wrong.append(f"it does not end: {[story(mission) for mission in missions if not mission.ended]}")
                one.leaving_at = now
                self._forks.signal(one.victim, signal.SIGTERM)
        elif now - one.leaving_at > LEAVE_SECONDS:
            one.wrong.append("its worker does not leave")
            self._forks.signal(one.victim, signal.SIGKILL)

    @staticmethod
    def _is_stopped(pid: int) -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    @staticmethod
    def _is_over(scene: Scene, mission: Mission) -> bool:
        again = mission.state == State.FAILED and "retry" in scene.people and mission.timeline == 1
        return mission.ended and mission.owner is None and mission.control_seq <= mission.control_done and not again

    # -- Whoever comes after -------------------------------------------------------------------------------------------

    def _with_rest(self, performances: Sequence[Performance], types: dict[str, str]) -> None:
        until, isolated, log = time.monotonic() + REST_SECONDS, NOBODY, str(self._folder / "rest.log")
        with self._survivor(types):
            while (left := list(self._left(performances))) and time.monotonic() < until:
                for one in left:
                    audience.attend(SCENES[one.scene], one.missions())
                if any(self._sleeps(one) for one in left):
                    self._clock.advance(SLEEP_SECONDS)
                if (isolated == NOBODY or isolated in self._forks.look()) and self._is_isolated(left):
                    isolated = self._forks.fork(Order(types=types, act="isolate", log=log))
                time.sleep(LOOK_SECONDS)

    @contextlib.contextmanager
    def _survivor(self, types: dict[str, str]) -> Iterator[int]:
        """A worker that knows all types, to which nothing happens."""
        pid = self._forks.fork(Order(types=types, concurrency=200, log=str(self._folder / "rest.log")))
        yield pid
        self._forks.signal(pid, signal.SIGTERM)
        until = time.monotonic() + LEAVE_SECONDS
        while pid not in self._forks.look() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        self._forks.signal(pid, signal.SIGKILL)

    @staticmethod
    def _is_isolated(left: Sequence[Performance]) -> bool:
        """Whether a mission waits for a quarantine process: two workers died with it, and its journal did not grow."""
        return any(mission.strikes >= STRIKES and not mission.ended for one in left for mission in one.missions())

    def _left(self, performances: Iterable[Performance]) -> Iterator[Performance]:
        for one in performances:
            scene = SCENES[one.scene]
            one.leaving_at = 0.0
            if not all(self._is_over(scene, mission) for mission in one.missions()):
                yield one

    def _tidy(self, types: dict[str, str]) -> None:
        """Wait for what is given back late: permits of the dead, alarms that are due, the dead themselves."""
        if not self._untidy():
            return
        until = time.monotonic() + REST_SECONDS
        with self._survivor(types):
            while self._untidy(living=1) and time.monotonic() < until:
                self._clock.advance(SLEEP_SECONDS)
                _look_at_permits()
                time.sleep(0.05)

    @staticmethod
    def _untidy(living: int = 0) -> bool:
        due = Alarm.objects.filter(rung_at=None, nominal_at__lte=DatabaseNow()).exists()
        return due or Permit.objects.exists() or Worker.objects.filter(dead_at=None).count() > living

    # -- What became of it ---------------------------------------------------------------------------------------------

    def _judge(self, one: Performance) -> None:
        scene, trace = SCENES[one.scene], self._trace(one)
        lines = trace.read_text().splitlines() if trace.exists() else []
        one.reached = [line for line in lines if not line.startswith(STRUCK)]
        one.struck = len(lines) - len(one.reached)
        killed = bool(one.faults) and one.faults[-1].harm in (Harm.BEFORE, Harm.AFTER)
        died = -signal.SIGKILL if killed and one.struck == len(one.faults) else 0
        leaves = bool(one.faults) and one.faults[-1].harm is Harm.CANCELLED and one.status == 1  # cancelled as a whole
        if one.status != died and not leaves:
            one.wrong.append(f"its worker ended with {one.status}, not {died}")
        missions = one.missions()
        for mission in missions:
            one.wrong += wrong_with(mission, leaves_doubt=scene.leaves_doubt)
            one.done += world.done(str(mission.uid))
        one.mission.refresh_from_db()
        if one.mission.state != scene.ends:
            one.wrong.append(f"it is {one.mission.state}: {story(one.mission)}")
        elif one.mission.state == State.COMPLETED:
            one.told = {"verdict": one.mission.outcome.verdict, "data": one.mission.outcome.data}


def _keep_budgets(type_: str, budgets: dict[str, int]) -> None:
    for counts, amount in budgets.items():
        name = f"{counts}-{type_.replace('.', '-')}"
        period_budgets.add(
            name=name, subject="mission_type", subject_name=type_, counts=counts, amount=Decimal(amount), period="month"
        )


def _look_at_permits() -> None:
    """What the next call that waits for a turn would do: permits of the dead are taken back when somebody looks."""
    for permit in Permit.objects.all():
        for subject in (f"tool:{permit.tool}", *(f"limit:{limit}" for limit in permit.limits)):
            alarms.set_alarm(f"permits:{subject}", database_now())
