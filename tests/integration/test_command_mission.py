"""`manage.py mission`: verbs, words for people, JSON for machines, exit status."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from missions.engine import feed
from missions.management import following
from missions.management.commands import mission as command
from missions.models import EffectState, Kind, Mission, Signal, State
from tests import forkserver, parcels

INPUT = json.dumps(parcels.INPUT)


def run(*words: object) -> str:
    """What a command prints on standard output."""
    out = io.StringIO()
    call_command("mission", *map(str, words), stdout=out)
    return out.getvalue()


def lines(*words: object) -> list[dict[str, Any]]:
    """What a command prints with --json, line by line."""
    return [json.loads(line) for line in run(*words, "--json").splitlines()]


def refused(*words: object, status: int = 1) -> str:
    """The message of a command that ends with this status."""
    with pytest.raises(CommandError) as error:
        run(*words)
    assert error.value.returncode == status
    return str(error.value)


# -- Start -------------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_start_prints_the_id_and_the_same_key_finds_it_again() -> None:
    said = run("start", parcels.TYPE, "--input", INPUT, "--title", "For Ann", "--key", "k1")
    mission = Mission.objects.get()
    assert str(mission.uid) in said
    assert (mission.brief.title, mission.brief.started_via, mission.brief.started_by) == ("For Ann", "command", None)
    assert str(mission.uid) in run("start", parcels.TYPE, "--input", INPUT, "--key", "k1")
    assert Mission.objects.count() == 1


@pytest.mark.django_db
def test_start_reads_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "in put.json"
    file.write_text(INPUT)
    (first,) = lines("start", parcels.TYPE, "--input", file)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(INPUT.encode())))
    (second,) = lines("start", parcels.TYPE, "--input", "-")
    assert first["input"] == second["input"] == {**parcels.INPUT, "note": ""}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "given", ["{", "[1]", '{"a": NaN}', '{"a": "\\u0000"}', "/no/such/file", "/", '{"a": "\udcff"}']
)
def test_an_input_that_can_not_be_read_is_wrong_usage(given: str) -> None:
    assert refused("start", parcels.TYPE, "--input", given, status=2)
    assert not Mission.objects.exists()


@pytest.mark.django_db
def test_an_input_that_does_not_fit_is_refused_field_by_field() -> None:
    said = refused("start", parcels.TYPE, "--input", '{"address": 1, "colour": "red"}')
    assert all(field in said for field in ("address", "weight", "colour"))


@pytest.mark.django_db
def test_what_is_refused_is_told_as_a_problem_to_machines() -> None:
    run("start", parcels.TYPE, "--input", INPUT, "--key", "k1")
    out, other = io.StringIO(), '{"address": "x", "weight": 1}'
    with pytest.raises(CommandError):
        call_command("mission", "start", parcels.TYPE, "--input", other, "--key", "k1", "--json", stdout=out)
    assert json.loads(out.getvalue())["code"] == "key_reused"
    assert "nonsense" in refused("start", "nonsense")


# -- List and show -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_list_is_newest_first_and_can_be_narrowed() -> None:
    ready, done = parcels.mission(), parcels.complete(parcels.mission())
    asks = parcels.park(parcels.mission(), "decision:7")
    assert [row["id"] for row in lines("list")] == [str(asks.uid), str(done.uid), str(ready.uid)]
    assert [row["id"] for row in lines("list", "--state", "completed")] == [str(done.uid)]
    assert [row["id"] for row in lines("list", "--waiting-on", "decision")] == [str(asks.uid)]
    assert len(lines("list", "--limit", 2)) == 2
    assert lines("list", "--type", "other") == []
    assert "waiting_on" in refused("list", "--waiting-on", "people")


@pytest.mark.django_db
def test_the_table_shows_whole_ids_and_nothing_that_steers_a_terminal() -> None:
    mission = parcels.mission(title="[red]For\x1b[31m Ann\u202e")
    said = run("list")
    assert str(mission.uid) in said and parcels.TYPE in said
    assert "[red]For\N{REPLACEMENT CHARACTER}[31m Ann\N{REPLACEMENT CHARACTER}" in said and "\x1b" not in said


@pytest.mark.django_db
def test_an_empty_list_says_how_to_start() -> None:
    assert "manage.py mission start" in run("list")


@pytest.mark.django_db
def test_show_tells_state_verdict_and_history() -> None:
    mission = parcels.mission(title="For Ann")
    parcels.effect(mission, EffectState.DONE)
    parcels.complete(mission)
    said = run("show", mission.uid)
    for words in ("For Ann", "completed", "delivered", "On the mat.", "About to: Send the van", "Send the van: done"):
        assert words in said
    (told,) = lines("show", mission.uid)
    assert (told["state"], told["verdict"]["verdict"], told["input"]["weight"]) == ("completed", "delivered", 3)


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["show", "watch", "verify"])
def test_an_unknown_mission_is_refused_and_a_malformed_id_is_wrong_usage(verb: str) -> None:
    assert "no mission" in refused(verb, uuid.uuid4())
    with pytest.raises(CommandError, match="no mission id"):
        run(verb, "7")


# -- Signal ------------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_signal_delivers_once_for_a_key() -> None:
    mission = parcels.mission()
    (first,) = lines("signal", mission.uid, "paid", "--payload", '{"sum": "9.00"}', "--key", "k")
    (second,) = lines("signal", mission.uid, "paid", "--payload", '{"sum": "9.00"}', "--key", "k")
    assert (first["delivered"], second["delivered"]) == (True, False)
    kept = Signal.objects.get()
    assert (kept.name, bytes(kept.payload), kept.sender) == ("paid", b'{"sum":"9.00"}', "command")


@pytest.mark.django_db
def test_signal_is_refused_after_the_end_and_under_reserved_names() -> None:
    mission = parcels.mission()
    refused("signal", mission.uid, "decision:7")
    refused("signal", mission.uid, "paid", "--key", "effect:7")
    refused("signal", mission.uid, "paid", "--payload", "[1]", status=2)
    assert "completed" in refused("signal", parcels.complete(mission).uid, "paid")
    assert not Signal.objects.exists()


# -- Verify ------------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_verify_vouches_for_one_or_all_and_names_what_is_broken() -> None:
    sound, tampered = parcels.mission(), parcels.mission()
    assert "1 of 1" in run("verify", sound.uid)
    assert "2 of 2" in run("verify", "--all")
    with connection.cursor() as cursor:
        cursor.execute("alter table missions_journal disable trigger user")
        cursor.execute("update missions_journal set path = 'x' where mission_id = %s", [tampered.pk])
        cursor.execute("alter table missions_journal enable trigger user")
    out = io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command("mission", "verify", "--all", stdout=out)
    assert error.value.returncode == 1
    assert f"{tampered.uid}: broken at 1" in out.getvalue() and "1 of 2" in out.getvalue()
    refused("verify", tampered.uid)
    run("verify", sound.uid)


@pytest.mark.django_db
def test_verify_wants_a_mission_or_all() -> None:
    refused("verify", status=2)
    refused("verify", uuid.uuid4(), "--all", status=2)


# -- Follow ------------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def followed(mission: Mission) -> Iterator[Queue[Any]]:
    """The seqs that `follow` yields in a thread, as they come; then "end"."""
    seen: Queue[Any] = Queue()

    def watch() -> None:
        try:
            for entry in following.follow(Mission.objects.get(pk=mission.pk)):
                seen.put(entry.seq)
            seen.put("end")
        except Exception as error:
            seen.put(error)
        finally:
            connection.close()

    thread = Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        if not Mission.objects.get(pk=mission.pk).ended:
            finish(mission)
        thread.join(20)


def finish(mission: Mission, *, failed: bool = False) -> None:
    """End a mission and say so, as its worker does."""
    with transaction.atomic():
        (parcels.fail if failed else parcels.complete)(mission)
        feed.announce(f"m{mission.pk}")


@pytest.mark.django_db(transaction=True)
def test_follow_wakes_for_its_own_mission_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_AGAIN_SECONDS", 60.0)
    mission, other = parcels.mission(), parcels.mission()
    with followed(mission) as seen:
        assert seen.get(timeout=20) == 1
        with transaction.atomic():
            parcels.append(other, Kind.OBSERVED, {"text": "Elsewhere."})
            feed.announce(f"m{other.pk}", f"m{mission.pk}1")
        with transaction.atomic():
            parcels.append(mission, Kind.OBSERVED, {"text": "It rains."})
            feed.announce(f"m{other.pk}", f"m{mission.pk}")
        assert seen.get(timeout=20) == 2, "a hint wakes it long before it looks by itself"
        finish(mission)
        assert [seen.get(timeout=20), seen.get(timeout=20)] == [3, "end"]


@pytest.mark.django_db(transaction=True)
def test_follow_misses_nothing_when_a_hint_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_AGAIN_SECONDS", 0.05)
    mission = parcels.mission()
    with followed(mission) as seen:
        assert seen.get(timeout=20) == 1
        parcels.append(mission, Kind.OBSERVED, {"text": "Nobody was told."})
        assert seen.get(timeout=20) == 2


@pytest.mark.django_db(transaction=True)
def test_watching_an_ended_mission_tells_its_history_and_returns() -> None:
    mission = parcels.complete(parcels.mission())
    assert [row["seq"] for row in lines("watch", mission.uid)] == [1, 2]
    assert "Completed: On the mat." in run("watch", mission.uid)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failed", [False, True])
def test_start_and_wait_ends_as_the_mission_ended(failed: bool) -> None:
    seen: Queue[Any] = Queue()
    key = ["start", parcels.TYPE, "--input", INPUT, "--key", "k1"]
    run(*key)
    mission = Mission.objects.get()

    def wait() -> None:
        try:
            seen.put(lines(*key, "--wait"))
        except CommandError as error:
            seen.put(error)
        finally:
            connection.close()

    thread = Thread(target=wait)
    thread.start()
    finish(mission, failed=failed)
    result = seen.get(timeout=20)
    thread.join(20)
    if failed:
        assert isinstance(result, CommandError) and result.returncode == 1
    else:
        assert [row["state"] for row in result] == [State.COMPLETED]


@pytest.mark.django_db
def test_a_database_that_goes_away_ends_the_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Iterator[object]:
        raise psycopg.OperationalError("terminating connection")

    monkeypatch.setattr(command, "follow", gone)
    assert "same key" in refused("watch", parcels.mission().uid)


# -- As a process ------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["start", parcels.TYPE, "--input", INPUT, "--json"], 0),
        (["start", "nonsense", "--json"], 1),
        (["start"], 2),
        (["list", "--state", "due"], 2),
        (["show", "7"], 2),
        (["show", str(uuid.UUID(int=7))], 1),
    ],
)
def test_the_exit_status_tells_done_refused_and_wrong_usage(
    process_environment: dict[str, str], words: list[str], status: int
) -> None:
    environment = {**process_environment, "MISSIONS_MODULES": "tests.parcels"}
    done = forkserver.run(["manage.py", "mission", *words], environment, seconds=60)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    if status == 0:
        assert Mission.objects.get(uid=json.loads(done.stdout)["id"])
    else:
        assert done.stderr.strip()
