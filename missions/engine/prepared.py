"""The engine's SQL on the caller's own connection, as those outside the lane run it.

Joins the transaction that Django has open there; outside one, the statement is a transaction by itself. Prepared once a
session, since parsing and planning would cost as much as all else. Errors are Django's, as with any other cursor of it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper

from missions.engine.statements import statement

_text = functools.cache(statement)


def row(name: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
    """The first row that `sql/NAME.sql` returns for these values, or None. Raises django.db.Error.

    An error spoils the caller's transaction: who wants to go on after one opens a savepoint first.
    """
    with connection.cursor() as ours:  # connects, and looks after the connection's health
        session: psycopg.Connection[Any] = ours.connection
        cursor = CursorWrapper(psycopg.RawCursor(session), connection)
        session.prepare_threshold = 0  # off for all else: Django's own statements differ each time
        try:
            cursor.execute(_text(name), values)
        finally:
            session.prepare_threshold = None
        found: tuple[Any, ...] | None = cursor.fetchone()
        return found
