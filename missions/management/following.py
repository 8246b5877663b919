"""Following a mission as it happens, from a terminal.

Sleeps in LISTEN on the feed and asks the database when a hint names the mission. A hint may be lost, so it also looks
every few seconds; the journal is the truth. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from django.db import connection

from missions.engine import history
from missions.engine.dsn import conninfo
from missions.engine.feed import FEED
from missions.models import Mission

LOOK_AGAIN_SECONDS = 5.0


def follow(mission: Mission, after: int = 0) -> Iterator[history.HistoryEntry]:
    """The entries past `after`, then each new one when it is committed, until the mission has ended."""
    with psycopg.connect(conninfo("standfast watch"), autocommit=True) as listener:
        listener.execute(f"listen {FEED}")  # before the first look: what comes after it is announced
        while True:
            mission.refresh_from_db(fields=["state"])  # before the entries: an end commits together with its entry
            for entry in history.entries(mission.pk, after):
                after = entry.seq
                yield entry
            if mission.ended:
                return
            connection.close()  # waiting may take weeks; only the listener stays
            _await_hint(listener, f"m{mission.pk}")


def _await_hint(listener: psycopg.Connection[tuple[object, ...]], token: str) -> None:
    for notice in listener.notifies(timeout=LOOK_AGAIN_SECONDS):
        if token in notice.payload.split():
            return
