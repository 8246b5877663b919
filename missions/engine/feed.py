"""Hints to those who watch: which missions changed, and whether the queue did.

A hint may be lost or come twice; the database is the truth. Workers send theirs after their commits
(`missions.engine.hints`), all others through `announce`, inside their own transaction.
"""

from __future__ import annotations

from django.db import connection

FEED = "standfast_feed"  # payload: tokens `m<mission id>` and `q`, separated by blanks
DUE = "standfast_due"  # some mission or alarm may have become due; payload: the one mission's id, or nothing
RULES = "standfast_rules"  # no payload: limits, circuits or stops have changed
PAYLOAD_BYTES = 7000  # PostgreSQL's own bound is 7,999


def _notify(channel: str, payload: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select pg_notify(%s, %s)", [channel, payload])


def announce(*tokens: str) -> None:
    """Tell watchers when the current transaction commits (at once outside one)."""
    _notify(FEED, " ".join(dict.fromkeys(tokens))[:PAYLOAD_BYTES])


def announce_due() -> None:
    """Tell workers when the current transaction commits that something may be due."""
    _notify(DUE, "")


def announce_rules() -> None:
    """Tell workers when the current transaction commits that limits, circuits or stops have changed."""
    _notify(RULES, "")
