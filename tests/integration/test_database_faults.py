"""Real faults of the database under a real worker: after each nothing is lost, nothing is repeated, chains verify."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from config import embedded, env
from missions.authoring import Context, ProbeResult, ToolCall, Verdict, tool
from missions.engine import history
from missions.engine.clock import Estimate, database_now
from missions.engine.dsn import conninfo
from missions.engine.mailbox import deliver
from missions.models import Effect, Entry, Mission
from tests import corners, live_worker
from tests.conftest import Clock
from tests.severing import ANSWERED, BEFORE, SENT, severed

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # A mission that is fenced right before its `gather` leaves the calls that it had prepared.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]
LARGE = 40_000  # characters: more than a row of the journal holds
LANE = (
    "claim", "load_missions", "load_entries", "load_signals", "next_due", "append_one", "append", "effect_open",
    "effect_settle", "payload_store", "fence", "release", "outcome",
)
posted: Counter[str] = Counter()
ran: Counter[str] = Counter()


async def _found(call: ToolCall) -> ProbeResult:
    found = bool(posted[call.idempotency_key])
    return ProbeResult(found=found, result="posted" if found else None, reference="probed" * found)


@tool(name="corner.entry", effect="write", retry_safety="verifiable", probe=_found, timeout=0.3)
async def post(call: ToolCall) -> str:
    """Post"""
    posted[call.idempotency_key] += 1
    return "posted"


async def count(name: str) -> str:
    """Counted."""
    ran[name] += 1
    return name


async def fill() -> str:
    """Filled."""
    return "7" * LARGE


async def journey(m: Context, request: dict[str, Any]) -> Verdict:
    """Uses every statement of the lane."""
    await m.step("count", count, "alone")
    await m.gather(m.step("count", count, "left"), m.step("count", count, "right"))
    await m.tool("corner.entry")
    await m.step("fill", fill)
    heard = await m.wait_for_signal("go")
    await m.step("count", count, "last")
    return Verdict("arrived", data={"heard": heard})


@pytest.fixture(autouse=True)
def _fresh() -> None:
    posted.clear()
    ran.clear()
    corners.allow()


def check_sound(*missions: Mission) -> None:
    """Each mission arrived, its effect happened once, and its record is whole."""
    for mission in missions:
        mission.refresh_from_db()
        assert (mission.state, mission.outcome.data) == ("completed", {"heard": {"n": 1}})
        entries = history.entries(mission.pk)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        kept = Counter((entry.kind, entry.path) for entry in entries if entry.kind in ("step", "signal", "completed"))
        assert len(kept) == 7 and set(kept.values()) == {1}
        assert history.verify(mission).ok
        assert set(Effect.objects.filter(mission_id=mission.pk).values_list("state", flat=True)) <= {"done", "not_done"}
    assert set(posted.values()) == {1} and len(posted) == len(missions)


def travel(*missions: Mission) -> None:
    """Wait for each at its gate, and let it go on."""
    for mission in missions:
        live_worker.parked(mission, "signal:go")
        deliver(mission.pk, "go", {"n": 1})
    for mission in missions:
        live_worker.ended(mission)


# -- Lost connections --------------------------------------------------------------------------------------------------
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", [BEFORE, SENT, ANSWERED])
def test_connection_cut_at_each_statement_of_the_lane(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    name = corners.define("cut", journey)
    with severed(monkeypatch) as proxy, live_worker.worker():
        for statement in LANE:
            cut = proxy.arm(statement, when)
            mission = corners.begin(name)
            travel(mission)
            assert cut.wait(10), statement
            check_sound(mission)
            posted.clear()


@pytest.mark.parametrize("when", [BEFORE, SENT, ANSWERED])
def test_connection_cut_while_a_worker_leaves(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    name = corners.define("leave", journey)
    with severed(monkeypatch) as proxy:
        with live_worker.worker():
            mission = live_worker.parked(corners.begin(name), "signal:go")
            cut = proxy.arm("retire", when)
        assert cut.wait(10)  # whoever cuts says so a moment afterwards
        with live_worker.worker():
            travel(mission)
    check_sound(mission)


# -- Refusals that pass ------------------------------------------------------------------------------------------------
def test_statements_that_time_out_are_tried_again() -> None:
    name, held = corners.define("slow", journey), threading.Event()
    short = _database_option("statement_timeout", "150ms")
    with psycopg.connect(conninfo("standfast test")) as holder, short, live_worker.worker():
        mission = live_worker.parked(corners.begin(name), "signal:go")
        holder.execute("lock table missions_journal in share mode")
        deliver(mission.pk, "go", {"n": 1})
        seen: set[int] = set()
        while len(seen) < 3:  # three statements waited, one after the other: two timed out
            held.wait(0.02)
            seen |= set(_waiting_since())
        holder.commit()
        live_worker.ended(mission)
    check_sound(mission)


def _waiting_since() -> list[int]:
    """When each statement began that waits for the journal's lock now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select extract(epoch from query_start)::numeric * 1000000 from pg_stat_activity as seen join pg_locks"
            " on pg_locks.pid = seen.pid where not granted and relation = 'missions_journal'::regclass"
            " and datname = current_database()"
        )
        return [int(row[0]) for row in cursor.fetchall()]


@contextlib.contextmanager
def _database_option(name: str, value: str) -> Iterator[None]:
    """Sessions that begin within the block have a setting of their own. None of them is pooled beyond it."""
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"alter database {database} set {name} = '{value}'")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"alter database {database} reset {name}")
        connection.close()
        connection.close_pool()


def test_full_disk_is_waited_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = corners.define("full", journey)
    with _small_disk(tmp_path) as disk, live_worker.worker():
        mission = corners.begin(name)
        live_worker.wait_until(mission, lambda now: Entry.objects.filter(mission_id=now.pk).count() > 1)
        _until_said(caplog, "53100")
        disk()
        travel(mission)
    check_sound(mission)


def _until_said(caplog: pytest.LogCaptureFixture, sqlstate: str) -> None:
    pause = threading.Event()
    for _ in range(400):
        if any(getattr(record, "sqlstate", "") == sqlstate for record in caplog.records):
            return
        pause.wait(0.05)
    raise AssertionError(f"no batch was aborted with {sqlstate}")


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Any]:
    """Large payloads lie on a disk that is full until the value of this block is called.

    A real one, a tmpfs, where we may mount it and the server is ours; elsewhere a trigger answers as a full disk does.
    """
    place = Path("/tmp") / f"sf-disk-{os.getpid()}"
    place.mkdir()
    mounted = not env.text("DATABASE_URL") and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode
    try:
        with connection.cursor() as cursor:
            yield from (_real_disk if mounted else _told_disk)(cursor, place)
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def _real_disk(cursor: Any, place: Path) -> Iterator[Any]:
    space = place / "space"
    space.mkdir()
    owner = (embedded.cluster_folder() / "data").stat()
    os.chown(space, owner.st_uid, owner.st_gid)
    cursor.execute(f"create tablespace small location '{space}'")
    cursor.execute("vacuum full missions_payload")  # the room of rows that are gone would be used again
    cursor.execute("alter table missions_payload set tablespace small")
    ballast = place / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as output:
        while True:
            output.write(b"\0" * 512)
    try:
        yield ballast.unlink
    finally:
        cursor.execute("alter table missions_payload set tablespace pg_default")
        cursor.execute("drop tablespace small")


def _told_disk(cursor: Any, place: Path) -> Iterator[Any]:
    cursor.execute(
        "create function is_full() returns trigger language plpgsql as"
        " $$ begin raise exception 'No space left on device' using errcode = 'disk_full'; end $$"
    )
    cursor.execute("create trigger is_full before insert on missions_payload execute function is_full()")

    def free() -> None:
        cursor.execute("drop trigger is_full on missions_payload")

    try:
        yield free
    finally:
        cursor.execute("drop function is_full cascade")


# -- The clock ---------------------------------------------------------------------------------------------------------
def test_clock_that_steps_back_and_forth_harms_nothing(clock: Clock) -> None:
    name = corners.define("clock", journey)
    with live_worker.worker():
        missions = []
        for hours in (0, -1, 3, -2):
            clock.advance(hours=hours)
            missions.append(corners.begin(name))
            travel(missions[-1])
    check_sound(*missions)
    for mission in missions:
        times = [entry.recorded_at for entry in history.entries(mission.pk)][1:]  # the first is `start`'s own reading
        assert times == sorted(times)


def test_estimate_never_runs_backwards(clock: Clock) -> None:
    estimate = Estimate()
    told = []
    for hours in (0, -1, 1, 2, -3):
        clock.advance(hours=hours)
        estimate.read(database_now())
        told.append(estimate.seconds())
    assert told == sorted(told)


# -- The server --------------------------------------------------------------------------------------------------------
def test_server_that_ends_every_session_in_mid_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    name = corners.define("sessions", journey)
    with live_worker.worker():
        missions = [corners.begin(name) for _ in range(5)]
        for _ in range(6):
            with connection.cursor() as cursor:
                cursor.execute(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                    " where datname = current_database() and application_name ~ '^standfast (lane|aux|ring) '"
                )
            threading.Event().wait(0.15)
        travel(*missions)
    check_sound(*missions)
