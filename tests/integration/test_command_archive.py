"""`manage.py mission archive, archived, hold, unhold` and `verify`: what they say, and when they refuse."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path

import pytest

from missions.models import BundlePiece, Hold, Mission
from tests import parcels, rail
from tests.archive import leave
from tests.integration.test_command_mission import lines, refused, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def mission() -> Mission:
    mission = parcels.complete(rail.running(title="For Ann"))
    leave(mission)
    return mission


@pytest.mark.django_db(transaction=True)
def test_an_ended_mission_is_archived_and_one_that_goes_on_is_refused() -> None:
    mission, running = parcels.complete(rail.running()), rail.running()
    assert "Archived under seal 1: 2 entries" in run("archive", mission.uid)
    assert "only what has ended leaves" in refused("archive", running.uid)
    assert "it is archived" in refused("show", mission.uid)
    assert "There is no mission" in refused("archive", uuid.uuid4())


def test_what_is_archived_is_listed_shown_and_verified(mission: Mission) -> None:
    assert "For Ann" in run("archived", "list")
    assert [row["id"] for row in lines("archived", "list")] == [str(mission.uid)]
    said = run("archived", "show", mission.uid)
    assert "delivered" in said and "completed" in said
    assert lines("archived", "show", mission.uid)[0]["verified"]["ok"]
    for words in (("verify", mission.uid), ("archived", "verify", mission.uid), ("archived", "verify", "--all")):
        assert f"{mission.uid}: archived, seal good" in run(*words)


def test_damage_ends_with_1_and_says_where(mission: Mission, capsys: pytest.CaptureFixture[str]) -> None:
    BundlePiece.objects.update(body=b"nothing")
    assert "1 bundles do not verify" in refused("archived", "verify", "--all")
    assert "does not verify" in refused("verify", mission.uid)
    assert "can not be read" in refused("archived", "restore", mission.uid)


def test_a_bundle_is_written_to_a_file_and_to_no_file_twice(mission: Mission, tmp_path: Path) -> None:
    file = tmp_path / "ann.jsonl.gz"
    run("archived", "show", mission.uid, "--bundle", file)
    assert json.loads(gzip.decompress(file.read_bytes()).splitlines()[0])["mission"] == str(mission.uid)
    assert "exists" in refused("archived", "show", mission.uid, "--bundle", file)


def test_a_mission_comes_back_once(mission: Mission) -> None:
    assert str(mission.uid) in run("archived", "restore", mission.uid)
    assert "delivered" in run("show", mission.uid)
    assert "not in the archive" in refused("archived", "restore", mission.uid)
    assert run("archived", "list").strip() == "Nothing is archived."


@pytest.mark.parametrize("words", [("restore",), ("show",), ("verify",)])
def test_a_mission_must_be_named(words: tuple[str, ...]) -> None:
    assert "Name a mission" in refused("archived", *words, status=2)


def test_holds_are_placed_and_lifted() -> None:
    mission = parcels.complete(rail.running())
    run("hold", mission.uid, "--reason", "a lawsuit")
    assert Hold.objects.get().reason == "a lawsuit"
    assert "stays: hold" in refused("archive", mission.uid)
    assert "lifted" in run("unhold", mission.uid)
    assert "no hold" in run("unhold", mission.uid)
