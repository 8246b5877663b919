"""A storm: refunds are started and approved while workers, web server and database are killed.

Owns what is killed and when. One worker at a time is armed with a named crash point and has to die there; two more are
killed at random times; whatever dies is started again. Killing is done in one thread; customers and reviewers have
theirs.
"""

from __future__ import annotations

import functools
import queue
import random
import signal
import threading
import time
from dataclasses import dataclass, field

from missions.engine import crashpoints
from tests.acceptance.people import Json, Person
from tests.acceptance.processes import POLL_SECONDS, Process, TookTooLong, until
from tests.acceptance.system import READY_SECONDS, System

MISSIONS = 60
MOST_MISSIONS = 190  # as many as there are demo orders, nearly
POINT_SECONDS = 90.0  # until an armed worker has died at its point, on a machine that does other things too
FEED_SECONDS = 0.7
KILL_SECONDS = (4.0, 8.0)
CRASHES = 2  # of the database
KILLS = 5  # at random times, at least
WEB_POINTS = ("vote_and_wake",)
CUT_SECONDS = (1.5, 4.0)
CUT = """
select count(pg_terminate_backend(pid)) from (
    select pid from pg_stat_activity
    where datname = current_database() and application_name ~ '^standfast (lane|aux|ring) ' order by random() limit 1
) as victim
"""  # workers lose a session, maybe in the middle of a commit, and live on with calls under way
REASON = "The customer has kept the goods."


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One customer's request, and how it has to end."""

    order: str
    amount: str
    verdict: str

    @classmethod
    def nth(cls, number: int) -> Refund:
        """Every third needs finance too; every ninth is one that sam will reject."""
        amount = f"{500 + number}.50" if number % 3 == 2 else f"{number + 1}.25"
        return cls(order=f"ORD-{1001 + number}", amount=amount, verdict="rejected" if number % 9 == 4 else "refunded")


class Customers:
    """Start missions from a thread of their own, since the web server may be dead just now."""

    def __init__(self, admin: Person) -> None:
        self.refunds: list[Refund] = []
        self.uids: dict[str, str] = {}  # order → mission
        self._admin = admin
        self._asked: queue.Queue[Refund | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, name="customers")
        self._thread.start()

    def ask(self, count: int = 1) -> None:
        """Let so many more ask for a refund."""
        for _ in range(min(count, MOST_MISSIONS - len(self.refunds))):
            refund = Refund.nth(len(self.refunds))
            self.refunds.append(refund)
            self._asked.put(refund)

    def leave(self) -> None:
        """Wait until all that asked have their mission."""
        self._asked.put(None)
        self._thread.join(120)
        assert not self._thread.is_alive(), f"{len(self.uids)} of {len(self.refunds)} missions were started"

    def _serve(self) -> None:
        while (refund := self._asked.get()) is not None:
            request = {"order_id": refund.order, "amount": refund.amount, "reason": "Arrived damaged"}
            self.uids[refund.order] = self._admin.start("refund", request)

    def opinion(self, decision: Json) -> Json | None:
        """What a reviewer thinks of one of these refunds."""
        refund = next(item for item in self.refunds if item.order == decision["action"]["args"]["order_id"])
        if refund.verdict == "rejected":
            return {"verdict": "reject", "comment": REASON}
        return {"verdict": "approve"}


@dataclass
class Storm:
    """Kills, and starts again. `rage` goes on until every named point was reached."""

    system: System
    customers: Customers
    chance: random.Random
    web: Process
    plain: list[Process] = field(default_factory=list)
    deaths: dict[str, Process] = field(default_factory=dict)  # point → the process that died there
    random_kills: int = 0
    cuts: int = 0
    crashes: int = 0
    _began: float = field(default_factory=time.monotonic)
    _next_kill: float = 0.0
    _next_cut: float = 0.0
    _next_feed: float = 0.0

    def rage(self) -> None:
        """Die once at every named point, with two crashes of the database in between."""
        self.customers.ask(8)
        self.plain = [self.system.start_worker(ready=False) for _ in range(2)]
        points = list(crashpoints.NAMES)
        self.chance.shuffle(points)
        for index, point in enumerate(points, start=1):
            self._die_at(point, crashes=CRASHES * index // len(points))
        while len(self.customers.refunds) < MISSIONS:
            self.customers.ask()
        while self.random_kills < KILLS:  # a fast machine is past all points by now
            self._maybe_kill()
            time.sleep(POLL_SECONDS)

    def calm(self) -> None:
        """Three workers, and nobody kills any more."""
        for worker in self.plain:  # one may have found no database when it started
            until("it is up or it has ended", READY_SECONDS, functools.partial(_is_settled, worker))
        self.plain = [worker for worker in self.plain if worker.running]
        self.plain += [self.system.start_worker() for _ in range(3 - len(self.plain))]

    # -- Crash points --------------------------------------------------------------------------------------------------

    def _die_at(self, point: str, *, crashes: int) -> None:
        end = time.monotonic() + POINT_SECONDS
        while point not in self.deaths:
            victim = self._armed(point)
            while victim.running:
                if time.monotonic() > end:
                    raise TookTooLong(f"nobody reached {point} within {POINT_SECONDS:g} s:\n{victim.output}")
                self._tick(victim, point)
                if self.crashes < crashes and self.customers.uids:
                    self._crash_database()
            self._bury(point, victim)

    def _armed(self, point: str) -> Process:
        if point not in WEB_POINTS:
            return self.system.start_worker(ready=False, crash_at=point)
        self.customers.ask(3)
        self.web.kill()
        self.web = self.system.start_web(STANDFAST_CRASH_AT=point)
        return self.web

    def _bury(self, point: str, victim: Process) -> None:
        """It counts only if it died of its own SIGKILL, exactly there; a starved one may be ended by its peers."""
        _assert_killed(victim)
        if victim.status == -signal.SIGKILL and victim.said(f"crash point {point}\n") and not victim.signalled:
            self.deaths[point] = victim
            print(f"{time.monotonic() - self._began:6.1f} s: {victim.name} died at {point}")
        if victim is self.web:
            self.web = self.system.start_web()

    def _tick(self, victim: Process, point: str) -> None:
        now = time.monotonic()
        if now > self._next_feed and (point in WEB_POINTS or victim.said("A worker is ready")):
            self._next_feed = now + FEED_SECONDS
            self.customers.ask()
        self._maybe_kill(both=point == "after_takeover" and victim.said("A worker is ready"))
        if now > self._next_cut:
            self._next_cut = now + self.chance.uniform(*CUT_SECONDS)
            self.cuts += int(self.system.database.value(CUT))
        time.sleep(POLL_SECONDS)

    # -- Random deaths -------------------------------------------------------------------------------------------------

    def _maybe_kill(self, *, both: bool = False) -> None:
        """Where it is time, kill a plain worker; or both, and only the armed one is left to free what they own."""
        if time.monotonic() <= self._next_kill:
            return
        self._next_kill = time.monotonic() + self.chance.uniform(*KILL_SECONDS)
        for worker in self.plain if both else [self.chance.choice(self.plain)]:
            worker.signal(signal.SIGKILL)
            self.random_kills += 1
        for worker in self.plain:
            if not worker.running or worker.signalled:
                worker.wait(10)
                _assert_killed(worker)
        alive = [worker for worker in self.plain if worker.running]
        self.plain = alive + [self.system.start_worker(ready=False) for _ in range(2 - len(alive))]

    def _crash_database(self) -> None:
        self.system.cluster.crash()
        self.system.cluster.start()
        self.crashes += 1


def _is_settled(worker: Process) -> bool:
    return worker.said("A worker is ready") or not worker.running


def _assert_killed(worker: Process) -> None:
    """Workers end by SIGKILL only, unless they found no database when they started."""
    assert worker.status == -signal.SIGKILL or worker.said("standfast: DATABASE_URL: "), worker.output
