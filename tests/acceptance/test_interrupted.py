"""A mission of branches, sleeps and signals ends the same however often its workers are killed."""

from __future__ import annotations

import random
import re
import signal
from typing import Any

import pytest

from tests.acceptance import checks, flood, refunds
from tests.acceptance.people import Json, Person
from tests.acceptance.processes import until
from tests.acceptance.sample_missions import RAN
from tests.acceptance.system import System

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]
MISSIONS, ROUNDS, WORKERS = 8, 6, 3
UNFINISHED = "select count(*) from missions_mission where state not in ('completed', 'failed', 'cancelled', 'paused')"
REQUEST = {"strands": 4, "rounds": ROUNDS, "step_seconds": 0.3, "sleep_seconds": 0.3}
POINTS = ("after_claim", "mid_flush", "during_park", "after_park", "after_takeover")
LINE = re.compile(RAN + r": (\S+) (\d+) (\S+)")


def send_colours(person: Person, uid: str, round: int) -> None:
    """One signal for each strand; where others are behind, it comes before the mission waits for it."""
    for strand in range(4):
        person.signal(uid, f"colour-{strand}", {"name": f"{strand}.{round}"}, key=f"{strand}.{round}")


def woven(system: System, uid: str) -> Any:
    """The data of a mission's verdict, once it has ended."""
    assert refunds.ended(system, uid) == "woven"
    return system.person("admin").mission(uid)["verdict"]["data"]


def ran_again(system: System, facts: Json) -> list[str]:
    """Steps that a later attempt ran although an earlier one had recorded them."""
    uids = {row["id"]: row["uid"] for row in facts["missions"]}
    recorded = {
        (uids[entry["mission_id"]], f"{value // 100}/{value % 100}"): entry["attempt"]
        for entry in facts["entries"] if entry["kind"] == "step" for value in [entry["payload"]["result"]]
    }
    runs = [match for process in system.processes for match in LINE.findall(process.output)]
    assert len(runs) >= len(recorded) > 0
    return [f"{uid} {what} ran in attempt {attempt}, recorded in {recorded[uid, what]}"
            for uid, attempt, what in runs if int(attempt) > recorded[uid, what]]


def weave_while_workers_die(system: System, chance: random.Random, uids: list[str]) -> None:
    """In each round the signals come in, a worker is killed, and another one takes its place.

    Every other one is armed with a point of its own to die at.
    """
    admin, workers = system.person("admin"), [system.start_worker() for _ in range(WORKERS)]
    for round in range(ROUNDS):
        for uid in uids:
            send_colours(admin, uid, round)
        chance.choice(workers).kill()
        point = f"{chance.choice(POINTS)}:{chance.randint(1, 20)}" if round % 2 else ""
        workers = [worker for worker in workers if worker.running]
        workers += [system.start_worker(crash_at=point) for _ in range(WORKERS - len(workers))]
    system.start_worker()  # one that lives: the armed ones may all die yet
    for worker in system.processes:
        assert worker.running or worker.status == -signal.SIGKILL, worker.output


def test_killed_missions_end_as_the_one_that_was_left_alone(system: System) -> None:
    chance = random.Random()
    system.start_web()
    admin = system.person("admin")
    calm = system.start_worker()
    alone, *uids = [admin.start("test.weave", REQUEST) for _ in range(1 + MISSIONS)]
    for round in range(ROUNDS):
        send_colours(admin, alone, round)
    expected = woven(system, alone)
    calm.kill()
    weave_while_workers_die(system, chance, uids)
    for uid in uids:
        assert woven(system, uid) == expected, checks.history_of(system.facts(), uid)
    facts = system.facts()
    assert len(facts["takeovers"]) > 0
    assert ran_again(system, facts) == []
    assert checks.unsound(facts) == []


def test_no_signal_is_lost_or_taken_twice_while_missions_park(system: System) -> None:
    for _ in range(2):
        system.start_worker()
    sent = system.inside("flood")
    assert sent["counted"] == flood.MISSIONS * flood.SIGNALS
    until("all missions end", 60, lambda: system.database.value(UNFINISHED) == 0)
    facts = system.facts()
    heard = {row["uid"]: row["outcome__data"]["heard"] for row in facts["missions"]}
    assert heard == {uid: list(range(flood.SIGNALS)) for uid in sent["uids"]}
    assert checks.unsound(facts) == []
    assert checks.still_waiting(facts, workers=2) == []
