"""The bundled mission that replays a policy: on a real worker, killed in the middle, and calling nobody."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from approvals.models import Replay
from approvals.simulation import replaying, starting
from approvals.simulation.windows import Window
from missions.authoring import ToolCall, tool
from missions.engine import guarded_events, history
from missions.engine import starting as engine
from missions.models import Kind, Mission, State
from missions.testing.crashes import CrashingWorker, Cut
from tests import forkserver, live_worker
from tests.policies import row
from tests.replays import allowed, asked, draft, in_force, mission, over

pytestmark = pytest.mark.django_db(transaction=True)
called: list[str] = []
PARTS = 6
WORKER = """
import django; django.setup()
from approvals.simulation import mission, replaying
replaying.PART_SECONDS, replaying.BATCH = 0.0, 2
from django.core.management import call_command
call_command("runmissions")
"""


@tool(name="replay.bomb", effect="write")
async def bomb(call: ToolCall, to: str = "") -> None:
    """Nobody may call this while history is replayed"""
    called.append(to)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rulings a part."""
    monkeypatch.setattr(replaying, "PART_SECONDS", 0.0)
    monkeypatch.setattr(replaying, "BATCH", 2)


def past(actions: int = 2 * PARTS - 1) -> None:
    """Rulings that asked people, half of which rejected."""
    in_force(over("0.0"))
    run = mission()
    Mission.objects.filter(pk=run.pk).update(wake_at=None)  # no worker has code for it
    for number in range(actions):
        asked(run, "750.00", "rejected" if number % 2 else "approved", path=f"replay.bomb#{number}", tool="replay.bomb")


def begun(paula: User | None, **more: str) -> Replay:
    return starting.start(draft(row("all", "allow")), Window(), by=paula, via=more.get("via", "console"))[0]


def mission_of(replay: Replay) -> Mission:
    return Mission.objects.get(uid=replay.pk)


def whole(replay: Replay) -> tuple[int, int, int, int]:
    replay.refresh_from_db()
    assert replay.summary is not None
    return replay.done, replay.differing, replay.differences.count(), replay.summary["people"]["allows_rejected"]


def test_it_runs_to_its_findings_and_its_journal_shows_each_part(small_parts: None, paula: User) -> None:
    past()
    replay = begun(paula)
    with live_worker.worker():
        run = live_worker.ended(mission_of(replay))
    assert run.state == State.COMPLETED
    assert whole(replay) == (11, 11, 11, 5)
    assert run.outcome.data == {"actions": 11, "differing": 11, "loosens": True}
    assert "It would have allowed 5 that people rejected." in run.outcome.summary
    ends = [one.payload for one in history.entries(run.pk) if one.kind == Kind.OUTCOME]
    parts = [end["result"]["rulings"] for end in ends if end["tool"] == "policies.replay_part"]
    assert parts == [2] * 5 + [1]


def test_it_goes_on_in_chapters(small_parts: None, paula: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("approvals.simulation.mission.PARTS_A_CHAPTER", 2)
    past()
    replay = begun(paula)
    with live_worker.worker():
        run = live_worker.ended(mission_of(replay))
    assert (run.chapter, whole(replay)) == (3, (11, 11, 11, 5))


@pytest.mark.parametrize("recorded", [False, True])
def test_a_worker_that_dies_between_a_part_and_its_record_counts_it_once(
    small_parts: None, paula: User, recorded: bool
) -> None:
    past()
    replay, crashing = begun(paula), CrashingWorker()
    crashing.cut = Cut(seq=9, recorded=recorded)
    with live_worker.worker(make=lambda: crashing):
        run = live_worker.ended(mission_of(replay))
    assert run.attempt > 1
    assert whole(replay) == (11, 11, 11, 5)


def test_a_killed_process_is_followed_by_one_that_goes_on_where_it_was(
    process_environment: dict[str, str], tmp_path: Path, paula: User
) -> None:
    past()
    replay = begun(paula)
    own = {"DATA_DIR": str(tmp_path), "STANDFAST_CRASH_AT": "after_ruling:5"}  # the folder remembers its database
    killed = {**process_environment, **own}
    done = forkserver.run(["-c", WORKER], killed, seconds=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    replay.refresh_from_db()
    before = replay.done
    assert 0 < before < 11 and replay.summary is None
    with live_worker.worker():
        live_worker.ended(mission_of(replay))
    assert whole(replay) == (11, 11, 11, 5)
    assert [part.counts["read"] for part in replay.parts.order_by("number")][: before // 2] == [2] * (before // 2)


@pytest.fixture
def watched() -> Iterator[list[str]]:
    """What this process connects to and starts meanwhile; libpq, which reaches the database, raises no such event."""
    seen: list[str] = []
    state = {"on": True}

    def hook(event: str, args: tuple[object, ...]) -> None:
        if state["on"] and event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn"):
            seen.append(f"{event} {args[1:2]} in {threading.current_thread().name}")

    sys.addaudithook(hook)
    yield seen
    state["on"] = False


def test_it_calls_nobody(watched: list[str], paula: User) -> None:
    past()
    replay = begun(paula)
    with live_worker.worker():
        run = live_worker.ended(mission_of(replay))
    assert (run.state, called, watched) == (State.COMPLETED, [], [])
    assert whole(replay)[0] == 11


def test_the_watch_sees_a_connection(watched: list[str]) -> None:
    guarded_events.install()
    with pytest.raises(OSError), socket.socket() as one:
        one.connect(("127.0.0.1", 1))
    assert len(watched) == 1


def test_who_may_start_any_mission_may_not_replay_by_that(olivia: User) -> None:
    version = in_force(allowed())
    wanted = {"policy": version.policy.name, "version": version.number}
    run, _ = engine.start("policy.replay", wanted, started_by=olivia, via="api")
    with live_worker.worker():
        live_worker.ended(run)
    assert run.state == State.FAILED
    assert "Only policy admins" in run.outcome.error
    assert not Replay.objects.exists()


def test_who_is_at_the_host_may(small_parts: None) -> None:
    past(3)
    replay = begun(None, via="command")
    with live_worker.worker():
        run = live_worker.ended(mission_of(replay))
    assert (run.state, whole(replay)[0]) == (State.COMPLETED, 3)


def test_a_version_that_is_not_there_fails_it_in_words(paula: User) -> None:
    run, _ = engine.start("policy.replay", {"policy": "none", "version": 3}, started_by=paula)
    with live_worker.worker():
        live_worker.ended(run)
    assert (run.state, "no version 3 of a policy 'none'" in run.outcome.error) == (State.FAILED, True)


def test_rulings_of_a_worker_carry_what_was_ruled_on(olivia: User, paula: User) -> None:
    in_force(allowed())
    replay = begun(paula)
    with live_worker.worker():
        run = live_worker.ended(mission_of(replay))
    kept = next(one.payload["intent"] for one in history.entries(run.pk) if one.kind == Kind.RULING)
    assert (kept["tool"], kept["effect_class"], kept["owner_id"]) == ("policies.open_replay", "read", paula.pk)
    assert {"args", "retry_safety", "reversible", "data_class", "agent"} <= kept.keys()
