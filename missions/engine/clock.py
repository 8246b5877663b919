"""The one clock is the database's, read through `missions_now()`, which tests can move.

`database_now` asks it; `Estimate` lets a worker reckon with it between two heartbeats.
"""

from __future__ import annotations

import datetime as dt
import time

from django.db import connection


def database_now() -> dt.datetime:
    """The time now, aware, in UTC; one statement."""
    with connection.cursor() as cursor:
        cursor.execute("select missions_now()")
        now: dt.datetime = cursor.fetchone()[0]
    return now.astimezone(dt.UTC)


class Estimate:
    """The database's time as reckoned from its last reading and this process's monotonic clock.

    Never runs backwards: entries of one mission carry times that do not decrease.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._last = 0.0

    def read(self, now: dt.datetime) -> None:
        """Take a reading of the database's clock."""
        self._offset = now.timestamp() - time.monotonic()

    def seconds(self) -> float:
        """Seconds since the Unix epoch."""
        self._last = max(self._last, time.monotonic() + self._offset)
        return self._last

    def now(self) -> dt.datetime:
        """The same as an aware datetime in UTC."""
        return dt.datetime.fromtimestamp(self.seconds(), dt.UTC)
