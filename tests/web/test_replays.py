"""Replays over REST run where they can be ended, and guarded like missions."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from missions.engine.starting import start
from tests import rehearsed
from tests.web.rest import client_of, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("apart")]


@pytest.mark.parametrize("name", ["rehearsed.endless", "rehearsed.deaf"])
def test_code_that_never_returns_is_ended_and_the_place_is_told(
    olivia: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings.MISSIONS_REPLAY_SECONDS = 3.0
    monkeypatch.setenv("MISSIONS_REPLAY_SECONDS", "3")
    run, _ = start(name, {})
    seen = post(client_of(olivia), f"/missions/{run.uid}/replay", {}).json()
    assert seen["ok"] is False and "within 3 s" in seen["detail"] and f"{rehearsed.__file__}:" in seen["detail"]


def test_code_that_reads_the_clock_is_refused_with_file_and_line(olivia: User) -> None:
    run, _ = start("rehearsed.clock", {})
    seen = post(client_of(olivia), f"/missions/{run.uid}/replay", {}).json()
    assert seen["ok"] is False and seen["detail"].startswith(f"{rehearsed.__file__}:")
    assert "may not read time.time()" in seen["detail"]
